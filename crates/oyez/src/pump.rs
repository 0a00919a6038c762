//! Drives a subscriber for a body: turns in, bytes out.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use crate::format::Format;
use crate::gap::Reason;
use crate::options::OnGap;
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
    /// The stream is bare, and nobody knows yet what the head of its response says of a gap.
    ahead: Option<OnGap>,
}

impl Pump {
    /// `bare` says what a bare stream does about a gap at its start; `None` for others.
    pub(crate) fn new(seeker: Seeker, format: Format, bare: Option<OnGap>) -> Self {
        let (timer, turn, pieces) = (Timer::default(), Vec::new(), VecDeque::new());
        Self { seeker, format, timer, turn, pieces, told_refusal: false, ahead: bare }
    }

    /// Does the stream end by itself? Until it has its place that is not known.
    #[cfg(feature = "serve")]
    pub(crate) fn is_bounded(&self) -> bool {
        self.seeker.found().is_none_or(Subscriber::is_bounded)
    }

    /// Lets somebody else drive the stream, before it has been polled, and send what it has said already; `None` while it looks
    /// for its place.
    #[cfg(feature = "serve")]
    pub(crate) fn into_parts(self) -> Option<(Subscriber, Format, VecDeque<Bytes>)> {
        match self.seeker {
            Seeker::Found(subscriber) => Some((subscriber, self.format, self.pieces)),
            Seeker::Seeking(..) | Seeker::Refused(_) => None,
        }
    }

    /// Waits until the stream has its place, and a bare one until it is known what is missing before its first event: the reason
    /// is for the head of its response.
    ///
    /// # Errors
    /// Why there is no place. A bare stream has none either where only the ends of its topics are left, or where it is to fail at a
    /// gap.
    pub(crate) fn poll_begun(&mut self, now: Instant, cx: &Context<'_>) -> Poll<Result<Option<&'static str>, Error>> {
        match self.seeker.seek(now, cx.waker()) {
            Some(Turn::Wait(_)) => return Poll::Pending,
            Some(_) => return Poll::Ready(Ok(None)),
            None => {}
        }
        if let Some(error) = self.seeker.refusal() {
            return Poll::Ready(Err(error.again()));
        }
        let (Some(on_gap), Seeker::Found(subscriber)) = (self.ahead, &mut self.seeker) else {
            return Poll::Ready(Ok(None));
        };
        ready!(subscriber.look_ahead(now, cx, &mut self.turn));
        self.ahead = None;
        if subscriber.is_broken() {
            return Poll::Ready(Err(unreadable()));
        }
        let missing = subscriber.take_missing().map(Reason::as_str);
        if let Some(reason) = missing.filter(|_| on_gap == OnGap::Fail) {
            let error = Error::new(ErrorKind::Gone, format!("cannot resume: entries are missing: {reason}"));
            return Poll::Ready(Err(error));
        }
        if subscriber.has_ended_silently() {
            let error =
                Error::new(ErrorKind::Ended, "the topics have ended, and nothing but their ends is left to read");
            return Poll::Ready(Err(error.after_gap(missing)));
        }
        self.write_turn();
        Poll::Ready(Ok(missing))
    }

    /// Makes pieces of what the last turn said.
    fn write_turn(&mut self) {
        let Self { seeker, format, turn, pieces, .. } = self;
        let Some(subscriber) = seeker.found() else { return };
        let (log, readable) = (subscriber.log(), subscriber.readable());
        format.write(turn, readable, log, clock::wall_ms(), |piece| pieces.push_back(piece));
    }

    /// The next bytes; `None` when the stream has ended, an error when it was broken off.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match self.seeker.poll(now, cx.waker(), &mut self.turn) {
                Turn::Deliver => self.write_turn(),
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
