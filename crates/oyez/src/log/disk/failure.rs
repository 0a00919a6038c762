//! Why a log accepts nothing more.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;

use crate::{Error, ErrorKind};

/// Set once, by the first thread of the log that fails. All clones see it.
#[derive(Clone)]
pub(super) struct Failure(watch::Sender<Option<Arc<str>>>);

impl Failure {
    /// Nothing has failed.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Sets the reason. From now on nothing is accepted.
    pub(super) fn tell(&self, reason: impl Into<Arc<str>>) {
        self.0.send_if_modified(|told| {
            let is_first = told.is_none();
            if is_first {
                *told = Some(reason.into());
            }
            is_first
        });
    }

    pub(super) fn is_told(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The error for a publish, if the log has failed.
    pub(super) fn refusal(&self) -> Option<Error> {
        let refused = |reason: &Arc<str>| format!("{reason}; the hub must be started again");
        self.0.borrow().as_ref().map(|reason| Error::new(ErrorKind::Internal, refused(reason)))
    }

    /// Resolves with the reason when the log fails.
    pub(super) async fn told(&self) -> String {
        let mut told = self.0.subscribe();
        let reason = told.wait_for(Option::is_some).await.ok().and_then(|reason| reason.as_deref().map(str::to_owned));
        match reason {
            Some(reason) => reason,
            None => pending().await, // cannot be: a sender is here
        }
    }

    /// A guard that reports a panic of the thread. The thread holds it while it runs.
    pub(super) fn of_thread(&self, name: &'static str) -> BrokenThread {
        BrokenThread { failure: self.clone(), name }
    }
}

/// Reports the panic of a thread, which nobody else would notice.
pub(super) struct BrokenThread {
    failure: Failure,
    name: &'static str,
}

impl Drop for BrokenThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(thread = self.name, "a thread of the history panicked; no publish is acknowledged any more");
            self.failure.tell(format!("the thread {} of the history panicked, which is a bug in the hub", self.name));
        }
    }
}
