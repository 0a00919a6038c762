//! Drives a subscriber for a body: turns in, bytes out.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::clock;
use crate::frame::Format;
use crate::subscriber::{Output, Subscriber, Turn};
use crate::timer::Timer;

pub(crate) struct Pump {
    subscriber: Subscriber,
    format: Format,
    timer: Timer,
    turn: Vec<Output>,
    /// What the last turn said and the reader has not taken yet: at most a page.
    pieces: VecDeque<Bytes>,
}

impl Pump {
    pub(crate) fn new(subscriber: Subscriber, format: Format) -> Self {
        Self { subscriber, format, timer: Timer::default(), turn: Vec::new(), pieces: VecDeque::new() }
    }

    #[cfg(feature = "serve")]
    pub(crate) fn is_bounded(&self) -> bool {
        self.subscriber.is_bounded()
    }

    /// Lets somebody else drive the stream, before it has been polled.
    #[cfg(feature = "serve")]
    pub(crate) fn into_parts(self) -> (Subscriber, Format) {
        (self.subscriber, self.format)
    }

    /// The next bytes; `None` when the stream has ended.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(piece));
            }
            match self.subscriber.poll(now, cx.waker(), &mut self.turn) {
                Turn::Deliver => {
                    let (log, pieces) = (self.subscriber.log(), &mut self.pieces);
                    self.format.write(&mut self.turn, log, clock::wall_ms(), |piece| pieces.push_back(piece));
                }
                Turn::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Wait(until) => match self.timer.poll(until, cx) {
                    // the time has come since `now` was read: let the next poll read it again
                    Poll::Ready(()) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Turn::End => return Poll::Ready(None),
            }
        }
    }
}
