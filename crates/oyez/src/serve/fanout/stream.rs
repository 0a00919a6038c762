//! One reader: its socket, and how far its bytes have come.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::task::Waker;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::SockRef;

use super::backlog::Backlog;
use super::framing::Framing;
use super::run::Sent;
use super::schedule::Time;
use super::stream_id::StreamId;
use super::torn::Part;
use crate::clock;
use crate::control::StreamControl;
use crate::feed::{Feed, FeedTurn};
use crate::frame::retry_line;
use crate::limits::serve::{DISCARDED_BYTES_MAX, PIECES_MAX, RUN_BYTES, WAITING_BYTES_MAX};
use crate::output::{Output, Turn};
use crate::readable::{PUBLIC, Readable};
use crate::serve::drain::Listed;
use crate::serve::patience::{Patience, Seen};
use crate::serve::traffic::Traffic;
use crate::subscriber::{Fed, Subscriber};

/// A stream on the thread. What a visit at the tail needs is one line of the processor's cache; the rest is behind a pointer.
#[repr(align(64))]
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    /// The socket takes nothing more until it says so.
    pub(crate) blocked: bool,
    /// The socket was blocked, and not all has been sent since: `rest` knows what the reader takes.
    pub(crate) stalling: bool,
    /// Its first event still comes, and something stands before that.
    pub(crate) has_preface: bool,
    pub(crate) state: State,
    /// The place of its hub on the thread, and of its group there; [`NO_HUB`] when somebody writes it by hand.
    pub(crate) hub: u32,
    pub(crate) group: u32,
    /// How far it was fed. Of use while it is a member of its group.
    pub(crate) fed: Fed,
    /// Where it tells others how far it has come.
    pub(crate) control: StreamControl,
    pub(crate) rest: Box<Rest>,
}

/// See [`Stream::hub`].
pub(crate) const NO_HUB: u32 = u32::MAX;

// with debug assertions a socket knows more of itself
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Option<Stream>>() == 64);
const _: () = assert!(size_of::<Rest>() <= 256);

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its subscriber says what comes next: it opens, catches up, has a filter.
    Driven,
    /// It is at the tail, at this place of its group.
    Member(u32),
    /// All is said; its reader is to close.
    Closing,
}

pub(crate) struct Rest {
    pub(crate) id: StreamId,
    pub(crate) source: Source,
    pub(crate) framing: Framing,
    pub(crate) waker: Waker,
    /// What the reader has not taken yet.
    pub(crate) backlog: Backlog,
    /// When it is looked at next.
    pub(crate) scheduled: Option<Time>,
    /// What the reader is waited for.
    pub(crate) waits: Waits,
    pub(crate) discarded: u32,
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) listed: Listed,
}

/// What a reader is waited for.
pub(crate) enum Waits {
    Nothing,
    /// That it takes something, while the stream is `stalling`.
    Taking(Box<Patience>),
    /// That it closes, since this time.
    Closing(Instant),
}

/// Who says what comes next.
pub(crate) enum Source {
    Subscriber(Subscriber),
    Feed(Box<Feed>),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    Done,
    /// The socket is full.
    Blocked,
}

impl Stream {
    pub(crate) fn subscriber(&mut self) -> Option<&mut Subscriber> {
        match &mut self.rest.source {
            Source::Subscriber(subscriber) => Some(subscriber),
            Source::Feed(_) => None,
        }
    }

    /// Which private entries its reader may have.
    pub(crate) fn readable(&self) -> &Readable {
        match &self.rest.source {
            Source::Subscriber(subscriber) => subscriber.readable(),
            Source::Feed(_) => &PUBLIC,
        }
    }

    /// Lets the subscriber say what comes next, which then waits.
    pub(crate) fn poll_subscriber(&mut self, now: Instant, outputs: &mut Vec<Output>) -> Turn {
        let Rest { source: Source::Subscriber(subscriber), framing, waker, backlog, .. } = &mut *self.rest else {
            return Turn::End;
        };
        let turn = subscriber.poll(now, waker, outputs);
        let (log, readable) = (subscriber.log(), subscriber.readable());
        let last = match outputs.last() {
            Some(Output::Entry(entry)) => Some(entry.sequence),
            _ => None,
        };
        let mut bytes = 0;
        framing.format.write(outputs, readable, log, clock::wall_ms(), |piece| {
            bytes = 0;
            framing.pass(piece, |piece| {
                bytes += piece.len();
                backlog.push(piece);
            });
        });
        // a large frame is a piece of its own
        if let Some(sequence) = last.filter(|_| bytes > WAITING_BYTES_MAX) {
            backlog.ends_with(Part { sequence, bytes });
        }
        self.fed = subscriber.place();
        self.has_preface = subscriber.owes_retry();
        turn
    }

    /// Lets what stands before the first event wait, which its group brings now.
    fn push_preface(&mut self) {
        self.has_preface = false;
        let Rest { source: Source::Subscriber(subscriber), framing, backlog, .. } = &mut *self.rest else { return };
        if let Some(ms) = subscriber.take_retry() {
            framing.pass(retry_line(ms), |piece| backlog.push(piece));
        }
    }

    /// Takes what was written by hand, which then waits: as much as goes with one call, so that whoever writes waits for the
    /// reader.
    pub(crate) fn poll_feed(&mut self, now: Instant) -> Turn {
        let Rest { source: Source::Feed(feed), framing, waker, backlog, .. } = &mut *self.rest else {
            return Turn::End;
        };
        while backlog.bytes() < RUN_BYTES {
            match feed.turn(now, waker) {
                FeedTurn::Deliver(frame) => framing.pass(frame, |piece| backlog.push(piece)),
                FeedTurn::Wait(until) => return Turn::Wait(until),
                FeedTurn::End => return Turn::End,
            }
        }
        Turn::Deliver
    }

    /// Gives back what its reader does not take of a large event, if the log has it.
    pub(crate) fn give_back(&mut self) {
        if self.blocked {
            self.rest.backlog.give_back();
        }
    }

    /// Writes what waits. What was given back is still to come: until then the socket counts as full.
    pub(crate) fn flush(&mut self, now: Instant, traffic: &Traffic) -> io::Result<Flush> {
        if self.rest.backlog.torn().is_some() {
            return Ok(Flush::Blocked);
        }
        while !self.rest.backlog.is_empty() {
            let slices = self.rest.backlog.slices();
            let Some(written) = write(|| (&self.socket).write_vectored(&slices))? else {
                drop(slices);
                self.block(now);
                return Ok(Flush::Blocked);
            };
            drop(slices);
            self.has_written(written, traffic);
            self.rest.backlog.advance(written);
        }
        // with nothing to write nobody knows whether it would be taken: the next write tells
        self.blocked = false;
        Ok(Flush::Done)
    }

    /// Writes some of `bytes`, a run of entries, to a socket that is not blocked; tells how many it took.
    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant, traffic: &Traffic) -> io::Result<usize> {
        if self.has_preface {
            return self.write_on(bytes, now, traffic);
        }
        let written = write(|| (&self.socket).write(bytes))?.unwrap_or_default();
        self.has_written(written, traffic);
        if written < bytes.len() {
            self.block(now);
        }
        Ok(written)
    }

    /// Writes what waits and some of `bytes`, a run of entries, behind it; tells how many of those the socket took.
    pub(crate) fn write_on(&mut self, bytes: &[u8], now: Instant, traffic: &Traffic) -> io::Result<usize> {
        if self.has_preface {
            self.push_preface();
        }
        let waiting = self.rest.backlog.bytes();
        let mut slices = self.rest.backlog.slices();
        if waiting == 0 || slices.len() == PIECES_MAX {
            drop(slices);
            return if self.flush(now, traffic)? == Flush::Done { self.write(bytes, now, traffic) } else { Ok(0) };
        }
        slices.push(IoSlice::new(bytes));
        let written = write(|| (&self.socket).write_vectored(&slices))?.unwrap_or_default();
        drop(slices);
        self.rest.backlog.advance(written.min(waiting));
        self.has_written(written, traffic);
        if written < waiting + bytes.len() {
            self.block(now);
        }
        Ok(written.saturating_sub(waiting))
    }

    /// Notes what a write of a run came to; tells how many entries it delivered.
    pub(crate) fn has_sent(&mut self, sent: Sent) -> u64 {
        self.fed =
            Fed { cursor: sent.cursor, told: sent.told.unwrap_or(self.fed.told), sent: self.fed.sent + sent.entries };
        if !sent.rest.is_empty() {
            let part = sent.told.map(|sequence| Part { sequence, bytes: sent.rest.len() });
            self.rest.backlog.push(sent.rest);
            part.into_iter().for_each(|part| self.rest.backlog.ends_with(part));
        }
        sent.entries
    }

    fn block(&mut self, now: Instant) {
        self.blocked = true;
        if !self.stalling {
            self.stalling = true;
            self.rest.waits = Waits::Taking(Box::new(Patience::begin(Some(&SockRef::from(&self.socket)), now)));
        }
    }

    fn has_written(&mut self, bytes: usize, traffic: &Traffic) {
        traffic.has_sent(bytes);
        if !self.stalling {
            return; // the rest is another line of the cache
        }
        if let Waits::Taking(patience) = &mut self.rest.waits {
            patience.has_written(bytes);
        }
    }

    /// The reader has taken something: our patience with it begins anew.
    pub(crate) fn has_been_read(&mut self, now: Instant) {
        if let Waits::Taking(patience) = &mut self.rest.waits {
            patience.has_been_read(now);
        }
    }

    /// Has the reader taken nothing for the stall time though there was something? Looks, if the socket was full.
    pub(crate) fn takes_nothing(&mut self, stall: Duration, now: Instant) -> bool {
        let Waits::Taking(patience) = &mut self.rest.waits else { return false };
        let seen = patience.look(Some(&SockRef::from(&self.socket)), stall, now);
        if seen == Seen::Drained && !self.blocked {
            self.stalling = false;
            self.rest.waits = Waits::Nothing;
        }
        seen == Seen::TookNothing
    }

    /// Reads what the reader sends, which means nothing. False when it has closed or sends too much.
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match (&self.socket).read(scratch) {
                Ok(0) => return false,
                Ok(number) => {
                    self.rest.discarded = self.rest.discarded.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
                    if self.says_too_much() {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn says_too_much(&self) -> bool {
        self.rest.discarded as usize > DISCARDED_BYTES_MAX
    }

    /// Nothing more will be written; the reader is to close now.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.stalling = false;
        self.rest.waits = Waits::Closing(now);
        self.state = State::Closing;
        // a reader that has gone meanwhile has nothing to be told
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// `None` when the socket is full.
fn write(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match write() {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(Some(written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
