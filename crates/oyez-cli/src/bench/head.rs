//! The head of an answer.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fmt::Write as _;

use memchr::memmem;

use crate::bench::body::Body;
use crate::bench::limits::{HEAD_BYTES_MAX, SHOWN_BYTES_MAX};

/// What matters of a head, in lower case but for the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// `200 OK`
    pub(crate) status_line: String,
    pub(crate) content_type: String,
    pub(crate) location: String,
    pub(crate) content_encoding: String,
    pub(crate) closes: bool,
    pub(crate) body: Body,
}

/// Why bytes are no head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// More bytes may make it one.
    Yet,
    TooLong,
    NotHttp,
}

impl Head {
    /// Reads the head that `bytes` begin with, and how long it is. Interim answers (1xx) are passed over.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, usize), NoHead> {
        if !bytes.starts_with(b"HTTP/1.") && !b"HTTP/1.".starts_with(bytes) {
            return Err(NoHead::NotHttp);
        }
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Err(if bytes.len() < HEAD_BYTES_MAX { NoHead::Yet } else { NoHead::TooLong });
        };
        let length = end + 4;
        let head = Self::of(&String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())).ok_or(NoHead::NotHttp)?;
        if head.status < 200 {
            let (next, more) = Self::parse(bytes.get(length..).unwrap_or_default())?;
            return Ok((next, length + more));
        }
        Ok((head, length))
    }

    fn of(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let (version, status_line) = lines.next()?.split_once(' ')?;
        let status = status_line.get(..3)?.parse().ok()?;
        let mut head = Self {
            status,
            status_line: status_line.trim().to_owned(),
            content_type: String::new(),
            location: String::new(),
            content_encoding: String::new(),
            closes: version == "HTTP/1.0",
            body: if matches!(status, 204 | 304) { Body::Length(0) } else { Body::UntilClose },
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            head.take(name, value.trim());
        }
        Some(head)
    }

    fn take(&mut self, name: &str, value: &str) {
        let lower = value.to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => self.content_type = lower,
            "content-encoding" => self.content_encoding = lower,
            "location" => self.location = value.to_owned(),
            "connection" => self.closes = lower.contains("close") || self.closes && !lower.contains("keep-alive"),
            "transfer-encoding" if lower.contains("chunked") => self.body = Body::chunked(),
            "content-length" if self.body == Body::UntilClose => {
                self.body = lower.parse().map_or(Body::UntilClose, Body::Length);
            }
            _ => {}
        }
    }

    pub(crate) fn is_event_stream(&self) -> bool {
        self.content_type.split(';').next().is_some_and(|name| name.trim() == "text/event-stream")
    }
}

/// The beginning of what a server said, fit for one line of a terminal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes)).into_owned();
    let mut text = format!("{:?}", beginning.trim_end_matches(char::REPLACEMENT_CHARACTER).trim());
    if bytes.len() > SHOWN_BYTES_MAX {
        // writing to a String does not fail
        let _ = write!(text, " …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_follows() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTRANSFER-ENCODING: chunked\r\n\r\nbody";
        let (head, length) = Head::parse(bytes).unwrap();
        assert_eq!(&bytes[length..], b"body");
        assert_eq!((head.status, head.status_line.as_str(), head.body), (200, "200 OK", Body::chunked()));
        assert!(head.is_event_stream() && !head.closes);
        let (head, _) =
            Head::parse(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!((head.status, head.closes, head.body), (404, true, Body::Length(5)));
        assert!(!head.is_event_stream());
    }

    #[test]
    fn what_is_no_head_is_told_apart() {
        for (bytes, expected) in [
            (&b""[..], NoHead::Yet),
            (b"HTT", NoHead::Yet),
            (b"HTTP/1.1 200 OK\r\n", NoHead::Yet),
            (b"SSH-2.0-OpenSSH\r\n", NoHead::NotHttp),
            (b"HTTP/1.1\r\n\r\n", NoHead::NotHttp),
            (b"HTTP/1.1 abc\r\n\r\n", NoHead::NotHttp),
        ] {
            assert_eq!(Head::parse(bytes).unwrap_err(), expected, "{}", bytes.escape_ascii());
        }
        let endless = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"A: b\r\n".repeat(HEAD_BYTES_MAX / 6)].concat();
        assert_eq!(Head::parse(&endless).unwrap_err(), NoHead::TooLong);
    }

    #[test]
    fn what_is_shown_fits_a_line() {
        assert_eq!(shown(b"a\x1b[31m\n"), "\"a\\u{1b}[31m\"");
        assert_eq!(shown(&[b'x'; 100]), format!("\"{}\" …", "x".repeat(80)));
    }
}
