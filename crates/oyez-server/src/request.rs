//! What a request asks for, read from its head once and without I/O.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, Uri};
use oyez::{Event, EventId, EventType, Format, IdempotencyKey, LastEventId, Matcher, OnGap, Publish, Topic};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;
use crate::units;

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

/// A place in the log, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    Id(String),
    Time(SystemTime),
}

/// A publish, as the head of its request says it; the data is in the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublishRequest {
    pub(crate) topic: Topic,
    pub(crate) template: EventTemplate,
    /// Each line of the body is an event as it comes.
    pub(crate) lines: bool,
    /// The topic ends behind it.
    pub(crate) end: bool,
    /// It is published once, however often it is sent.
    pub(crate) key: Option<IdempotencyKey>,
}

/// All of an event but its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventTemplate {
    pub(crate) event_type: Option<EventType>,
    pub(crate) id: Option<EventId>,
    pub(crate) retry: Option<Duration>,
    /// The event is the new value of this.
    pub(crate) key: Option<String>,
    /// The event may be read for so long.
    pub(crate) ttl: Option<Duration>,
}

impl EventTemplate {
    /// The event with this data, published to `topic`.
    pub(crate) fn publish(mut self, topic: Topic, data: String) -> Result<Publish, Problem> {
        let (key, ttl) = (self.key.take(), self.ttl.take());
        let mut publish = Publish::new(topic, self.with_data(data));
        if let Some(key) = key {
            publish = publish.key(&key).map_err(Problem::refused)?;
        }
        expire(publish, ttl)
    }

    fn with_data(self, data: String) -> Event {
        let mut event = Event::data(data);
        if let Some(event_type) = self.event_type {
            event = event.with_type(event_type);
        }
        if let Some(id) = self.id {
            event = event.with_id(id);
        }
        if let Some(retry) = self.retry {
            event = event.retry(retry);
        }
        event
    }
}

impl SubscribeRequest {
    /// Reads a subscription to `path_topic` and to every `topic` of the query.
    pub(crate) fn read(
        path_topic: Option<&str>,
        uri: &Uri,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Self, Problem> {
        let query = Query::read(uri)?;
        query.refuse_tokens()?;
        let mut matchers = Vec::new();
        for topic in path_topic.into_iter().chain(query.all("topic")) {
            matchers.push(topic.parse::<Matcher>().map_err(Problem::refused)?);
        }
        if matchers.is_empty() {
            matchers.push(Matcher::from(default_topic()));
        }
        let poll = query.truth("poll")?;
        let start = match (query.one("since")?, query.one("last")?, query.truth("snapshot")?) {
            (Some("earliest"), None, false) => Start::Earliest,
            (Some(since), None, false) => Start::Since(bound("since", since, now)?, since.to_owned()),
            (None, Some(last), false) => Start::Last(number("last", last)?),
            (None, None, true) => Start::Snapshot,
            (None, None, false) if poll => Start::Earliest,
            (None, None, false) => Start::Live,
            _ => return Err(Problem::invalid("since, last and snapshot exclude each other")),
        };
        let on_gap = match query.one("on_gap")? {
            None | Some("announce") => OnGap::Announce,
            Some("fail") => OnGap::Fail,
            Some(other) => return Err(Problem::invalid(format!("on_gap={other:?} is neither announce nor fail"))),
        };
        Ok(Self {
            matchers,
            resume: LastEventId::from_request(uri, headers),
            start,
            until: query.one("until")?.map(|until| bound("until", until, now)).transpose()?,
            limit: query.one("limit")?.map(|limit| number("limit", limit)).transpose()?,
            poll,
            on_gap,
            format: format(&query, headers)?,
            control: query.truth("control")?,
        })
    }
}

impl PublishRequest {
    /// Reads a publish to `topic`.
    pub(crate) fn read(topic: Topic, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let query = Query::read(uri)?;
        query.refuse_not_yet(&["private"])?;
        query.refuse_tokens()?;
        query.refuse_unknown(&["event", "id", "key", "ttl", "retry", "lines", "end"])?;
        refuse_encoded(headers)?;
        let key = idempotency_key(headers)?;
        let event_type = one_of(&query, "event", headers, &EVENT_TYPE)?;
        let id = one_of(&query, "id", headers, &EVENT_ID)?;
        let template = EventTemplate {
            event_type: event_type.map(|text| EventType::new(&*text).map_err(Problem::refused)).transpose()?,
            id: id.map(|text| EventId::new(&*text).map_err(Problem::refused)).transpose()?,
            retry: query.one("retry")?.map(|text| number("retry", text).map(Duration::from_millis)).transpose()?,
            key: query.one("key")?.map(str::to_owned),
            ttl: query.one("ttl")?.map(ttl).transpose()?,
        };
        let lines = query.truth("lines")?;
        if lines && template.id.is_some() {
            return Err(Problem::invalid(
                "id names one event, and each line is one: leave id out or publish without lines",
            ));
        }
        if lines && key.is_some() {
            return Err(Problem::invalid(
                "Idempotency-Key names one publish, and lines are many, published as they come: \
                 send them as NDJSON batches with a key each, as oyez pub --lines does",
            ));
        }
        let end = query.truth("end")?;
        if end && ENDLESS.contains(&&*topic) {
            return Err(Problem::invalid(format!("the topic {:?} is for everybody and cannot be ended", &*topic)));
        }
        Ok(Self { topic, template, lines, end, key })
    }
}

/// The body of `POST /events`, by its content type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RootBody {
    Object,
    Batch,
    Data,
}

impl RootBody {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match essence(headers).as_deref() {
            Some("application/json") => Self::Object,
            Some("application/x-ndjson") => Self::Batch,
            _ => Self::Data,
        }
    }
}

/// Checks the head of a request whose events say everything themselves. What is left to it is the key under which it is
/// published once.
pub(crate) fn read_json_publish(uri: &Uri, headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let query = Query::read(uri)?;
    query.refuse_not_yet(&["private", "key", "ttl"])?;
    query.refuse_tokens()?;
    query.refuse_unknown(&[])?;
    refuse_encoded(headers)?;
    match [&EVENT_TYPE, &EVENT_ID].into_iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(Problem::invalid(format!("the header {name} is for plain bodies; say it in the JSON"))),
        None => idempotency_key(headers),
    }
}

/// Checks the query of a request that deletes a topic.
pub(crate) fn read_delete(uri: &Uri) -> Result<(), Problem> {
    let query = Query::read(uri)?;
    query.refuse_tokens()?;
    match query.0.first() {
        Some((name, _)) => Err(Problem::invalid(format!("unknown parameter {name:?}; DELETE has none"))),
        None => Ok(()),
    }
}

/// The topic in a path behind `/events/`, decoded once.
pub(crate) fn path_topic(path: &str) -> Result<Option<Cow<'_, str>>, Problem> {
    let encoded = path.strip_prefix("/events").and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    if encoded.is_empty() {
        return Ok(None);
    }
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map(Some).map_err(|_| Problem::invalid(format!("the topic {encoded:?} is not UTF-8 when it is decoded")))
}

/// The topic of a publish or subscription that names none: the plain broadcast.
pub(crate) fn default_topic() -> Topic {
    Topic::new("events").expect("a valid name")
}

/// How many rows of streams a request for statistics wants: `rows=N`.
pub(crate) fn stats_rows(uri: &Uri) -> Result<Option<usize>, Problem> {
    Query::read(uri)?.one("rows")?.map(|rows| number("rows", rows)).transpose()
}

/// The query of a request, decoded.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn read(uri: &'a Uri) -> Result<Self, Problem> {
        let text = uri.query().unwrap_or_default();
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((form_decode(name)?, form_decode(value)?))
        });
        pairs.collect::<Result<_, Problem>>().map(Self)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| &**value)
    }

    fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::invalid(format!("the parameter {name} is given more than once")));
        }
        Ok(first)
    }

    /// A switch: present without a value or with 1 or true is on.
    fn truth(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(Problem::invalid(format!("{name}={other:?} is neither 1 nor 0"))),
        }
    }

    fn refuse_not_yet(&self, names: &[&str]) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| names.contains(&&**name)) {
            Some((name, _)) => Err(Problem::NotYet { what: format!("the parameter {name}") }),
            None => Ok(()),
        }
    }

    /// A token in a URL ends up in logs and histories.
    fn refuse_tokens(&self) -> Result<(), Problem> {
        let is_token = |name: &str| matches!(name, "authorization" | "access_token");
        match self.0.iter().find(|(name, _)| is_token(name)) {
            Some((name, _)) => {
                Err(Problem::NotYet { what: format!("a token in the query ({name}), which logs would keep,") })
            }
            None => Ok(()),
        }
    }

    fn refuse_unknown(&self, known: &[&str]) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| !known.contains(&&**name)) {
            Some((name, _)) if known.is_empty() => {
                Err(Problem::invalid(format!("unknown parameter {name:?}; a JSON publish says everything in its body")))
            }
            Some((name, _)) => {
                Err(Problem::invalid(format!("unknown parameter {name:?}; known are {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }
}

fn form_decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    let refused = || Problem::invalid(format!("{text:?} in the query is not UTF-8 when it is decoded"));
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(|_| refused());
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(|_| refused())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let key = one_header(headers, &IDEMPOTENCY_KEY)?;
    key.map(|key| IdempotencyKey::new(&key).map_err(Problem::refused)).transpose()
}

fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(Problem::ContentEncoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()))
        }
        _ => Ok(()),
    }
}

fn one_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Cow<'a, str>>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
    if values.next().is_some() {
        return Err(Problem::invalid(format!("the header {name} is given more than once")));
    }
    Ok(first)
}

/// A value that may come as a parameter or as a header, but not as two different ones.
fn one_of<'a>(
    query: &'a Query<'_>,
    parameter: &str,
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Cow<'a, str>>, Problem> {
    let in_query = query.one(parameter)?.map(Cow::Borrowed);
    match (in_query, one_header(headers, name)?) {
        (Some(query), Some(header)) if query != header => {
            Err(Problem::invalid(format!("{parameter}={query:?} and {name}: {header:?} contradict each other")))
        }
        (query, header) => Ok(query.or(header)),
    }
}

fn bound(name: &str, text: &str, now: SystemTime) -> Result<Bound, Problem> {
    if let Some(ago) = units::duration(text) {
        return Ok(Bound::Time(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Bound::Time(time.into()));
    }
    if text.is_empty() {
        return Err(Problem::invalid(format!(
            "{name} is empty; give an id, a duration such as 10m or an RFC 3339 time"
        )));
    }
    Ok(Bound::Id(text.to_owned()))
}

/// How long an event may be read.
pub(crate) fn ttl(text: &str) -> Result<Duration, Problem> {
    let ttl = units::duration(text)
        .ok_or_else(|| Problem::invalid(format!("ttl={text:?} is not a duration such as 90s or 10m")))?;
    if ttl.is_zero() {
        return Err(Problem::invalid(format!("ttl={text:?} is less than a millisecond, so nobody could read it")));
    }
    Ok(ttl)
}

/// The publish, to be read for so long if that is said.
pub(crate) fn expire(publish: Publish, ttl: Option<Duration>) -> Result<Publish, Problem> {
    match ttl {
        Some(ttl) => publish.ttl(ttl).map_err(Problem::refused),
        None => Ok(publish),
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Problem::invalid(format!("{name}={text:?} is not a whole number")))
}

fn format(query: &Query<'_>, headers: &HeaderMap) -> Result<Format, Problem> {
    // a line of NDJSON tells topics and time anyway
    let sse = if query.truth("envelope")? { Format::Envelope } else { Format::Sse };
    match query.one("format")? {
        Some("sse" | "text/event-stream") => return Ok(sse),
        Some("ndjson" | "application/x-ndjson") => return Ok(Format::Ndjson),
        Some(other) => return Err(Problem::invalid(format!("format={other:?} is neither sse nor ndjson"))),
        None => {}
    }
    let accepts = |mime: &str| {
        headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(mime)))
    };
    // who asks for both, or for neither, is an event-stream reader
    let ndjson = accepts(Format::Ndjson.content_type()) && !accepts(Format::Sse.content_type());
    Ok(if ndjson { Format::Ndjson } else { sse })
}

fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Topics that nobody may end: the broadcast and those of the demo.
const ENDLESS: [&str; 3] = ["clock", "stock", "events"];
const EVENT_TYPE: HeaderName = HeaderName::from_static("event-type");
const EVENT_ID: HeaderName = HeaderName::from_static("event-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
