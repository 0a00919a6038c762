//! Every answer that is not a success: its status and its words, once.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use oyez::{ErrorKind, LastEventId, Sse};
use serde::Serialize;

use crate::limits::FULL_RETRY;

/// Why a request was not done. It reaches the caller as `application/problem+json` (RFC 9457) with the value that was
/// wrong; nothing is half-done unless the detail says how much is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// What the hub refuses too: the kind has the status. `retry` where it passes by itself.
    #[error("{detail}{}", again(*retry))]
    Refused { kind: ErrorKind, detail: String, retry: Option<Duration> },
    #[error("{what} is not in this build yet")]
    NotYet { what: String },
    #[error("no route {path:?}; {there}")]
    NoRoute { path: String, there: &'static str },
    #[error("no open stream has the id {id:?}; with control=1, a stream sends its id in oyez.open")]
    NoConnection { id: String },
    #[error("{path} {what} is not in this build yet")]
    RouteNotYet { path: String, what: &'static str },
    #[error("{method} is not allowed here; allowed: {allow}{}", there.map(|there| format!("; {there}")).unwrap_or_default())]
    Method { method: Method, allow: String, there: Option<&'static str> },
    #[error("Host {host:?} is not a name of this hub; use a loopback name such as localhost, or set public_urls")]
    Host { host: String },
    #[error("{0}")]
    Origin(String),
    #[error("{0}")]
    PublishDenied(&'static str),
    #[error("{what} has more than {max} bytes")]
    TooLarge { what: String, max: usize },
    #[error("the request target has {0} bytes, at most {max} are allowed", max = crate::limits::URI_BYTES_MAX)]
    UriTooLong(usize),
    #[error("{what} is not UTF-8 text; send binary data as base64{done}")]
    NotText { what: String, done: String },
    #[error("Content-Encoding {0:?} is not supported; send the body uncompressed")]
    ContentEncoding(String),
    #[error("{0}")]
    ContentType(String),
    #[error("{0}")]
    TooSlow(String),
    #[error("{0}")]
    BrokenBody(String),
}

impl Problem {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::of(ErrorKind::Invalid, detail)
    }

    /// A value that a type refuses, in that type's own words.
    #[allow(clippy::needless_pass_by_value)] // the form that `map_err` calls
    pub(crate) fn refused(error: impl std::error::Error) -> Self {
        Self::invalid(error.to_string())
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::of(ErrorKind::Internal, detail)
    }

    /// A bound is reached; it passes by itself.
    pub(crate) fn busy(reason: impl Into<String>, retry: Duration) -> Self {
        Self::Refused { kind: ErrorKind::Unavailable, detail: reason.into(), retry: Some(retry) }
    }

    /// What an error of the hub is over HTTP.
    pub(crate) fn from_hub(error: &oyez::Error, retry: Duration) -> Self {
        let kind = error.kind();
        let retry = if kind == ErrorKind::Full { FULL_RETRY } else { retry };
        Self::Refused { kind, detail: error.to_string(), retry: kind.passes().then_some(retry) }
    }

    fn of(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self::Refused { kind, detail: detail.into(), retry: None }
    }

    /// The same problem, where part of the work was done before it: how much, in words.
    pub(crate) fn after(self, done: &str) -> Self {
        match self {
            Self::Refused { kind, detail, retry } => Self::Refused { kind, detail: format!("{detail}; {done}"), retry },
            Self::NotText { what, .. } => Self::NotText { what, done: format!("; {done}") },
            Self::TooLarge { what, max } => Self::TooLarge { what: format!("{what} ({done})"), max },
            Self::TooSlow(detail) => Self::TooSlow(format!("{detail}; {done}")),
            Self::BrokenBody(detail) => Self::BrokenBody(format!("{detail}; {done}")),
            other => other,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused { kind, .. } => kind.status(),
            Self::NotYet { .. } | Self::BrokenBody(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute { .. } | Self::NoConnection { .. } | Self::RouteNotYet { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::PublishDenied(_) => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::NotText { .. } | Self::ContentEncoding(_) | Self::ContentType(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The answer to `reader`: a browser's `EventSource` would close for good on 503, so it is told when to come back.
    pub(crate) fn into_stream_response(self, reader: &LastEventId) -> Response {
        match self {
            Self::Refused { retry: Some(retry), .. } if reader.is_event_source() => {
                Sse::come_back(retry).into_response()
            }
            problem => problem.into_response(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            status: u16,
            title: &'a str,
            detail: String,
        }
        // no failure: the reader has everything, and nothing more will come
        if matches!(self, Self::Refused { kind: ErrorKind::Ended, .. }) {
            return Sse::complete().into_response();
        }
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let document = Document { status: status.as_u16(), title, detail: self.to_string() };
        let body = serde_json::to_string(&document).expect("strings and numbers are JSON") + "\n";
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match &self {
            Self::Refused { retry: Some(retry), .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(retry.as_secs().max(1)));
            }
            Self::Method { allow, .. } => {
                headers.insert(ALLOW, HeaderValue::from_str(allow).expect("names of methods are header text"));
            }
            _ => {}
        }
        response
    }
}

fn again(retry: Option<Duration>) -> String {
    retry.map(|retry| format!("; try again in {} s", retry.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_browser_is_told_to_come_back_where_others_get_503() {
        let reader = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap()));
            LastEventId::from_request(&"/events".parse().unwrap(), &headers.collect())
        };
        let busy = || Problem::busy("full", Duration::from_secs(3));
        assert_eq!(busy().to_string(), "full; try again in 3 s");
        let browser = [("accept", "text/event-stream"), ("sec-fetch-mode", "cors")];
        let response = busy().into_stream_response(&reader(&browser));
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "retry: 3000\n\n");
        let response = busy().into_stream_response(&reader(&browser[..1]));
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(3)));
    }
}
