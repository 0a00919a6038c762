//! A stream as an HTTP response, for axum and any framework on `http-body` 1.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::clock;
use crate::control::StreamControl;
use crate::feed::Feed;
use crate::format::Format;
use crate::frame::retry_frame;
#[cfg(feature = "serve")]
use crate::handover::Handover;
use crate::last_event_id::LastEventId;
use crate::limits::RETRY_MS;
use crate::live::Live;
use crate::pump::Pump;
use crate::random::Random;
use crate::sync::Mutex;
use crate::{Error, ErrorKind};

/// The response of a stream: status, headers and a body that lives as long as its reader. Returned from an axum handler
/// as it is; for other frameworks [`Sse::into_http`] gives the `http` response.
///
/// ```
/// # let hub = oyez::Hub::<String>::new();
/// let response: http::Response<oyez::SseBody> = hub.subscribe("news").into_response().into_http();
/// assert_eq!(response.headers()["content-type"], "text/event-stream;charset=utf-8");
/// ```
///
/// Its extensions hold a [`StreamControl`](crate::StreamControl), by which [`oyez::serve`](crate::serve()) ends it at a drain.
pub struct Sse {
    response: Response<SseBody>,
}

impl Sse {
    pub(crate) fn stream(pump: Box<Pump>, control: StreamControl, format: Format, bare: bool) -> Self {
        Self::live(format, control, Live::Subscriber(pump), bare)
    }

    pub(crate) fn feed(feed: Feed) -> Self {
        let control = feed.control().clone();
        Self::live(Format::Sse, control, Live::Feed(Box::new(feed)), false)
    }

    /// Says in the head that something is missing at the start, if there is a reason.
    pub(crate) fn after_gap(mut self, reason: Option<&'static str>) -> Self {
        if let Some(reason) = reason {
            self.headers_mut().insert(OYEZ_GAP, HeaderValue::from_static(reason));
        }
        self
    }

    #[cfg_attr(not(feature = "serve"), expect(unused_variables, reason = "nobody else hands a stream over"))]
    fn live(format: Format, control: StreamControl, live: Live, bare: bool) -> Self {
        let live = Arc::new(Mutex::new(Some(live)));
        #[cfg(feature = "serve")]
        let handover = Handover::new(&live, bare);
        let mut sse = Self::open(format, Source::Live(live));
        sse.response.extensions_mut().insert(control);
        #[cfg(feature = "serve")]
        sse.response.extensions_mut().insert(handover);
        sse
    }

    /// What `error` is over HTTP: the status of its kind ([`ErrorKind::status`]). A refusal that passes by itself
    /// ([`ErrorKind::passes`]) tells a browser's `EventSource` to come back, and everyone else when to try again.
    #[must_use]
    pub fn refusal(error: &Error, reader: &LastEventId) -> Self {
        let (status, passes) = (error.kind().status(), error.kind().passes());
        let retry = Duration::from_millis(Random::new().within(RETRY_MS));
        if passes && reader.is_event_source() {
            return Self::come_back(retry);
        }
        if error.kind() == ErrorKind::Ended {
            return Self::complete().after_gap(error.gap());
        }
        let problem = serde_json::json!({ "status": status.as_u16(), "title": status.canonical_reason(), "detail": error.to_string() });
        let mut response = Response::new(SseBody(Source::Once(Some(problem.to_string().into()))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if passes {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry.as_secs().max(1)));
        }
        Self { response }
    }

    /// A stream that says nothing but when to come back, and ends: what a browser's `EventSource` understands where
    /// others get 429 or 503.
    #[must_use]
    pub fn come_back(retry: Duration) -> Self {
        Self::open(Format::Sse, Source::Once(Some(retry_frame(retry))))
    }

    /// 204 without a body: there is nothing more, and an `EventSource` does not come back.
    #[must_use]
    pub fn complete() -> Self {
        let mut response = Response::new(SseBody(Source::Once(None)));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { response }
    }

    fn open(format: Format, source: Source) -> Self {
        let mut response = Response::new(SseBody(source));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        // nginx and its relatives hold a response back until a buffer is full unless told not to
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        headers.insert(OYEZ, HeaderValue::from_static("1"));
        Self { response }
    }

    /// Whether [`serve`](crate::serve()) may take the connection out of hyper, which costs a fraction of the memory and of
    /// the time. It does so by default, unless a layer has encoded the body. Layers that wrap the body see it dropped
    /// then; one that has to see every byte wants `false`.
    #[cfg(feature = "serve")]
    #[must_use]
    pub fn hand_over(mut self, may: bool) -> Self {
        if let Some(handover) = self.response.extensions_mut().get_mut::<Handover>() {
            handover.stays = !may;
        }
        self
    }

    /// The headers, to add to them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// The response for frameworks other than axum.
    #[must_use]
    pub fn into_http(self) -> Response<SseBody> {
        self.response
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").field("status", &self.response.status()).finish_non_exhaustive()
    }
}

/// The body of an [`Sse`] response. Pull-based: it reads the log when its reader can take more, and holds at most one
/// page of frames that are shared with all other readers. Dropping it leaves the hub.
pub struct SseBody(Source);

enum Source {
    /// [`serve`](crate::serve()) may take it out.
    Live(Arc<Mutex<Option<Live>>>),
    Once(Option<Bytes>),
}

impl SseBody {
    /// All of it, where it is no stream.
    #[cfg(feature = "serve")]
    pub(crate) fn into_bytes(self) -> Bytes {
        match self.0 {
            Source::Once(bytes) => bytes.unwrap_or_default(),
            Source::Live(_) => Bytes::new(),
        }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    /// [`ErrorKind::Internal`] where the history cannot be read on: a response that ended there would look complete.
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let bytes = match &mut self.0 {
            Source::Live(live) => match &mut *live.lock() {
                Some(live) => live.poll(clock::now(), cx),
                None => Poll::Ready(None),
            },
            Source::Once(bytes) => Poll::Ready(bytes.take().map(Ok)),
        };
        bytes.map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Once(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Source::Once(None) => SizeHint::with_exact(0),
            Source::Live(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for SseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SseBody")
    }
}

#[cfg(feature = "axum")]
mod axum {
    use axum_core::body::Body;
    use axum_core::response::{IntoResponse, Response};

    use super::Sse;
    use crate::{Error, LastEventId};

    impl IntoResponse for Sse {
        fn into_response(self) -> Response {
            self.into_http().map(Body::new)
        }
    }

    /// What [`Sse::refusal`] makes of it for anybody but a browser's `EventSource`: its status, and a problem document.
    impl IntoResponse for Error {
        fn into_response(self) -> Response {
            Sse::refusal(&self, &LastEventId::none()).into_response()
        }
    }
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Says that event types which begin with `oyez.` are the hub's own.
const OYEZ: HeaderName = HeaderName::from_static("oyez");
/// Says of a bare stream why events are missing before its first.
pub(crate) const OYEZ_GAP: HeaderName = HeaderName::from_static("oyez-gap");

/// What the head of a stream has, and that of a refusal in its place has not.
#[cfg(feature = "serve")]
pub(crate) const STREAM_HEADERS: [HeaderName; 5] = [CONTENT_TYPE, CACHE_CONTROL, X_ACCEL_BUFFERING, OYEZ, OYEZ_GAP];

#[cfg(test)]
mod tests {
    use http::Uri;
    use http::header::ACCEPT;

    use super::*;

    fn refusal(kind: ErrorKind, reader: &LastEventId) -> Response<SseBody> {
        Sse::refusal(&Error::new(kind, "no"), reader).into_http()
    }

    #[test]
    fn a_refusal_that_passes_says_when_to_try_again() {
        use ErrorKind::{Closed, Conflict, Denied, Ended, Full, Gone, Internal, Invalid, Mismatch, Unavailable};
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let browser = LastEventId::from_request(&Uri::default(), &headers);
        for (kind, status, passes) in [
            (Ended, 204, false),
            (Invalid, 400, false),
            (Denied, 403, false),
            (Conflict, 409, false),
            (Gone, 410, false),
            (Mismatch, 422, false),
            (Internal, 500, false),
            (Unavailable, 503, true),
            (Closed, 503, true),
            (Full, 507, true),
        ] {
            let response = refusal(kind, &LastEventId::none());
            assert_eq!((response.status(), kind.status().as_u16()), (kind.status(), status), "{kind:?}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), passes, "{kind:?}");
            // an `EventSource` closes for good on anything but 200
            let expected = if passes { 200 } else { status };
            assert_eq!(refusal(kind, &browser).status().as_u16(), expected, "{kind:?}");
        }
    }
}
