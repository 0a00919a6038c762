//! Events as JSON: one object, or a batch of them as lines.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use oyez::{ErrorKind, EventId, EventType, IdempotencyKey, Publish, Topic};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::event_template::{EventTemplate, ttl};
use super::form::{Form, Others};
use super::header::{idempotency_key, refuse_encoded};
use super::publish::{EVENT_ID, EVENT_TYPE};
use crate::body::without_mark;
use crate::limits::BATCH_EVENTS_MAX;
use crate::problem::Problem;

pub(crate) const JSON_PUBLISH: Form = Form {
    known: &[],
    not_yet: &["private", "key", "ttl"],
    others: Others::NoneKnown("a JSON publish has everything in its body"),
};

/// A publish whose body says everything. What is left to its head is the key under which it is published once.
#[derive(Debug)]
pub(crate) struct JsonPublish {
    pub(crate) key: Option<IdempotencyKey>,
}

impl JsonPublish {
    /// Checks the head.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        refuse_encoded(headers)?;
        match [&EVENT_TYPE, &EVENT_ID].into_iter().find(|name| headers.contains_key(*name)) {
            Some(name) => Err(Problem::invalid(format!("the header {name} is for plain bodies; put it into the JSON"))),
            None => Ok(Self { key: idempotency_key(headers)? }),
        }
    }

    /// May this be data of the topic that is meant where none is named? Not when it names topics itself, in JSON that was sent under
    /// another type: `curl -d` and `fetch` give it one that says nothing.
    pub(crate) fn refuse_as_data(text: &str) -> Result<(), Problem> {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(alias = "topic")]
            topics: Option<IgnoredAny>,
        }
        let text = without_mark(text);
        if !text.trim_start().starts_with('{') {
            return Ok(());
        }
        // the first object, whatever follows: there may be lines of them
        let first = serde_json::Deserializer::from_str(text).into_iter::<Named>().next();
        match first {
            Some(Ok(Named { topics: Some(_) })) => Err(Problem::ContentType(
                "the body is an object with topics, and its Content-Type does not say so; send it as application/json (with \
                 curl: -H 'Content-Type: application/json'), lines of such objects as application/x-ndjson, and as data to \
                 /events/TOPIC"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// The publish that a body of one JSON object describes.
    pub(crate) fn object(text: &str) -> Result<Publish, Problem> {
        read(without_mark(text), &mut Names::default())
    }

    /// The publishes of a batch, one object a line; empty lines are passed over. All or none.
    pub(crate) fn batch(text: &str) -> Result<Vec<Publish>, Problem> {
        let (text, mut names) = (without_mark(text), Names::default());
        let mut batch = Vec::with_capacity(text.lines().count().min(BATCH_EVENTS_MAX));
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            if batch.len() == BATCH_EVENTS_MAX {
                // before the rest is read: there may be hundreds of thousands
                return Err(Problem::invalid(format!("the batch has more than {BATCH_EVENTS_MAX} events; split it")));
            }
            batch.push(read(line, &mut names).map_err(|problem| in_line(index + 1, problem))?);
        }
        if batch.is_empty() {
            return Err(Problem::invalid("the batch is empty"));
        }
        Ok(batch)
    }
}

fn read(text: &str, names: &mut Names) -> Result<Publish, Problem> {
    let object: Result<Object, _> = serde_json::from_str(text);
    object.map_err(|error| Problem::invalid(format!("the JSON is wrong: {error}")))?.into_publish(names)
}

/// The names of topics: lines that follow each other often have the same, which is then made once.
#[derive(Default)]
struct Names {
    last: Option<Topic>,
}

impl Names {
    fn topic(&mut self, name: &str) -> Result<Topic, Problem> {
        match &self.last {
            Some(last) if **last == *name => Ok(last.clone()),
            _ => Ok(self.last.insert(Topic::new(name).map_err(Problem::refused)?).clone()),
        }
    }
}

fn in_line(number: usize, problem: Problem) -> Problem {
    match problem {
        Problem::Refused { kind: ErrorKind::Invalid, detail, .. } => {
            Problem::invalid(format!("line {number}: {detail}"))
        }
        Problem::NotYet { what } => Problem::NotYet { what: format!("line {number}: {what}") },
        other => other,
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    #[serde(borrow, alias = "topic")]
    topics: Topics<'a>,
    #[serde(borrow)]
    data: &'a RawValue,
    event: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    #[serde(default)]
    private: bool,
    key: Option<String>,
    ttl: Option<String>,
}

enum Topics<'a> {
    One(Cow<'a, str>),
    Many(Vec<String>),
}

// by hand: what serde derives for one of two shapes first takes each value apart
impl<'de: 'a, 'a> Deserialize<'de> for Topics<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'a> Visitor<'a> for OneOrMany {
            type Value = Topics<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a topic or a list of topics")
            }

            fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Topics<'a>, E> {
                Ok(Topics::One(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Topics<'a>, E> {
                Ok(Topics::One(Cow::Owned(name.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'a>>(self, names: A) -> Result<Topics<'a>, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(names)).map(Topics::Many)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl Object<'_> {
    fn into_publish(self, known: &mut Names) -> Result<Publish, Problem> {
        if self.private {
            return Err(Problem::NotYet { what: "the field private".to_owned() });
        }
        let (first, others) = match &self.topics {
            Topics::One(name) => (&**name, &[][..]),
            Topics::Many(names) => {
                let (first, others) = names.split_first().ok_or_else(|| Problem::invalid("topics is empty"))?;
                (&**first, others)
            }
        };
        let first = known.topic(first)?;
        let template = EventTemplate {
            event_type: self.event.map(EventType::new).transpose().map_err(Problem::refused)?,
            id: self.id.map(EventId::new).transpose().map_err(Problem::refused)?,
            retry: self.retry.map(Duration::from_millis),
            key: self.key,
            ttl: self.ttl.as_deref().map(ttl).transpose()?,
        };
        let publish = template.publish(first, data(self.data)?)?;
        others.iter().fold(publish, |publish, name| publish.also(name)).checked().map_err(Problem::refused)
    }
}

/// A string is its own text; any other value is kept as it is written, without the white space.
fn data(value: &RawValue) -> Result<String, Problem> {
    let json = value.get();
    let Some(text) = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return Ok(compact(json));
    };
    if !text.as_bytes().contains(&b'\\') {
        return Ok(text.to_owned());
    }
    // JSON's grammar lets half of a surrogate pair pass, but no text has it
    serde_json::from_str(json).map_err(|error| Problem::invalid(format!("data is not text: {error}")))
}

fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|c| {
        if in_string {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            in_string = !ends;
            return true;
        }
        in_string = *c == '"';
        !c.is_ascii_whitespace()
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_not_a_string_keeps_its_compact_text() {
        let check = |json: &str, expected: &str| {
            assert_eq!(data(&RawValue::from_string(json.to_owned()).unwrap()).unwrap(), expected);
        };
        check(r#""a b""#, "a b");
        check(r#""é\n""#, "é\n");
        check(r#"{ "b" : 1.50 , "a" : [ 1 , "x \" y" ] }"#, r#"{"b":1.50,"a":[1,"x \" y"]}"#);
        check(r#"{"a": "\\" , "b": 2}"#, r#"{"a":"\\","b":2}"#);
        check("null", "null");
        check("12345678901234567890.0", "12345678901234567890.0");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, part) in [
            ("{}", "topics"),
            (r#"{"topics":"a"}"#, "data"),
            (r#"{"topics":[],"data":""}"#, "topics is empty"),
            (r#"{"topics":"a*","data":""}"#, "a*"),
            (r#"{"topics":"a","data":"","evnt":"x"}"#, "evnt"),
            (r#"{"topics":"a","data":"half a pair: \ud83d"}"#, "data is not text"),
            (r#"{"topics":"a","data":"","event":"x\ny"}"#, "event type"),
            (r#"{"topics":"a","data":"","id":"x\u0000"}"#, "event id"),
            (r#"{"topics":"a","data":"","retry":-1}"#, "-1"),
            (r#"{"topics":"a","data":"","private":true}"#, "private"),
            (r#"{"topics":"a","data":"","key":""}"#, "key is empty"),
            (r#"{"topics":"a","data":"","key":7}"#, "expected a string"),
            (r#"{"topics":"a","data":"","ttl":5}"#, "expected a string"),
            (r#"{"topics":"a","data":"","ttl":"5"}"#, "ttl=\"5\""),
            (r#"{"topics":"a","data":"","ttl":"0s"}"#, "millisecond"),
            ("[]", "JSON"),
            ("nonsense", "JSON"),
        ] {
            let good = r#"{"topics":"a","data":"x"}"#;
            let problem = JsonPublish::batch(&format!("{good}\n\n{text}\n")).unwrap_err().to_string();
            assert!(problem.contains(part) && problem.contains("line 3"), "{text}: {problem}");
        }
    }
}
