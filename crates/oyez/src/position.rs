//! Where an entry stands, and the id that says so on the wire. Converted here and nowhere else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use oyez_proto::{EventId, encode_cursor};

use crate::Error;
use crate::digits::{DIGITS_MAX, Digits};

/// One life of a log: drawn when the log is new, so that ids of a log that is gone are recognised and no id ever
/// names two events. Eight characters, `a`–`z` first, then `0`–`9` and `a`–`z`: 40 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; EPOCH_LEN]);

/// A place in the log: just after the entry with this sequence number, or at the very start with 0.
///
/// Its text is `EPOCH:SEQ`, such as `k4f9zq71:1042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The life of the log that the number counts in.
    pub epoch: Epoch,
    /// The first entry of an epoch has the number 1.
    pub sequence: u64,
}

impl Epoch {
    /// The epoch of these 40 bits; higher bits are ignored.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let mut rest = bits & ((1 << EPOCH_BITS) - 1);
        let mut text = [b'a'; EPOCH_LEN];
        let (first, digits) = text.split_first_mut().expect("an epoch has characters");
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS.get((rest % 36) as usize).copied().expect("a remainder of 36");
            rest /= 36;
        }
        // 2^40 / 36^7 is below 15, so a letter always suffices
        *first = b'a' + u8::try_from(rest).expect("below 26");
        Self(text)
    }

    /// Draws a new epoch from the clock and the system's randomness together, so that neither a clock that was set
    /// back nor a cloned machine's random pool repeats one alone.
    pub(crate) fn draw(nanoseconds: u128) -> Self {
        let random = getrandom::u64().unwrap_or_default();
        let time = u64::try_from(nanoseconds & u128::from(u64::MAX)).unwrap_or_default();
        let mixed = (random ^ time.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Self::from_bits(mixed >> (64 - EPOCH_BITS))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an epoch is ASCII")
    }
}

impl Position {
    /// The id of this position as it stands in an `id:` field.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        EventId::new(self.text().as_str()).expect("a position holds no line break")
    }

    pub(crate) fn text(&self) -> PositionText {
        let sequence = Digits::decimal(self.sequence);
        let mut text = PositionText { bytes: [b':'; POSITION_LEN_MAX], len: EPOCH_LEN + 1 + sequence.as_bytes().len() };
        text.bytes[..EPOCH_LEN].copy_from_slice(&self.epoch.0);
        text.bytes[EPOCH_LEN + 1..text.len].copy_from_slice(sequence.as_bytes());
        text
    }

    /// The block that tells a reader this place, and when to come back if that is said. It dispatches nothing.
    pub(crate) fn frame(&self, reconnection_time: Option<Duration>) -> Bytes {
        let mut frame = BytesMut::with_capacity(64);
        encode_cursor(&self.event_id(), reconnection_time, &mut frame);
        frame.freeze()
    }
}

/// The text of a position, on the stack.
pub(crate) struct PositionText {
    bytes: [u8; POSITION_LEN_MAX],
    len: usize,
}

impl PositionText {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a position is ASCII")
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// The text is not a position of any hub: it is somebody else's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAPosition;

impl FromStr for Position {
    type Err = Error;

    /// Accepts exactly what [`Display`](fmt::Display) writes: no sign, no leading zero.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(|NotAPosition| Error::invalid(format!("{text:?} is not a position, EPOCH:SEQUENCE")))
    }
}

impl Position {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, sequence) = text.split_once(':').ok_or(NotAPosition)?;
        let epoch: [u8; EPOCH_LEN] = epoch.as_bytes().try_into().map_err(|_| NotAPosition)?;
        let (first, digits) = epoch.split_first().ok_or(NotAPosition)?;
        let shaped = first.is_ascii_lowercase() && digits.iter().all(|digit| DIGITS.contains(digit));
        let canonical = sequence.bytes().all(|b| b.is_ascii_digit()) && (sequence == "0" || !sequence.starts_with('0'));
        if !shaped || !canonical {
            return Err(NotAPosition);
        }
        Ok(Self { epoch: Epoch(epoch), sequence: sequence.parse().map_err(|_| NotAPosition)? })
    }
}

/// Could a reader take `id` for a position of some hub? Such an id is not a publisher's to give.
pub(crate) fn is_shaped_like_a_position(id: &str) -> bool {
    let Some((epoch, sequence)) = id.split_once(':') else { return false };
    let mut epoch = epoch.bytes();
    epoch.len() == EPOCH_LEN
        && epoch.next().is_some_and(|b| b.is_ascii_lowercase())
        && epoch.all(|b| DIGITS.contains(&b))
        && !sequence.is_empty()
        && sequence.bytes().all(|b| b.is_ascii_digit())
}

/// As a last event id it means the start of the history; no publisher can have given it.
pub(crate) const EARLIEST: &str = "earliest";

const EPOCH_LEN: usize = 8;
/// Bytes of the longest text of a position.
pub(crate) const POSITION_LEN_MAX: usize = EPOCH_LEN + 1 + DIGITS_MAX;
const EPOCH_BITS: u32 = 40;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        for bits in [0, 1, 35, 36, (1 << 40) - 1, 0x0012_3456_789a] {
            for sequence in [0, 1, u64::MAX] {
                let position = Position { epoch: Epoch::from_bits(bits), sequence };
                assert_eq!(Position::parse(&position.to_string()), Ok(position));
                assert!(is_shaped_like_a_position(&position.to_string()));
            }
        }
    }

    #[test]
    fn other_ids_are_not_positions() {
        for id in ["", "42", "k4f9zq71", "k4f9zq71:", "4kf9zq71:1", "k4f9zq7:1", "K4f9zq71:1", "k4f9zq71:x", "a:b:c"] {
            assert_eq!(Position::parse(id), Err(NotAPosition), "{id}");
            assert!(!is_shaped_like_a_position(id), "{id}");
        }
        for id in ["k4f9zq71:01", "k4f9zq71:99999999999999999999"] {
            assert_eq!(Position::parse(id), Err(NotAPosition), "{id}");
            assert!(is_shaped_like_a_position(id), "{id}");
        }
    }

    #[test]
    fn epochs_begin_with_a_letter_and_differ() {
        let drawn: std::collections::HashSet<_> = (0..1_000).map(|n| Epoch::draw(n).to_string()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(drawn.iter().all(|epoch| epoch.len() == 8 && epoch.as_bytes()[0].is_ascii_lowercase()));
    }
}
