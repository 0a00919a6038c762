//! A number as text, on the stack: an event has two of them, and formatting takes several times as long.

/// The digits of a number.
pub(crate) struct Digits {
    bytes: [u8; DIGITS_MAX],
    start: usize,
}

impl Digits {
    pub(crate) fn decimal(number: u64) -> Self {
        Self::of::<10>(number)
    }

    pub(crate) fn hex(number: usize) -> Self {
        Self::of::<16>(number as u64)
    }

    fn of<const BASE: u64>(mut number: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; DIGITS_MAX], start: DIGITS_MAX };
        for (at, digit) in digits.bytes.iter_mut().enumerate().rev() {
            let value = (number % BASE) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            digits.start = at;
            number /= BASE;
            if number == 0 {
                break;
            }
        }
        digits
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// `u64::MAX` has 20.
pub(crate) const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_formatting() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 99_999, 1 << 40, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::decimal(number).as_bytes(), number.to_string().as_bytes());
            assert_eq!(Digits::hex(number as usize).as_bytes(), format!("{number:x}").as_bytes());
        }
    }
}
