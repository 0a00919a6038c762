//! `oyez pub --lines`: a stream of lines as a live log.

use std::io::{self, IsTerminal, Read};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use memchr::memchr;
use oyez_client::{Batch, Error, ErrorKind, Event, Publisher};
use oyez_proto::EVENT_BYTES_MAX;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::failure::{Failure, one_line};
use crate::signals;

/// Where the lines go: the topic, and the URL that takes batches.
#[derive(Debug)]
pub(crate) struct Target {
    url: String,
    topic: String,
}

impl Target {
    /// Splits `url` after its first path segment `events`; what follows is the topic, or the topic `events` if
    /// nothing follows.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        let mut parsed = Url::parse(url).map_err(|error| Failure::usage(format!("not a URL: {url:?}: {error}")))?;
        let segments: Vec<String> = parsed.path().split('/').map(str::to_owned).collect();
        let Some(events) = segments.iter().position(|segment| segment == "events") else {
            let message = format!("--lines wants a URL whose path has a segment \"events\", not {:?}", parsed.path());
            return Err(Failure::usage(message));
        };
        let (base, topic) = segments.split_at(events + 1);
        let topic = topic.join("/");
        let topic = percent_decode_str(&topic)
            .decode_utf8()
            .map_err(|_| Failure::usage(format!("the topic is not UTF-8: {topic:?}")))?;
        let topic = if topic.is_empty() { "events".to_owned() } else { topic.into_owned() };
        parsed.set_path(&base.join("/"));
        Ok(Self { url: parsed.into(), topic })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Publishes each line of `input` as an event like `template`, and ends when the input does, at Ctrl-C, or at the
/// first batch that is not acknowledged: what is unknown is not sent again, for it could then be there twice.
pub(crate) async fn publish(
    publisher: Publisher,
    target: &Target,
    template: &Event,
    input: Box<dyn Read + Send>,
) -> Result<(), Failure> {
    let mut stop = signals::stop(GRACE);
    let mut input = read(input);
    let mut lines = Publishing::new(publisher, target, template);
    loop {
        tokio::select! {
            biased; // a full input must not keep a waiting line waiting, nor a signal
            _ = &mut stop => break,
            () = lines.due() => lines.flush().await?,
            found = input.recv() => match found {
                Some(Ok(found)) => lines.take(found).await?,
                Some(Err(error)) => {
                    lines.flush().await?;
                    return Err(lines.unreadable(&error));
                }
                None => break,
            },
        }
    }
    lines.flush().await?;
    lines.progress.finish();
    Ok(())
}

struct Publishing<'a> {
    publisher: Publisher,
    topic: &'a str,
    template: &'a Event,
    waiting: Batch,
    due: Option<Instant>,
    certain: u64,
    progress: ProgressBar,
}

impl<'a> Publishing<'a> {
    fn new(publisher: Publisher, target: &'a Target, template: &'a Event) -> Self {
        let progress = progress();
        Self { publisher, topic: &target.topic, template, waiting: Batch::new(), due: None, certain: 0, progress }
    }

    /// Resolves when the first waiting line has waited long enough.
    async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn take(&mut self, lines: Vec<String>) -> Result<(), Failure> {
        for line in lines {
            let line_bytes = json_len(self.topic) + json_len(&line) + LINE_OVERHEAD_BYTES;
            if !self.waiting.is_empty() && self.waiting.bytes() + line_bytes > BATCH_BYTES_MAX {
                self.flush().await?;
            }
            self.waiting.push(self.topic, &like(self.template, line));
            self.due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
            if self.waiting.len() >= BATCH_LINES_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.due = None;
        let batch = std::mem::take(&mut self.waiting);
        if batch.is_empty() {
            return Ok(());
        }
        let lines = batch.len() as u64;
        match self.publisher.publish_batch(batch).await {
            Ok(_ids) => {
                self.certain += lines;
                self.progress.set_position(self.certain);
                Ok(())
            }
            Err(error) => Err(self.failure(&error, lines)),
        }
    }

    fn failure(&self, error: &Error, lines: u64) -> Failure {
        self.progress.abandon();
        let (first, last) = (self.certain + 1, self.certain + lines);
        let these = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        let why = one_line(error);
        let next = match error.kind() {
            ErrorKind::Unknown => {
                format!("{these} may be published or not ({why}): look at the topic, then go on from where it ends")
            }
            ErrorKind::Unavailable => {
                let wait = error.retry_after().map_or_else(String::new, |wait| format!(" after {} s", wait.as_secs()));
                format!("{these} and what follows are not published ({why}): go on from line {first}{wait}")
            }
            _ => format!("{these} and what follows are not published: {why}"),
        };
        Failure::failed(format!("{}; {next}", certain(self.certain)))
    }

    fn unreadable(&self, error: &Unreadable) -> Failure {
        self.progress.abandon();
        let certain = certain(self.certain);
        let line = self.certain + 1; // all before it are published
        match error {
            Unreadable::NotUtf8 => Failure::failed(format!("{certain}; line {line} is not UTF-8")),
            Unreadable::TooLong => {
                Failure::failed(format!("{certain}; line {line} is longer than {EVENT_BYTES_MAX} bytes"))
            }
            Unreadable::Io(error) => Failure::failed(format!("{certain}; the input cannot be read on: {error}")),
        }
    }
}

fn certain(lines: u64) -> String {
    if lines == 1 { "1 line is certain".to_owned() } else { format!("{lines} lines are certain") }
}

fn like(template: &Event, data: String) -> Event {
    let mut event = Event::data(data);
    if let Some(event_type) = template.event_type() {
        event = event.with_type(event_type.clone());
    }
    if let Some(time) = template.reconnection_time() {
        event = event.retry(time);
    }
    event
}

/// No less than `text` has as a JSON string.
fn json_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// A line on standard error when that is a terminal.
fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{human_pos} lines certain, {per_sec}, {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[derive(Debug)]
enum Unreadable {
    NotUtf8,
    TooLong,
    Io(io::Error),
}

/// Reads lines in a thread of their own, which ends with the process: a read of standard input cannot be called off.
/// What is there at once comes at once; little is read ahead, so a pipe fills up when the hub is slow.
fn read(mut input: Box<dyn Read + Send>) -> mpsc::Receiver<Result<Vec<String>, Unreadable>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut splitter = Splitter { line_bytes_max: EVENT_BYTES_MAX, held: Vec::new() };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut lines = Vec::new();
            let (outcome, ended) = match input.read(&mut buffer) {
                Ok(0) => (splitter.end(&mut lines), true),
                Ok(filled) => (splitter.split(buffer.get(..filled).unwrap_or_default(), &mut lines), false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => (Err(Unreadable::Io(error)), true),
            };
            if !lines.is_empty() && sender.blocking_send(Ok(lines)).is_err() {
                return;
            }
            if let Err(error) = outcome {
                // whoever has stopped does not ask why
                drop(sender.blocking_send(Err(error)));
                return;
            }
            if ended {
                return;
            }
        }
    });
    receiver
}

/// Cuts bytes into lines ended by LF or CRLF.
struct Splitter {
    line_bytes_max: usize,
    held: Vec<u8>,
}

impl Splitter {
    /// Adds the lines that end in `bytes`; on an error, those before it.
    fn split(&mut self, mut bytes: &[u8], lines: &mut Vec<String>) -> Result<(), Unreadable> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (part, rest) = bytes.split_at(end);
            self.hold(part)?;
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            lines.push(self.line()?);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes)
    }

    /// Adds the last line if it has no end.
    fn end(&mut self, lines: &mut Vec<String>) -> Result<(), Unreadable> {
        if !self.held.is_empty() {
            lines.push(self.line()?);
        }
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), Unreadable> {
        if part.len() > self.line_bytes_max.saturating_sub(self.held.len()) {
            return Err(Unreadable::TooLong);
        }
        self.held.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(std::mem::take(&mut self.held)).map_err(|_| Unreadable::NotUtf8)
    }
}

const BATCH_LINES_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_WAIT: Duration = Duration::from_millis(20); // since the first line that waits
const LINE_OVERHEAD_BYTES: usize = 256; // keys, type and reconnection time around topic and data
const READ_BYTES: usize = 64 * 1024;
const GRACE: Duration = Duration::from_secs(5); // for the lines that wait when the command is stopped

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_target(url: &str, expected_url: &str, expected_topic: &str) {
        let target = Target::of(url).unwrap();
        assert_eq!((target.url.as_str(), target.topic.as_str()), (expected_url, expected_topic));
    }

    #[test]
    fn a_url_is_split_after_its_first_segment_events() {
        check_target("http://h/events/log", "http://h/events", "log");
        check_target("http://h/events/a/b%20%2F%C3%A4?x=1", "http://h/events?x=1", "a/b /ä");
        check_target("http://h/under/events/events/x", "http://h/under/events", "events/x");
        check_target("http://h/events", "http://h/events", "events");
        check_target("http://h/events/", "http://h/events", "events");
        check_target("http://h/events/a//b/", "http://h/events", "a//b/");
        for bad in ["http://h/", "http://h/eventsx/a", "http://h/?events", "http://h/events/%ff"] {
            assert!(Target::of(bad).is_err(), "{bad}");
        }
    }

    #[track_caller]
    fn check_lines(chunks: &[&[u8]], expected: &[&str]) {
        let mut splitter = Splitter { line_bytes_max: 8, held: Vec::new() };
        let mut lines = Vec::new();
        let mut outcome = chunks.iter().try_for_each(|chunk| splitter.split(chunk, &mut lines));
        if outcome.is_ok() {
            outcome = splitter.end(&mut lines);
        }
        if let Err(error) = outcome {
            lines.push(format!("{error:?}"));
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_end_with_lf_or_crlf_and_the_last_one_need_not() {
        check_lines(&[b"a\nb\r\n\n", b"c", b"d\r", b"\ne\rf\n", b"last"], &["a", "b", "", "cd", "e\rf", "last"]);
        check_lines(&[b"\xc3", b"\xa4\n"], &["ä"]);
        check_lines(&[b""], &[]);
        check_lines(&[b"\n"], &[""]);
    }

    #[test]
    fn what_cannot_be_published_stops_after_the_lines_before_it() {
        check_lines(&[b"a\n\xff\nb\n"], &["a", "NotUtf8"]);
        check_lines(&[b"a\n\xff"], &["a", "NotUtf8"]);
        check_lines(&[b"12345678\n", b"123456", b"789\n"], &["12345678", "TooLong"]);
    }
}
