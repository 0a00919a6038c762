//! The id that a reader comes back with.

use http::Uri;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use crate::format::Format;

/// The last event id that a reader came back with, and whether the reader is a browser's `EventSource`, which wants
/// refusals in another form. An axum extractor; elsewhere use [`LastEventId::from_request`].
///
/// The header `Last-Event-ID` comes first, then the query parameters `last_event_id` and `lastEventID`. An empty id is none.
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
        let query = |name| query_parameter(uri.query().unwrap_or_default(), name);
        let id = header.filter(|id| !id.is_empty()).or_else(|| query("last_event_id")).or_else(|| query("lastEventID"));
        Self { id: id.filter(|id| !id.is_empty()), event_source: is_event_source(headers) }
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
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|accept| accept.contains(Format::Sse.content_type()));
    headers.contains_key("sec-fetch-mode") && headers.get_all(ACCEPT).iter().any(accepts)
}

fn query_parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let value = value.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned())
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
