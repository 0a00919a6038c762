//! How the answer of a stream leaves hyper: what has to be true of it, and what goes along.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;

use crate::format::Format;
use crate::handover::Handover;
use crate::last_event_id::LastEventId;
use crate::live::Live;
use crate::response::{OYEZ_GAP, STREAM_HEADERS, Sse};

/// What the request says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    can_leave: bool,
    chunked: bool,
}

impl Asked {
    pub(crate) fn of<B: Body>(request: &Request<B>) -> Self {
        let version = request.version();
        let known = matches!(version, Version::HTTP_10 | Version::HTTP_11);
        let can_leave = known && request.method() == Method::GET && request.body().is_end_stream();
        Self { can_leave, chunked: version == Version::HTTP_11 }
    }

    /// The stream that answers the request with `response`, if it is one that can leave.
    pub(crate) fn leave<B>(self, response: &mut Response<B>, now: SystemTime) -> Option<Leaving> {
        let handover = response.extensions_mut().remove::<Handover>()?;
        let headers = response.headers();
        let ours = headers.get(CONTENT_TYPE).is_some_and(|mime| Format::of_content_type(mime.as_bytes()).is_some());
        let framed = [CONTENT_ENCODING, CONTENT_LENGTH, TRAILER].iter().any(|name| headers.contains_key(name));
        if !self.can_leave || response.status() != StatusCode::OK || !ours || framed {
            return None;
        }
        let live = handover.take()?;
        Some(Leaving { head: head(headers, self.chunked, now), chunked: self.chunked, live })
    }
}

/// Waits until the stream of `response` has its place: what fails before its first byte is said with a status still.
pub(crate) async fn begun<B>(response: &mut Response<B>, reader: &LastEventId) {
    let Some(handover) = response.extensions().get::<Handover>().cloned() else { return };
    let error = match handover.begun().await {
        Ok(Some(reason)) => {
            response.headers_mut().insert(OYEZ_GAP, HeaderValue::from_static(reason));
            return;
        }
        Ok(None) => return,
        Err(error) => error,
    };
    let none = LastEventId::none();
    let reader = if handover.bare { &none } else { reader };
    let (parts, body) = Sse::refusal(&error, reader).into_http().into_parts();
    *response.status_mut() = parts.status;
    let headers = response.headers_mut();
    for name in &STREAM_HEADERS {
        headers.remove(name);
    }
    headers.extend(parts.headers);
    handover.refuse(body.into_bytes());
}

/// A stream on its way out of hyper.
pub(crate) struct Leaving {
    pub(crate) head: Bytes,
    /// HTTP/1.1; else the end of the connection is the end of the stream.
    pub(crate) chunked: bool,
    pub(crate) live: Live,
}

fn head(headers: &HeaderMap, chunked: bool, now: SystemTime) -> Bytes {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    for (name, value) in headers {
        if !HOP_BY_HOP.contains(name) && *name != DATE {
            field(&mut head, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    field(&mut head, b"date", date(headers, now).as_bytes());
    if chunked {
        field(&mut head, b"transfer-encoding", b"chunked");
    }
    field(&mut head, b"connection", b"close");
    head.extend_from_slice(b"\r\n");
    head.into()
}

fn field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn date(headers: &HeaderMap, now: SystemTime) -> String {
    if let Some(date) = headers.get(DATE).and_then(|date| date.to_str().ok()) {
        return date.to_owned();
    }
    let now = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&now).expect("a time of day of this age has a date")
}

/// RFC 9110, 7.6.1: about one connection, and this one is ours.
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, HeaderName::from_static("keep-alive"), TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
