//! Events, comments and cursor blocks as bytes. Nothing here allocates: frames go into the caller's buffer.

use std::time::Duration;

use bytes::BufMut;
use memchr::memchr2;

use crate::{Event, EventId};

impl Event {
    /// Appends the frame of this event to `out`, its blank line included: exactly
    /// [`encoded_len`](Event::encoded_len) bytes, without an allocation of its own.
    ///
    /// Fields stand in the order `event`, `id`, `retry`, `data`.
    ///
    /// # Panics
    /// When `out` cannot grow and is too small, as every [`BufMut`] does.
    pub fn encode(&self, out: &mut impl BufMut) {
        if let Some(event_type) = self.event_type() {
            put_line(b"event: ", event_type.as_bytes(), out);
        }
        if let Some(id) = self.event_id() {
            put_line(b"id: ", id.as_bytes(), out);
        }
        if let Some(time) = self.reconnection_time() {
            put_retry(time, out);
        }
        put_lines(b"data: ", self.data_str(), out);
        out.put_u8(b'\n');
    }

    /// The number of bytes that [`Event::encode`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let event_type = self.event_type().map_or(0, |t| b"event: \n".len() + t.len());
        let id = self.event_id().map_or(0, |id| b"id: \n".len() + id.len());
        let retry = self.reconnection_time().map_or(0, |t| b"retry: \n".len() + decimal_len(milliseconds(t)));
        event_type + id + retry + lines_len(b"data: ".len(), self.data_str()) + b"\n".len()
    }
}

/// Appends a comment with its blank line: `: text`. It dispatches nothing; readers other than people ignore it. Each
/// CR, LF or CRLF in `text` starts a new comment line, so it cannot inject a field. The empty comment is `:`.
pub fn encode_comment(text: &str, out: &mut impl BufMut) {
    match text {
        "" => out.put_slice(b":\n"),
        text => put_lines(b": ", text, out),
    }
    out.put_u8(b'\n');
}

/// Appends a block that dispatches nothing, sets the last event id of its reader and, if given, its reconnection
/// time (in whole milliseconds).
///
/// Source: HTML Standard, "Interpreting an event stream": at a blank line the last event id is set before the
/// data buffer is found to be empty.
pub fn encode_cursor(id: &EventId, reconnection_time: Option<Duration>, out: &mut impl BufMut) {
    if let Some(time) = reconnection_time {
        put_retry(time, out);
    }
    put_line(b"id: ", id.as_bytes(), out);
    out.put_u8(b'\n');
}

fn put_line(field: &[u8], value: &[u8], out: &mut impl BufMut) {
    out.put_slice(field);
    out.put_slice(value);
    out.put_u8(b'\n');
}

fn put_lines(field: &[u8], text: &str, out: &mut impl BufMut) {
    for line in lines(text) {
        put_line(field, line, out);
    }
}

fn lines_len(field_len: usize, text: &str) -> usize {
    lines(text).map(|line| field_len + line.len() + b"\n".len()).sum()
}

/// The lines of `text`, ended by CR, LF or CRLF; the last one is what follows the last end, empty or not.
fn lines(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text.as_bytes());
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(end) = memchr2(b'\r', b'\n', bytes) else { return rest.take() };
        let (line, tail) = bytes.split_at(end);
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..));
        Some(line)
    })
}

fn put_retry(time: Duration, out: &mut impl BufMut) {
    let mut digits = [0; DECIMAL_LEN_MAX];
    let mut start = digits.len();
    let mut rest = milliseconds(time);
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(rest % 10).expect("a remainder of 10 fits");
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    put_line(b"retry: ", digits.get(start..).unwrap_or_default(), out);
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

const DECIMAL_LEN_MAX: usize = 20; // u64::MAX has 20 digits

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &Event, expected: &str) {
        let mut out = Vec::new();
        event.encode(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(event.encoded_len(), expected.len());
    }

    #[test]
    fn every_line_end_in_data_starts_a_data_line() {
        check(&Event::data("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        check(&Event::data("a\n"), "data: a\ndata: \n\n");
        check(&Event::data("\r\n\n\r"), "data: \ndata: \ndata: \ndata: \n\n");
        check(&Event::data("a\rid: 1\r\rdata: b"), "data: a\ndata: id: 1\ndata: \ndata: data: b\n\n");
    }

    #[test]
    fn empty_data_is_an_event() {
        check(&Event::data(""), "data: \n\n");
    }

    #[test]
    fn fields_stand_in_one_order_and_keep_leading_spaces() {
        let event = Event::data(" x").retry(Duration::from_micros(3_000_999)).id("1").unwrap().event(" t").unwrap();
        check(&event, "event:  t\nid: 1\nretry: 3000\ndata:  x\n\n");
    }

    #[test]
    fn retry_is_digits_only_whatever_the_duration() {
        check(&Event::data("").retry(Duration::ZERO), "retry: 0\ndata: \n\n");
        check(&Event::data("").retry(Duration::from_millis(10)), "retry: 10\ndata: \n\n");
        check(&Event::data("").retry(Duration::MAX), "retry: 18446744073709551615\ndata: \n\n");
    }

    #[test]
    fn a_comment_cannot_inject_a_field() {
        let mut out = Vec::new();
        encode_comment("hi\rdata: x\n\nid: 1", &mut out);
        encode_comment("", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), ": hi\n: data: x\n: \n: id: 1\n\n:\n\n");
    }

    #[test]
    fn a_cursor_block_has_no_data() {
        let mut out = Vec::new();
        encode_cursor(&EventId::new("k4f9zq71:0").unwrap(), Some(Duration::from_secs(3)), &mut out);
        assert_eq!(out, b"retry: 3000\nid: k4f9zq71:0\n\n");
    }
}
