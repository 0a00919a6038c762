//! Every answer that is not a success, one variant each: its status and its words, once.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use oyez::{ErrorKind, LastEventId, Sse};
use serde::Serialize;

use crate::limits::FULL_RETRY_SECONDS;

/// Why a request was not done. It reaches the caller as `application/problem+json` (RFC 9457) with the value that was
/// wrong; nothing is half-done unless the detail says how much is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Invalid(String),
    #[error("{what} is not in this build yet")]
    NotYet { what: String },
    #[error("no route {path:?}; publish and subscribe at /events/TOPIC")]
    NoRoute { path: String },
    #[error("no open stream has the id {id:?}; a stream asked for with control=1 tells its own in oyez.open")]
    NoConnection { id: String },
    #[error("{path} {what} is not in this build yet")]
    RouteNotYet { path: String, what: &'static str },
    #[error("{method} is not allowed here; allowed: {allow}")]
    Method { method: Method, allow: &'static str },
    #[error("Host {host:?} is not served here; name it in public_urls if it should be")]
    Host { host: String },
    #[error("{0}")]
    Origin(String),
    #[error("{0}")]
    PublishDenied(&'static str),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Gone(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Mismatch(String),
    /// No failure: the reader has everything, and nothing more will come.
    #[error("everything has been read")]
    Complete,
    #[error("{what} has more than {max} bytes")]
    TooLarge { what: String, max: usize },
    #[error("the request target has {0} bytes, at most {max} are allowed", max = crate::limits::URI_BYTES_MAX)]
    UriTooLong(usize),
    #[error("{what} is not UTF-8 text; send binary data as base64{done}")]
    NotText { what: String, done: String },
    #[error("Content-Encoding {0:?} is not taken; send the body as it is")]
    ContentEncoding(String),
    #[error("{0}")]
    TooSlow(String),
    #[error("{0}")]
    BrokenBody(String),
    #[error("{reason}; try again in {} s", retry.as_secs())]
    Busy { reason: String, retry: Duration },
    #[error("{0}")]
    Full(String),
    #[error("{0}")]
    Internal(String),
}

impl Problem {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid(detail.into())
    }

    /// A value that a type refuses, in that type's own words.
    #[allow(clippy::needless_pass_by_value)] // the form that `map_err` calls
    pub(crate) fn refused(error: impl std::error::Error) -> Self {
        Self::Invalid(error.to_string())
    }

    /// What an error of the hub is over HTTP.
    pub(crate) fn from_hub(error: &oyez::Error, retry: Duration) -> Self {
        let detail = error.to_string();
        match error.kind() {
            ErrorKind::Invalid => Self::Invalid(detail),
            ErrorKind::Denied => Self::Denied(detail),
            ErrorKind::Gone => Self::Gone(detail),
            ErrorKind::Ended => Self::Complete,
            ErrorKind::Conflict => Self::Conflict(detail),
            ErrorKind::Mismatch => Self::Mismatch(detail),
            ErrorKind::Full => Self::Full(detail),
            ErrorKind::Unavailable | ErrorKind::Closed => Self::Busy { reason: detail, retry },
            _ => Self::Internal(detail),
        }
    }

    /// The same problem, where part of the work was done before it: how much, in words.
    pub(crate) fn after(self, done: &str) -> Self {
        match self {
            Self::NotText { what, .. } => Self::NotText { what, done: format!("; {done}") },
            Self::TooLarge { what, max } => Self::TooLarge { what: format!("{what} ({done})"), max },
            Self::Invalid(detail) => Self::Invalid(format!("{detail}; {done}")),
            Self::Conflict(detail) => Self::Conflict(format!("{detail}; {done}")),
            Self::TooSlow(detail) => Self::TooSlow(format!("{detail}; {done}")),
            Self::BrokenBody(detail) => Self::BrokenBody(format!("{detail}; {done}")),
            Self::Full(detail) => Self::Full(format!("{detail}; {done}")),
            Self::Internal(detail) => Self::Internal(format!("{detail}; {done}")),
            Self::Busy { reason, retry } => Self::Busy { reason: format!("{reason}; {done}"), retry },
            other => other,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::NotYet { .. } | Self::BrokenBody(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute { .. } | Self::NoConnection { .. } | Self::RouteNotYet { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::PublishDenied(_) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Gone(_) => StatusCode::GONE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Mismatch(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Complete => StatusCode::NO_CONTENT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::NotText { .. } | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer to `reader`: a browser's `EventSource` would close for good on 503, so it is told when to come back.
    pub(crate) fn into_stream_response(self, reader: &LastEventId) -> Response {
        match self {
            Self::Busy { retry, .. } if reader.is_event_source() => Sse::come_back(retry).into_response(),
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
        if self == Self::Complete {
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
            Self::Busy { retry, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(retry.as_secs().max(1)));
            }
            Self::Full(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(FULL_RETRY_SECONDS));
            }
            Self::Method { allow, .. } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            _ => {}
        }
        response
    }
}
