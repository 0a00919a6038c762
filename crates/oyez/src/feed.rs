//! The reading end of a connection.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::control::StreamControl;
use crate::frame::comment;
use crate::limits::KEEP_ALIVE;
use crate::timer::Timer;

/// The reading end, driven by the body of the response or by a fan-out thread.
pub(crate) struct Feed {
    queue: mpsc::Receiver<Bytes>,
    ended: Arc<watch::Sender<bool>>,
    control: StreamControl,
    timer: Timer,
    keep_alive_at: Option<Instant>,
}

impl Feed {
    /// What comes out of `queue`, until that or `ended` says that it is over.
    pub(crate) fn new(queue: mpsc::Receiver<Bytes>, ended: Arc<watch::Sender<bool>>) -> Self {
        Self { queue, ended, control: StreamControl::default(), timer: Timer::default(), keep_alive_at: None }
    }

    pub(crate) fn control(&self) -> &StreamControl {
        &self.control
    }

    /// The next bytes, for a body; `None` when the stream has ended.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.turn(now, cx.waker()) {
            FeedTurn::Deliver(frame) => Poll::Ready(Some(frame)),
            FeedTurn::End => Poll::Ready(None),
            FeedTurn::Wait(until) => {
                if self.timer.poll(until, cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// What its driver does next; `waker` is kept for when there is more.
    pub(crate) fn turn(&mut self, now: Instant, waker: &Waker) -> FeedTurn {
        let ends_at = self.control.watch(waker).map(|(time, _)| time);
        if ends_at.is_some_and(|time| time <= now) {
            // nothing more is taken; what was taken is still sent
            self.queue.close();
            self.ended.send_replace(true);
        }
        if let Poll::Ready(frame) = self.queue.poll_recv(&mut Context::from_waker(waker)) {
            self.keep_alive_at = Some(now + KEEP_ALIVE);
            return frame.map_or(FeedTurn::End, FeedTurn::Deliver);
        }
        // the first keep-alive opens the stream at once, so that headers pass every proxy
        if self.keep_alive_at.is_none_or(|time| time <= now) {
            self.keep_alive_at = Some(now + KEEP_ALIVE);
            return FeedTurn::Deliver(comment());
        }
        let ends_at = ends_at.filter(|time| *time > now);
        FeedTurn::Wait([self.keep_alive_at, ends_at].into_iter().flatten().min())
    }
}

/// What the driver of a [`Feed`] does next.
pub(crate) enum FeedTurn {
    /// This is to be sent; then there may be more.
    Deliver(Bytes),
    /// Go on when woken, or at this time.
    Wait(Option<Instant>),
    /// Nothing will come any more.
    End,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}
