//! What is measured, after everything on the command line was checked.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::bench::args::{Bench, Scenario};
use crate::bench::clock::Clock;
use crate::bench::descriptors;
use crate::bench::limits::{LOCAL_ADDRESSES_MAX, PORTS_PER_ADDRESS, SIZE_MAX};
use crate::bench::payload::PAYLOAD_BYTES_MIN;
use crate::bench::process::Process;
use crate::bench::schedule::Pace;
use crate::bench::server::{Endpoint, Headers, PublishRequest, Server};
use crate::bench::spread::Spread;
use crate::bench::template::{DATA, Template};
use crate::failure::Failure;
use crate::target::Target;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: Arc<Server>,
    pub(crate) clock: Clock,
    pub(crate) process: Option<Process>,
    pub(crate) subscribers: usize,
    /// How many are being opened at once.
    pub(crate) opening: usize,
    pub(crate) spread: Spread,
    /// Between the topics of a subscriber that reads several.
    pub(crate) topic_separator: String,
    pub(crate) pace: Pace,
    /// Given on the command line.
    pub(crate) events: Option<u64>,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) size: usize,
    pub(crate) batch: usize,
    pub(crate) connections: usize,
    pub(crate) window: u64,
    pub(crate) last_event_id: Option<String>,
    pub(crate) stop_after: u64,
    pub(crate) timeout: Duration,
    pub(crate) rounds: u32,
    /// All of it, for the report.
    pub(crate) parameters: Value,
}

/// What a scenario takes where the command line says nothing.
struct Defaults {
    subscribers: usize,
    pace: Pace,
    size: usize,
    connections: usize,
}

impl Scenario {
    fn defaults(self) -> Defaults {
        let usual = Defaults { subscribers: 1_000, pace: Pace::Rate(20.0), size: 128, connections: 1 };
        match self {
            Self::Idle | Self::Fanout | Self::Resume => usual,
            Self::Throughput => Defaults { pace: Pace::Full, connections: 8, ..usual },
            Self::Topics => Defaults { pace: Pace::Rate(1_000.0), connections: 4, ..usual },
            // 4 MB for each reader that stops: more than a kernel holds for it on loopback, 2.6 MB
            Self::Slow => Defaults { subscribers: 100, pace: Pace::Rate(200.0), size: 4_096, ..usual },
            // enough to keep the server busy, and no more, so that the time of one connection says something
            Self::Churn => Defaults { subscribers: 32, ..usual },
        }
    }

    fn publishes(self) -> bool {
        matches!(self, Self::Throughput | Self::Topics | Self::Slow)
    }
}

impl Plan {
    pub(crate) fn of(scenario: Scenario, args: Bench) -> Result<Self, Failure> {
        let defaults = scenario.defaults();
        let subscribers = args.subscribers.unwrap_or(defaults.subscribers);
        let topics = args.topics.unwrap_or(if scenario == Scenario::Topics { subscribers } else { 1 });
        let server = server(&args)?;
        let size = args.size.unwrap_or(defaults.size);
        let mut plan = Self {
            clock: Clock::start(),
            process: (!args.pids.is_empty()).then(|| Process::of(&args.pids)).transpose()?,
            subscribers,
            opening: args.opening,
            spread: Spread::new(topics, args.topics_each),
            topic_separator: args.topic_separator.unwrap_or_default(),
            pace: args.rate.unwrap_or(defaults.pace),
            events: args.events,
            duration: args.duration,
            warmup: args.warmup,
            size,
            batch: args.batch,
            connections: args.connections.unwrap_or(defaults.connections),
            window: args.window,
            last_event_id: args.last_event_id,
            stop_after: args.stop_after,
            timeout: args.timeout,
            rounds: args.rounds,
            parameters: Value::Null,
            server: Arc::new(server),
        };
        plan.parameters = plan.parameters();
        plan.check(scenario)?;
        plan.check_place(args.yes_this_server_is_mine)?;
        descriptors::check(subscribers)?;
        Ok(plan)
    }

    /// How many events are published in the phase that is measured, if that is known.
    pub(crate) fn events_in(&self, time: Duration) -> u64 {
        match (self.events, self.pace) {
            (Some(events), _) => events,
            (None, Pace::Rate(rate)) => ((rate * time.as_secs_f64()).round() as u64).clamp(1, u64::from(u32::MAX)),
            (None, Pace::Full) => u64::from(u32::MAX),
        }
    }

    fn check(&self, scenario: Scenario) -> Result<(), Failure> {
        let name = scenario.name();
        let usage = |message: String| Err(Failure::usage(message));
        if !(PAYLOAD_BYTES_MIN..=SIZE_MAX).contains(&self.size) {
            return usage(format!("--size is {PAYLOAD_BYTES_MIN} to {SIZE_MAX} bytes, not {}", self.size));
        }
        let (topics, each) = (self.spread.topics(), self.spread.each());
        if topics > self.subscribers {
            return usage(format!(
                "{topics} topics for {} subscribers: some topics would have no subscriber",
                self.subscribers
            ));
        }
        if each > topics {
            return usage(format!("{each} topics for each subscriber, and --topics is {topics}"));
        }
        if each > 1 && self.topic_separator.is_empty() {
            return usage("--topics-each needs --topic-separator".to_owned());
        }
        if each > 1 && matches!(scenario, Scenario::Resume | Scenario::Slow) {
            return usage(format!("{name} has one topic: leave --topics-each out"));
        }
        if topics > 1 && !self.server.subscribe.target.has_topic() {
            return usage(format!("{topics} topics need {{topic}} in --subscribe"));
        }
        let Some(publish) = &self.server.publish else {
            if scenario.publishes() || scenario == Scenario::Resume && self.last_event_id.is_none() {
                let or = if scenario == Scenario::Resume { ", or --last-event-id" } else { "" };
                return usage(format!("{name} has to publish: leave --no-publish out{or}"));
            }
            return Ok(());
        };
        if !publish.body.has_data() && !publish.endpoint.target.has_data() {
            return usage("--publish-body needs {data}".to_owned());
        }
        let placed = publish.endpoint.target.has_topic() || publish.body.has_topic();
        if topics > 1 && !placed {
            return usage(format!("{topics} topics need {{topic}} in --publish or --publish-body"));
        }
        if self.batch > 1 && topics > 1 && !publish.body.has_topic() {
            return usage("a batch for several topics needs {topic} in --publish-body".to_owned());
        }
        if scenario == Scenario::Slow && self.subscribers < 10 {
            return usage("slow needs 10 subscribers or more: one in ten stops".to_owned());
        }
        Ok(())
    }

    /// This is a program that does harm where it is not expected.
    fn check_place(&self, theirs_is_mine: bool) -> Result<(), Failure> {
        let endpoints = [Some(&self.server.subscribe), self.server.publish.as_ref().map(|publish| &publish.endpoint)];
        let away = endpoints.into_iter().flatten().find(|endpoint| !endpoint.address.ip().is_loopback());
        if let Some(endpoint) = away.filter(|_| !theirs_is_mine) {
            return Err(Failure::usage(format!(
                "{} is not on this machine: load on somebody else's server is an attack; for your own, add --yes-this-server-is-mine",
                endpoint.url
            )));
        }
        let address = self.server.subscribe.address;
        let spread = address.is_ipv4() && address.ip().is_loopback();
        let max = PORTS_PER_ADDRESS * if spread { LOCAL_ADDRESSES_MAX } else { 1 };
        if self.subscribers > max {
            let message = format!("{} subscribers need more ports than there are: at most {max}", self.subscribers);
            return Err(Failure::usage(message));
        }
        Ok(())
    }

    fn parameters(&self) -> Value {
        let publish = self.server.publish.as_ref();
        json!({
            "subscribe": self.server.subscribe.url,
            "publish": publish.map(|publish| publish.endpoint.url.as_str()),
            "subscribers": self.subscribers,
            "opening": self.opening,
            "topics": self.spread.topics(),
            "topics_each": self.spread.each(),
            "rate_per_s": match self.pace { Pace::Rate(rate) => Some(rate), Pace::Full => None },
            "events": self.events,
            "duration_s": self.duration.as_secs_f64(),
            "warmup_s": self.warmup.as_secs_f64(),
            "size_bytes": self.size,
            "batch": self.batch,
            "connections": self.connections,
            "window": self.window,
            "timeout_s": self.timeout.as_secs_f64(),
            "rounds": self.rounds,
        })
    }
}

fn server(args: &Bench) -> Result<Server, Failure> {
    let shared = Headers::parse(&args.headers)?;
    let own = Headers::parse(&args.publish_headers)?;
    let publish = if args.no_publish { None } else { Some(publish(args, own.over(&shared))?) };
    Ok(Server { subscribe: Endpoint::new(&args.subscribe)?, subscribe_headers: shared, publish })
}

fn publish(args: &Bench, headers: Headers) -> Result<PublishRequest, Failure> {
    let url = args.publish.as_ref().unwrap_or(&args.subscribe);
    let method = args.publish_method.parse();
    let method: Method = method.map_err(|_| Failure::usage(format!("not a method: {:?}", args.publish_method)))?;
    Ok(match &args.publish_body {
        None if args.batch > 1 => {
            let endpoint = Endpoint::new(&Target::of(url).map_err(|_| no_batches(url))?.url)?;
            let headers = headers.or("Content-Type", "application/x-ndjson");
            PublishRequest { endpoint, method, headers, body: Template::new(BATCH_LINE) }
        }
        body => {
            let headers = headers.or("Content-Type", "text/plain");
            let body = Template::new(body.as_deref().unwrap_or(DATA));
            PublishRequest { endpoint: Endpoint::new(url)?, method, headers, body }
        }
    })
}

fn no_batches(url: &str) -> Failure {
    Failure::usage(format!(
        "--batch without --publish-body is for oyez serve, whose URLs have a segment \"events\", not for {url:?}"
    ))
}

const BATCH_LINE: &str = "{\"topics\":\"{topic}\",\"data\":\"{data}\"}\n";
