//! The body of an answer out of the bytes of its connection.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

/// Where in the body the connection is. Whatever the pieces that the bytes come in, the body comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    UntilClose,
    Length(u64),
    Chunked(Chunked),
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// The digits of a chunk's size, so many of them.
    Size(u64, u8),
    /// The rest of the line that holds the size.
    Extension(u64),
    Data(u64),
    /// The line end after a chunk's data.
    DataEnd,
    /// A trailer, with so many bytes on its line.
    Trailer(usize),
}

/// Bytes that are no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Body {
    pub(crate) fn chunked() -> Self {
        Self::Chunked(FIRST_SIZE)
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self, Self::Ended | Self::Length(0))
    }

    /// Gives the parts of the body that `bytes` hold to `take`. What follows the end is left out.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            let part;
            match *self {
                Self::Ended | Self::Length(0) => return Ok(()),
                Self::UntilClose => {
                    take(bytes);
                    return Ok(());
                }
                Self::Length(left) | Self::Chunked(Chunked::Data(left)) => {
                    (part, bytes) =
                        bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())));
                    take(part);
                    let left = left - part.len() as u64;
                    *self = match self {
                        Self::Chunked(_) if left == 0 => Self::Chunked(Chunked::DataEnd),
                        Self::Chunked(_) => Self::Chunked(Chunked::Data(left)),
                        _ => Self::Length(left),
                    };
                }
                Self::Chunked(chunked) => {
                    let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
                    bytes = rest;
                    *self = chunked.step(*byte)?;
                }
            }
        }
        Ok(())
    }
}

impl Chunked {
    /// The state after one byte of framing.
    fn step(self, byte: u8) -> Result<Body, Malformed> {
        let next = match (self, byte) {
            (Self::Size(size, 1..) | Self::Extension(size), b'\n') => {
                if size == 0 {
                    Self::Trailer(0)
                } else {
                    Self::Data(size)
                }
            }
            (Self::Size(size, 1..), b'\r' | b';' | b' ' | b'\t') | (Self::Extension(size), _) => Self::Extension(size),
            // 15 digits do not overflow, and no chunk is that long
            (Self::Size(size, digits @ ..15), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Self::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (Self::DataEnd, b'\n') => FIRST_SIZE,
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::Trailer(0), b'\n') => return Ok(Body::Ended),
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(length),
            (Self::Trailer(length), _) => Self::Trailer(length + 1),
            _ => return Err(Malformed),
        };
        Ok(Body::Chunked(next))
    }
}

const FIRST_SIZE: Chunked = Chunked::Size(0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` whole and byte by byte.
    #[track_caller]
    fn check(body: Body, bytes: &str, expected: Result<(&str, bool), Malformed>) {
        for size in [bytes.len().max(1), 1, 3] {
            let (mut body, mut found) = (body, Vec::new());
            let outcome = bytes
                .as_bytes()
                .chunks(size)
                .try_for_each(|piece| body.feed(piece, |part| found.extend_from_slice(part)));
            let found = String::from_utf8(found).unwrap();
            assert_eq!(outcome.map(|()| (found.as_str(), body.ended())), expected, "{bytes:?} in pieces of {size}");
        }
    }

    #[test]
    fn chunks_are_joined() {
        check(Body::chunked(), "5\r\nhello\r\n6\r\n world\r\n", Ok(("hello world", false)));
        check(
            Body::chunked(),
            "0a;name=value\r\n0123456789\r\nB \r\n0123456789a\r\n",
            Ok(("01234567890123456789a", false)),
        );
        check(Body::chunked(), "2\nok\n", Ok(("ok", false)));
    }

    #[test]
    fn the_last_chunk_ends_the_body() {
        check(Body::chunked(), "2\r\nok\r\n0\r\n\r\nHTTP/1.1", Ok(("ok", true)));
        check(Body::chunked(), "0\r\nA: b\r\nC: d\r\n\r\n", Ok(("", true)));
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        for bytes in ["data: 1\r\n", "\r\n", "2\r\nokay\r\n", "1234567890123456\r\n"] {
            check(Body::chunked(), bytes, Err(Malformed));
        }
    }

    #[test]
    fn other_bodies_end_with_their_length_or_never() {
        check(Body::Length(2), "okay", Ok(("ok", true)));
        check(Body::Length(4), "ok", Ok(("ok", false)));
        check(Body::UntilClose, "okay", Ok(("okay", false)));
    }
}
