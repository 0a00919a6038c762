//! `oyez pub --lines`: a stream of lines as a live log.

use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use oyez_client::{Batch, Error, ErrorKind, Event, IdempotencyKeys, Publisher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::failure::{Failure, one_line};
use crate::input::{self, Line, NotUtf8, Unfit};
use crate::limits::LINE_BYTES_MAX;
use crate::signals;
use crate::target::Target;
use crate::visible;

/// Publishes each line of `input` as an event like `template`, and ends when the input does, at Ctrl-C, or at the
/// first batch that is refused. A batch that is not answered is sent again under the same name until it is; the next
/// one waits, so the order is that of the input. A line that cannot be an event, or is too large for the hub, is told, left out and
/// counted.
pub(crate) async fn publish(
    publisher: Publisher,
    target: &Target,
    template: &Event,
    input: Box<dyn Read + Send>,
    not_utf8: NotUtf8,
) -> Result<(), Failure> {
    let mut stop = signals::stop(GRACE * 2, INTERRUPTED);
    let mut lines = Publishing::new(publisher, target, template);
    let mut stop_again = stop.clone();
    let unanswered = async {
        signals::stopped(&mut stop_again).await;
        sleep(GRACE).await;
    };
    tokio::select! {
        outcome = lines.run(input::read(input, not_utf8), &mut stop) => outcome,
        () = unanswered => Err(lines.given_up()),
    }
}

struct Publishing<'a> {
    publisher: Publisher,
    topic: &'a str,
    template: &'a Event,
    waiting: Vec<(u64, String)>, // lines and their numbers
    waiting_bytes: usize,
    due: Option<Instant>,
    keys: IdempotencyKeys,
    under_way: UnderWay,
    read: u64,
    certain: u64,
    left_out: u64,
    progress: ProgressBar,
}

impl<'a> Publishing<'a> {
    fn new(publisher: Publisher, target: &'a Target, template: &'a Event) -> Self {
        let progress = progress();
        Self {
            publisher,
            topic: &target.topic,
            template,
            waiting: Vec::new(),
            waiting_bytes: 0,
            due: None,
            keys: IdempotencyKeys::new(),
            under_way: UnderWay::default(),
            read: 0,
            certain: 0,
            left_out: 0,
            progress,
        }
    }

    async fn run(
        &mut self,
        mut input: mpsc::Receiver<Result<Vec<Line>, io::Error>>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        loop {
            tokio::select! {
                biased; // a full input must not keep a waiting line waiting, nor a signal
                () = signals::stopped(stop) => break,
                () = self.due() => self.flush().await?,
                found = input.recv() => match found {
                    Some(Ok(found)) => self.take(found).await?,
                    Some(Err(error)) => {
                        self.flush().await?;
                        let certain = certain(self.certain);
                        return Err(self.end_with(format!("{certain}; the input cannot be read further: {error}")));
                    }
                    None => break,
                },
            }
        }
        self.flush().await?;
        self.progress.finish();
        match self.left_out {
            0 => Ok(()),
            1 => Err(Failure::failed(format!("{}; 1 line was skipped", certain(self.certain)))),
            more => Err(Failure::failed(format!("{}; {more} lines were skipped", certain(self.certain)))),
        }
    }

    /// Resolves when the first waiting line has waited long enough.
    async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn take(&mut self, lines: Vec<Line>) -> Result<(), Failure> {
        for line in lines {
            self.read += 1;
            let line = match line {
                Line::Text(line) => line,
                Line::Unfit(Unfit::NotUtf8) => {
                    self.leave_out(self.read, "is not UTF-8 (--lossy replaces such bytes)");
                    continue;
                }
                Line::Unfit(Unfit::TooLong) => {
                    self.leave_out(self.read, &format!("is longer than {LINE_BYTES_MAX} bytes"));
                    continue;
                }
            };
            let line_bytes = json_len(self.topic) + json_len(&line) + LINE_OVERHEAD_BYTES;
            if !self.waiting.is_empty() && self.waiting_bytes + line_bytes > BATCH_BYTES_MAX {
                self.flush().await?;
            }
            self.waiting.push((self.read, line));
            self.waiting_bytes += line_bytes;
            self.due.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
            if self.waiting.len() >= BATCH_LINES_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Publishes what waits. Of a batch that is too large for the hub the halves are tried, down to the line that is.
    async fn flush(&mut self) -> Result<(), Failure> {
        self.due = None;
        self.waiting_bytes = 0;
        let mut batches = vec![std::mem::take(&mut self.waiting)];
        while let Some(mut lines) = batches.pop() {
            let [(first, _), ..] = &lines[..] else { continue };
            let first = *first;
            let last = lines.last().map_or(first, |(number, _)| *number);
            match self.send(first, last, &lines).await {
                Ok(()) => self.certain += lines.len() as u64,
                Err(error) if error.status() == Some(TOO_LARGE) && lines.len() == 1 => {
                    self.leave_out(first, &format!("is too large for the hub ({})", one_line(&error)));
                }
                Err(error) if error.status() == Some(TOO_LARGE) => {
                    let half = lines.split_off(lines.len() / 2);
                    batches.extend([half, lines]);
                }
                Err(error) => return Err(self.not_published(&one_line(&error))),
            }
            self.progress.set_position(self.certain);
        }
        Ok(())
    }

    async fn send(&mut self, first: u64, last: u64, lines: &[(u64, String)]) -> Result<(), Error> {
        let mut batch = Batch::new();
        for (_, line) in lines {
            batch.push(self.topic, &like(self.template, line.clone()));
        }
        self.under_way = UnderWay::lines(first, last);
        let told = |error: &Error, wait| self.under_way.failed(error, wait, &self.progress);
        self.publisher.publish_batch_until_answered(&self.keys.draw(), batch, told).await?;
        self.under_way.answered(&self.progress);
        Ok(())
    }

    fn leave_out(&mut self, number: u64, why: &str) {
        self.left_out += 1;
        tell(&format!("line {number} {why}; it is skipped"), &self.progress);
    }

    fn given_up(&self) -> Failure {
        self.not_published("no answer came before the command was stopped")
    }

    fn not_published(&self, why: &str) -> Failure {
        let (certain, these) = (certain(self.certain), &self.under_way);
        self.end_with(if these.unknown_since.is_some() {
            let next = "read the topic, then continue after its last line";
            format!("{certain}; {these} may or may not be published ({why}): {next}")
        } else {
            format!("{certain}; {these} and the following lines are not: {why}")
        })
    }

    fn end_with(&self, why: String) -> Failure {
        self.progress.abandon();
        Failure::failed(why)
    }
}

/// The lines of the batch that is not answered yet.
#[derive(Default)]
struct UnderWay {
    first: u64,
    last: u64,
    failures: u32,
    unknown_since: Option<Instant>, // an attempt may have been taken without an answer
}

impl UnderWay {
    fn lines(first: u64, last: u64) -> Self {
        Self { first, last, ..Self::default() }
    }

    /// Says that an attempt failed: whoever waits wants to know for what.
    fn failed(&mut self, error: &Error, wait: Duration, progress: &ProgressBar) {
        self.failures += 1;
        if error.kind() == ErrorKind::Unknown {
            self.unknown_since.get_or_insert_with(Instant::now);
        }
        let mut note = format!("{self} not answered yet ({}), again in {:.1} s", one_line(error), wait.as_secs_f64());
        if self.unknown_since.is_some_and(|since| since.elapsed() > KEY_KEPT) {
            note.push_str("; a hub recognises repeats for ten minutes, so these lines may be there twice");
        }
        tell(&note, progress);
    }

    /// Says that it goes on, if it was said that it does not.
    fn answered(&self, progress: &ProgressBar) {
        if self.failures > 0 {
            tell(&format!("{self} published at attempt {}", self.failures + 1), progress);
        }
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "line {first}"),
            (first, last) => write!(f, "lines {first} to {last}"),
        }
    }
}

/// Writes a line to standard error, above the progress if that is shown.
fn tell(note: &str, progress: &ProgressBar) {
    progress.suspend(|| visible::tell(&format!("oyez: {note}")));
}

fn certain(lines: u64) -> String {
    if lines == 1 { "1 line is published".to_owned() } else { format!("{lines} lines are published") }
}

fn like(template: &Event, data: String) -> Event {
    template.clone().without_id().with_data(data)
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
    let style = ProgressStyle::with_template("{human_pos} lines certain, {rate} lines/s, {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key(
        "rate",
        |state: &ProgressState, out: &mut dyn fmt::Write| {
            // a progress line that cannot be written is no reason to stop
            let _ = write!(out, "{:.0}", state.per_sec());
        },
    );
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

const BATCH_LINES_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_WAIT: Duration = Duration::from_millis(20); // since the first line that waits
const LINE_OVERHEAD_BYTES: usize = 256; // keys, type and reconnection time around topic and data
const KEY_KEPT: Duration = Duration::from_secs(10 * 60); // how long a hub remembers the name of a batch
const GRACE: Duration = Duration::from_secs(5); // for the lines that wait when the command is stopped
const TOO_LARGE: u16 = 413;
const INTERRUPTED: i32 = 130; // what shells say of a command ended by SIGINT
