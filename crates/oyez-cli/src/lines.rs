//! `oyez pub --lines`: a stream of lines as a live log.

use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use oyez_client::{Batch, Error, ErrorKind, Event, IdempotencyKeys, Publisher};
use oyez_proto::EVENT_BYTES_MAX;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::failure::{Failure, one_line};
use crate::input::{self, NotUtf8, Unreadable};
use crate::signals;
use crate::target::Target;

/// Publishes each line of `input` as an event like `template`, and ends when the input does, at Ctrl-C, or at the
/// first batch that is refused. A batch that is not answered is sent again under the same name until it is; the next
/// one waits, so the order is that of the input.
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
    waiting: Batch,
    due: Option<Instant>,
    keys: IdempotencyKeys,
    under_way: UnderWay,
    certain: u64,
    progress: ProgressBar,
}

impl<'a> Publishing<'a> {
    fn new(publisher: Publisher, target: &'a Target, template: &'a Event) -> Self {
        let progress = progress();
        Self {
            publisher,
            topic: &target.topic,
            template,
            waiting: Batch::new(),
            due: None,
            keys: IdempotencyKeys::new(),
            under_way: UnderWay::default(),
            certain: 0,
            progress,
        }
    }

    async fn run(
        &mut self,
        mut input: mpsc::Receiver<Result<Vec<String>, Unreadable>>,
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
                        return Err(self.unreadable(&error));
                    }
                    None => break,
                },
            }
        }
        self.flush().await?;
        self.progress.finish();
        Ok(())
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
        self.under_way = UnderWay::lines(self.certain + 1, batch.len() as u64);
        let told = |error: &Error, wait| self.under_way.failed(error, wait, &self.progress);
        let outcome = self.publisher.publish_batch_until_answered(&self.keys.draw(), batch, told).await;
        outcome.map_err(|error| self.not_published(&one_line(&error)))?;
        self.under_way.answered(&self.progress);
        self.certain = self.under_way.last;
        self.progress.set_position(self.certain);
        Ok(())
    }

    fn given_up(&self) -> Failure {
        self.not_published("no answer came before the command was stopped")
    }

    fn not_published(&self, why: &str) -> Failure {
        self.progress.abandon();
        let (certain, these) = (certain(self.certain), &self.under_way);
        Failure::failed(if these.unknown_since.is_some() {
            let next = "look at the topic, then go on from where it ends";
            format!("{certain}; {these} may be published or not ({why}): {next}")
        } else {
            format!("{certain}; {these} and what follows are not published: {why}")
        })
    }

    fn unreadable(&self, error: &Unreadable) -> Failure {
        self.progress.abandon();
        let certain = certain(self.certain);
        let line = self.certain + 1; // all before it are published
        match error {
            Unreadable::NotUtf8 => {
                Failure::failed(format!("{certain}; line {line} is not UTF-8 (--lossy replaces such bytes)"))
            }
            Unreadable::TooLong => {
                Failure::failed(format!("{certain}; line {line} is longer than {EVENT_BYTES_MAX} bytes"))
            }
            Unreadable::Io(error) => Failure::failed(format!("{certain}; the input cannot be read on: {error}")),
        }
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
    fn lines(first: u64, number: u64) -> Self {
        Self { first, last: first + number - 1, ..Self::default() }
    }

    /// Says that an attempt failed: whoever waits wants to know for what.
    fn failed(&mut self, error: &Error, wait: Duration, progress: &ProgressBar) {
        self.failures += 1;
        if error.kind() == ErrorKind::Unknown {
            self.unknown_since.get_or_insert_with(Instant::now);
        }
        let mut note = format!("{self} not answered yet ({}), again in {:.1} s", one_line(error), wait.as_secs_f64());
        if self.unknown_since.is_some_and(|since| since.elapsed() > KEY_KEPT) {
            note.push_str("; a hub remembers them for ten minutes, so they may be there twice");
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
    // there is nowhere left to report that this fails
    progress.suspend(|| drop(writeln!(io::stderr(), "oyez: {note}")));
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
const INTERRUPTED: i32 = 130; // what shells say of a command ended by SIGINT
