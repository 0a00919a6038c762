//! The disk as an appender.

use std::sync::Arc;

use super::committer::Committer;
use super::failure::Failure;
use super::keeper::{Keeper, KeeperCall};
use super::store::Store;
use super::writer::Writer;
use crate::Error;
use crate::log::appender::{Appender, OnDrop, Promise, Visible};
use crate::log::{Batch, Published};

/// The committer thread and the keeper thread. Dropping it writes the waiting batches and ends both.
pub(crate) struct DiskAppender {
    committer: Committer,
    keeper: Keeper,
    failure: Failure,
}

impl DiskAppender {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) if no thread can be started.
    pub(crate) fn start(
        store: Arc<Store>,
        writer: Writer,
        shown: impl Visible + OnDrop + Clone + 'static,
    ) -> Result<Self, Error> {
        let not_started = |error: std::io::Error| Error::storage(format!("cannot start a thread: {error}"), error);
        let call = Arc::new(KeeperCall::default());
        let epoch = store.epoch;
        let failure = Failure::new();
        let committer = Committer::start(writer, epoch, shown.clone(), Arc::clone(&call), failure.clone());
        let committer = committer.map_err(not_started)?;
        let keeper = Keeper::start(store, shown, call, &failure).map_err(not_started)?;
        Ok(Self { committer, keeper, failure })
    }
}

impl Appender for DiskAppender {
    fn append(&self, batch: Batch) -> Promise<'_, Result<Published, Error>> {
        Box::pin(self.committer.append(batch))
    }

    fn close(&self) -> Promise<'_, ()> {
        Box::pin(async {
            self.committer.close().await;
            self.keeper.stop();
        })
    }

    fn failed(&self) -> Promise<'_, String> {
        Box::pin(self.failure.told())
    }
}
