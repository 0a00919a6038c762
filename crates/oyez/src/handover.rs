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
pub(crate) struct Handover {
    live: Weak<Mutex<Option<Live>>>,
    /// Its reader takes events with data and nothing else, and refusals as they are.
    pub(crate) bare: bool,
    /// Nobody may take it; how it begins is waited for all the same.
    pub(crate) stays: bool,
}

impl Handover {
    pub(crate) fn new(live: &Arc<Mutex<Option<Live>>>, bare: bool) -> Self {
        Self { live: Arc::downgrade(live), bare, stays: false }
    }

    /// Waits until the stream has its place: what fails before its first byte is a status still, and the gap of a bare stream,
    /// whose reason is given, a header.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn begun(&self) -> Result<Option<&'static str>, Error> {
        poll_fn(|cx| {
            let Some(shared) = self.live.upgrade() else { return Poll::Ready(Ok(None)) };
            match &mut *shared.lock() {
                Some(Live::Subscriber(pump)) => pump.poll_begun(clock::now(), cx),
                _ => Poll::Ready(Ok(None)),
            }
        })
        .await
    }

    /// Says this in place of the stream, which has no place to begin.
    pub(crate) fn refuse(&self, bytes: Bytes) {
        if let Some(shared) = self.live.upgrade() {
            *shared.lock() = Some(Live::Refused(Some(bytes)));
        }
    }

    /// The stream, unless it stays, somebody has taken it, its answer is gone, or it has an end.
    pub(crate) fn take(&self) -> Option<Live> {
        if self.stays {
            return None;
        }
        let shared = self.live.upgrade()?;
        let mut live = shared.lock();
        match &*live {
            // a stream with an end leaves its connection to the next request
            Some(Live::Subscriber(pump)) if pump.is_bounded() => None,
            Some(Live::Subscriber(_) | Live::Feed(_)) => live.take(),
            Some(Live::Refused(_)) | None => None,
        }
    }
}
