//! A stream of bytes as lines ended by LF, for newline-delimited JSON.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::mem;

use memchr::memchr;

use crate::Error;

/// Holds back the line whose end has not come. An empty line is a keep-alive and yields nothing.
#[derive(Debug)]
pub(crate) struct Lines {
    line_bytes_max: usize,
    held: Vec<u8>,
    too_large: bool,
}

impl Lines {
    pub(crate) fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, held: Vec::new(), too_large: false }
    }

    /// Takes bytes from the front of `chunk` until a line is complete or the chunk is used up. What is not UTF-8
    /// becomes U+FFFD.
    pub(crate) fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<String>, Error> {
        while !chunk.is_empty() && !self.too_large {
            let end = memchr(b'\n', chunk);
            let (part, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
            if part.len() > self.line_bytes_max.saturating_sub(self.held.len()) {
                self.too_large = true;
                break;
            }
            self.held.extend_from_slice(part);
            *chunk = rest.get(1..).unwrap_or_default();
            if end.is_some() {
                let line = mem::take(&mut self.held);
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                if !line.is_empty() {
                    return Ok(Some(String::from_utf8_lossy(line).into_owned()));
                }
            }
        }
        if self.too_large {
            *chunk = &[];
            self.held = Vec::new();
            return Err(Error::too_large(format!("line is longer than {} bytes", self.line_bytes_max)));
        }
        Ok(None)
    }

    /// Starts anew for another connection.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.line_bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&str], expected: &[&str]) {
        let mut lines = Lines::new(8);
        let mut found = Vec::new();
        for chunk in chunks {
            let mut rest = chunk.as_bytes();
            loop {
                match lines.next(&mut rest) {
                    Ok(Some(line)) => found.push(line),
                    Ok(None) => break,
                    Err(error) => {
                        found.push(error.to_string());
                        break;
                    }
                }
            }
            assert!(rest.is_empty());
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_end_with_lf_wherever_they_are_cut() {
        check(&["{}\n", "\n\r\n", "a", "b\r", "\nc\n\nd\n", "no end"], &["{}", "ab", "c", "d"]);
    }

    #[test]
    fn an_endless_line_is_an_error_and_stays_one() {
        let error = "line is longer than 8 bytes";
        check(&["12345678\n"], &["12345678"]);
        check(&["12345678", "9", "a\n"], &[error, error]);
        check(&["a\n123456789\nb\n"], &["a", error]);
    }
}
