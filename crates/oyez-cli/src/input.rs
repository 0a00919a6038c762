//! Standard input or a file, line by line.

use std::io::{self, Read};
use std::thread;

use memchr::memchr;
use oyez_proto::EVENT_BYTES_MAX;
use tokio::sync::mpsc;

/// Why the input ends before its end.
#[derive(Debug)]
pub(crate) enum Unreadable {
    NotUtf8,
    TooLong,
    Io(io::Error),
}

/// What becomes of bytes that are not UTF-8, which an event stream cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotUtf8 {
    /// The line ends the input.
    Refuse,
    /// They become U+FFFD.
    Replace,
}

/// Reads lines in a thread of their own, which ends with the process: a read of standard input cannot be called off.
/// What is there at once comes at once; little is read ahead, so a pipe fills up when the hub is slow.
pub(crate) fn read(
    mut input: Box<dyn Read + Send>,
    not_utf8: NotUtf8,
) -> mpsc::Receiver<Result<Vec<String>, Unreadable>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut splitter = Splitter { line_bytes_max: EVENT_BYTES_MAX, held: Vec::new(), not_utf8 };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut lines = Vec::new();
            let (outcome, ended) = match input.read(&mut buffer) {
                Ok(0) => (splitter.end(&mut lines), true),
                Ok(filled) => (splitter.split(buffer.get(..filled).unwrap_or_default(), &mut lines), false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => (Err(Unreadable::Io(error)), true),
            };
            if !lines.is_empty() && sender.blocking_send(Ok(lines)).is_err() {
                return;
            }
            if let Err(error) = outcome {
                // whoever has stopped does not ask why
                drop(sender.blocking_send(Err(error)));
                return;
            }
            if ended {
                return;
            }
        }
    });
    receiver
}

/// Cuts bytes into lines ended by LF or CRLF.
struct Splitter {
    line_bytes_max: usize,
    held: Vec<u8>,
    not_utf8: NotUtf8,
}

impl Splitter {
    /// Adds the lines that end in `bytes`; on an error, those before it.
    fn split(&mut self, mut bytes: &[u8], lines: &mut Vec<String>) -> Result<(), Unreadable> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (part, rest) = bytes.split_at(end);
            self.hold(part)?;
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            lines.push(self.line()?);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes)
    }

    /// Adds the last line if it has no end.
    fn end(&mut self, lines: &mut Vec<String>) -> Result<(), Unreadable> {
        if !self.held.is_empty() {
            lines.push(self.line()?);
        }
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), Unreadable> {
        if part.len() > self.line_bytes_max.saturating_sub(self.held.len()) {
            return Err(Unreadable::TooLong);
        }
        self.held.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self) -> Result<String, Unreadable> {
        match (String::from_utf8(std::mem::take(&mut self.held)), self.not_utf8) {
            (Ok(line), _) => Ok(line),
            (Err(error), NotUtf8::Replace) => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            (Err(_), NotUtf8::Refuse) => Err(Unreadable::NotUtf8),
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
        let mut splitter = Splitter { line_bytes_max: 8, held: Vec::new(), not_utf8 };
        let mut lines = Vec::new();
        let mut outcome = chunks.iter().try_for_each(|chunk| splitter.split(chunk, &mut lines));
        if outcome.is_ok() {
            outcome = splitter.end(&mut lines);
        }
        if let Err(error) = outcome {
            lines.push(format!("{error:?}"));
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_end_with_lf_or_crlf_and_the_last_one_need_not() {
        check_lines(&[b"a\nb\r\n\n", b"c", b"d\r", b"\ne\rf\n", b"last"], &["a", "b", "", "cd", "e\rf", "last"]);
        check_lines(&[b"\xc3", b"\xa4\n"], &["ä"]);
        check_lines(&[b""], &[]);
        check_lines(&[b"\n"], &[""]);
    }

    #[test]
    fn what_cannot_be_published_stops_after_the_lines_before_it() {
        check_lines(&[b"a\n\xff\nb\n"], &["a", "NotUtf8"]);
        check_lines(&[b"a\n\xff"], &["a", "NotUtf8"]);
        check_lines(&[b"12345678\n", b"123456", b"789\n"], &["12345678", "TooLong"]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_can_be_replaced() {
        check_lines_with(NotUtf8::Replace, &[b"a\xff\nb\n", b"\xc3"], &["a\u{fffd}", "b", "\u{fffd}"]);
    }
}
