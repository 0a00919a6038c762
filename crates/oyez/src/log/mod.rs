//! The ordered log of events: the only way from a publisher to a subscriber. It knows no subscriber and no HTTP.

mod dropped;
mod entry;
mod lines;
#[expect(clippy::module_inception, reason = "it owns `Log`, and the module is the log with all its parts")]
mod log;
mod memory;
mod retention;
mod topics;

pub(crate) use entry::{Entry, Extras, JsonLine};
pub(crate) use log::{Log, Page, Start};
pub(crate) use memory::Bounds;
pub(crate) use retention::Retained;
pub use retention::Retention;
