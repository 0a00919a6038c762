//! `oyez sub`: an EventSource on the command line.

use std::io;
use std::num::{NonZeroU32, NonZeroU64};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Method;
use oyez_client::{Error, EventId, EventSource, Format, Item};
use oyez_proto::EVENT_BYTES_MAX;
use tokio::sync::mpsc;
use url::Url;

use crate::failure::{Failure, one_line};
use crate::output::{self, Line, Output};
use crate::request::RequestOptions;
use crate::runtime::runtime;
use crate::signals;
use crate::target::Unended;
use crate::web_address::{meant, shown};

/// Subscribe: print the events of one or several streams as they arrive
///
/// Reconnects and resumes like a browser's EventSource, until you stop it. In a pipe, or with --json, each line is one JSON
/// object.
///
/// Exit status: 0 after 204, after the end of all topics of the URL, after --max-events, or after Ctrl-C. 1 after a final
/// error, or after --max-attempts. 2 for a wrong command line.
///
/// SIGUSR1 makes it reconnect at once. While it runs, it keeps cookies for their origin.
#[derive(Args)]
pub(crate) struct Sub {
    /// The URL of the stream; each URL is a stream of its own
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,

    /// Print JSON, also on a terminal
    #[arg(long)]
    json: bool,

    /// Start after this id, at this time (10m, 2026-11-20T10:00:00Z), or with the earliest event (earliest)
    #[arg(long, value_name = "S")]
    since: Option<String>,

    /// Start with the newest N events
    #[arg(long, value_name = "N")]
    last: Option<u64>,

    /// End at this time or id
    #[arg(long, value_name = "T")]
    until: Option<String>,

    /// The format to ask for
    #[arg(long, value_enum, default_value_t = StreamFormat::Sse)]
    format: StreamFormat,

    #[command(flatten)]
    request: RequestOptions,

    /// Use this method; POST is the default with --data, else GET
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,

    /// Send this body with each attempt
    #[arg(long, value_name = "BODY", allow_hyphen_values = true)]
    data: Option<String>,

    /// Resume after this id
    #[arg(long, value_name = "ID")]
    last_event_id: Option<String>,

    /// Reconnect after this long without a byte; 0 for never
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    read_timeout_ms: u64,

    /// The reconnection time until the stream sets one; at least 100, at most an hour
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    initial_delay_ms: u64,

    /// Do not randomise the waits
    #[arg(long)]
    no_jitter: bool,

    /// Print comments as well
    #[arg(long)]
    comments: bool,

    /// Exit after this many events
    #[arg(long, value_name = "N")]
    max_events: Option<NonZeroU64>,

    /// Give up after this many failed attempts in a row
    #[arg(long, value_name = "N")]
    max_attempts: Option<NonZeroU32>,

    /// Give up on an event larger than this
    #[arg(long, value_name = "N", default_value_t = EVENT_BYTES_MAX)]
    max_event_bytes: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamFormat {
    Sse,
    Ndjson,
}

impl Sub {
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        self.urls = self.urls.iter().map(|url| meant(url)).collect::<Result<_, _>>()?;
        let sources = self.urls.iter().map(|url| self.source(url)).collect::<Result<Vec<_>, _>>()?;
        let runtime = runtime()?;
        let outcome = runtime.block_on(self.print(sources));
        runtime.shutdown_background();
        outcome
    }

    fn source(&self, url: &str) -> Result<Source, Failure> {
        let invalid = |error: Error| Failure::of(&error);
        EventSource::builder(url).map_err(invalid)?;
        let url = self.with_parameters(url)?;
        let mut builder = EventSource::builder(url.as_str())
            .map_err(invalid)?
            .connect(self.request.connect()?)
            .method(self.method()?)
            .body(self.data.clone().unwrap_or_default())
            .format(match self.format {
                StreamFormat::Sse => Format::EventStream,
                StreamFormat::Ndjson => Format::Lines,
            })
            .read_timeout((self.read_timeout_ms > 0).then(|| Duration::from_millis(self.read_timeout_ms)))
            .initial_delay(Duration::from_millis(self.initial_delay_ms))
            .jitter(!self.no_jitter)
            .cookies(true)
            .comments(self.comments)
            .event_bytes_max(self.max_event_bytes);
        for (name, value) in self.request.headers()? {
            builder = builder.header(name, value).map_err(invalid)?;
        }
        if let Some(attempts) = self.max_attempts {
            builder = builder.attempts_max(attempts);
        }
        if let Some(id) = &self.last_event_id {
            let id = EventId::new(id.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
            builder = builder.last_event_id(id);
        }
        Ok(Source { events: builder.build().map_err(invalid)?, unended: Unended::of(&url) })
    }

    fn with_parameters(&self, url: &str) -> Result<Url, Failure> {
        let mut url =
            Url::parse(url).map_err(|error| Failure::usage(format!("not a URL: {:?}: {error}", shown(url))))?;
        let last = self.last.map(|last| last.to_string());
        let parameters =
            [("since", self.since.as_deref()), ("last", last.as_deref()), ("until", self.until.as_deref())];
        for (name, value) in parameters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }

    fn method(&self) -> Result<Method, Failure> {
        match (&self.method, &self.data) {
            (Some(method), _) => method.parse().map_err(|_| Failure::usage(format!("not a method: {method:?}"))),
            (None, Some(_)) => Ok(Method::POST),
            (None, None) => Ok(Method::GET),
        }
    }

    async fn print(&self, sources: Vec<Source>) -> Result<(), Failure> {
        let mut stop = signals::stop(GRACE, 0);
        let mut reader_gone = pin!(signals::reader_gone());
        let mut items = read(sources);
        let mut output = Output::standard(self.json);
        let mut events = 0;
        loop {
            let (from, item) = tokio::select! {
                biased; // a signal comes before events that still wait
                () = signals::stopped(&mut stop) => return Ok(()),
                () = &mut reader_gone => return Ok(()),
                item = items.recv() => match item {
                    Some(item) => item,
                    None => return Ok(()),
                },
            };
            let url = self.urls.get(from).filter(|_| self.urls.len() > 1).map(|url| shown(url));
            match print(&item, url.as_deref(), &mut output).and_then(|()| output.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Failure::failed(format!("standard output: {error}"))),
                Ok(()) => {}
            }
            match item {
                Err(error) => return Err(self.failure(from, &error)),
                Ok(item) => events += u64::from(is_event(&item)),
            }
            if self.max_events.is_some_and(|max| events >= max.get()) {
                return Ok(());
            }
        }
    }

    fn failure(&self, from: usize, error: &Error) -> Failure {
        let url = self.urls.get(from).map_or("", String::as_str);
        Failure::failed(format!("{}: {}", without_secrets(url), one_line(error)))
    }
}

/// A stream, and what it is to end with.
struct Source {
    events: EventSource,
    unended: Unended,
}

impl Source {
    async fn next(&mut self) -> Option<Result<Item, Error>> {
        self.events.next().await
    }

    /// Does nothing follow this item? The hub would say so in its next answer, 204, but that comes a reconnection time later.
    fn ends_with(&mut self, item: &Result<Item, Error>) -> bool {
        match item {
            Ok(Item::End(event)) => self.unended.was_last(event.data_str()),
            Ok(Item::Line { text, event_type }) if event_type.as_deref() == Some(END) => {
                let line: Option<serde_json::Value> = serde_json::from_str(text).ok();
                let data = line.as_ref().and_then(|line| line.get("data")).and_then(serde_json::Value::as_str);
                data.is_some_and(|data| self.unended.was_last(data))
            }
            _ => false,
        }
    }
}

/// Reads all streams at once, each in a task; the index says which. Bounded, so a slow terminal slows the servers.
fn read(sources: Vec<Source>) -> mpsc::Receiver<(usize, Result<Item, Error>)> {
    let (sender, receiver) = mpsc::channel(ITEMS_AHEAD);
    for (index, mut source) in sources.into_iter().enumerate() {
        let sender = sender.clone();
        let mut reconnect = signals::Reconnect::new();
        tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    () = reconnect.next() => {
                        source.events.reconnect_now();
                        continue;
                    }
                    item = source.next() => item,
                };
                let Some(item) = item else { return };
                let is_last = source.ends_with(&item);
                if sender.send((index, item)).await.is_err() || is_last {
                    return;
                }
            }
        });
    }
    receiver
}

fn print(item: &Result<Item, Error>, url: Option<&str>, output: &mut Output) -> io::Result<()> {
    let text;
    let line = match item {
        Ok(Item::Open { status }) => Line::Open { status: *status, data: None },
        Ok(Item::Session(event)) => Line::Open { status: 200, data: Some(event.data_str()) },
        Ok(Item::Event { event, last_event_id }) => Line::event(event, last_event_id.as_ref()),
        Ok(Item::Comment(comment)) => Line::Comment { comment },
        Ok(Item::Line { text, .. }) => return output.print_ndjson(text, url),
        Ok(Item::Gap(gap)) => Line::Gap {
            reason: &gap.reason,
            requested: gap.requested.as_deref(),
            oldest: gap.oldest.as_deref(),
            missed: gap.missed,
        },
        Ok(Item::End(_)) => Line::End {},
        Ok(Item::Disconnected { error, wait }) => {
            text = one_line(error);
            Line::Error { error: &text, status: error.status(), wait: Some(*wait) }
        }
        // people read it on standard error
        Err(_) if output.format() == output::Format::Human => return Ok(()),
        Err(error) => {
            text = one_line(error);
            Line::Error { error: &text, status: error.status(), wait: None }
        }
        // an item that this version does not know
        Ok(_) => return Ok(()),
    };
    output.print(&line, url)
}

fn is_event(item: &Item) -> bool {
    match item {
        Item::Event { .. } => true,
        Item::Line { event_type, .. } => !event_type.as_deref().unwrap_or_default().starts_with("oyez."),
        _ => false,
    }
}

/// A URL without user, password and query, for messages that end in logs.
fn without_secrets(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(&shown(url)) else { return shown(url) };
    parsed.set_query(None);
    parsed.into()
}

const ITEMS_AHEAD: usize = 64; // enough to keep the writer busy; more would only be older when it is printed
const GRACE: Duration = Duration::from_millis(500);
const END: &str = "oyez.end";
