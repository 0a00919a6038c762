//! The seam to who makes entries durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Error;
use crate::log::entry::Entry;
use crate::log::tail::{Departure, Remains};
use crate::log::{Admission, Batch, Published};

/// Makes batches durable, in order, and then lets them be [seen](Visible). A log in memory needs none: there an entry is seen as
/// soon as it is appended.
pub(crate) trait Appender: Send + Sync {
    /// Appends the batch: all of it or nothing. Resolves when it is durable and visible; a future that is dropped has appended it
    /// or not, never in part.
    fn append(&self, batch: Batch) -> Promise<'_, Result<Published, Error>>;

    /// Writes what waits and says where everything ends. Nothing is taken from now on.
    fn close(&self) -> Promise<'_, ()>;

    /// Resolves with the reason when nothing can be acknowledged any more.
    fn failed(&self) -> Promise<'_, String>;
}

/// What comes of something that is being done.
pub(crate) type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where what is durable becomes visible: the tail of a hub, for as long as it is there.
pub(crate) trait Visible: Send + Sync {
    /// Whether the batch is to be appended, as far as that follows from what is visible.
    fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error>;

    /// Shows entries to all readers, in order.
    fn show(&self, entries: Vec<Arc<Entry>>);

    /// Lets go of what need not be in memory any more at this time.
    fn trim(&self, now_ms: u64);

    /// Numbers up to here were given out and name nothing.
    fn skip(&self, sequence: u64);
}

/// Who has to know before entries leave what lies below.
pub(crate) trait OnDrop: Send + Sync {
    /// Entries will go. Gives back what is to be kept of all that have gone.
    fn drop_below(&self, departure: &Departure) -> Remains;
}
