//! Standard input or a file, line by line.

use std::io::{self, Read};
use std::thread;

use memchr::memchr;
use tokio::sync::mpsc;

use crate::limits::LINE_BYTES_MAX;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// One that cannot be an event.
    Unfit(Unfit),
}

/// Why a line cannot be an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    NotUtf8,
    TooLong,
}

/// What becomes of bytes that are not UTF-8, which an event stream cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotUtf8 {
    /// The line is left out.
    Refuse,
    /// They become U+FFFD.
    Replace,
}

/// Reads lines in a thread of their own, which ends with the process: a read of standard input cannot be called off.
/// What is there at once comes at once; little is read ahead, so a pipe fills up when the hub is slow.
pub(crate) fn read(mut input: Box<dyn Read + Send>, not_utf8: NotUtf8) -> mpsc::Receiver<Result<Vec<Line>, io::Error>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut splitter = Splitter::new(LINE_BYTES_MAX, not_utf8);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut lines = Vec::new();
            let ended = match input.read(&mut buffer) {
                Ok(0) => {
                    splitter.end(&mut lines);
                    true
                }
                Ok(filled) => {
                    splitter.split(buffer.get(..filled).unwrap_or_default(), &mut lines);
                    false
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // whoever has stopped does not ask why
                    drop(sender.blocking_send(Err(error)));
                    return;
                }
            };
            if !lines.is_empty() && sender.blocking_send(Ok(lines)).is_err() || ended {
                return;
            }
        }
    });
    receiver
}

/// Cuts bytes into lines ended by LF or CRLF.
struct Splitter {
    line_bytes_max: usize,
    not_utf8: NotUtf8,
    held: Vec<u8>,
    /// The line that is being read is longer than it may be, and nothing of it is held.
    too_long: bool,
}

impl Splitter {
    fn new(line_bytes_max: usize, not_utf8: NotUtf8) -> Self {
        Self { line_bytes_max, not_utf8, held: Vec::new(), too_long: false }
    }

    /// Adds the lines that end in `bytes`.
    fn split(&mut self, mut bytes: &[u8], lines: &mut Vec<Line>) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (part, rest) = bytes.split_at(end);
            self.hold(part);
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            lines.push(self.line());
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes);
    }

    /// Adds the last line if it has no end.
    fn end(&mut self, lines: &mut Vec<Line>) {
        if !self.held.is_empty() || self.too_long {
            lines.push(self.line());
        }
    }

    fn hold(&mut self, part: &[u8]) {
        if self.too_long || part.len() > self.line_bytes_max.saturating_sub(self.held.len()) {
            self.too_long = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(part);
        }
    }

    fn line(&mut self) -> Line {
        if std::mem::take(&mut self.too_long) {
            return Line::Unfit(Unfit::TooLong);
        }
        match (String::from_utf8(std::mem::take(&mut self.held)), self.not_utf8) {
            (Ok(line), _) => Line::Text(line),
            (Err(error), NotUtf8::Replace) => Line::Text(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            (Err(_), NotUtf8::Refuse) => Line::Unfit(Unfit::NotUtf8),
        }
    }
}

const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_lines(chunks: &[&[u8]], expected: &[&str]) {
        check_lines_with(NotUtf8::Refuse, chunks, expected);
    }

    #[track_caller]
    fn check_lines_with(not_utf8: NotUtf8, chunks: &[&[u8]], expected: &[&str]) {
        let mut splitter = Splitter::new(8, not_utf8);
        let mut lines = Vec::new();
        chunks.iter().for_each(|chunk| splitter.split(chunk, &mut lines));
        splitter.end(&mut lines);
        let said = lines.into_iter().map(|line| match line {
            Line::Text(text) => text,
            Line::Unfit(why) => format!("{why:?}"),
        });
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn lines_end_with_lf_or_crlf_and_the_last_one_need_not() {
        check_lines(&[b"a\nb\r\n\n", b"c", b"d\r", b"\ne\rf\n", b"last"], &["a", "b", "", "cd", "e\rf", "last"]);
        check_lines(&[b"\xc3", b"\xa4\n"], &["ä"]);
        check_lines(&[b""], &[]);
        check_lines(&[b"\n"], &[""]);
    }

    #[test]
    fn what_cannot_be_published_is_left_out() {
        check_lines(&[b"a\n\xff\nb\n"], &["a", "NotUtf8", "b"]);
        check_lines(&[b"a\n\xff"], &["a", "NotUtf8"]);
        check_lines(&[b"12345678\n", b"123456", b"789", b"0\nb"], &["12345678", "TooLong", "b"]);
        check_lines(&[b"123456789"], &["TooLong"]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_can_be_replaced() {
        check_lines_with(NotUtf8::Replace, &[b"a\xff\nb\n", b"\xc3"], &["a\u{fffd}", "b", "\u{fffd}"]);
    }
}
