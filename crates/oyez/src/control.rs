//! The handle by which others end a stream and see how far it has come.

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as StdAtomicU64;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::limits::DRAIN_STREAMS_PER_SECOND;
use crate::stats::EndReason;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Ends one stream at a frame border, at a time. Cheap to clone; it keeps nothing of the stream alive. It is among the
/// extensions of the response of an [`Sse`](crate::Sse), or made before the stream and given to it with
/// [`Subscribe::control`](crate::Subscribe::control):
///
/// ```
/// use oyez::{Hub, StreamControl};
/// let response = Hub::<String>::new().subscribe("news").into_response().into_http();
/// let control = response.extensions().get::<StreamControl>().cloned().expect("every stream has one");
/// control.end_at(std::time::Instant::now()); // when its token expires, say
/// ```
#[derive(Debug, Clone)]
pub struct StreamControl(Arc<Stream>);

#[derive(Debug)]
struct Stream {
    number: u64,
    /// Everything up to here was handed to the reader, or did not concern it.
    cursor: AtomicU64,
    delivered: AtomicU64,
    /// It has read everything and waits for the next entry.
    live: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ends: Option<(Instant, EndReason)>,
    stalled: bool,
    waker: Option<Waker>,
}

impl StreamControl {
    /// The control of one stream that is yet to be.
    #[must_use]
    pub fn new() -> Self {
        // not under the model checker: a number is no part of what it tries
        static NUMBERS: StdAtomicU64 = StdAtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let (cursor, delivered) = (AtomicU64::new(0), AtomicU64::new(0));
        let live = AtomicBool::new(false);
        Self(Arc::new(Stream { number, cursor, delivered, live, state: Mutex::default() }))
    }

    /// The number of the stream: each of this process has its own, as [`StreamStats`](crate::StreamStats) shows it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Lets the stream end at `time`, or earlier if that was said before. It ends between two frames and by itself:
    /// its reader sees a complete response, not an error.
    pub fn end_at(&self, time: Instant) {
        self.end(time, EndReason::Dropped);
    }

    /// [`StreamControl::end_at`], because the hub or the server drains.
    pub(crate) fn drain_at(&self, time: Instant) {
        self.end(time, EndReason::Drain);
    }

    /// [`StreamControl::end_at`], because what its reader may have is over then.
    pub(crate) fn expire_at(&self, time: Instant) {
        self.end(time, EndReason::Expired);
    }

    fn end(&self, time: Instant, why: EndReason) {
        let mut state = self.0.state.lock();
        if state.ends.is_none_or(|(before, _)| time < before) {
            state.ends = Some((time, why));
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends all of `streams`, spread evenly over `window` so that their readers do not come back at once. A few streams
    /// do not need all of it: see [`DRAIN_STREAMS_PER_SECOND`].
    pub(crate) fn drain_all(streams: &[Self], now: Instant, window: Duration) {
        let number = u32::try_from(streams.len()).unwrap_or(u32::MAX);
        let window = window.min(Duration::from_secs(1) * number / DRAIN_STREAMS_PER_SECOND);
        for (stream, index) in streams.iter().zip(1..=number) {
            stream.drain_at(now + window.mul_f64(f64::from(index) / f64::from(number)));
        }
    }

    /// Notes that the stream's reader takes no bytes: whoever says so is about to drop the stream.
    #[cfg(feature = "serve")]
    pub(crate) fn mark_stalled(&self) {
        self.0.state.lock().stalled = true;
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.0.state.lock().stalled
    }

    /// When the stream is to end, and why. Whoever drives it is woken when that changes.
    pub(crate) fn watch(&self, waker: &Waker) -> Option<(Instant, EndReason)> {
        let mut state = self.0.state.lock();
        match &mut state.waker {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
        state.ends
    }

    /// Notes how far the stream has come, for those who look.
    pub(crate) fn note(&self, cursor: u64, delivered: u64, live: bool) {
        self.0.cursor.store(cursor, Relaxed);
        self.0.delivered.store(delivered, Relaxed);
        self.0.live.store(live, Relaxed);
    }

    pub(crate) fn is_live(&self) -> bool {
        self.0.live.load(Relaxed)
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.0.cursor.load(Relaxed)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.0.delivered.load(Relaxed)
    }
}

impl Default for StreamControl {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_spreads_the_ends_over_as_much_of_its_window_as_they_need() {
        let now = crate::clock::now();
        let ends = |number: usize, window: u64| {
            let streams: Vec<_> = (0..number).map(|_| StreamControl::new()).collect();
            StreamControl::drain_all(&streams, now, Duration::from_secs(window));
            let end = |stream: &StreamControl| stream.watch(Waker::noop()).expect("it is to end").0 - now;
            streams.iter().map(end).collect::<Vec<_>>()
        };
        let few = ends(100, 10);
        assert!(few.is_sorted() && few.windows(2).all(|two| two[0] < two[1]));
        assert_eq!((few[0], few[99]), (Duration::from_millis(2), Duration::from_millis(200)));
        assert_eq!(ends(10_000, 10).last(), Some(&Duration::from_secs(10)));
    }
}
