//! The way by which a stream leaves its response.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use bytes::Bytes;

use crate::Error;
use crate::clock;
use crate::live::Live;
use crate::sync::Mutex;

/// The stream of a response, for whoever takes it first. It keeps nothing alive: an answer whose body was dropped or
/// replaced cannot be taken.
#[derive(Debug, Clone)]
pub(crate) struct Handover(Weak<Mutex<Option<Live>>>);

impl Handover {
    pub(crate) fn new(live: &Arc<Mutex<Option<Live>>>) -> Self {
        Self(Arc::downgrade(live))
    }

    /// Waits until the stream has its place: what fails before its first byte is a status still.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn begun(&self) -> Result<(), Error> {
        poll_fn(|cx| {
            let Some(shared) = self.0.upgrade() else { return Poll::Ready(Ok(())) };
            match &mut *shared.lock() {
                Some(Live::Subscriber(pump)) => pump.poll_begun(clock::now(), cx),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Says this in place of the stream, which has no place to begin.
    pub(crate) fn refuse(&self, bytes: Bytes) {
        if let Some(shared) = self.0.upgrade() {
            *shared.lock() = Some(Live::Refused(Some(bytes)));
        }
    }

    /// The stream, unless somebody has taken it, its answer is gone, or it has an end.
    pub(crate) fn take(&self) -> Option<Live> {
        let shared = self.0.upgrade()?;
        let mut live = shared.lock();
        match &*live {
            // a stream with an end leaves its connection to the next request
            Some(Live::Subscriber(pump)) if pump.is_bounded() => None,
            Some(Live::Subscriber(_) | Live::Feed(_)) => live.take(),
            Some(Live::Refused(_)) | None => None,
        }
    }
}
