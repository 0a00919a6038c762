//! A stream that goes on, whoever drives it.

use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::Error;
use crate::feed::Feed;
use crate::pump::Pump;

/// A stream that goes on.
pub(crate) enum Live {
    /// Of a hub.
    Subscriber(Box<Pump>),
    /// Of a [`Connection`](crate::Connection).
    Feed(Box<Feed>),
    /// There is none: this is what its response says instead.
    #[cfg(feature = "serve")]
    Refused(Option<Bytes>),
}

impl Live {
    /// The next bytes; `None` when the stream has ended.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Subscriber(pump) => pump.poll(now, cx),
            Self::Feed(feed) => feed.poll(now, cx).map(|bytes| bytes.map(Ok)),
            #[cfg(feature = "serve")]
            Self::Refused(bytes) => Poll::Ready(bytes.take().map(Ok)),
        }
    }
}
