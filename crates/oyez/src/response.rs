//! A stream as an HTTP response, for axum and any framework on `http-body` 1.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};

use crate::clock;
use crate::control::StreamControl;
use crate::feed::Feed;
use crate::frame::{Format, retry_frame};
use crate::limits::RETRY_MS;
#[cfg(feature = "serve")]
use crate::live::Handover;
use crate::live::Live;
use crate::pump::Pump;
use crate::random::Random;
use crate::subscriber::Subscriber;
use crate::sync::Mutex;
use crate::{Error, ErrorKind};

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

/// The response of a stream: status, headers and a body that lives as long as its reader. Returned from an axum handler
/// as it is; for other frameworks [`Sse::into_http`] gives the `http` response.
///
/// ```
/// # let hub = oyez::Hub::<String>::new();
/// let response: http::Response<oyez::SseBody> = hub.subscribe("news").into_response().into_http();
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// ```
///
/// Its extensions hold a [`StreamControl`](crate::StreamControl), by which [`oyez::serve`](crate::serve()) ends it at a drain.
pub struct Sse {
    response: Response<SseBody>,
}

impl Sse {
    pub(crate) fn stream(subscriber: Subscriber, format: Format) -> Self {
        let control = subscriber.control().clone();
        Self::live(format, control, Live::Subscriber(Box::new(Pump::new(subscriber, format))))
    }

    pub(crate) fn feed(feed: Feed) -> Self {
        let control = feed.control().clone();
        Self::live(Format::Sse, control, Live::Feed(Box::new(feed)))
    }

    fn live(format: Format, control: StreamControl, live: Live) -> Self {
        let live = Arc::new(Mutex::new(Some(live)));
        #[cfg(feature = "serve")]
        let handover = Handover::new(&live);
        let mut sse = Self::open(format, Source::Live(live));
        sse.response.extensions_mut().insert(control);
        #[cfg(feature = "serve")]
        sse.response.extensions_mut().insert(handover);
        sse
    }

    /// What `error` is over HTTP. A refusal that passes by itself tells a browser's `EventSource` to come back, and
    /// everyone else 503.
    #[must_use]
    pub fn refusal(error: &Error, reader: &LastEventId) -> Self {
        let passes = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Closed);
        let retry = Duration::from_millis(Random::new().within(RETRY_MS));
        if passes && reader.is_event_source() {
            return Self::come_back(retry);
        }
        if error.kind() == ErrorKind::Ended {
            return Self::complete();
        }
        let status = match error.kind() {
            ErrorKind::Ended => StatusCode::NO_CONTENT,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::Gone => StatusCode::GONE,
            ErrorKind::Mismatch => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Unavailable | ErrorKind::Closed | ErrorKind::Full => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
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
        if !may {
            self.response.extensions_mut().remove::<Handover>();
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
    use std::convert::Infallible;

    use axum_core::body::Body;
    use axum_core::extract::FromRequestParts;
    use axum_core::response::{IntoResponse, Response};

    use super::{LastEventId, Sse};

    impl IntoResponse for Sse {
        fn into_response(self) -> Response {
            self.into_http().map(Body::new)
        }
    }

    impl<S: Sync> FromRequestParts<S> for LastEventId {
        type Rejection = Infallible;

        async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Infallible> {
            Ok(Self::from_request(&parts.uri, &parts.headers))
        }
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Says that event types which begin with `oyez.` are the hub's own.
const OYEZ: HeaderName = HeaderName::from_static("oyez");
