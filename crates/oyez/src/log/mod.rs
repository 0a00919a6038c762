//! The ordered log of events: the only way from a publisher to a subscriber. It knows no subscriber and no HTTP.
//!
//! A log is a tail over older entries. [`tail`] holds the newest entries, [`facts`] what they mean for later ones. [`below`] is the
//! interface to the older entries (none in memory, or `disk`). [`appender`] is the interface that makes entries durable before they
//! are visible. `log` puts them together. `begin`, `read` and `gap` search them in steps (`step`) that give way. Long searches run
//! on threads of their own (`search`).

mod appender;
mod batch;
mod begin;
pub(crate) mod below;
#[cfg(test)]
mod costly;
mod deletions;
#[cfg(all(unix, feature = "disk"))]
pub(crate) mod disk;
mod draft;
mod ends;
mod entry;
mod facts;
#[cfg(test)]
pub(crate) mod fake;
mod fingerprint;
mod gap;
mod gone;
mod large;
mod latest;
mod lines;
#[expect(clippy::module_inception, reason = "it owns `Log`, and the module is the log with all its parts")]
mod log;
mod loss;
mod once_table;
mod page;
mod read;
mod retention;
pub(crate) mod search;
mod snapshot;
mod step;
mod tail;
mod topics;

pub(crate) use appender::{Appender, OnDrop, Visible};
pub use batch::Published;
pub(crate) use batch::{Admission, Batch};
pub(crate) use begin::{Begin, Start};
pub(crate) use entry::Entry;
pub(crate) use log::Log;
#[cfg(feature = "serve")]
pub(crate) use page::Read;
pub(crate) use page::{Behind, Later, Page};
pub(crate) use retention::Retained;
pub use retention::Retention;
pub(crate) use search::Search;
pub(crate) use snapshot::Snapshot;
pub(crate) use tail::{Bounds, Departure, Remains};

#[cfg(all(unix, feature = "disk"))]
pub use disk::Durability;
