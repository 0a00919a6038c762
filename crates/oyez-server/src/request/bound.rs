//! Places in the log as people write them: `since=` and `until=`.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;

use crate::problem::Problem;
use crate::units;

/// A place in the log, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    Id(String),
    Time(SystemTime),
}

impl Bound {
    /// Reads the parameter `name`: a time first, then an id. What was meant as a time and is none is refused; as an id it would be
    /// unknown, and its reader would get everything. An id that looks like a time goes into `last_event_id`.
    pub(crate) fn read(name: &str, text: &str, now: SystemTime) -> Result<Self, Problem> {
        if let Some(ago) = units::duration(text) {
            return Ok(Self::Time(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)));
        }
        if let Some(time) = unix_time(text).or_else(|| timestamp(text)).or_else(|| day(text)) {
            return Ok(Self::Time(time));
        }
        match text {
            "now" => Ok(Self::Time(now)),
            "" => Err(Problem::invalid(format!("{name} is empty; give {FORMS}"))),
            _ => match why_no_time(text) {
                Some(why) => Err(Problem::invalid(format!("{name}={text:?} {why}"))),
                None => Ok(Self::Id(text.to_owned())),
            },
        }
    }
}

/// Seconds or milliseconds since 1970: as many digits as they have from 2001 to 2286.
fn unix_time(text: &str) -> Option<SystemTime> {
    let number: u64 = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()?;
    let since_1970 = match text.len() {
        10 => Duration::from_secs(number),
        13 => Duration::from_millis(number),
        _ => return None,
    };
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

/// A time with its zone, as RFC 3339 has it.
fn timestamp(text: &str) -> Option<SystemTime> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.into());
    }
    // the end of the year 9999, beyond what is reckoned with
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time().is_some() && pieces.offset().is_some())?;
    is_last(pieces.date()).then(|| Timestamp::MAX.into())
}

/// The beginning of a day in UTC: `2026-08-01`.
fn day(text: &str) -> Option<SystemTime> {
    let date: Date = Some(text).filter(|text| text.len() == DAY_CHARS && text.contains('-'))?.parse().ok()?;
    match date.to_zoned(TimeZone::UTC) {
        Ok(time) => Some(time.timestamp().into()),
        Err(_) => is_last(date).then(|| Timestamp::MAX.into()),
    }
}

/// Is it so late that its time may be no [`Timestamp`]?
fn is_last(date: Date) -> bool {
    date.year() == 9999 && date.month() == 12 && date.day() >= 30
}

/// Why the text, which was meant as a time, is none. `None` when it may be an id.
fn why_no_time(text: &str) -> Option<String> {
    if begins_like_a_date(text) {
        return Some(if is_zone_with_blank(text) {
            "has a blank instead of the + of its time zone; write + as %2B in a URL".to_owned()
        } else if text.parse::<DateTime>().is_ok() {
            "has no time zone; add Z, or an offset such as -05:00 or %2B01:00".to_owned()
        } else {
            "is not a date or time; write 2026-08-01 or 2026-08-01T09:30:00Z".to_owned()
        });
    }
    if is_short_number(text) {
        let number = text.trim_start_matches(SIGNS);
        return Some(format!(
            "is a number without a unit; say {number}s, {number}m or {number}h for so long ago, or {FORMS}. \
             An id that is a number goes into last_event_id"
        ));
    }
    if is_numbers_with_units(text) || DAYS.iter().any(|day| text.eq_ignore_ascii_case(day)) {
        return Some(format!("is not a time; give {FORMS}. The units are ms, s, m, h, d and w"));
    }
    None
}

/// `2026-08-01…`, `2026-08`, `2026/8/1`, `1.8.2026`, `Sat, 01 Aug 2026`, `1 Aug 2026`.
fn begins_like_a_date(text: &str) -> bool {
    let mut parts = text.splitn(3, ['-', '/', '.']);
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let is_number = |text: &str, lengths: &[usize]| digits(text) == text.len() && lengths.contains(&text.len());
    let is_month = second.is_some_and(|second| is_number(second, &[1, 2]));
    let year_first = is_number(first, &[4]) && third.is_none_or(|third| digits(third) > 0);
    let year_last = is_number(first, &[1, 2]) && third.is_some_and(|third| digits(third) == 4) && !text.contains('-');
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).take(2).collect();
    let named = words.iter().any(|word| NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)));
    is_month && (year_first || year_last) || named && words.len() > 1
}

/// `…T09:30:00 01:00`, where a `+` was.
fn is_zone_with_blank(text: &str) -> bool {
    let zone = text
        .rsplit_once(' ')
        .filter(|(time, _)| time.contains('-') && time.contains(['T', 't', ':']))
        .map(|(_, zone)| zone);
    zone.is_some_and(|zone| zone.len() >= 2 && zone.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'))
}

/// A number of fewer digits than a Unix time, or with a sign or a fraction. One of more digits may be an id.
fn is_short_number(text: &str) -> bool {
    let number = text.trim_start_matches(SIGNS);
    let (whole, fraction) = number.split_once(['.', ',']).map_or((number, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && fraction.is_none_or(digits) && (fraction.is_some() || number != text || whole.len() < 10)
}

/// `10min`, `1.5h`, `10 minutes ago`, `-1h`, `PT10M`: all of the text is numbers with units, as no id is.
fn is_numbers_with_units(text: &str) -> bool {
    let text = text.trim_start_matches(SIGNS).trim_end_matches("ago");
    let iso = text.strip_prefix('P').map(|rest| rest.strip_prefix('T').unwrap_or(rest));
    let mut rest = iso.unwrap_or(text).trim();
    let mut found = false;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ',');
        let after = unit.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (word, tail) = after.split_at(end);
        if unit.len() == rest.len() || !UNITS.iter().any(|unit| word.eq_ignore_ascii_case(unit)) {
            return false;
        }
        (rest, found) = (tail.trim_start_matches([' ', ',']), true);
    }
    found
}

/// What people write, in words of a refusal.
const FORMS: &str = "a duration such as 10m, a time such as 2026-08-01T09:30:00Z, Unix seconds, earliest or an id";
/// `-`, and `+` as it is and as a URL has it.
const SIGNS: [char; 3] = ['-', '+', ' '];
/// Units that people write, and those that are known.
const UNITS: [&str; 33] = [
    "ns", "us", "ms", "msec", "msecs", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute",
    "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "wk", "week", "weeks", "mo", "month",
    "months", "y", "year", "years",
];
const DAYS: [&str; 3] = ["yesterday", "today", "tomorrow"];
/// Names that dates in words begin with.
const NAMES: [&str; 19] = [
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep",
    "oct", "nov", "dec",
];
/// Characters of `2026-08-01`.
const DAY_CHARS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn times_are_read_in_every_form() {
        for (text, expected) in [
            ("10m", NOW - 600),
            ("1h30m", NOW - 5_400),
            ("1w", NOW - 604_800),
            ("now", NOW),
            ("2026-08-01T09:30:00Z", 1_785_576_600),
            ("2026-08-01T09:30:00+01:00", 1_785_573_000),
            ("2026-08-01t09:30:00.000z", 1_785_576_600),
            ("2026-08-01 09:30:00Z", 1_785_576_600),
            ("2026-08-01", 1_785_542_400),
            ("1785576600", 1_785_576_600),
            ("1785576600000", 1_785_576_600),
        ] {
            assert_eq!(Bound::read("since", text, at(NOW)), Ok(Bound::Time(at(expected))), "{text}");
        }
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999-05:00", "9999-12-31"] {
            let Ok(Bound::Time(time)) = Bound::read("until", text, at(NOW)) else { panic!("{text}") };
            assert!(time > at(253_402_000_000), "{text}");
        }
    }

    #[test]
    fn what_was_meant_as_a_time_and_is_none_is_refused() {
        for (text, why) in [
            ("", "is empty"),
            ("yesterday", "is not a time"),
            ("Today", "is not a time"),
            ("10", "number without a unit; say 10s, 10m or 10h"),
            ("0", "number without a unit"),
            ("-1", "number without a unit; say 1s"),
            ("1.5", "number without a unit"),
            ("1785576600.25", "number without a unit"),
            ("10min", "The units are ms, s, m, h, d and w"),
            ("10 min", "units"),
            ("1.5h", "units"),
            ("-1h", "units"),
            (" 1h", "units"),
            ("2 hours ago", "units"),
            ("1 day, 2 hours", "units"),
            ("10M", "units"),
            ("PT10M", "units"),
            ("P1D", "units"),
            ("2026-08-01T09:30:00 01:00", "%2B"),
            ("2026-08-01T09:30:00 0100", "%2B"),
            ("2026-08-01T09:30:00", "no time zone"),
            ("2026-08-01 09:30", "no time zone"),
            ("2026-13-01", "not a date or time"),
            ("2026-08-01T25:00:00Z", "not a date or time"),
            ("2026-08-0", "not a date or time"),
            ("2026-08", "not a date or time"),
            ("2026/08/01", "not a date or time"),
            ("1.8.2026", "not a date or time"),
            ("08/01/2026", "not a date or time"),
            ("2026-8-1", "not a date or time"),
            ("Sat, 01 Aug 2026 09:30:00 GMT", "not a date or time"),
            ("1 Aug 2026", "not a date or time"),
            ("Sat Aug  1 09:30:00 UTC 2026", "not a date or time"),
        ] {
            let problem = Bound::read("since", text, at(NOW)).expect_err(text).to_string();
            assert!(problem.contains(why) && problem.starts_with("since"), "{text}: {problem}");
        }
    }

    #[test]
    fn ids_are_ids() {
        for id in [
            "k4f9zq71:1042",
            "order-7",
            "7d3f2b1c-9c4e-4f7a-8d52-0123456789ab",
            "5m3s0000-9c4e",
            "12345678-0000-4000-8000-000000000000",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "1234567890123456789",
            "12345678901",
            "1.2.3",
            "2026-order",
            "2026-11-first",
            "P1",
            "PD",
            "mon",
            "monday 7",
            "a b",
            "10x",
            "x10m",
            "-",
            "ago",
        ] {
            assert_eq!(Bound::read("since", id, at(NOW)), Ok(Bound::Id(id.to_owned())), "{id}");
        }
    }
}
