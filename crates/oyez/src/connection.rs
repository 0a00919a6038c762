//! One reader and one writer, without a hub.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
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
