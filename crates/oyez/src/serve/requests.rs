//! What a connection sends, watched on its way to hyper: where each request begins and ends, and whether its head is written so that
//! nobody on the way can take it for another.
//!
//! hyper takes a bare LF for the end of a line, the same `Content-Length` twice, and one beside `Transfer-Encoding`. A proxy in front may
//! read such a head otherwise, and then what is a body for one is a request for the other.
//!
//! Source: RFC 9112, 2.2, 6.1 and 6.3.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use memchr::memchr;

/// The requests of one connection, up to the last byte that came.
#[derive(Debug)]
pub(crate) struct Requests {
    state: State,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head(Head),
    /// So many bytes of a body are still to come.
    Body(u64),
    /// In the line with a chunk's size.
    Size {
        size: u64,
        digits: bool,
    },
    /// So many bytes of a chunk, with the CRLF after it.
    Chunk(u64),
    /// After the last chunk, up to an empty line.
    Trailer,
    /// A head was wrong: nothing of it goes on.
    Refused,
    /// It is no longer requests that come.
    Passed,
}

/// What is known of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    coded: bool,
}

/// A head that is refused.
#[derive(Debug)]
struct Wrong;

impl Requests {
    pub(crate) fn new() -> Self {
        Self { state: State::Head(Head::default()), line: Line::default() }
    }

    /// Takes the next bytes and says how many of them may go on: those before a head that has not come whole, or that is wrong.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        // where the head begins that is being read
        let mut begin = 0;
        while !rest.is_empty() && !matches!(self.state, State::Refused | State::Passed) {
            let was_between = !self.is_in_head();
            let at = bytes.len() - rest.len();
            match self.step(rest) {
                Ok(left) => rest = left,
                Err(Wrong) => {
                    self.state = State::Refused;
                    return if was_between { at } else { begin };
                }
            }
            if was_between && self.is_in_head() {
                begin = at;
            }
        }
        match self.state {
            State::Refused => 0,
            _ if self.is_in_head() => begin,
            _ => bytes.len(),
        }
    }

    /// Has a head begun that has not come to its end?
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(head) if head.begun || self.line.len > 0)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// From here on it is no requests that come, but another protocol.
    pub(crate) fn pass(&mut self) {
        self.state = State::Passed;
    }

    /// Takes the bytes of one line or of a piece of a body, and gives back the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Wrong> {
        let (state, rest) = match self.state {
            State::Head(head) => match self.line.take(bytes)? {
                (Some(line), rest) => (head.line(line)?, rest),
                (None, rest) => (State::Head(head), rest),
            },
            State::Body(left) => match skip(left, bytes) {
                (0, rest) => (State::Head(Head::default()), rest),
                (left, rest) => (State::Body(left), rest),
            },
            State::Chunk(left) => match skip(left, bytes) {
                (0, rest) => (State::Size { size: 0, digits: true }, rest),
                (left, rest) => (State::Chunk(left), rest),
            },
            State::Size { size, digits } => match bytes.split_first() {
                Some((byte, rest)) => (self.size(size, digits, *byte)?, rest),
                None => (self.state, bytes),
            },
            State::Trailer => match self.line.take(bytes)? {
                (Some([]), rest) => (State::Head(Head::default()), rest),
                (_, rest) => (State::Trailer, rest),
            },
            State::Refused | State::Passed => (self.state, &[][..]),
        };
        self.state = state;
        Ok(rest)
    }

    /// One byte of the line with a chunk's size.
    fn size(&mut self, size: u64, digits: bool, byte: u8) -> Result<State, Wrong> {
        let ended = std::mem::replace(&mut self.line.ends, byte == b'\r');
        match (char::from(byte).to_digit(16), byte) {
            // hyper takes no bare LF there either
            (_, b'\n') if !ended => Err(Wrong),
            (_, b'\n') if size == 0 => Ok(State::Trailer),
            (_, b'\n') => Ok(State::Chunk(size.checked_add(2).ok_or(Wrong)?)),
            (Some(digit), _) if digits => {
                let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit))).ok_or(Wrong)?;
                Ok(State::Size { size, digits })
            }
            _ => Ok(State::Size { size, digits: false }),
        }
    }
}

impl Head {
    /// What the next line makes of it.
    fn line(mut self, line: &[u8]) -> Result<State, Wrong> {
        match line {
            // empty lines before a request are none of it
            [] if !self.begun => return Ok(State::Head(self)),
            [] => return self.end(),
            _ => {}
        }
        if let Some((name, value)) = memchr(b':', line).and_then(|at| line.split_at_checked(at)) {
            self.field(name, value.strip_prefix(b":").unwrap_or_default())?;
        }
        self.begun = true;
        Ok(State::Head(self))
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Wrong> {
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Wrong);
            }
            // what is no number hyper refuses
            let length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            self.length = Some(length.ok_or(Wrong)?);
        }
        self.coded |= name.eq_ignore_ascii_case(b"transfer-encoding");
        Ok(())
    }

    fn end(self) -> Result<State, Wrong> {
        match (self.coded, self.length) {
            (true, Some(_)) => Err(Wrong),
            (true, None) => Ok(State::Size { size: 0, digits: true }),
            (false, None | Some(0)) => Ok(State::Head(Self::default())),
            (false, Some(length)) => Ok(State::Body(length)),
        }
    }
}

/// Skips up to `left` bytes; tells how many are then left.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (left - skipped as u64, bytes.get(skipped..).unwrap_or_default())
}

/// The beginning of a line that has not come whole: enough of it for the fields that matter.
#[derive(Debug)]
struct Line {
    start: [u8; LINE_START],
    /// Bytes of the line so far.
    len: usize,
    /// The last of them is a CR.
    ends: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { start: [0; LINE_START], len: 0, ends: false }
    }
}

impl Line {
    /// Takes bytes up to the end of the line, and gives it without its CRLF when it has come, at least its start.
    fn take<'l, 'b: 'l>(&'l mut self, bytes: &'b [u8]) -> Result<(Option<&'l [u8]>, &'b [u8]), Wrong> {
        let Some((line, rest)) = memchr(b'\n', bytes).and_then(|at| bytes.split_at_checked(at + 1)) else {
            // hyper refuses a whole head for it; half a one need not wait for that, least of all the beginning of TLS
            if bytes.iter().any(|byte| is_no_text(*byte)) {
                return Err(Wrong);
            }
            self.keep(bytes);
            return Ok((None, &[]));
        };
        if self.len == 0 {
            let line = line.strip_suffix(b"\r\n").ok_or(Wrong)?;
            return Ok((Some(line), rest));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.keep(line);
        if !self.ends {
            return Err(Wrong);
        }
        let len = std::mem::take(&mut self.len) - 1;
        self.ends = false;
        let start = self.start.get(..len.min(LINE_START)).unwrap_or_default();
        // a field that says where the body ends is not longer than that
        if len > LINE_START && is_about_the_body(start) {
            return Err(Wrong);
        }
        Ok((Some(start), rest))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.start.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len += bytes.len();
        self.ends = bytes.last().map_or(self.ends, |last| *last == b'\r');
    }
}

/// What no line of a head may hold, or of a trailer.
fn is_no_text(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r')
}

fn is_about_the_body(line: &[u8]) -> bool {
    let begins = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    begins(b"content-length:") || begins(b"transfer-encoding:")
}

/// Bytes of a line that are kept while it has not come whole. `Content-Length` with twenty digits needs half of it.
const LINE_START: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// How much goes on of `requests`, however they are cut: `None` for all, else the bytes before the head that is wrong.
    #[track_caller]
    fn check(requests: &str, expected: Option<usize>) {
        for size in 1..=requests.len() {
            let (passed, is_refused) = pass(requests.as_bytes(), size);
            assert_eq!(is_refused, expected.is_some(), "{requests:?} in pieces of {size}");
            assert_eq!(passed, expected.unwrap_or(requests.len()), "{requests:?} in pieces of {size}");
        }
    }

    /// How many bytes go on when they come in pieces of `size`, and whether the rest is refused.
    fn pass(requests: &[u8], size: usize) -> (usize, bool) {
        let mut watched = Requests::new();
        let (mut passed, mut at) = (0, 0);
        for piece in requests.chunks(size) {
            // what is before those that go on does as well
            passed = match watched.take(piece) {
                0 => passed,
                going_on => at + going_on,
            };
            at += piece.len();
        }
        (passed, watched.is_refused())
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const PLAIN: &str = "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nA: b\n\nC: d\n\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\na\nb\n\n\r\nA\r\n\n\n\n\n\n\n\n\n\n\n\r\n0\r\nt: u\r\n\r\n";

    #[test]
    fn requests_that_are_written_well_go_on() {
        for requests in [GET, PLAIN, CHUNKED, "\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA:\r\n\r\n"]
        {
            check(requests, None);
        }
        check(&[GET, PLAIN, GET, CHUNKED, "\r\n", CHUNKED, PLAIN, GET].concat(), None);
        check("POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n", None);
        let long = "x".repeat(1_000);
        check(&format!("GET /{long} HTTP/1.1\r\n{long}: {long}\r\nContent-Length: 3\r\n\r\na\nb{GET}"), None);
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_do_not() {
        for head in [
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        ] {
            check(head, Some(0));
            for before in [GET, PLAIN, CHUNKED] {
                check(&[before, head].concat(), Some(before.len()));
            }
        }
        let size = CHUNKED.replace("0\r\nt", "0\nt");
        check(&size, size.find("\nt: u"));
        let trailer = CHUNKED.replace("t: u\r\n", "t: u\n");
        for size in 1..trailer.len() {
            let (passed, is_refused) = pass(trailer.as_bytes(), size);
            assert!(is_refused && passed < trailer.len(), "in pieces of {size}");
        }
    }

    #[test]
    fn a_field_about_the_body_is_short() {
        let padded = format!("POST / HTTP/1.1\r\nContent-Length:{}3\r\n\r\na\nb", " ".repeat(100));
        assert_eq!(pass(padded.as_bytes(), 7), (0, true));
    }

    #[test]
    fn half_a_head_stays_and_what_is_before_it_goes_on() {
        for (requests, expected) in [
            ("G", 0),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r", 0),
            ("\r\n\r", 2),
            ("\r\nGET", 2),
            (&[GET, &GET[..20]].concat(), GET.len()),
            (&[PLAIN, "G"].concat(), PLAIN.len()),
            (&[GET, CHUNKED, &PLAIN[..30]].concat(), GET.len() + CHUNKED.len()),
        ] {
            for size in 1..=requests.len() {
                assert_eq!(pass(requests.as_bytes(), size), (expected, false), "{requests:?} in pieces of {size}");
            }
        }
        // a body goes on as it comes
        assert_eq!(pass(&PLAIN.as_bytes()[..PLAIN.len() - 3], 5), (PLAIN.len() - 3, false));
        assert_eq!(pass(&CHUNKED.as_bytes()[..60], 7), (60, false));
    }

    #[test]
    fn what_cannot_become_a_head_does_not_wait_for_its_end() {
        for start in [&b"\x16\x03\x01\x02\0"[..], b"GET /\0", b"GET / HTTP/1.1\r\nHost: \x7f", b"\x1b"] {
            assert_eq!(pass(start, 3), (0, true), "{start:?}");
        }
        assert_eq!(pass("GET / HTTP/1.1\r\nA: \tb\u{e9}\r".as_bytes(), 3), (0, false));
    }

    #[test]
    fn a_head_is_under_way_from_its_first_byte_to_its_last() {
        let mut watched = Requests::new();
        for (piece, expected) in [
            ("\r\n", false),
            ("G", true),
            ("ET / HTTP/1.1\r\n", true),
            ("Content-Length: 3\r\n\r", true),
            ("\nab", false),
            ("c", false),
            ("P", true),
        ] {
            watched.take(piece.as_bytes());
            assert_eq!(watched.is_in_head(), expected, "{piece:?}");
        }
        watched.pass();
        assert_eq!((watched.take(b"\n\n"), watched.is_in_head()), (2, false));
    }
}
