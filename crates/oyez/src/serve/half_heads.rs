//! Heads of requests that have not come whole: each takes the room that it needs, and all together are bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use tracing::warn;

use crate::clock;
use crate::limits::serve::{HALF_HEAD_COST, HALF_HEADS_LOG_PAUSE};
use crate::sync::Mutex;

/// Those of all connections of a server. Beyond the bound the oldest are given up.
#[derive(Debug, Clone)]
pub(crate) struct HalfHeads(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    bytes: usize,
    /// The first is the oldest.
    places: BTreeMap<u64, Place>,
    next: u64,
    complained: Option<Instant>,
}

#[derive(Debug)]
struct Place {
    bytes: usize,
    /// Of the connection, to be told that it has lost its place.
    waker: Waker,
}

impl HalfHeads {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (places, next) = (BTreeMap::new(), 0);
        Self(Arc::new(Mutex::new(Inner { bytes_max, bytes: 0, places, next, complained: None })))
    }
}

impl Inner {
    /// Notes what the head at `place` takes now.
    fn note(&mut self, place: u64, bytes: usize, cx: &Context<'_>) {
        let bytes = bytes + HALF_HEAD_COST;
        let before = self.places.insert(place, Place { bytes, waker: cx.waker().clone() });
        self.bytes = self.bytes + bytes - before.map_or(0, |before| before.bytes);
        let mut given_up = 0;
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.places.pop_first() else { break };
            self.bytes -= oldest.bytes;
            oldest.waker.wake();
            given_up += 1;
        }
        if given_up > 0 {
            self.complain();
        }
    }

    fn complain(&mut self) {
        let now = clock::now();
        if self.complained.is_none_or(|then| now - then >= HALF_HEADS_LOG_PAUSE) {
            self.complained = Some(now);
            warn!(bytes_max = self.bytes_max, "too many half heads of requests; the oldest connections are closed");
        }
    }

    fn leave(&mut self, place: u64) {
        if let Some(place) = self.places.remove(&place) {
            self.bytes -= place.bytes;
        }
    }
}

/// That of one connection, if there is one.
#[derive(Debug)]
pub(crate) struct HalfHead {
    all: HalfHeads,
    place: Option<u64>,
    bytes: Vec<u8>,
}

impl HalfHead {
    pub(crate) fn new(all: HalfHeads) -> Self {
        Self { all, place: None, bytes: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps the next bytes of a head.
    pub(crate) fn hold(&mut self, bytes: &[u8], cx: &Context<'_>) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes.is_empty() {
            // most come whole in the next piece: no more than these need
            self.bytes.reserve_exact(bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        let mut all = self.all.0.lock();
        let place = *self.place.get_or_insert_with(|| {
            all.next += 1;
            all.next
        });
        all.note(place, self.bytes.capacity(), cx);
    }

    /// What was kept: it goes on, or is dropped.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if let Some(place) = self.place.take() {
            self.all.0.lock().leave(place);
        }
        std::mem::take(&mut self.bytes)
    }

    /// False when it was given up for younger ones; the task of `cx` is woken when that happens.
    pub(crate) fn has_its_place(&self, cx: &Context<'_>) -> bool {
        let Some(place) = self.place else { return true };
        let mut all = self.all.0.lock();
        let Some(place) = all.places.get_mut(&place) else { return false };
        place.waker.clone_from(cx.waker());
        true
    }
}

impl Drop for HalfHead {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_given_up_and_told() {
        let all = HalfHeads::new(3 * (HALF_HEAD_COST + 100));
        let woken: [Arc<Woken>; 4] = Default::default();
        let wakers = woken.clone().map(Waker::from);
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| HalfHead::new(all.clone()));
        let cx = wakers.each_ref().map(Context::from_waker);
        let bytes = [b'x'; 100];
        first.hold(&bytes, &cx[0]);
        second.hold(&bytes, &cx[1]);
        third.hold(&bytes[..1], &cx[2]);
        assert!(first.has_its_place(&cx[0]));
        fourth.hold(&bytes[..90], &cx[3]);
        assert!(!first.has_its_place(&cx[0]), "one too many");
        third.hold(&bytes[..99], &cx[2]);
        assert!(second.has_its_place(&cx[1]), "just enough");
        assert_eq!(third.take(), bytes);
        first.take();
        first.hold(&bytes, &cx[0]);
        fourth.hold(&[b'x'; 200], &cx[3]);
        assert!(!second.has_its_place(&cx[1]), "one has grown");
        let woken = woken.map(|woken| woken.0.load(Relaxed));
        assert_eq!(woken, [1, 1, 0, 0]);
        drop((first, second, third, fourth));
        let all = all.0.lock();
        assert_eq!((all.bytes, all.places.len()), (0, 0));
    }

    #[test]
    fn one_that_is_larger_than_the_bound_is_given_up_itself() {
        let all = HalfHeads::new(HALF_HEAD_COST);
        let mut half = HalfHead::new(all);
        let cx = Context::from_waker(Waker::noop());
        half.hold(b"x", &cx);
        assert!(!half.has_its_place(&cx));
        assert_eq!(half.take(), b"x");
        assert!(half.has_its_place(&cx));
    }
}
