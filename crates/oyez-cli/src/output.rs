//! What `sub` and `decode` print: one JSON object a line, or something for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use oyez_proto::{Event, EventId};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::pretty;
use crate::visible::{visible, visible_json};

/// A line of output. The shapes are a contract: programs read them.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    Open {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a str>,
    },
    Event {
        #[serde(rename = "type")]
        event_type: &'a str,
        data: &'a str,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry: Option<u64>,
    },
    Comment {
        comment: &'a str,
    },
    Gap {
        reason: &'a str,
        requested: Option<&'a str>,
        oldest: Option<&'a str>,
        missed: Option<u64>,
    },
    End {},
    Error {
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip)]
        wait: Option<Duration>,
    },
    Retry {
        value: u64,
    },
}

impl<'a> Line<'a> {
    pub(crate) fn event(event: &'a Event, last_event_id: Option<&'a EventId>) -> Self {
        Self::Event {
            event_type: event.event_type().unwrap_or("message"),
            data: event.data_str(),
            id: last_event_id.map_or("", |id| id),
            retry: event.reconnection_time().map(milliseconds),
        }
    }
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Standard output.
pub(crate) struct Output {
    format: Format,
    out: Box<dyn Write>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Human,
}

impl Output {
    /// JSON in a pipe or when asked for; else for people, in colour unless `NO_COLOR` or the terminal forbids it.
    pub(crate) fn standard(json: bool) -> Self {
        match json || !io::stdout().is_terminal() {
            true => Self { format: Format::Json, out: Box::new(io::BufWriter::new(io::stdout())) },
            false => Self { format: Format::Human, out: Box::new(anstream::AutoStream::auto(io::stdout())) },
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints one line; `source` says which of several streams it comes from.
    pub(crate) fn print(&mut self, line: &Line<'_>, source: Option<&str>) -> io::Result<()> {
        let text = match self.format {
            Format::Json => json(line, source)?,
            Format::Human => human(line, source, &clock()),
        };
        self.write(&text)
    }

    /// Prints a line of newline-delimited JSON, with its kind in front of the fields that it came with.
    pub(crate) fn print_ndjson(&mut self, line: &str, source: Option<&str>) -> io::Result<()> {
        let text = match self.format {
            Format::Json => visible_json(&with_kind(line)).into_owned(),
            Format::Human => format!("{}{}\n", head(&clock(), source), body(line)),
        };
        self.write(&text)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }
}

#[derive(Serialize)]
struct FromOneOfSeveral<'a> {
    #[serde(flatten)]
    line: &'a Line<'a>,
    url: &'a str,
}

/// Writes to standard output what is whole. Nobody may be reading any more.
pub(crate) fn print_all(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn json(line: &Line<'_>, source: Option<&str>) -> io::Result<String> {
    let mut text = match source {
        None => serde_json::to_string(line)?,
        Some(url) => serde_json::to_string(&FromOneOfSeveral { line, url })?,
    };
    text.push('\n');
    Ok(match visible_json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    })
}

/// A line that is no JSON object stays as it is.
fn with_kind(line: &str) -> String {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        event_type: Option<Cow<'a, str>>,
    }
    let Ok(typed) = serde_json::from_str::<Typed<'_>>(line) else { return format!("{line}\n") };
    let kind = match typed.event_type.as_deref() {
        Some("oyez.gap") => "gap",
        Some("oyez.end") => "end",
        Some("oyez.open") => "open",
        _ => "event",
    };
    match line.trim_start().strip_prefix('{') {
        Some(fields) if fields.trim_start() != "}" => format!("{{\"kind\":\"{kind}\",{fields}\n"),
        _ => format!("{line}\n"),
    }
}

fn clock() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

fn human(line: &Line<'_>, source: Option<&str>, clock: &str) -> String {
    let mut text = head(clock, source);
    match line {
        Line::Open { status, data } => {
            put(&mut text, GOOD, &format!("open {status}"));
            text.push_str(&body(data.unwrap_or_default()));
        }
        Line::Event { event_type, data, id, retry } => {
            put(&mut text, TYPE, event_type);
            if !id.is_empty() {
                put(&mut text, DIM, &format!(" {id}"));
            }
            if let Some(retry) = retry {
                put(&mut text, DIM, &format!(" retry {retry} ms"));
            }
            text.push_str(&body(data));
        }
        Line::Comment { comment } => put(&mut text, DIM, &format!(": {comment}")),
        Line::Gap { reason, requested, oldest, missed } => {
            let missed = missed.map_or("entries".to_owned(), |missed| format!("{missed} entries"));
            let after = requested.map_or_else(String::new, |id| format!(" after {id}"));
            let oldest = oldest.map_or_else(String::new, |id| format!(", the oldest retained is {id}"));
            put(&mut text, BAD, &format!("gap: {missed} missing{after} ({reason}){oldest}"));
        }
        Line::End {} => put(&mut text, GOOD, "end"),
        Line::Error { error, wait, .. } => {
            let next = wait.map_or_else(String::new, |wait| format!("; next attempt in {:.1} s", wait.as_secs_f64()));
            put(&mut text, BAD, &format!("{error}{next}"));
        }
        Line::Retry { value } => put(&mut text, DIM, &format!("retry {value} ms")),
    }
    text.push('\n');
    text
}

fn head(clock: &str, source: Option<&str>) -> String {
    let mut text = String::new();
    put(&mut text, DIM, &format!("{clock} "));
    if let Some(source) = source {
        put(&mut text, DIM, &format!("{source} "));
    }
    text
}

/// Data on the rest of the line if it is one line, else on lines of its own.
fn body(data: &str) -> String {
    match pretty::json(data) {
        Some(json) => format!("\n{json}"),
        None if data.contains('\n') => format!("\n{}", visible(data)),
        None if data.is_empty() => String::new(),
        None => format!(" {}", visible(data)),
    }
}

fn put(out: &mut String, style: Style, text: &str) {
    // writing to a String does not fail
    let _ = write!(out, "{style}{}{style:#}", visible(text));
}

const DIM: Style = Style::new().dimmed();
const TYPE: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &Line<'_>, expected_json: &str, expected_human: &str) {
        assert_eq!(json(line, None).unwrap(), format!("{expected_json}\n"));
        let plain = anstream::adapter::strip_str(&human(line, None, "12:00:00")).to_string();
        assert_eq!(plain, format!("12:00:00 {expected_human}\n"));
    }

    #[test]
    fn every_kind_has_its_shape() {
        check(&Line::Open { status: 200, data: None }, r#"{"kind":"open","status":200}"#, "open 200");
        check(
            &Line::Event { event_type: "t", data: "a", id: "", retry: None },
            r#"{"kind":"event","type":"t","data":"a","id":""}"#,
            "t a",
        );
        let event = Event::data("a\nb").retry(Duration::from_secs(1));
        check(
            &Line::event(&event, Some(&EventId::new("k:1").unwrap())),
            r#"{"kind":"event","type":"message","data":"a\nb","id":"k:1","retry":1000}"#,
            "message k:1 retry 1000 ms\na\nb",
        );
        check(&Line::Comment { comment: "hi" }, r#"{"kind":"comment","comment":"hi"}"#, ": hi");
        check(
            &Line::Gap { reason: "expired", requested: Some("k:1"), oldest: Some("k:5"), missed: Some(3) },
            r#"{"kind":"gap","reason":"expired","requested":"k:1","oldest":"k:5","missed":3}"#,
            "gap: 3 entries missing after k:1 (expired), the oldest retained is k:5",
        );
        check(
            &Line::Gap { reason: "epoch", requested: None, oldest: None, missed: None },
            r#"{"kind":"gap","reason":"epoch","requested":null,"oldest":null,"missed":null}"#,
            "gap: entries missing (epoch)",
        );
        check(&Line::End {}, r#"{"kind":"end"}"#, "end");
        check(
            &Line::Error { error: "no", status: Some(503), wait: Some(Duration::from_millis(3_210)) },
            r#"{"kind":"error","error":"no","status":503}"#,
            "no; next attempt in 3.2 s",
        );
        check(&Line::Error { error: "no", status: None, wait: None }, r#"{"kind":"error","error":"no"}"#, "no");
        check(&Line::Retry { value: 5 }, r#"{"kind":"retry","value":5}"#, "retry 5 ms");
    }

    #[test]
    fn of_several_streams_each_line_says_which() {
        let line = json(&Line::End {}, Some("http://h/")).unwrap();
        assert_eq!(line, "{\"kind\":\"end\",\"url\":\"http://h/\"}\n");
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        let line =
            Line::Event { event_type: "\u{1b}[2J", data: "\u{1b}]0;x\u{7}\u{9b}31m\r", id: "\u{8}", retry: None };
        let plain = anstream::adapter::strip_str(&human(&line, None, "-")).to_string();
        assert_eq!(plain, "- \\u{1b}[2J \\u{8} \\u{1b}]0;x\\u{7}\\u{9b}31m\\r\n");
        let json = json(&line, None).unwrap();
        assert_eq!(
            json,
            "{\"kind\":\"event\",\"type\":\"\\u001b[2J\",\"data\":\"\\u001b]0;x\\u0007\\u009b31m\\r\",\"id\":\"\\b\"}\n"
        );
    }

    #[test]
    fn a_line_of_ndjson_cannot_steer_the_terminal() {
        for text in ["\u{1b}[2J\u{202e}", "{\"data\":\"\u{9b}31m\u{202e}\"}", "{\"data\":\"\u{1b}[2J\"}"] {
            let shown = visible_json(&with_kind(text)).into_owned();
            assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
        }
    }
}
