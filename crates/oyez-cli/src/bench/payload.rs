//! What an event carries, so that its receiver can say what became of it.

use std::io::Write as _;

use memchr::memmem;

/// `oyez.RUN.LANE.SEQUENCE.NANOSECONDS.` in hexadecimal digits, and `x` up to the size asked for. Only letters, digits and
/// dots: no body of a request, whatever its form, needs them encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) run: u32,
    pub(crate) lane: u32,
    /// Counts within the lane.
    pub(crate) sequence: u32,
    /// When it was to be sent, on the clock of this run.
    pub(crate) sent: u64,
}

impl Payload {
    /// Writes `size` bytes, at least [`PAYLOAD_BYTES_MIN`].
    pub(crate) fn write(&self, size: usize, out: &mut Vec<u8>) {
        let end = out.len() + size;
        let Self { run, lane, sequence, sent } = self;
        // writing to a Vec does not fail
        let _ = write!(out, "oyez.{run:08x}.{lane:06x}.{sequence:08x}.{sent:016x}.");
        out.resize(end, b'x');
    }

    /// Finds a payload in the data of an event, which may have been wrapped into something else by the server.
    pub(crate) fn find(data: &[u8]) -> Option<Self> {
        let at = if data.starts_with(START) { 0 } else { memmem::find(data, START)? };
        let head: &[u8; PAYLOAD_BYTES_MIN] = data.get(at..)?.first_chunk()?;
        Some(Self {
            run: hex(head.get(5..13)?)? as u32,
            lane: hex(head.get(14..20)?)? as u32,
            sequence: hex(head.get(21..29)?)? as u32,
            sent: hex(head.get(30..46)?)?,
        })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// The bytes before the padding.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 47;

const START: &[u8] = b"oyez.";

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: Payload = Payload { run: 0xdead_beef, lane: 0xf_4240, sequence: u32::MAX, sent: 1 << 60 };

    #[test]
    fn what_is_written_is_found() {
        for size in [PAYLOAD_BYTES_MIN, 128, 4_096] {
            let mut out = b"data: ".to_vec();
            PAYLOAD.write(size, &mut out);
            assert_eq!(out.len(), 6 + size);
            assert_eq!(Payload::find(&out[6..]), Some(PAYLOAD));
            assert_eq!(Payload::find(&out), Some(PAYLOAD), "wrapped");
        }
    }

    #[test]
    fn other_data_is_no_payload() {
        let mut good = Vec::new();
        PAYLOAD.write(PAYLOAD_BYTES_MIN, &mut good);
        let mut bad = good.clone();
        bad[30] = b'g';
        for data in [&b""[..], b"hello", b"oyez.", &good[..46], &bad] {
            assert_eq!(Payload::find(data), None, "{}", data.escape_ascii());
        }
    }

    #[test]
    fn a_payload_needs_no_encoding() {
        let mut out = Vec::new();
        PAYLOAD.write(64, &mut out);
        assert!(out.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.'));
    }
}
