//! One reader and one writer, without a hub.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use oyez_proto::{Event, encode_comment};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::control::StreamControl;
use crate::frame::comment;
use crate::limits::{CONNECTION_QUEUE_FRAMES, KEEP_ALIVE};
use crate::response::Sse;
use crate::sync::Mutex;
use crate::timer::Timer;
use crate::{Error, ErrorKind};

/// A stream of its own for one request: what is sent goes to its reader and nowhere else, in order, and is not kept.
/// For streams that must survive a reconnection use a [`Hub`](crate::Hub).
///
/// `send` waits while the reader does not take what was sent before. Dropping the connection ends the stream behind
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
        let feed = Feed {
            queue,
            ended: Arc::clone(&ended),
            control: StreamControl::default(),
            timer: Timer::default(),
            keep_alive_at: None,
        };
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

    /// Ends the stream behind what was sent. Closing twice is closing once.
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

/// The reading end, driven by the body of the response or by a fan-out thread.
pub(crate) struct Feed {
    queue: mpsc::Receiver<Bytes>,
    ended: Arc<watch::Sender<bool>>,
    control: StreamControl,
    timer: Timer,
    keep_alive_at: Option<Instant>,
}

impl Feed {
    pub(crate) fn control(&self) -> &StreamControl {
        &self.control
    }

    /// The next bytes, for a body; `None` when the stream has ended.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.turn(now, cx.waker()) {
            FeedTurn::Deliver(frame) => Poll::Ready(Some(frame)),
            FeedTurn::End => Poll::Ready(None),
            FeedTurn::Wait(until) => {
                if self.timer.poll(until, cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// What its driver does next; `waker` is kept for when there is more.
    pub(crate) fn turn(&mut self, now: Instant, waker: &Waker) -> FeedTurn {
        let ends_at = self.control.watch(waker).map(|(time, _)| time);
        if ends_at.is_some_and(|time| time <= now) {
            // nothing more is taken; what was taken is still sent
            self.queue.close();
            self.ended.send_replace(true);
        }
        if let Poll::Ready(frame) = self.queue.poll_recv(&mut Context::from_waker(waker)) {
            self.keep_alive_at = Some(now + KEEP_ALIVE);
            return frame.map_or(FeedTurn::End, FeedTurn::Deliver);
        }
        // the first keep-alive opens the stream at once, so that headers pass every proxy
        if self.keep_alive_at.is_none_or(|time| time <= now) {
            self.keep_alive_at = Some(now + KEEP_ALIVE);
            return FeedTurn::Deliver(comment());
        }
        let ends_at = ends_at.filter(|time| *time > now);
        FeedTurn::Wait([self.keep_alive_at, ends_at].into_iter().flatten().min())
    }
}

/// What the driver of a [`Feed`] does next.
pub(crate) enum FeedTurn {
    /// This is to be sent; then there may be more.
    Deliver(Bytes),
    /// Go on when woken, or at this time.
    Wait(Option<Instant>),
    /// Nothing will come any more.
    End,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}
