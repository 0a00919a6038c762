//! A stream that is open, whoever drives it.

#[cfg(feature = "serve")]
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::Error;
use crate::feed::Feed;
use crate::pump::Pump;
#[cfg(feature = "serve")]
use crate::sync::Mutex;

/// Who says what comes next.
pub(crate) enum Live {
    /// Of a hub.
    Subscriber(Box<Pump>),
    /// Of a [`Connection`](crate::Connection).
    Feed(Box<Feed>),
}

impl Live {
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Subscriber(pump) => pump.poll(now, cx),
            Self::Feed(feed) => feed.poll(now, cx).map(|bytes| bytes.map(Ok)),
        }
    }
}

/// The stream of a response, for whoever takes it first. It keeps nothing alive: an answer whose body was dropped or
/// replaced cannot be taken.
#[cfg(feature = "serve")]
#[derive(Debug, Clone)]
pub(crate) struct Handover(Weak<Mutex<Option<Live>>>);

#[cfg(feature = "serve")]
impl Handover {
    pub(crate) fn new(live: &Arc<Mutex<Option<Live>>>) -> Self {
        Self(Arc::downgrade(live))
    }

    pub(crate) fn take(&self) -> Option<Live> {
        let shared = self.0.upgrade()?;
        let mut live = shared.lock();
        // a stream with an end leaves its connection to the next request
        if matches!(&*live, Some(Live::Subscriber(pump)) if pump.is_bounded()) {
            return None;
        }
        live.take()
    }
}
