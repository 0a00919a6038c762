//! How the bytes of a stream stand on its connection.

use bytes::Bytes;

use crate::format::Format;
use crate::frame::Frame;
use crate::limits::GATHER_BYTES;
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
    /// `piece` as it goes to the socket. A large one, which others may have as well, is not copied.
    pub(crate) fn pass(self, piece: Bytes, mut push: impl FnMut(Bytes)) {
        if !self.chunked {
            return push(piece);
        }
        if piece.len() <= GATHER_BYTES {
            return push(Frame::around(&piece).chunk().clone());
        }
        push(Bytes::from(format!("{:x}\r\n", piece.len())));
        push(piece);
        push(Bytes::from_static(b"\r\n"));
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
        match self.format {
            Format::Sse => self.frame(entry.frame()),
            Format::Envelope => self.frame(&log.envelope(entry, readable)),
            Format::Ndjson => self.frame(&log.line(entry, readable)),
        }
    }

    /// `frame` as it goes to the socket.
    pub(crate) fn frame(self, frame: &Frame) -> Bytes {
        if self.chunked { frame.chunk().clone() } else { frame.bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunked: bool, piece: &Bytes, expected: &[u8]) {
        let framing = Framing { format: Format::Sse, chunked, bare: false };
        let mut pieces = Vec::new();
        framing.pass(piece.clone(), |piece| pieces.push(piece));
        assert_eq!(pieces.concat(), expected);
        let is_copied = !pieces.iter().any(|passed| passed.as_ptr() == piece.as_ptr());
        assert_eq!(is_copied, chunked && piece.len() <= GATHER_BYTES);
    }

    #[test]
    fn pieces_become_chunks_for_those_who_read_chunks() {
        check(true, &Bytes::from_static(b"0123456789abcdef"), b"10\r\n0123456789abcdef\r\n");
        check(false, &Bytes::from_static(b"ab"), b"ab");
        let large = vec![b'x'; 0x1_0000];
        check(true, &large.clone().into(), &[b"10000\r\n", &large[..], b"\r\n"].concat());
        let framing = Framing { format: Format::Sse, chunked: true, bare: false };
        assert_eq!((framing.end(), Framing { chunked: false, ..framing }.end()), ("0\r\n\r\n".into(), "".into()));
    }
}
