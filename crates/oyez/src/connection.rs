//! One reader and one writer, without a hub.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use oyez_proto::{Event, encode_comment};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::feed::Feed;
use crate::limits::CONNECTION_QUEUE_FRAMES;
use crate::response::Sse;
use crate::sync::Mutex;
use crate::{Error, ErrorKind};

/// A stream of its own for one request: what is sent goes to its reader and nowhere else, in order, and is not kept.
/// For streams that must survive a reconnection use a [`Hub`](crate::Hub).
///
/// `send` waits while the reader does not take what was sent before. Dropping the connection ends the stream after
/// what was sent; keep-alives are sent by themselves.
///
/// ```
/// use oyez::{Connection, Event, Sse};
///
/// async fn progress() -> Sse {
///     let (connection, response) = Connection::open();
///     tokio::spawn(async move {
///         for percent in [0, 50, 100] {
///             if connection.send(Event::data(percent.to_string())).await.is_err() {
///                 return; // the reader has gone
///             }
///         }
///     });
///     response
/// }
/// ```
#[derive(Debug)]
pub struct Connection {
    frames: Mutex<Option<mpsc::Sender<Bytes>>>,
    ended: Arc<watch::Sender<bool>>,
}

impl Connection {
    /// A connection and the response that streams it.
    #[must_use]
    pub fn open() -> (Self, Sse) {
        let (frames, queue) = mpsc::channel(CONNECTION_QUEUE_FRAMES);
        let ended = Arc::new(watch::Sender::new(false));
        let feed = Feed::new(queue, Arc::clone(&ended));
        (Self { frames: Mutex::new(Some(frames)), ended }, Sse::feed(feed))
    }

    /// Sends an event. Cancel-safe: a call that is dropped has sent the event or not, never in part.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) when the reader has gone or the connection was closed.
    pub async fn send(&self, event: impl Into<Event>) -> Result<(), Error> {
        let event = event.into();
        let mut frame = BytesMut::with_capacity(event.encoded_len());
        event.encode(&mut frame);
        self.send_frame(frame.freeze()).await
    }

    /// Sends an event whose data is `value` in JSON.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when `value` cannot be JSON; else as [`Connection::send`].
    pub async fn send_json(&self, value: &(impl Serialize + Sync)) -> Result<(), Error> {
        let data = serde_json::to_string(value).map_err(Error::payload)?;
        self.send(Event::data(data)).await
    }

    /// Sends a comment, which dispatches nothing.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn comment(&self, text: &str) -> Result<(), Error> {
        let mut frame = BytesMut::new();
        encode_comment(text, &mut frame);
        self.send_frame(frame.freeze()).await
    }

    /// Sends each event of `stream`, as fast as its reader takes them, and closes the connection when that ends. The stream
    /// is dropped when the reader has gone.
    ///
    /// # Errors
    /// The first error of the stream, at which the connection is closed.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// # use std::convert::Infallible;
    /// use oyez::{Connection, Sse};
    /// fn progress(percents: impl Stream<Item = Result<String, Infallible>> + Send + 'static) -> Sse {
    ///     let (connection, response) = Connection::open();
    ///     tokio::spawn(connection.forward(percents));
    ///     response
    /// }
    /// ```
    pub async fn forward<S, V, E>(self, stream: S) -> Result<(), E>
    where
        S: Stream<Item = Result<V, E>>,
        V: Into<Event>,
    {
        let mut stream = std::pin::pin!(stream);
        loop {
            let event = tokio::select! {
                event = poll_fn(|cx| stream.as_mut().poll_next(cx)) => event,
                () = self.closed() => return Ok(()),
            };
            let Some(event) = event.transpose()? else { return Ok(()) };
            if self.send(event).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Resolves when the reader has gone or the connection was closed.
    pub async fn closed(&self) {
        // the sender is ours and lives: an error cannot be
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Ends the stream after what was sent. Closing twice is closing once.
    pub fn close(&self) {
        self.frames.lock().take();
        self.ended.send_replace(true);
    }

    async fn send_frame(&self, frame: Bytes) -> Result<(), Error> {
        let closed = || Error::new(ErrorKind::Closed, "the connection is closed");
        let frames = self.frames.lock().clone().ok_or_else(closed)?;
        tokio::select! {
            sent = frames.send(frame) => sent.map_err(|_| closed()),
            () = self.closed() => Err(closed()),
        }
    }
}

impl Sse {
    /// The response that streams `stream`, to this reader only: what axum's own `Sse::new` takes. A [`Connection`] with its
    /// keep-alives, its place in a drain and its bound on what waits; the stream is read by a task of its own, and dropped
    /// when the reader has gone. At an error the response ends, and an `EventSource` comes back.
    ///
    /// For a stream without errors: `stream.map(Ok::<_, std::convert::Infallible>)`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// use oyez::{Event, Sse};
    /// async fn counts(counts: impl Stream<Item = Result<Event, std::io::Error>> + Send + 'static) -> Sse {
    ///     Sse::from_stream(counts)
    /// }
    /// ```
    #[must_use]
    pub fn from_stream<S, V, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<V, E>> + Send + 'static,
        V: Into<Event> + Send,
        E: fmt::Display + Send,
    {
        let (connection, response) = Connection::open();
        tokio::spawn(async move {
            if let Err(error) = connection.forward(stream).await {
                tracing::debug!(%error, "a stream ended by an error of its own");
            }
        });
        response
    }
}
