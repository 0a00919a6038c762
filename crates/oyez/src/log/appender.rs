//! The interface that makes entries durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Error;
use crate::log::entry::Entry;
use crate::log::tail::{Departure, Remains};
use crate::log::{Admission, Batch, Published};

/// Makes batches durable, in order, and then [visible](Visible). A log in memory needs none: its entries are visible as soon as
/// they are appended.
pub(crate) trait Appender: Send + Sync {
    /// Appends the whole batch or nothing. Resolves when the batch is durable and visible. If the future is dropped, the batch is
    /// appended as a whole or not at all.
    fn append(&self, batch: Batch) -> Promise<'_, Result<Published, Error>>;

    /// Writes the waiting batches, and records on disk where the log ends. From now on no batch is accepted.
    fn close(&self) -> Promise<'_, ()>;

    /// Resolves with the reason when no batch can be acknowledged any more.
    fn failed(&self) -> Promise<'_, String>;
}

/// The future of an operation.
pub(crate) type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes durable entries visible: the tail of a hub, while the hub exists.
pub(crate) trait Visible: Send + Sync {
    /// Whether the batch may be appended, judged by the visible entries.
    fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error>;

    /// Shows entries to all readers, in order.
    fn show(&self, entries: Vec<Arc<Entry>>);

    /// Frees the entries that need not be in memory at this time.
    fn trim(&self, now_ms: u64);

    /// Sequence numbers up to this one are used up; the skipped ones name no entry.
    fn skip(&self, sequence: u64);
}

/// Is asked before an engine drops entries.
pub(crate) trait OnDrop: Send + Sync {
    /// Entries are about to be dropped. Returns what must be kept of all dropped entries.
    fn drop_below(&self, departure: &Departure) -> Remains;
}
