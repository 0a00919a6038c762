//! The tokio runtime of the commands that talk to a hub.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// With a worker, so that signals are seen while the main thread is blocked in a write.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))
}
