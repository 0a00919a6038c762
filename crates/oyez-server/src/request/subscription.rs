//! A subscription.

use std::time::SystemTime;

use http::HeaderMap;
use oyez::{Format, LastEventId, Matcher, OnGap};

use super::bound::Bound;
use super::form::{Form, Others};
use super::header::accepts;
use super::query::Query;
use super::topic::default_topic;
use crate::problem::Problem;

pub(crate) const SUBSCRIPTION: Form = Form {
    known: &[
        "topic",
        "since",
        "last",
        "snapshot",
        "until",
        "limit",
        "poll",
        "on_gap",
        "format",
        "envelope",
        "control",
        "bare",
        "last_event_id",
    ],
    not_yet: &["alive"],
    others: Others::RefuseButCacheBusters,
};

/// A subscription, as its request says it.
#[derive(Debug)]
pub(crate) struct SubscribeRequest {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) resume: LastEventId,
    pub(crate) start: Start,
    pub(crate) until: Option<Bound>,
    pub(crate) limit: Option<u64>,
    pub(crate) poll: bool,
    pub(crate) on_gap: OnGap,
    pub(crate) format: Format,
    /// The stream says by which id it is controlled.
    pub(crate) control: bool,
    /// Events with data and nothing else.
    pub(crate) bare: bool,
}

/// Where a subscription begins, unless it resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    Live,
    Earliest,
    Last(usize),
    Snapshot,
    Since(Bound, String),
}

impl SubscribeRequest {
    /// Reads a subscription to `path_topic` and to every `topic` of the query.
    pub(crate) fn read(
        path_topic: Option<&str>,
        query: &Query<'_>,
        resume: LastEventId,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Self, Problem> {
        let poll = query.truth("poll")?;
        let (format, control, bare) = (format(query, headers)?, query.truth("control")?, query.truth("bare")?);
        if bare {
            check_bare(format, control)?;
        }
        Ok(Self {
            matchers: matchers(path_topic, query)?,
            resume,
            start: start(query, poll, now)?,
            until: query.one("until")?.map(|until| Bound::read("until", until, now)).transpose()?,
            limit: query.number("limit")?,
            poll,
            on_gap: on_gap(query)?,
            format,
            control,
            bare,
        })
    }
}

fn matchers(path_topic: Option<&str>, query: &Query<'_>) -> Result<Vec<Matcher>, Problem> {
    let topics = path_topic.into_iter().chain(query.all("topic"));
    let matchers: Vec<Matcher> =
        topics.map(|topic| topic.parse().map_err(Problem::refused)).collect::<Result<_, _>>()?;
    Ok(if matchers.is_empty() { vec![Matcher::from(default_topic())] } else { matchers })
}

fn start(query: &Query<'_>, poll: bool, now: SystemTime) -> Result<Start, Problem> {
    match (query.one("since")?, query.number("last")?, query.truth("snapshot")?) {
        (Some(text), None, false) => since(text, now),
        (None, Some(last), false) => Ok(Start::Last(last)),
        (None, None, true) => Ok(Start::Snapshot),
        (None, None, false) if poll => Ok(Start::Earliest),
        (None, None, false) => Ok(Start::Live),
        _ => Err(Problem::invalid("since, last and snapshot exclude each other")),
    }
}

fn since(text: &str, now: SystemTime) -> Result<Start, Problem> {
    match text {
        // the words that ntfy has
        "earliest" | "all" => Ok(Start::Earliest),
        "latest" => Ok(Start::Last(1)),
        "none" => Ok(Start::Live),
        text => Ok(Start::Since(Bound::read("since", text, now)?, text.to_owned())),
    }
}

/// Can what it asks for be said in events with data and nothing else?
fn check_bare(format: Format, control: bool) -> Result<(), Problem> {
    if control {
        return Err(Problem::invalid("control=1 sends its id in oyez.open, which bare=1 leaves out; use one of them"));
    }
    if format == Format::Ndjson {
        return Err(Problem::invalid("bare=1 is for event streams; NDJSON has no comments for the keep-alive"));
    }
    Ok(())
}

fn on_gap(query: &Query<'_>) -> Result<OnGap, Problem> {
    match query.one("on_gap")? {
        None | Some("announce") => Ok(OnGap::Announce),
        Some("fail") => Ok(OnGap::Fail),
        Some(other) => Err(Problem::invalid(format!("on_gap={other:?} is neither announce nor fail"))),
    }
}

fn format(query: &Query<'_>, headers: &HeaderMap) -> Result<Format, Problem> {
    // a line of NDJSON tells topics and time anyway
    let sse = if query.truth("envelope")? { Format::Envelope } else { Format::Sse };
    match query.one("format")? {
        Some("sse" | "text/event-stream") => return Ok(sse),
        Some("ndjson" | "jsonl" | "application/x-ndjson") => return Ok(Format::Ndjson),
        Some(other) => return Err(Problem::invalid(format!("format={other:?} is neither sse nor ndjson"))),
        None => {}
    }
    // who asks for both, or for neither, is an event-stream reader
    let ndjson = ["ndjson", "jsonl"].into_iter().any(|name| accepts(headers, name));
    let ndjson = ndjson && !accepts(headers, Format::Sse.media_type());
    Ok(if ndjson { Format::Ndjson } else { sse })
}
