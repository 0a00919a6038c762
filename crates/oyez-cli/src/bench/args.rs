//! The arguments of `oyez bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;

use crate::bench::limits::{BATCH_MAX, OPENING_MAX, PUBLISHERS_MAX};
use crate::bench::schedule::Pace;

/// Put load on an SSE server and check what it delivers
///
/// Works with any server of server-sent events: give the URL of its streams and how to publish. Every event is checked: none
/// lost, none doubled, all in order. Latency counts from when an event was due. Without URLs it measures `oyez serve` on this
/// machine:
///
///   oyez bench fanout --pid $(pgrep -x oyez)
///
/// Mercure:
///
///   oyez bench fanout --subscribe 'http://127.0.0.1:3000/.well-known/mercure?topic={topic}'
///   --publish http://127.0.0.1:3000/.well-known/mercure --publish-body 'topic={topic}&data={data}'
///   --publish-header 'Content-Type: application/x-www-form-urlencoded' --publish-header 'Authorization: Bearer …'
///
/// Exit status: 0 if all was measured and no fault was found, 1 if not, 2 for a wrong command line.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// What to measure
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Scenario,

    /// URL of the streams; {topic} is replaced by a topic
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8888/events/{topic}")]
    pub(crate) subscribe: String,

    /// URL for publishing [default: the URL of --subscribe]
    #[arg(long, value_name = "URL", conflicts_with = "no_publish")]
    pub(crate) publish: Option<String>,

    /// Publish nothing: open the streams and count the events
    #[arg(long)]
    pub(crate) no_publish: bool,

    /// Send this header with every request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "K: V")]
    pub(crate) headers: Vec<String>,

    /// Send this header with every publish, instead of the same header of -H; may be repeated
    #[arg(long = "publish-header", value_name = "K: V")]
    pub(crate) publish_headers: Vec<String>,

    /// Method of a publish
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub(crate) publish_method: String,

    /// Body of a publish; {topic} and {data} are replaced by letters, digits, - and ., which need no encoding
    /// [default: {data}]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) publish_body: Option<String>,

    /// Events in one publish. --publish-body is repeated; without it the body is the NDJSON of oyez serve
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(BATCH_MAX))]
    pub(crate) batch: usize,

    /// Show CPU time and memory of this process, the server (Linux); repeat it for a server of several processes
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,

    /// Streams to open [default: 1000; slow: 100; churn: 32]
    #[arg(short = 'n', long, value_name = "N", value_parser = number(1 << 24))]
    pub(crate) subscribers: Option<usize>,

    /// Streams to open at the same time
    #[arg(long, value_name = "N", default_value_t = OPENING_MAX, value_parser = number(OPENING_MAX))]
    pub(crate) opening: usize,

    /// Topics to spread the subscribers over [default: 1; topics: one each]
    #[arg(long, value_name = "N", value_parser = number(crate::bench::limits::TOPICS_MAX))]
    pub(crate) topics: Option<usize>,

    /// Topics of each stream
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(crate::bench::limits::TOPICS_EACH_MAX))]
    pub(crate) topics_each: usize,

    /// Separator of several topics in {topic} of --subscribe, such as a comma; for oyez serve use '/events?topic={topic}'
    /// with '&topic='
    #[arg(long, value_name = "TEXT", value_parser = separator)]
    pub(crate) topic_separator: Option<String>,

    /// Events per second over all topics; max publishes the next event as soon as the last is acknowledged [default: 20; topics: 1000; slow: 200;
    /// throughput: max]
    #[arg(long, value_name = "EVENTS/S", value_parser = pace)]
    pub(crate) rate: Option<Pace>,

    /// Publish this many events instead of --duration; churn: connections; resume: events to resume over [default there: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub(crate) events: Option<u64>,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) duration: Duration,

    /// Load before the measurement
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) warmup: Duration,

    /// Bytes of an event's data, at least 47 [default: 128; slow: 4096]
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<usize>,

    /// Connections that publish; the order of events is checked for each connection [default: 1; topics: 4; throughput: 8]
    #[arg(long, value_name = "N", value_parser = number(PUBLISHERS_MAX))]
    pub(crate) connections: Option<usize>,

    /// With --rate max: most events that are published and not yet delivered
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) window: u64,

    /// resume: the id to resume from [default: that of the first event published]
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,

    /// slow: events that a reader reads before it stops
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) stop_after: u64,

    /// Most time for an answer, and for the last deliveries
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,

    /// Measure this many times, and show median and spread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Allow load on a server that is not on this machine
    #[arg(long)]
    pub(crate) yes_this_server_is_mine: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Open streams and hold them: memory of an idle subscriber
    Idle,
    /// Publish at a rate to one topic that every subscriber reads
    Fanout,
    /// Fan-out at full speed
    Throughput,
    /// Publish to many topics in turn; each has a reader
    Topics,
    /// Publish, then let readers resume after the first event
    Resume,
    /// Fan-out while a tenth of the readers stop reading
    Slow,
    /// Connect, read the head, close, again and again
    Churn,
}

impl Scenario {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn number(max: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        Ok(_) => Err(format!("it is 1 to {max}")),
        Err(error) => Err(format!("{error}")),
    }
}

fn separator(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if fits { Ok(text.to_owned()) } else { Err("it is a part of a URL".to_owned()) }
}

fn pace(text: &str) -> Result<Pace, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Pace::Full),
        Ok(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(Pace::Rate(rate)),
        Ok(_) => Err(format!("a rate is {RATE_MIN} to {RATE_MAX} events/s, or max")),
        Err(error) => Err(format!("{error}; a rate is a number or max")),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time: SignedDuration =
        text.parse().map_err(|error| format!("{error}; a time is a number and a unit, such as 10s or 500ms"))?;
    let time = Duration::try_from(time).map_err(|_| "a time is not negative".to_owned())?;
    if time <= TIME_MAX { Ok(time) } else { Err(format!("a time is at most {} h", TIME_MAX.as_secs() / 3_600)) }
}

const RATE_MIN: f64 = 0.01; // an event in a hundred seconds
const RATE_MAX: f64 = 1e7; // more than any socket takes
const TIME_MAX: Duration = Duration::from_secs(24 * 3_600); // a day; whoever wants more starts it again

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_a_part_of_a_url() {
        assert_eq!(separator("&topic="), Ok("&topic=".to_owned()));
        for text in ["", " ", "a b", "#", "\r\n", "ä"] {
            assert!(separator(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_times_are_read_with_their_bounds() {
        assert_eq!(pace("max"), Ok(Pace::Full));
        assert_eq!(pace("0.5"), Ok(Pace::Rate(0.5)));
        for text in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(pace(text).is_err(), "{text}");
        }
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["10", "-1s", "48h", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
