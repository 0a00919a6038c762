//! The ordered log of events: the only way from a publisher to a subscriber. It knows no subscriber and no HTTP.
//!
//! A log is a tail over something. [`tail`] holds the newest entries, [`facts`] what they mean for those behind them; [`below`] is
//! the seam to what the tail stands on (nothing in memory, or `disk`), [`appender`] the one to who makes entries durable before they
//! are seen. `log` puts them together; `begin`, `read` and `gap` ask them, in steps that give way (`step`), on threads of their own
//! where that takes long (`search`).

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
