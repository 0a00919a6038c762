//! How many streams a fan-out thread has.

use tokio::sync::Notify;

use crate::serve::traffic::Traffic;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Counts streams from when they are handed over until they have ended, for those who wait for fewer.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    /// Each is a connection there, too. A stream itself has no room for that.
    traffic: Traffic,
    number: AtomicUsize,
    some_ended: Notify,
}

impl OpenStreams {
    pub(crate) fn new(traffic: Traffic) -> Self {
        Self { traffic, ..Self::default() }
    }

    pub(crate) fn begin(&self) {
        self.traffic.begin();
        self.number.fetch_add(1, SeqCst);
    }

    pub(crate) fn end(&self) {
        self.traffic.end(1);
        self.number.fetch_sub(1, SeqCst);
        self.some_ended.notify_waiters();
    }

    pub(crate) fn end_all(&self) {
        self.traffic.end(self.number.swap(0, SeqCst));
        self.some_ended.notify_waiters();
    }

    /// Resolves when their number is as `is_so` wants it: asked at once, and whenever one has ended. Cancel-safe.
    pub(crate) async fn until(&self, is_so: impl Fn(usize) -> bool) {
        loop {
            // before they are counted: one that ends meanwhile is not missed
            let some_ended = self.some_ended.notified();
            if is_so(self.number.load(SeqCst)) {
                return;
            }
            some_ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn one_that_ends_while_they_are_counted_is_not_missed() {
        let streams = OpenStreams::default();
        (0..2).for_each(|_| streams.begin());
        let one_left = streams.until(|open| {
            if open == 2 {
                streams.end();
            }
            open == 1
        });
        assert!(pin!(one_left).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
