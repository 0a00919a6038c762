//! Durations and sizes as people write them: `15s`, `7d`, `1h30m`, `64MiB`.

use std::time::Duration;

/// One or more numbers, each with a unit of `ms`, `s`, `m`, `h`, `d`, `w`. `None` when it is something else.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = leading_number(rest)?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A number of bytes, plain or with `KiB`, `MiB`, `GiB` or `kB`, `MB`, `GB`.
pub(crate) fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = leading_number(text)?;
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(factor)?).ok()
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, ms: Option<u64>| assert_eq!(duration(text), ms.map(Duration::from_millis), "{text:?}");
        check("15s", Some(15_000));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        check("1w", Some(604_800_000));
        check("250ms", Some(250));
        check("0s", Some(0));
        for bad in ["", "15", "s", "15 s", "-1s", "1.5h", "1x", "99999999999999999999s", "9999999999999999d"] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("64 MiB"), Some(64 << 20));
        assert_eq!(bytes("1000"), Some(1_000));
        assert_eq!(bytes("5kB"), Some(5_000));
        for bad in ["", "GiB", "-1", "1TiBx", "1.5GiB"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }
}
