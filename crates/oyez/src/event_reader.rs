//! The events in the body of a response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use oyez_proto::{Decoder, Event, EventId, Item};

use crate::{Error, ErrorKind};

/// Reads the events in the body of a response: of a handler that is called by a test, without a server, or of another
/// server that is passed on.
///
/// Blocks without data and comments are no events. What a stream of a hub tells beside its events are events as well:
/// `oyez.gap`, `oyez.end`.
///
/// A stream of a hub goes on until its reader goes or its topic ends, so a test reads the events that it expects and
/// drops the reader, or lets the stream end: by [`poll`](crate::Subscribe::poll) or [`limit`](crate::Subscribe::limit), by
/// [`Hub::end`](crate::Hub::end), or by `hub.drain(Duration::ZERO)`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use axum::{Router, body::Body, extract::State, http::Request, routing::get};
/// use oyez::{EventReader, Hub, Sse};
/// use tower_service::Service;
///
/// async fn news(State(hub): State<Hub>) -> Sse {
///     hub.subscribe("news").into_response()
/// }
///
/// let hub = Hub::new();
/// let mut app: Router = Router::new().route("/news", get(news)).with_state(hub.clone());
/// let response = app.call(Request::get("/news").body(Body::empty())?).await?;
/// hub.publish("news", "hello").await?;
///
/// let mut events = EventReader::new(response.into_body());
/// let event = events.next().await?.expect("the stream goes on");
/// assert_eq!(event.data_str(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct EventReader<B> {
    body: B,
    decoder: Decoder,
    rest: Bytes,
}

impl<B> EventReader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Reads `body` from its beginning.
    #[must_use]
    pub fn new(body: B) -> Self {
        Self { body, decoder: Decoder::new(), rest: Bytes::new() }
    }

    /// The next event; `None` when the body has ended. Cancel-safe: what was read is not lost with a call that is dropped.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when an event is larger than 16 MiB; [`Unavailable`](ErrorKind::Unavailable) when the
    /// body breaks off.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The id to resume from after what was read.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&EventId> {
        self.decoder.last_event_id()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        loop {
            let mut bytes = &self.rest[..];
            let item = self.decoder.next(&mut bytes);
            let taken = self.rest.len() - bytes.len();
            self.rest = self.rest.slice(taken..);
            match item? {
                Some(Item::Event(event)) => return Poll::Ready(Ok(Some(event))),
                Some(_) => continue,
                None => {}
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(Error::broken_off(error))),
            }
        }
    }
}

impl<B> fmt::Debug for EventReader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader").field("last_event_id", &self.decoder.last_event_id()).finish_non_exhaustive()
    }
}

impl Error {
    fn broken_off(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::caused(ErrorKind::Unavailable, "the body broke off", cause)
    }
}
