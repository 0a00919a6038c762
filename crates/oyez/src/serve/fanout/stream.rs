//! One reader: its socket, and how far its bytes have come.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::task::Waker;
use std::time::Instant;

use bytes::{Buf, Bytes};
use mio::net::TcpStream;

use super::inbox::Id;
use super::run::{Framing, Sent};
use crate::limits::serve::{DISCARDED_BYTES_MAX, PIECES_MAX};
use crate::serve::drain::Listed;
use crate::subscriber::{Fed, Subscriber};

/// A stream on the thread. What a visit at the tail needs stands here; the rest is behind a pointer.
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    pub(crate) state: State,
    /// The socket takes nothing more until it says so.
    pub(crate) blocked: bool,
    /// The room of its hub, and its group there.
    pub(crate) room: usize,
    pub(crate) group: usize,
    /// How far it was fed. Of use while it is a member of its group.
    pub(crate) fed: Fed,
    pub(crate) rest: Box<Rest>,
}

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its subscriber says what comes next: it opens, catches up, has a filter.
    Driven,
    /// It is at the tail, at this place of its group.
    Member(usize),
    /// All is said; its reader is to close.
    Closing,
}

pub(crate) struct Rest {
    pub(crate) id: Id,
    pub(crate) subscriber: Subscriber,
    pub(crate) framing: Framing,
    pub(crate) waker: Waker,
    /// What the reader has not taken yet.
    pub(crate) backlog: VecDeque<Bytes>,
    /// When it is looked at next, by the schedule.
    pub(crate) scheduled: Option<Instant>,
    /// Since when the reader has taken nothing.
    pub(crate) blocked_since: Option<Instant>,
    pub(crate) discarded: usize,
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) listed: Listed,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    Done,
    /// The socket is full.
    Blocked,
}

impl Stream {
    /// Writes what waits.
    pub(crate) fn flush(&mut self, now: Instant) -> io::Result<Flush> {
        while !self.rest.backlog.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.rest.backlog.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            let written = write(|| (&self.socket).write_vectored(&slices))?;
            let Some(mut written) = written else {
                self.block(now);
                return Ok(Flush::Blocked);
            };
            self.rest.blocked_since = None;
            while let Some(piece) = self.rest.backlog.front_mut() {
                if written < piece.len() {
                    piece.advance(written);
                    break;
                }
                written -= piece.len();
                self.rest.backlog.pop_front();
            }
        }
        self.blocked = false;
        if self.rest.backlog.capacity() > 0 {
            self.rest.backlog = VecDeque::new();
        }
        Ok(Flush::Done)
    }

    /// Writes some of `bytes`; tells how many the socket took.
    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant) -> io::Result<usize> {
        let written = write(|| (&self.socket).write(bytes))?.unwrap_or_default();
        if written > 0 {
            self.rest.blocked_since = None;
        }
        if written < bytes.len() {
            self.block(now);
        }
        Ok(written)
    }

    /// Notes what a write of a run came to; tells how many entries it delivered.
    pub(crate) fn has_sent(&mut self, sent: Sent, now: Instant) -> u64 {
        self.fed = Fed {
            cursor: sent.cursor,
            told: sent.told.unwrap_or(self.fed.told),
            sent: self.fed.sent + sent.entries,
            at: Some(now),
        };
        if !sent.rest.is_empty() {
            self.rest.backlog.push_back(sent.rest);
        }
        sent.entries
    }

    fn block(&mut self, now: Instant) {
        self.blocked = true;
        self.rest.blocked_since.get_or_insert(now);
    }

    /// Reads what the reader sends, which means nothing. False when it has closed or sends too much.
    pub(crate) fn discard(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match (&self.socket).read(scratch) {
                Ok(0) => return false,
                Ok(number) => {
                    self.rest.discarded += number;
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
        self.rest.discarded > DISCARDED_BYTES_MAX
    }

    /// Nothing more will be written.
    pub(crate) fn finish(&mut self) {
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
