//! `oyez pub --lines`: a stream of lines as a live log.

use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use oyez_client::{Batch, Error, ErrorKind, Event, Publisher};
use oyez_proto::EVENT_BYTES_MAX;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::failure::{Failure, one_line};
use crate::input::{self, NotUtf8, Unreadable};
use crate::signals;
use crate::target::Target;

/// Publishes each line of `input` as an event like `template`, and ends when the input does, at Ctrl-C, or at the
/// first batch that is not acknowledged: what is unknown is not sent again, for it could then be there twice.
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
    under_way: u64,
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
            under_way: 0,
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
        self.under_way = batch.len() as u64;
        self.publisher.publish_batch(batch).await.map_err(|error| self.failure(&error))?;
        self.certain += self.under_way;
        self.under_way = 0;
        self.progress.set_position(self.certain);
        Ok(())
    }

    fn failure(&self, error: &Error) -> Failure {
        let why = one_line(error);
        let (first, these) = (self.certain + 1, self.these());
        let next = match error.kind() {
            ErrorKind::Unknown => return self.unknown(&why),
            ErrorKind::Unavailable => {
                let wait = error.retry_after().map_or_else(String::new, |wait| format!(" after {} s", wait.as_secs()));
                format!("{these} and what follows are not published ({why}): go on from line {first}{wait}")
            }
            _ => format!("{these} and what follows are not published: {why}"),
        };
        self.progress.abandon();
        Failure::failed(format!("{}; {next}", certain(self.certain)))
    }

    fn given_up(&self) -> Failure {
        self.unknown("no answer came before the command was stopped")
    }

    fn unknown(&self, why: &str) -> Failure {
        self.progress.abandon();
        let (certain, these) = (certain(self.certain), self.these());
        let next = "look at the topic, then go on from where it ends";
        Failure::failed(format!("{certain}; {these} may be published or not ({why}): {next}"))
    }

    /// The lines under way.
    fn these(&self) -> String {
        match (self.certain + 1, self.certain + self.under_way) {
            (first, last) if first == last => format!("line {first}"),
            (first, last) => format!("lines {first} to {last}"),
        }
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
const GRACE: Duration = Duration::from_secs(5); // for the lines that wait when the command is stopped
const INTERRUPTED: i32 = 130; // what shells say of a command ended by SIGINT
