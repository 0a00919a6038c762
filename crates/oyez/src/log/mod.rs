//! The ordered log of events: the only way from a publisher to a subscriber. It knows no subscriber and no HTTP.

mod dropped;
mod entry;
mod lines;
mod memory;
mod retention;
mod topics;

pub(crate) use entry::{Entry, JsonLine};
pub(crate) use memory::{Bounds, Log, Page, Start};
pub(crate) use retention::Retained;
pub use retention::Retention;
