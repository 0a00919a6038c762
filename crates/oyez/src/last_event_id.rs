//! The id that a reader comes back with.

use http::Uri;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use crate::format::Format;

/// The last event id that a reader came back with, and whether the reader is a browser's `EventSource`, which wants
/// refusals in another form. An axum extractor; elsewhere use [`LastEventId::from_request`].
///
/// The header `Last-Event-ID` comes first, then the query, where it may be spelled in any of the ways that clients have: `lastEventId`,
/// `last_event_id`, `Last-Event-ID` and so on. Of several in the query the last one counts: a client that appends its id to a URL
/// that has one already means the newer. An empty id is none.
///
/// ```
/// # use oyez::LastEventId;
/// let uri = "/events/news?lastEventId=a%3A1&lastEventId=a%3A2".parse().unwrap();
/// assert_eq!(LastEventId::from_request(&uri, &http::HeaderMap::new()).id(), Some("a:2"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastEventId {
    id: Option<String>,
    event_source: bool,
}

impl LastEventId {
    /// No id: the subscription begins where else it says.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// This id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()).filter(|id| !id.is_empty()), event_source: false }
    }

    /// Reads it from a request. Bytes of the header that are not UTF-8 become U+FFFD: such an id is unknown, not an error.
    #[must_use]
    pub fn from_request(uri: &Uri, headers: &HeaderMap) -> Self {
        let header = headers.get(LAST_EVENT_ID).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let id = header.filter(|id| !id.is_empty()).or_else(|| last_in_query(uri.query().unwrap_or_default()));
        Self { id, event_source: is_event_source(headers) }
    }

    /// Is this the name of a query parameter that holds a last event id? For routes that look at all their parameters.
    #[must_use]
    pub fn is_parameter(name: &str) -> bool {
        let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase());
        letters.eq(*b"lasteventid")
    }

    /// No id; what matters of the reader is how a refusal reaches it.
    #[cfg(feature = "serve")]
    pub(crate) fn none_of(headers: &HeaderMap) -> Self {
        Self { id: None, event_source: is_event_source(headers) }
    }

    /// The id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Is the reader a browser's `EventSource`? It closes for good on 429 and 503, so such refusals reach it as a
    /// 200 that sets a reconnection time and ends.
    #[must_use]
    pub fn is_event_source(&self) -> bool {
        self.event_source
    }
}

fn is_event_source(headers: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|accept| accept.contains(Format::Sse.media_type()));
    headers.contains_key("sec-fetch-mode") && headers.get_all(ACCEPT).iter().any(accepts)
}

fn last_in_query(query: &str) -> Option<String> {
    let pairs = query.split('&').rev().filter_map(|pair| pair.split_once('='));
    let mut ids = pairs.filter(|(name, _)| LastEventId::is_parameter(&decoded(name))).map(|(_, value)| decoded(value));
    ids.find(|id| !id.is_empty())
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(feature = "axum")]
mod axum {
    use std::convert::Infallible;

    use axum_core::extract::FromRequestParts;

    use super::LastEventId;

    impl<S: Sync> FromRequestParts<S> for LastEventId {
        type Rejection = Infallible;

        async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Infallible> {
            Ok(Self::from_request(&parts.uri, &parts.headers))
        }
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[cfg(test)]
mod tests {
    use super::*;

    fn id(target: &str, header: Option<&'static str>) -> Option<String> {
        let headers = header.map(|id| (LAST_EVENT_ID, HeaderValue::from_static(id))).into_iter().collect();
        LastEventId::from_request(&target.parse().unwrap(), &headers).id().map(str::to_owned)
    }

    #[test]
    fn every_spelling_in_the_query_is_read() {
        for name in ["lastEventId", "lastEventID", "last_event_id", "Last-Event-ID", "last-event-id", "LASTEVENTID"] {
            assert_eq!(id(&format!("/?a=b&{name}=k:1"), None).as_deref(), Some("k:1"), "{name}");
        }
        assert_eq!(id("/?last%2Devent%2did=a+b%26c", None).as_deref(), Some("a b&c"));
        for name in ["last", "event_id", "id", "lastEvent", "lastEventIds", "x-last-event-id"] {
            assert_eq!(id(&format!("/?{name}=k:1"), None), None, "{name}");
        }
    }

    #[test]
    fn the_header_wins_and_then_the_last_one_in_the_query() {
        assert_eq!(id("/?lastEventId=2", Some("1")).as_deref(), Some("1"));
        assert_eq!(id("/?lastEventId=2", Some("")).as_deref(), Some("2"), "an empty header is none");
        assert_eq!(id("/?lastEventId=2&topic=x&last_event_id=3", None).as_deref(), Some("3"));
        assert_eq!(id("/?last_event_id=3&lastEventID=2", None).as_deref(), Some("2"));
        assert_eq!(id("/?lastEventId=2&lastEventId=", None).as_deref(), Some("2"), "an empty one is none");
        assert_eq!(id("/?lastEventId=&lastEventId", None), None);
    }
}
