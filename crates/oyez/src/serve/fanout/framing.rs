//! How the bytes of a stream stand on its connection.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};

use crate::format::Format;
use crate::log::{Entry, Log};
use crate::readable::Readable;

/// How a reader's bytes are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Framing {
    pub(crate) format: Format,
    /// HTTP/1.1; else the end of the connection is the end of the stream.
    pub(crate) chunked: bool,
    /// Its readers take events with data and nothing else.
    pub(crate) bare: bool,
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

    /// Is the entry nothing that these readers are sent?
    pub(crate) fn leaves_out(self, entry: &Entry) -> bool {
        self.bare && entry.ended_topic().is_some()
    }

    /// `entry` as it goes to the socket of a reader that may have these private entries.
    pub(crate) fn entry(self, entry: &Entry, readable: &Readable, log: &Log) -> Bytes {
        match self {
            Self { format: Format::Sse, chunked: true, .. } => entry.frame().chunk().clone(),
            Self { format: Format::Sse, chunked: false, .. } => entry.frame().bytes(),
            Self { format: Format::Envelope, .. } => self.wrap(log.envelope(entry, readable)),
            Self { format: Format::Ndjson, .. } => self.wrap(log.line(entry, readable)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_chunks_for_those_who_read_chunks() {
        let framing = Framing { format: Format::Sse, chunked: true, bare: false };
        assert_eq!(framing.wrap(Bytes::from_static(b"0123456789abcdef")), "10\r\n0123456789abcdef\r\n");
        assert_eq!(Framing { chunked: false, ..framing }.wrap(Bytes::from_static(b"ab")), "ab");
        assert_eq!(
            (framing.end(), Framing { chunked: false, ..framing }.end().len()),
            (Bytes::from_static(b"0\r\n\r\n"), 0)
        );
    }
}
