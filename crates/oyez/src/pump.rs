//! Drives a subscriber for a body: turns in, bytes out.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::format::Format;
use crate::output::{Output, Turn};
use crate::subscriber::Subscriber;
use crate::timer::Timer;
use crate::{Error, ErrorKind, clock};

pub(crate) struct Pump {
    subscriber: Subscriber,
    format: Format,
    timer: Timer,
    turn: Vec<Output>,
    /// What the last turn said and the reader has not taken yet: at most a page.
    pieces: VecDeque<Bytes>,
    told_broken: bool,
}

impl Pump {
    pub(crate) fn new(subscriber: Subscriber, format: Format) -> Self {
        let (timer, turn, pieces) = (Timer::default(), Vec::new(), VecDeque::new());
        Self { subscriber, format, timer, turn, pieces, told_broken: false }
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

    /// The next bytes; `None` when the stream has ended, an error when it was broken off.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match self.subscriber.poll(now, cx.waker(), &mut self.turn) {
                Turn::Deliver => {
                    let Self { subscriber, pieces, turn, .. } = self;
                    let (log, readable) = (subscriber.log(), subscriber.readable());
                    self.format.write(turn, readable, log, clock::wall_ms(), |piece| pieces.push_back(piece));
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
                Turn::End if self.subscriber.is_broken() && !self.told_broken => {
                    self.told_broken = true;
                    return Poll::Ready(Some(Err(unreadable())));
                }
                Turn::End => return Poll::Ready(None),
            }
        }
    }
}

/// Why a stream breaks off.
pub(crate) fn unreadable() -> Error {
    Error::new(ErrorKind::Internal, "the history cannot be read; the log says where")
}
