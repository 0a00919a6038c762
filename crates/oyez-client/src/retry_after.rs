//! The header `Retry-After`: seconds, or a date.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time from `now` that `value` asks to wait; `None` when it is neither digits nor a date.
///
/// Source: RFC 9110, 10.2.3 and 5.6.7. Of the three forms of a date only the one that may be sent is read.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = UNIX_EPOCH.checked_add(Duration::from_secs(seconds_of(value)?))?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn seconds_of(date: &str) -> Option<u64> {
    let (_weekday, rest) = date.split_once(", ")?;
    let parts: Vec<&str> = rest.strip_suffix(" GMT")?.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let number = |text: &str, bounds: RangeInclusive<u64>| text.parse().ok().filter(|n| bounds.contains(n));
    let (day, year) = (number(day, 1..=31)?, number(year, 1970..=9999)?);
    let (hour, minute, second) = (number(hour, 0..=23)?, number(minute, 0..=59)?, number(second, 0..=60)?);
    // days since 1 March of the year 0 count leap days where they come: at the end of a year
    let (month, year) = if month < 2 { (month + 10, year - 1) } else { (month - 2, year) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + *MARCH_TO.get(month)? + day - 1;
    Some((days.checked_sub(DAYS_TO_1970)? * 24 + hour) * 3_600 + minute * 60 + second)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MARCH_TO: [u64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337]; // days before each month
const DAYS_TO_1970: u64 = 719_468; // from 1 March of the year 0

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Mon, 29 Feb 2016 00:00:00 GMT", Some(1_456_704_000 - 784_111_777)),
            ("Tue, 01 Mar 2016 00:00:00 GMT", Some(1_456_704_000 + 86_400 - 784_111_777)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799 - 784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("", None),
        ] {
            assert_eq!(parse(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }
}
