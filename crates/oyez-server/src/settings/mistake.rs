//! What is wrong with a line of the file, in our words. Texts are not repeated: one may be a secret.

use std::ops::Range;

use toml::de::{DeTable, Error};

/// What is wrong with a file that is no TOML.
pub(crate) fn no_toml(text: &str, error: &Error) -> String {
    let line = error.span().and_then(|place| line_at(text, &place));
    match line.and_then(key_and_rest) {
        Some((key, "")) => format!("{key}: no value; write {key} = …"),
        Some((key, rest)) if !rest.starts_with('=') => format!("{key}: no value; write {key} = …"),
        Some((key, rest)) => match unquoted(key, rest) {
            Some(quoted) => format!("{key}: a text needs quotes: {quoted}"),
            None => format!("{key}: {}", error.message()),
        },
        None => error.message().to_owned(),
    }
}

/// Why a value is not one of the setting `key`, and of which key of it, if it is a table.
pub(crate) fn not_a_value(text: &str, key: &str, place: Option<&Range<usize>>, reason: &str) -> String {
    let inner = place.and_then(|place| line_at(text, place)).and_then(key_and_rest).map(|(inner, _)| inner);
    let inner = inner.filter(|inner| *inner != key && !reason.contains(&format!("`{inner}`")));
    let reason = wrong_type(inner.unwrap_or(key), reason).unwrap_or_else(|| reason.to_owned());
    match inner {
        Some(inner) => format!("{key}: {inner}: {reason}"),
        None => format!("{key}: {reason}"),
    }
}

/// `invalid type: integer `7`, expected a string`, as people would say it.
fn wrong_type(key: &str, reason: &str) -> Option<String> {
    let (found, expected) = reason.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let (kind, value) = found.split_once('`').map_or((found, ""), |(kind, value)| (kind, value.trim_end_matches('`')));
    let is = match kind.trim() {
        "integer" | "floating point" => format!("is the number {value}"),
        "boolean" => format!("is {value}"),
        "sequence" => "is a list".to_owned(),
        "map" => "is a table".to_owned(),
        _ if kind.starts_with("string") => "is a text".to_owned(),
        _ => return None,
    };
    Some(match (expected, value) {
        ("a string", "") => format!("{is}; it must be one text in quotes"),
        ("a string", _) => format!("{is}; it must be a text: {key} = \"{value}\""),
        ("a boolean", _) => format!("{is}; it must be true or false, without quotes"),
        ("a sequence", _) if found == "map" => format!("{is}; it must be a list of tables: [[{key}]]"),
        ("a sequence", _) => format!("{is}; it must be a list: {key} = [\"…\"]"),
        _ => return None,
    })
}

/// How a value is to be written that is a text, or a list of texts, without quotes; `None` when it is something else.
fn unquoted(key: &str, rest: &str) -> Option<String> {
    let value = rest.trim_start_matches('=').trim();
    let value = value.split(" #").next().unwrap_or_default().trim_end();
    if value.is_empty() || value.contains(['"', '\'']) {
        return None;
    }
    let is_list = value.starts_with('[') && value.ends_with(']');
    if !is_list && DeTable::parse(&format!("key = \"{}\"", value.escape_default())).is_err() {
        return None;
    }
    Some(if is_list { format!("{key} = [\"…\"]") } else { format!("{key} = \"…\"") })
}

/// The line of the file where `place` begins.
fn line_at<'a>(text: &'a str, place: &Range<usize>) -> Option<&'a str> {
    let (before, after) = text.split_at_checked(place.start)?;
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| place.start + end);
    text.get(begin..end)
}

/// What a line begins with, if that is a key, and what follows it.
fn key_and_rest(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let is_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let (key, rest) = line.split_at(line.find(|letter| !is_key(letter)).unwrap_or(line.len()));
    (!key.is_empty()).then(|| (key, rest.trim()))
}
