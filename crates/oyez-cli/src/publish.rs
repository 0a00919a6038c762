//! `oyez pub`: one event, or each line of a stream as an event.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oyez_client::{Error, Event, Publisher};
use oyez_proto::EVENT_BYTES_MAX;

use crate::failure::{Failure, one_line};
use crate::input::NotUtf8;
use crate::lines;
use crate::request::RequestOptions;
use crate::runtime::runtime;
use crate::target::Target;
use crate::visible::{tell, visible_line};
use crate::web_address::{meant, shown};

/// Publish an event, or each line of the input as an event
///
/// Without DATA and --file, the data is all of standard input, unchanged. Prints the id of the event.
///
/// With --lines, each line is published as soon as it is there: tail -F app.log | oyez pub --lines URL
///
/// Lines without an answer are sent again, with an idempotency key, until they are acknowledged. A line that is too large or not
/// UTF-8 is named and skipped, and the exit status at the end is 1.
#[derive(Args)]
pub(crate) struct Publish {
    /// The URL of the topic, such as http://127.0.0.1:8888/events/news
    #[arg(value_name = "URL")]
    url: String,

    /// The data of the event; - is standard input
    #[arg(value_name = "DATA", conflicts_with_all = ["file", "lines"], allow_negative_numbers = true)]
    data: Option<String>,

    /// Read the data from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Publish each line of the input as an event, in batches
    #[arg(long)]
    lines: bool,

    /// With --lines: replace bytes that are not UTF-8 by U+FFFD instead of skipping their line
    #[arg(long, requires = "lines")]
    lossy: bool,

    #[command(flatten)]
    request: RequestOptions,

    /// The type of the event
    #[arg(long, value_name = "T")]
    event: Option<String>,

    /// The id of the event; without it the hub makes one
    #[arg(long, value_name = "ID", conflicts_with = "lines")]
    id: Option<String>,

    /// The reconnection time for readers of the event, in milliseconds
    #[arg(long, value_name = "MS")]
    retry: Option<u64>,
}

impl Publish {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // what is wrong on the command line is told before any input is read
        let url = &*meant(&self.url)?;
        Publisher::new(url).map_err(|error| Failure::of(&error))?;
        let template = self.dress(Event::data(""))?;
        if self.lines {
            let target = Target::of(url)?;
            let publisher = self.publisher(&target.url)?;
            let not_utf8 = if self.lossy { NotUtf8::Replace } else { NotUtf8::Refuse };
            return runtime()?.block_on(lines::publish(publisher, &target, &template, self.input()?, not_utf8));
        }
        let publisher = self.publisher(url)?;
        let event = self.dress(Event::data(self.read()?))?;
        let runtime = runtime()?;
        let id = runtime.block_on(publisher.publish(&event)).map_err(|error| refused(url, &error))?;
        // whoever does not read the id does not need it
        let _ = writeln!(io::stdout(), "{}", visible_line(&id));
        Ok(())
    }

    fn publisher(&self, url: &str) -> Result<Publisher, Failure> {
        let invalid = |error: Error| Failure::of(&error);
        let mut builder = Publisher::builder(url).map_err(invalid)?.connect(self.request.connect()?);
        for (name, value) in self.request.headers()? {
            builder = builder.header(name, value).map_err(invalid)?;
        }
        builder.build().map_err(invalid)
    }

    /// Gives an event the type, id and reconnection time of the command line.
    fn dress(&self, mut event: Event) -> Result<Event, Failure> {
        let invalid = |error: oyez_proto::Error| Failure::usage(error.to_string());
        if let Some(event_type) = &self.event {
            event = event.event(event_type.as_str()).map_err(invalid)?;
        }
        if let Some(id) = &self.id {
            event = event.id(id.as_str()).map_err(invalid)?;
        }
        if let Some(milliseconds) = self.retry {
            event = event.retry(Duration::from_millis(milliseconds));
        }
        Ok(event)
    }

    /// The file to read, unless that is standard input.
    fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref().filter(|file| file.as_os_str() != STANDARD_INPUT)
    }

    /// Whoever waits for the command waits for himself.
    fn tell_of_terminal(&self) {
        if io::stdin().is_terminal() {
            let what = if self.lines { "each line is an event" } else { "all of it is one event" };
            tell(&format!("oyez: reading from the terminal, {what}; Ctrl-D ends the input"));
        }
    }

    fn input(&self) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match self.file() {
            None => {
                self.tell_of_terminal();
                Box::new(io::stdin())
            }
            Some(file) => match File::open(file) {
                Ok(file) => Box::new(file),
                Err(error) => return Err(Failure::failed(format!("{}: {error}", file.display()))),
            },
        })
    }

    fn input_name(&self) -> String {
        self.file().map_or_else(|| "standard input".to_owned(), |file| file.display().to_string())
    }

    fn read(&self) -> Result<String, Failure> {
        if let Some(data) = self.data.as_ref().filter(|data| *data != STANDARD_INPUT) {
            return Ok(data.clone());
        }
        let name = self.input_name();
        let mut data = Vec::new();
        let bytes_max = EVENT_BYTES_MAX as u64;
        let read = self.input()?.take(bytes_max + 1).read_to_end(&mut data);
        read.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
        if data.len() > EVENT_BYTES_MAX {
            return Err(Failure::failed(format!("{name} is larger than one event may be, {EVENT_BYTES_MAX} bytes")));
        }
        String::from_utf8(data).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::failed(format!("{name} is not UTF-8 at byte {at}: publish binary data as base64"))
        })
    }
}

/// Whoever has left out the topic is told where topics are.
fn refused(url: &str, error: &Error) -> Failure {
    let is_topic = url::Url::parse(url).is_ok_and(|url| url.path().split('/').any(|segment| segment == "events"));
    if is_topic || !matches!(error.status(), Some(404 | 405)) {
        return Failure::of(error);
    }
    let origin = url::Url::parse(&shown(url)).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    Failure::failed(format!("{}; the URL of a topic of a hub is {origin}/events/TOPIC", one_line(error)))
}

const STANDARD_INPUT: &str = "-";
