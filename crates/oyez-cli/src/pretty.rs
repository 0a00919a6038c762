//! JSON for people: indented and in colour, every number and the order of keys as they came.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::de::IgnoredAny;

use crate::visible::visible;

/// The object or array `text`, laid out; `None` when it is no such thing. It is laid out from its text, not from a
/// parsed value, which would round numbers and drop repeated keys.
pub(crate) fn json(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, tail) = rest.split_at(token_len(rest, first));
        let tail = tail.trim_start();
        rest = tail;
        match first {
            '{' | '[' if tail.starts_with(['}', ']']) => {
                out.push(first);
            }
            '{' | '[' => {
                depth += 1;
                out.push(first);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth -= 1;
                    new_line(&mut out, depth);
                }
                out.push(first);
            }
            ',' => {
                out.push(first);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' if tail.starts_with(':') => put(&mut out, KEY, token),
            '"' => put(&mut out, TEXT, token),
            _ => put(&mut out, OTHER, token),
        }
    }
    Some(out)
}

/// How long the token is that `text`, which is JSON, begins with.
fn token_len(text: &str, first: char) -> usize {
    let end = match first {
        '{' | '[' | '}' | ']' | ',' | ':' => Some(1),
        '"' => {
            let mut escaped = false;
            text.char_indices().skip(1).find_map(|(at, c)| match c {
                _ if escaped => {
                    escaped = false;
                    None
                }
                '\\' => {
                    escaped = true;
                    None
                }
                '"' => Some(at + 1),
                _ => None,
            })
        }
        _ => text.find(|c: char| matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace()),
    };
    end.unwrap_or(text.len())
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn put(out: &mut String, style: Style, token: &str) {
    // writing to a String does not fail
    let _ = write!(out, "{style}{}{style:#}", visible(token));
}

const KEY: Style = AnsiColor::Blue.on_default();
const TEXT: Style = AnsiColor::Green.on_default();
const OTHER: Style = AnsiColor::Yellow.on_default();

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = json(text).map(|json| anstream::adapter::strip_str(&json).to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn objects_and_arrays_are_laid_out_as_they_came() {
        check(
            r#" {"b":[1, -2.50e+3,{}],"a" : {"x\"}":"[\\"},"n":12345678901234567890, "b":null,"é":[ ]}"#,
            Some(
                "{\n  \"b\": [\n    1,\n    -2.50e+3,\n    {}\n  ],\n  \"a\": {\n    \"x\\\"}\": \"[\\\\\"\n  },\n  \
                 \"n\": 12345678901234567890,\n  \"b\": null,\n  \"é\": []\n}",
            ),
        );
        check("[]", Some("[]"));
        check("[[[]]]", Some("[\n  [\n    []\n  ]\n]"));
        check("[\"\u{9b}\"]", Some("[\n  \"\\u{9b}\"\n]"));
    }

    #[test]
    fn what_is_no_object_or_array_stays_text() {
        for text in ["", "1", "\"x\"", "{", "{a:1}", "[1,]", "hello {}"] {
            check(text, None);
        }
    }
}
