//! The handle by which others end a stream: the hub's drain, the server's drain.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::limits::DRAIN_STREAMS_PER_SECOND;
use crate::sync::Mutex;

/// Ends one stream at a frame border, at a time. Cheap to clone; it keeps nothing of the stream alive. It is among the
/// extensions of the response of an [`Sse`](crate::Sse):
///
/// ```
/// use oyez::{Hub, StreamControl};
/// let response = Hub::<String>::new().subscribe("news").into_response().into_http();
/// let control = response.extensions().get::<StreamControl>().cloned().expect("every stream has one");
/// control.end_at(std::time::Instant::now()); // when its token expires, say
/// ```
#[derive(Debug, Clone, Default)]
pub struct StreamControl(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ends_at: Option<Instant>,
    stalled: bool,
    waker: Option<Waker>,
}

impl StreamControl {
    /// Lets the stream end at `time`, or earlier if that was said before. It ends between two frames and by itself:
    /// its reader sees a complete response, not an error.
    pub fn end_at(&self, time: Instant) {
        let mut state = self.0.lock();
        state.ends_at = Some(state.ends_at.map_or(time, |before| before.min(time)));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends all of `streams`, spread evenly over `window` so that their readers do not come back at once. A few streams
    /// do not need all of it: see [`DRAIN_STREAMS_PER_SECOND`].
    pub(crate) fn end_all(streams: &[Self], now: Instant, window: Duration) {
        let number = u32::try_from(streams.len()).unwrap_or(u32::MAX);
        let window = window.min(Duration::from_secs(1) * number / DRAIN_STREAMS_PER_SECOND);
        for (stream, index) in streams.iter().zip(1..=number) {
            stream.end_at(now + window.mul_f64(f64::from(index) / f64::from(number)));
        }
    }

    /// Notes that the stream's reader takes no bytes: whoever says so is about to drop the stream.
    #[cfg(feature = "serve")]
    pub(crate) fn mark_stalled(&self) {
        self.0.lock().stalled = true;
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.0.lock().stalled
    }

    /// When the stream is to end. Whoever drives it is woken when that changes.
    pub(crate) fn watch(&self, waker: &Waker) -> Option<Instant> {
        let mut state = self.0.lock();
        match &mut state.waker {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
        state.ends_at
    }
}
