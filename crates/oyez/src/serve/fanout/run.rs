//! Entries as the bytes of one write.

use std::io::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::format::Format;
use crate::log::{Entry, Log};

/// How a reader's bytes are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Framing {
    pub(crate) format: Format,
    /// HTTP/1.1; else the end of the connection is the end of the stream.
    pub(crate) chunked: bool,
}

impl Framing {
    /// `piece` as it goes to the socket.
    pub(crate) fn wrap(self, piece: Bytes) -> Bytes {
        if !self.chunked {
            return piece;
        }
        let mut chunk = BytesMut::with_capacity(piece.len() + 12);
        push_chunk(&mut chunk, &piece);
        chunk.freeze()
    }

    /// The end of a stream.
    pub(crate) fn end(self) -> Bytes {
        Bytes::from_static(if self.chunked { b"0\r\n\r\n" } else { b"" })
    }

    fn entry(self, entry: &Entry, log: &Log) -> Bytes {
        match self {
            Self { format: Format::Sse, chunked: true } => entry.frame().chunk().clone(),
            Self { format: Format::Sse, chunked: false } => entry.frame().bytes(),
            Self { format: Format::Envelope, .. } => self.wrap(log.envelope(entry)),
            Self { format: Format::Ndjson, .. } => self.wrap(log.line(entry)),
        }
    }
}

fn push_chunk(out: &mut BytesMut, piece: &[u8]) {
    let mut size = [0; 18];
    let mut rest = &mut size[..];
    write!(rest, "{:x}\r\n", piece.len()).expect("a size has sixteen digits at most");
    let unused = rest.len();
    out.extend_from_slice(&size[..size.len() - unused]);
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// What all readers at the same place get next, made once for all of them.
pub(crate) struct Run {
    /// It begins with the first entry that matches behind this cursor.
    pub(crate) from: u64,
    /// The cursor when all of it is sent.
    pub(crate) upto: u64,
    /// There was more than fits.
    pub(crate) full: bool,
    pub(crate) bytes: Bytes,
    /// When the first of its entries expires; never is the largest number.
    pub(crate) expires_ms: u64,
    /// Where each entry ends, and its number.
    ends: SmallVec<[(usize, u64); 1]>,
}

/// How far a write has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) entries: u64,
    /// The last entry of which something was sent.
    pub(crate) told: Option<u64>,
    pub(crate) cursor: u64,
    /// The rest of that entry.
    pub(crate) rest: Bytes,
}

impl Run {
    /// `entries` are all that match between the two cursors.
    pub(crate) fn new(from: u64, upto: u64, full: bool, entries: &[Arc<Entry>], framing: Framing, log: &Log) -> Self {
        let expires_ms = u64::MAX;
        if let [only] = entries {
            let bytes = framing.entry(only, log);
            let ends = SmallVec::from_buf([(bytes.len(), only.sequence)]);
            return Self { from, upto, full, bytes, expires_ms, ends };
        }
        let mut gathered = BytesMut::with_capacity(entries.iter().map(|entry| entry.frame().chunk().len()).sum());
        let mut ends = SmallVec::with_capacity(entries.len());
        for entry in entries {
            gathered.extend_from_slice(&framing.entry(entry, log));
            ends.push((gathered.len(), entry.sequence));
        }
        Self { from, upto, full, bytes: gathered.freeze(), expires_ms, ends }
    }

    /// The same, hidden from this time on.
    pub(crate) fn until(self, expires_ms: u64) -> Self {
        Self { expires_ms, ..self }
    }

    /// Is it what a reader at `cursor` gets next?
    pub(crate) fn follows(&self, cursor: u64) -> bool {
        self.from <= cursor && self.ends.first().is_some_and(|(_, first)| cursor < *first)
    }

    /// What so many bytes of it mean for the reader that took them.
    pub(crate) fn sent(&self, bytes: usize) -> Sent {
        if bytes == self.bytes.len() {
            let told = self.ends.last().map(|(_, sequence)| *sequence);
            return Sent { entries: self.ends.len() as u64, told, cursor: self.upto, rest: Bytes::new() };
        }
        let whole = self.ends.partition_point(|(end, _)| *end <= bytes);
        let (start, before) =
            whole.checked_sub(1).map_or((0, None), |last| (self.ends[last].0, Some(self.ends[last].1)));
        if start == bytes {
            return Sent {
                entries: whole as u64,
                told: before,
                cursor: before.unwrap_or(self.from),
                rest: Bytes::new(),
            };
        }
        let (end, cut) = self.ends[whole];
        // the rest of a large event is shared; of many small ones only what is needed is kept
        let rest = match &self.ends[..] {
            [_] => self.bytes.slice(bytes..end),
            _ => Bytes::copy_from_slice(&self.bytes[bytes..end]),
        };
        Sent { entries: whole as u64 + 1, told: Some(cut), cursor: cut, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lengths: &[usize]) -> Run {
        let mut end = 0;
        let ends: SmallVec<_> = lengths
            .iter()
            .zip(11..)
            .map(|(length, sequence)| {
                end += length;
                (end, sequence)
            })
            .collect();
        Run { from: 10, upto: 20, full: false, bytes: Bytes::from(vec![b'x'; end]), expires_ms: u64::MAX, ends }
    }

    fn check(lengths: &[usize], bytes: usize, entries: u64, told: Option<u64>, cursor: u64, rest: usize) {
        let expected = Sent { entries, told, cursor, rest: Bytes::from(vec![b'x'; rest]) };
        assert_eq!(run(lengths).sent(bytes), expected, "{lengths:?} {bytes}");
    }

    #[test]
    fn a_write_that_was_cut_short_ends_within_an_entry_or_between_two() {
        check(&[5, 5, 5], 15, 3, Some(13), 20, 0);
        check(&[5, 5, 5], 0, 0, None, 10, 0);
        check(&[5, 5, 5], 1, 1, Some(11), 11, 4);
        check(&[5, 5, 5], 5, 1, Some(11), 11, 0);
        check(&[5, 5, 5], 9, 2, Some(12), 12, 1);
        check(&[5, 5, 5], 10, 2, Some(12), 12, 0);
        check(&[5, 5, 5], 14, 3, Some(13), 13, 1);
        check(&[7], 3, 1, Some(11), 11, 4);
        check(&[], 0, 0, None, 20, 0);
    }

    #[test]
    fn pieces_become_chunks_for_those_who_read_chunks() {
        let framing = Framing { format: Format::Sse, chunked: true };
        assert_eq!(framing.wrap(Bytes::from_static(b"0123456789abcdef")), "10\r\n0123456789abcdef\r\n");
        assert_eq!(Framing { chunked: false, ..framing }.wrap(Bytes::from_static(b"ab")), "ab");
        assert_eq!(
            (framing.end(), Framing { chunked: false, ..framing }.end().len()),
            (Bytes::from_static(b"0\r\n\r\n"), 0)
        );
    }
}
