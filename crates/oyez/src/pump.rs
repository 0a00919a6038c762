//! Drives a subscriber for a body: turns in, bytes out.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use crate::format::Format;
use crate::output::{Output, Turn};
use crate::seeker::Seeker;
#[cfg(feature = "serve")]
use crate::subscriber::Subscriber;
use crate::timer::Timer;
use crate::{Error, ErrorKind, clock};

pub(crate) struct Pump {
    seeker: Seeker,
    format: Format,
    timer: Timer,
    turn: Vec<Output>,
    /// What the last turn said and the reader has not taken yet: at most a page.
    pieces: VecDeque<Bytes>,
    told_refusal: bool,
}

impl Pump {
    pub(crate) fn new(seeker: Seeker, format: Format) -> Self {
        let (timer, turn, pieces) = (Timer::default(), Vec::new(), VecDeque::new());
        Self { seeker, format, timer, turn, pieces, told_refusal: false }
    }

    /// Does the stream end by itself? Until it has its place that is not known.
    #[cfg(feature = "serve")]
    pub(crate) fn is_bounded(&self) -> bool {
        self.seeker.found().is_none_or(Subscriber::is_bounded)
    }

    /// Lets somebody else drive the stream, before it has been polled; `None` while it looks for its place.
    #[cfg(feature = "serve")]
    pub(crate) fn into_parts(self) -> Option<(Subscriber, Format)> {
        match self.seeker {
            Seeker::Found(subscriber) => Some((subscriber, self.format)),
            Seeker::Seeking(..) | Seeker::Refused(_) => None,
        }
    }

    /// Waits until the stream has its place.
    ///
    /// # Errors
    /// Why there is none.
    #[cfg(feature = "serve")]
    pub(crate) fn poll_begun(&mut self, now: Instant, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        match self.seeker.seek(now, cx.waker()) {
            Some(Turn::Wait(_)) => Poll::Pending,
            _ => Poll::Ready(self.seeker.refusal().map_or(Ok(()), |error| Err(error.again()))),
        }
    }

    /// The next bytes; `None` when the stream has ended, an error when it was broken off.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match self.seeker.poll(now, cx.waker(), &mut self.turn) {
                Turn::Deliver => {
                    let Self { seeker, format, turn, pieces, .. } = self;
                    let subscriber = seeker.found().expect("who says something has begun");
                    let (log, readable) = (subscriber.log(), subscriber.readable());
                    format.write(turn, readable, log, clock::wall_ms(), |piece| pieces.push_back(piece));
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
                Turn::End if !std::mem::replace(&mut self.told_refusal, true) => match self.seeker.refusal() {
                    _ if self.seeker.is_broken() => return Poll::Ready(Some(Err(unreadable()))),
                    // the status is said: what reads the stream by eye finds the reason here
                    Some(error) => self.pieces.extend(self.format.remark(&error.to_string())),
                    None => return Poll::Ready(None),
                },
                Turn::End => return Poll::Ready(None),
            }
        }
    }
}

/// Why a stream breaks off.
pub(crate) fn unreadable() -> Error {
    Error::new(ErrorKind::Internal, "the history cannot be read; the log says where")
}
