//! Text that arrives as bytes, in pieces that may end inside a sequence.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::{mem, str};

/// Valid text and the sequence that its newest bytes have begun. What is not UTF-8 becomes U+FFFD, one for each
/// maximal subpart, wherever the pieces end.
///
/// Source: Encoding Standard, "UTF-8 decoder".
#[derive(Debug, Default)]
pub(crate) struct Utf8Buffer {
    text: String,
    begun: [u8; SEQUENCE_BYTES_MAX],
    begun_len: usize,
}

impl Utf8Buffer {
    /// Appends `bytes`. Each of them makes [`len`](Self::len) grow by one or more. The memory doubles as it fills up,
    /// and stops doubling at `bytes_max`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], bytes_max: usize) {
        self.reserve(bytes.len() + 1, bytes_max); // + 1: the line end that follows data
        if self.begun_len > 0 {
            bytes = self.go_on(bytes);
        }
        let (whole, begun) = bytes.split_at(bytes.len() - begun_len(bytes));
        match validate(whole) {
            Some(text) => self.text.push_str(text),
            None => self.push_lossy(whole),
        }
        for byte in begun {
            self.begin(*byte);
        }
    }

    /// Appends `line`, whose bytes end no sequence begun, and an LF.
    pub(crate) fn push_line(&mut self, line: &str, bytes_max: usize) {
        self.reserve(line.len() + 1, bytes_max);
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Says that nothing continues the sequence begun.
    pub(crate) fn end(&mut self) {
        if self.begun_len > 0 {
            self.begun_len = 0;
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// The bytes held: those of the text and those of the sequence begun.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + self.begun_len
    }

    /// The text up to the last [`end`](Self::end).
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The text up to the last [`end`](Self::end), which leaves nothing.
    pub(crate) fn take(&mut self) -> String {
        mem::take(&mut self.text)
    }

    /// Empties it after [`end`](Self::end), and keeps at most `kept` bytes allocated.
    pub(crate) fn clear(&mut self, kept: usize) {
        self.text.clear();
        self.text.shrink_to(kept);
    }

    fn reserve(&mut self, additional: usize, bytes_max: usize) {
        let (len, capacity) = (self.text.len(), self.text.capacity());
        if capacity == 0 {
            self.text = String::with_capacity(additional);
        } else if additional > capacity - len {
            let doubled = (2 * capacity).min(bytes_max).saturating_sub(len);
            self.text.reserve_exact(additional.max(doubled));
        }
    }

    /// Takes from the front of `bytes` what belongs to the sequence begun.
    fn go_on<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some((byte, rest)) = bytes.split_first().filter(|_| self.begun_len > 0) {
            self.begin(*byte);
            let sequence = self.begun;
            match str::from_utf8(sequence.get(..self.begun_len).unwrap_or_default()) {
                Ok(text) => {
                    self.text.push_str(text);
                    self.begun_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    // the byte does not continue the sequence: that ends, and the byte is read again, on its own
                    self.end();
                    return bytes;
                }
            }
            bytes = rest;
        }
        bytes
    }

    fn begin(&mut self, byte: u8) {
        if let Some(place) = self.begun.get_mut(self.begun_len) {
            *place = byte;
            self.begun_len += 1;
        }
    }

    #[cold]
    fn push_lossy(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

/// How many bytes at the end of `bytes` begin a sequence that later bytes may complete.
fn begun_len(bytes: &[u8]) -> usize {
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let continuations = bytes.iter().rev().take(SEQUENCE_BYTES_MAX).take_while(|byte| is_continuation(**byte)).count();
    let tail = bytes.len().checked_sub(continuations + 1).and_then(|start| bytes.get(start..)).unwrap_or_default();
    match str::from_utf8(tail) {
        // the tail is one sequence, so an error without length means that it is cut short
        Err(error) if error.error_len().is_none() => tail.len(),
        _ => 0,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(feature = "simdutf8")]
pub(crate) fn validate(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

#[cfg(not(feature = "simdutf8"))]
pub(crate) fn validate(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

const SEQUENCE_BYTES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the standard library, in one piece, in single bytes and in every two pieces.
    #[track_caller]
    fn check(bytes: &[u8]) {
        let expected = String::from_utf8_lossy(bytes);
        let (first, second): (Vec<_>, Vec<_>) = (0..=bytes.len()).map(|at| bytes.split_at(at)).unzip();
        let splits = first.into_iter().zip(second).map(|(a, b)| vec![a, b]);
        for pieces in splits.chain([bytes.chunks(1).collect()]) {
            let mut buffer = Utf8Buffer::default();
            for piece in pieces {
                let before = buffer.len();
                buffer.push(piece, 64);
                assert!(buffer.len() >= before + piece.len(), "{bytes:?}");
            }
            buffer.end();
            assert_eq!(buffer.take(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn sequences_cut_anywhere_are_read_as_one() {
        check("aé€😀z".as_bytes());
        check(b"");
    }

    #[test]
    fn every_maximal_subpart_is_one_replacement_character() {
        for tail in [&b""[..], b"a", b"\xe2\x82\xac"] {
            for bad in [
                &b"\x80"[..],
                b"\xff",
                b"\xc0\xaf",
                b"\xe2",
                b"\xe2\x82",
                b"\xe0\x80\x80",
                b"\xed\xa0\x80",
                b"\xf0\x9f\x98",
                b"\xf0\x80\x80\x80",
                b"\xf4\x90\x80\x80",
                b"\xf5\x80\x80\x80\x80",
                b"\xe2\xe2\x82\xf0\x9f\xc3",
                b"\x80\x80\x80\x80\x80",
            ] {
                check(&[b"x", bad, tail].concat());
            }
        }
    }
}
