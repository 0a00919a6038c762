//! The ordered log of events: the only way from a publisher to a subscriber. It knows no subscriber and no HTTP.

mod batch;
mod deletions;
#[cfg(unix)]
pub(crate) mod disk;
mod draft;
mod dropped;
mod ends;
mod entry;
mod fingerprint;
mod latest;
mod left_ids;
mod lines;
#[expect(clippy::module_inception, reason = "it owns `Log`, and the module is the log with all its parts")]
mod log;
mod memory;
mod once_table;
mod retention;
mod topics;

pub use batch::Published;
pub(crate) use batch::{Admission, Batch};
pub(crate) use entry::Entry;
pub(crate) use latest::Snapshot;
pub(crate) use log::{Log, Page, Start};
pub(crate) use memory::{Behind, Bounds};
#[cfg(unix)]
pub(crate) use memory::{Departure, Remains};
pub(crate) use retention::Retained;
pub use retention::Retention;

#[cfg(unix)]
pub use disk::Durability;
