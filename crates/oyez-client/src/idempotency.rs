//! The header `Idempotency-Key`: what makes it safe to publish again after no answer.

use http::HeaderValue;

use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::random::random;
use crate::{Error, ErrorKind};

/// The name of one publish. A hub that has seen it in the last ten minutes publishes nothing more and answers what it
/// answered then, also after a restart.
///
/// Source: draft-ietf-httpapi-idempotency-key-header, but for the quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(HeaderValue);

impl IdempotencyKey {
    /// A key of 1 to 128 visible ASCII characters.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    pub fn new(key: &str) -> Result<Self, Error> {
        let refused = |why: &str| Error::new(ErrorKind::Invalid, format!("not an idempotency key: {key:?}: {why}"));
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(refused(&format!("it has {} bytes, not 1 to {IDEMPOTENCY_KEY_BYTES_MAX}", key.len())));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("it holds more than visible ASCII characters"));
        }
        HeaderValue::from_str(key).map(Self).map_err(|_| refused("HTTP cannot carry it"))
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Keys that nobody else has: those of one run have a random part in common and a number each.
#[derive(Debug)]
pub struct IdempotencyKeys {
    run: String,
    used: u64,
}

impl IdempotencyKeys {
    /// The keys of a new run.
    #[must_use]
    pub fn new() -> Self {
        Self { run: format!("{:016x}{:016x}", random(), random()), used: 0 }
    }

    /// A key that was not there before.
    #[must_use = "it is used up"]
    pub fn draw(&mut self) -> IdempotencyKey {
        self.used += 1;
        IdempotencyKey::new(&format!("{}-{}", self.run, self.used)).expect("digits, letters and a hyphen, few of them")
    }
}

impl Default for IdempotencyKeys {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_128_visible_characters() {
        let (longest, longer) = ("k".repeat(128), "k".repeat(129));
        for (key, is_one) in [
            ("k", true),
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("a b", false),
            ("a\r\nb: c", false),
            ("ä", false),
        ] {
            assert_eq!(IdempotencyKey::new(key).is_ok(), is_one, "{key:?}");
        }
    }

    #[test]
    fn no_key_is_drawn_twice() {
        let (mut one, mut other) = (IdempotencyKeys::new(), IdempotencyKeys::new());
        let drawn = [one.draw(), one.draw(), other.draw(), other.draw()];
        for (n, key) in drawn.iter().enumerate() {
            assert!(!drawn[..n].contains(key), "{drawn:?}");
        }
    }
}
