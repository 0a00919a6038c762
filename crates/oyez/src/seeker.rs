//! A stream that may still look for its place.

use std::task::Waker;
use std::time::Instant;

use crate::control::StreamControl;
use crate::log::Search;
use crate::output::{Output, Turn};
use crate::subscriber::Subscriber;
use crate::{Error, ErrorKind};

/// A subscriber, or the search for where it begins: in memory that is mostly found at once, elsewhere it is an answer that comes
/// later.
pub(crate) enum Seeker {
    Seeking(Search<Result<Subscriber, Error>>, StreamControl),
    Found(Subscriber),
    /// There is no such place, which was found out when the stream could not be refused any more.
    Refused(Error),
}

impl Seeker {
    /// What `search` has found at once, or is to find.
    ///
    /// # Errors
    /// Why there is no such place, if that is known.
    pub(crate) fn new(search: Search<Result<Subscriber, Error>>, control: StreamControl) -> Result<Self, Error> {
        match search.at_once() {
            Ok(found) => found.map(Self::Found),
            Err(search) => Ok(Self::Seeking(search, control)),
        }
    }

    /// Goes on as far as one turn may; see [`Subscriber::poll`].
    pub(crate) fn poll(&mut self, now: Instant, waker: &Waker, out: &mut Vec<Output>) -> Turn {
        if let Some(turn) = self.seek(now, waker) {
            return turn;
        }
        match self {
            Self::Found(subscriber) => subscriber.poll(now, waker, out),
            Self::Seeking(..) | Self::Refused(_) => Turn::End,
        }
    }

    /// Waits for the place; `None` when it is known, or that there is none.
    pub(crate) fn seek(&mut self, now: Instant, waker: &Waker) -> Option<Turn> {
        let Self::Seeking(search, control) = self else { return None };
        let ends = control.watch(waker).map(|(time, _)| time);
        if ends.is_some_and(|time| time <= now) {
            return Some(Turn::End);
        }
        match search.take(waker) {
            Some(Ok(subscriber)) => *self = Self::Found(subscriber),
            Some(Err(error)) => *self = Self::Refused(error),
            None => return Some(Turn::Wait(ends)),
        }
        None
    }

    /// The subscriber, when it has its place.
    pub(crate) fn found(&self) -> Option<&Subscriber> {
        match self {
            Self::Found(subscriber) => Some(subscriber),
            Self::Seeking(..) | Self::Refused(_) => None,
        }
    }

    /// Why there is no stream.
    pub(crate) fn refusal(&self) -> Option<&Error> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Seeking(..) | Self::Found(_) => None,
        }
    }

    /// Did it end where something follows that cannot be read?
    pub(crate) fn is_broken(&self) -> bool {
        self.found().is_some_and(Subscriber::is_broken)
            || self.refusal().is_some_and(|error| error.kind() == ErrorKind::Internal)
    }
}
