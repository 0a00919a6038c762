//! The rest of an event that was given back while its reader took nothing.

use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::framing::Framing;
use crate::log::{Behind, Later, Log, Page, Search};
use crate::matcher::Matchers;
use crate::readable::Readable;

/// The last bytes of an entry's frame, as its reader has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) sequence: u64,
    pub(crate) bytes: usize,
}

/// What is missing of a frame whose beginning was sent: it is read again when its socket takes more.
pub(crate) struct Torn {
    part: Part,
    step: Step,
}

enum Step {
    /// The socket is full.
    Waits,
    Reads,
    Awaits(Search<Later>),
}

/// It has left the log, and the frame stays as it is: its stream ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Torn {
    pub(crate) fn new(part: Part) -> Self {
        Self { part, step: Step::Waits }
    }

    pub(crate) fn part(&self) -> Part {
        self.part
    }

    /// The socket takes more.
    pub(crate) fn is_wanted(&mut self) {
        if let Step::Waits = self.step {
            self.step = Step::Reads;
        }
    }

    /// The missing bytes, when they are wanted and have been read; `waker` is woken when there is more to do.
    pub(crate) fn poll(
        &mut self,
        framing: Framing,
        readable: &Readable,
        matchers: &Arc<Matchers>,
        log: &Arc<Log>,
        waker: &Waker,
    ) -> Poll<Result<Bytes, Gone>> {
        // deletions are not told here, nor what was dropped: the entry is there, or it is not
        let behind = Behind { cursor: self.part.sequence - 1, known: log.newest_deletion() };
        for _ in 0..LOOKS {
            let page = match std::mem::replace(&mut self.step, Step::Reads) {
                Step::Waits => {
                    self.step = Step::Waits;
                    return Poll::Pending;
                }
                Step::Reads => Some(log.read(behind, matchers, u64::MAX)),
                Step::Awaits(search) => match search.take(waker) {
                    Some(later) => log.take(later, behind, matchers),
                    None => {
                        self.step = Step::Awaits(search);
                        return Poll::Pending;
                    }
                },
            };
            match page {
                Some(Page::Read { entries, .. }) if entries.is_empty() => {}
                Some(Page::Read { entries, .. }) => {
                    let entry = entries.first().filter(|entry| entry.sequence == self.part.sequence);
                    let frame = entry.map(|entry| framing.entry(entry, readable, log));
                    let start = frame.as_ref().and_then(|frame| frame.len().checked_sub(self.part.bytes));
                    let rest = frame.zip(start).map(|(frame, start)| frame.slice(start..));
                    return Poll::Ready(rest.ok_or(Gone));
                }
                Some(Page::Later(search)) => self.step = Step::Awaits(search),
                Some(Page::Lost { .. } | Page::Failed(_)) => return Poll::Ready(Err(Gone)),
                None => {}
            }
        }
        // it changes while it is looked at
        waker.wake_by_ref();
        Poll::Pending
    }
}

/// Looks at the log in one visit.
const LOOKS: usize = 8;
