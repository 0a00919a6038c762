//! A request's body with a bound on silence.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::clock;
use crate::limits::serve::FOREVER;
use crate::timer::Timer;

/// Why a body breaks off.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long the body of one request may be silent; an extension of each request under [`serve`](crate::serve()). A
/// handler that takes a live stream sets it to more before it reads.
#[derive(Debug, Clone)]
pub struct BodyTimeout(Arc<AtomicU64>);

impl BodyTimeout {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds(timeout))))
    }

    /// Bounds the silence before the next byte from now on.
    pub fn set(&self, timeout: Duration) {
        self.0.store(milliseconds(timeout.min(FOREVER)), Relaxed);
    }

    fn value(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The body as handlers read it. Its error when nothing came in time is an [`io::Error`] of kind `TimedOut`.
pub(crate) struct RequestBody {
    incoming: Incoming,
    timeout: BodyTimeout,
    timer: Timer,
    silent_since: Option<Instant>,
    unread: Unread,
    ended: bool,
}

/// Whether the body of the request that a connection has answered last was not read to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn set(&self, unread: bool) {
        self.0.store(unread, Relaxed);
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, timeout: BodyTimeout, unread: Unread) -> Self {
        unread.set(false);
        Self { incoming, timeout, timer: Timer::default(), silent_since: None, unread, ended: false }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.incoming.is_end_stream() {
            self.unread.set(true);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.silent_since = None;
            this.ended |= frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timeout = this.timeout.value();
        let since = *this.silent_since.get_or_insert_with(clock::now);
        if this.timer.poll(Some(since + timeout), cx).is_pending() {
            return Poll::Pending;
        }
        let message = format!("no byte of the request's body came for {} s", timeout.as_secs());
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
