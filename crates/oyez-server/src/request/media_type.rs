//! What a body is, as far as its content type says.

use http::HeaderMap;

use super::header::content_type;
use crate::problem::Problem;

/// What a body is, as far as its content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// One JSON object.
    Json,
    /// A JSON object a line.
    JsonLines,
    /// JSON of some other kind.
    OtherJson,
    /// Parts with heads of their own.
    Parts,
    Other,
}

impl MediaType {
    /// That of the body under these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(name) = content_type(headers) else { return Self::Other };
        let subtype = name.split_once('/').map_or("", |(_, subtype)| subtype);
        match &*name {
            "multipart/form-data" => Self::Parts,
            _ if JSON.contains(&subtype) => Self::Json,
            _ if JSON_LINES.contains(&subtype) => Self::JsonLines,
            _ if subtype.contains("json") => Self::OtherJson,
            _ => Self::Other,
        }
    }

    /// May a body under these headers be data? Where no topic is named, JSON names it: what is not known would go to the broadcast.
    pub(crate) fn refuse_as_data(headers: &HeaderMap, has_topic: bool) -> Result<(), Problem> {
        match Self::of(headers) {
            Self::Parts => Err(Problem::ContentType(
                "multipart/form-data has parts with heads of their own; send the data alone (with curl: -d or \
                 --data-binary in place of -F)"
                    .to_owned(),
            )),
            Self::OtherJson if !has_topic => Err(Problem::ContentType(format!(
                "Content-Type {:?} is not known here; send an object with topics and data as application/json, lines of \
                 them as application/x-ndjson, and anything as data to /events/TOPIC",
                content_type(headers).unwrap_or_default()
            ))),
            _ => Ok(()),
        }
    }
}

/// Subtypes that an object has.
const JSON: [&str; 2] = ["json", "x-json"];
/// Subtypes that lines of objects have.
const JSON_LINES: [&str; 8] =
    ["x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-lines", "x-json-lines"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn usual_names_are_known_and_others_are_told() {
        let check = |name: &'static str, expected: MediaType| {
            let headers = [(CONTENT_TYPE, HeaderValue::from_static(name))].into_iter().collect();
            assert_eq!(MediaType::of(&headers), expected, "{name}");
        };
        for name in ["application/json", "text/json", "Application/JSON; charset=utf-8", "application/x-json"] {
            check(name, MediaType::Json);
        }
        for name in ["application/x-ndjson", "application/ndjson", "application/jsonl", "text/x-ndjson", "text/jsonl"] {
            check(name, MediaType::JsonLines);
        }
        for name in ["application/cloudevents+json", "application/json-seq", "application/vnd.api+json"] {
            check(name, MediaType::OtherJson);
        }
        check("multipart/form-data; boundary=x", MediaType::Parts);
        for name in ["", "text/plain", "application/x-www-form-urlencoded", "json", "application/octet-stream"] {
            check(name, MediaType::Other);
        }
        assert_eq!(MediaType::of(&HeaderMap::new()), MediaType::Other);
    }
}
