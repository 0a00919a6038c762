//! A publish whose body is data.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use oyez::{EventId, EventType, IdempotencyKey, Topic};

use super::event_template::{EventTemplate, ttl};
use super::form::{Form, Others};
use super::header::{idempotency_key, one_header, refuse_encoded};
use super::query::Query;
use super::topic::refuse_end;
use crate::problem::Problem;

pub(crate) const PUBLISH: Form = Form {
    known: &["event", "id", "key", "ttl", "retry", "lines", "end"],
    not_yet: &["private"],
    others: Others::Refuse,
};

/// A publish, as the head of its request says it; the data is in the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublishRequest {
    pub(crate) topic: Topic,
    pub(crate) template: EventTemplate,
    /// Each line of the body is an event as it comes.
    pub(crate) lines: bool,
    /// The topic ends after it.
    pub(crate) end: bool,
    /// It is published once, however often it is sent.
    pub(crate) key: Option<IdempotencyKey>,
}

impl PublishRequest {
    /// Reads a publish to `topic`.
    pub(crate) fn read(topic: Topic, query: &Query<'_>, headers: &HeaderMap) -> Result<Self, Problem> {
        refuse_encoded(headers)?;
        let key = idempotency_key(headers)?;
        let event_type = one_of(query, "event", headers, &EVENT_TYPE)?;
        let id = one_of(query, "id", headers, &EVENT_ID)?;
        let template = EventTemplate {
            event_type: event_type.map(|text| EventType::new(&*text).map_err(Problem::refused)).transpose()?,
            id: id.map(|text| EventId::new(&*text).map_err(Problem::refused)).transpose()?,
            retry: query.number("retry")?.map(Duration::from_millis),
            key: query.one("key")?.map(str::to_owned),
            ttl: query.one("ttl")?.map(ttl).transpose()?,
        };
        let lines = query.truth("lines")?;
        if lines && template.id.is_some() {
            return Err(Problem::invalid("an id is for one event, and each line is an event; leave out id or lines"));
        }
        if lines && key.is_some() {
            return Err(Problem::invalid(
                "Idempotency-Key names one publish, and lines are many, published as they come: \
                 send them as NDJSON batches with a key each, as oyez pub --lines does",
            ));
        }
        let end = query.truth("end")?;
        if end {
            refuse_end(&topic)?;
        }
        Ok(Self { topic, template, lines, end, key })
    }
}

/// A value that may come as a parameter or as a header, but not as two different ones.
fn one_of<'a>(
    query: &'a Query<'_>,
    parameter: &'static str,
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Cow<'a, str>>, Problem> {
    if headers.get_all(name).iter().any(|value| !value.as_bytes().is_ascii()) {
        // some callers write Latin-1, some UTF-8
        return Err(Problem::invalid(format!(
            "the header {name} holds bytes beyond ASCII, whose encoding nobody can tell; say it in the query, {parameter}=…, in UTF-8 and \
             percent-encoded"
        )));
    }
    let in_query = query.one(parameter)?.map(Cow::Borrowed);
    match (in_query, one_header(headers, name)?) {
        (Some(query), Some(header)) if query != header => {
            Err(Problem::invalid(format!("{parameter}={query:?} and {name}: {header:?} contradict each other")))
        }
        (query, header) => Ok(query.or(header)),
    }
}

pub(crate) const EVENT_TYPE: HeaderName = HeaderName::from_static("event-type");
pub(crate) const EVENT_ID: HeaderName = HeaderName::from_static("event-id");
