//! Publish, subscribe, count, drain. The hub knows no HTTP.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use oyez_proto::{Event, EventId};

use crate::clock;
use crate::core::{Appends, Core};
use crate::log::Published;
use crate::matcher::Matcher;
use crate::once::IdempotencyKey;
use crate::publish::Publish;
use crate::publishing::Publishing;
use crate::stats::{HubStats, StreamStats};
use crate::subscribe::Subscribe;
use crate::sync::atomic::Ordering;
use crate::typed::{IntoPayload, Payload};
use crate::writer::Writer;
use crate::{Error, Position, Topic};

/// An ordered log that many publish to and many read, each at a cursor of its own. Cheap to clone; all clones are the
/// same hub.
///
/// `T` is what is published: [`Event`] (the default) for full control over type and id, `String`,
/// `serde_json::Value`, or a type of your own with [`JsonPayload`](crate::JsonPayload).
///
/// - A subscriber sees the entries of its topics in log order, each once per stream; a hole is announced.
/// - A publisher never waits for a subscriber, and one subscriber never delays another.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use oyez::{Event, Hub, Retention};
///
/// let hub = Hub::<Event>::builder().history(Retention::last(10_000)).build();
/// let id = hub.publish("news", "hello").await?;
///
/// let mut stream = hub.subscribe("news").earliest().into_stream()?;
/// let item = stream.next().await.and_then(|item| item.event()).expect("one event is there");
/// assert_eq!((item.id, item.value.data_str()), (id, "hello"));
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
pub struct Hub<T = Event> {
    core: Arc<Core>,
    payload: PhantomData<fn(T) -> T>,
}

impl<T> Hub<T> {
    pub(crate) fn of(core: Arc<Core>) -> Self {
        Self { core, payload: PhantomData }
    }
}

impl<T: Payload> Hub<T> {
    /// Resolves with the reason when the disk has failed: nothing more is acknowledged then, and the process should end, to be
    /// started again. Never resolves for a hub in memory.
    pub async fn failed(&self) -> String {
        match &self.core.appends {
            Appends::Here => std::future::pending().await,
            Appends::By(appender) => appender.failed().await,
        }
    }

    /// Writes what is being published to the disk and closes the history properly: the next start need not look for its end, and
    /// another hub can have the directory. Publishing ends with it; streams that are open can read on. Dropping the last clone of a hub does the same, but only when no stream holds it any more.
    pub async fn close(&self) {
        if let Appends::By(appender) = &self.core.appends {
            appender.close().await;
            self.core.log.release();
        }
    }

    /// Publishes `value` to `topic`, when what it returns is awaited; more can be said of it first:
    /// [`also`](Publishing::also) to another topic, [`event`](Publishing::event) for its type, [`key`](Publishing::key),
    /// [`ttl`](Publishing::ttl), [`id`](Publishing::id), [`private`](Publishing::private), [`once`](Publishing::once).
    ///
    /// When it resolves, the event is as durable as configured, and every subscriber of `topic` can read it. Cancel-safe:
    /// a call that is dropped has either published or not, never in part.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the topic or the event is not allowed or too large, or `value` cannot be
    /// encoded; [`Conflict`](crate::ErrorKind::Conflict) when the topic has ended;
    /// [`Full`](crate::ErrorKind::Full) when the disk has no room; [`Closed`](crate::ErrorKind::Closed) when the hub drains.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use oyez::{Event, Hub};
    ///
    /// let hub = Hub::<Event>::new();
    /// hub.publish("news", "hello").await?;
    /// let room = 7;
    /// hub.publish(format!("rooms/{room}"), "hello").also("rooms").event("message").await?;
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn publish<N>(&self, topic: N, value: impl IntoPayload<T>) -> Publishing<'_, T>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        Publishing::new(&self.core, Publish::new(topic, value))
    }

    /// [`Hub::publish`] without waiting, for logs in memory; the same as its [`now`](Publishing::now). Where the history may
    /// be on disk take `publish(…).detach()`.
    ///
    /// # Errors
    /// As [`Hub::publish`], and [`Invalid`](crate::ErrorKind::Invalid) when the history is on disk: there it always fails.
    pub fn try_publish<N>(&self, topic: N, value: impl IntoPayload<T>) -> Result<EventId, Error>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.publish(topic, value).now()
    }

    /// Appends a batch: all of it, in order and without anything in between, or nothing. Returns the ids in order.
    ///
    /// # Errors
    /// As [`Hub::publish`]; then nothing is published, and the error names what was wrong.
    pub async fn publish_batch(&self, batch: Vec<Publish<T>>) -> Result<Vec<EventId>, Error> {
        Ok(self.core.publish(Publish::submissions(batch)?, None).await?.ids)
    }

    /// [`Hub::publish_batch`] that can be sent again: within ten minutes, the same batch under the same key appends nothing and
    /// returns the ids of the first time. So a publisher that got no answer repeats the call until it gets one, without loss and
    /// without doubles.
    ///
    /// A million keys are remembered, in at most 64 MiB; beyond that the oldest are forgotten before their time.
    ///
    /// # Errors
    /// As [`Hub::publish_batch`]; and [`Mismatch`](crate::ErrorKind::Mismatch) when the key stands for other events.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use oyez::{Event, Hub, IdempotencyKey, Publish};
    /// let hub = Hub::<Event>::new();
    /// let key = IdempotencyKey::new("order-7/paid")?;
    /// let paid = vec![Publish::new("orders/7", "paid")];
    /// let first = hub.publish_once(key.clone(), paid.clone()).await?;
    /// let again = hub.publish_once(key, paid).await?;
    /// assert!(again.replayed && again.ids == first.ids);
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn publish_once(&self, key: IdempotencyKey, batch: Vec<Publish<T>>) -> Result<Published, Error> {
        self.core.publish(Publish::submissions(batch)?, Some(key)).await
    }

    /// Ends `topic`: an event `oyez.end` is its last one. Readers of this topic, or of several that have all ended, get what is
    /// left, and then their streams end; an `EventSource` that comes back after the end is answered 204 and stops. Who
    /// comes without an id gets the topic from its start, for as long as the history has its end. Patterns go on. To end it
    /// together with its last event, put [`Publish::end`] after it in a batch.
    ///
    /// # Errors
    /// As [`Hub::publish`]; and [`Conflict`](crate::ErrorKind::Conflict) when it has ended before, which is also the answer to
    /// whoever publishes to it from now on.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let hub = oyez::Hub::<String>::new();
    /// hub.publish("answers/7", "All is well").await?;
    /// hub.end("answers/7").await?;
    /// let mut stream = hub.subscribe("answers/7").into_stream()?;
    /// while let Some(item) = stream.next().await {
    ///     println!("{item:?}");
    /// }
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn end<N>(&self, topic: N) -> Result<EventId, Error>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        Publishing::new(&self.core, Publish::<T>::end(topic)).await
    }

    /// A writer of `topic`, which is to come to its end: one that is dropped before says so and ends it. See [`Writer`].
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when `topic` is no topic.
    pub fn writer<N>(&self, topic: N) -> Result<Writer<T>, Error>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        Ok(Writer::new(Arc::clone(&self.core), topic.try_into().map_err(Into::into)?))
    }

    /// Deletes `topic`: all that was published to it is hidden at once, from readers that are to come and from those that
    /// are there. An entry of several topics stays readable through the others. Gives back the place of the deletion in the
    /// log. A topic that nobody has published to can be deleted as well, and what is published to it from now on is read as
    /// ever.
    ///
    /// A reader that should have had what is hidden is told so in its stream, where that was
    /// ([`Reason::Deleted`](crate::Reason::Deleted)): one that resumes from before, or lags. Memory is given
    /// back as the history moves on.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when `topic` is no topic; [`Closed`](crate::ErrorKind::Closed) when the hub drains;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a history on disk holds 32 MiB of names of deleted topics.
    pub async fn delete<N>(&self, topic: N) -> Result<EventId, Error>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.core.delete(topic.try_into().map_err(Into::into)?).await
    }

    /// Begins a subscription to `topic`, and to no other: a name that came from outside opens nothing else. For patterns
    /// there is [`subscribe_pattern`](Self::subscribe_pattern).
    ///
    /// Nothing happens until it is turned into a response or a stream. What is no topic is reported then, as an error of
    /// kind [`Invalid`](crate::ErrorKind::Invalid), which is 400.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let hub = oyez::Hub::<oyez::Event>::new();
    /// for (room, status) in [("7", 200), ("*", 400)] {
    ///     let response = hub.subscribe(format!("rooms/{room}")).into_response().into_http();
    ///     assert_eq!(response.status(), status);
    /// }
    /// # });
    /// ```
    pub fn subscribe<N>(&self, topic: N) -> Subscribe<T>
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.subscription().and(topic)
    }

    /// Begins a subscription to each of these topics. An event of several of them comes once.
    ///
    /// ```
    /// # let hub = oyez::Hub::<oyez::Event>::new();
    /// let rooms = [7, 8, 9];
    /// let response = hub.subscribe_all(rooms.map(|room| format!("rooms/{room}"))).into_response();
    /// ```
    pub fn subscribe_all<I>(&self, topics: I) -> Subscribe<T>
    where
        I: IntoIterator,
        I::Item: TryInto<Topic, Error: Into<Error>>,
    {
        topics.into_iter().fold(self.subscription(), Subscribe::and)
    }

    /// Begins a subscription to what `pattern` selects: `rooms/*`, `*` for all topics, or an exact name. See [`Matcher`].
    pub fn subscribe_pattern<M>(&self, pattern: M) -> Subscribe<T>
    where
        M: TryInto<Matcher>,
        M::Error: Into<Error>,
    {
        self.subscription().and_pattern(pattern)
    }

    fn subscription(&self) -> Subscribe<T> {
        Subscribe::new(Arc::clone(&self.core))
    }

    /// Ends the open streams of `user`, as their [label](Subscribe::user) has it, and says how many they were. Each ends
    /// at a frame border, and its reader comes back: refuse it then.
    pub fn disconnect_user(&self, user: &str) -> usize {
        self.core.shard.end_streams_of(user, clock::now())
    }

    /// The position of the newest entry: what is published from now on comes after it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.core.log.position(self.core.log.head())
    }

    /// Counts and gauges of this moment.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.core.stats()
    }

    /// The open streams that lag most, at most `max` of them; among equals the oldest first. Looks at every stream, so
    /// it is for people who look, a few times a second at most.
    #[must_use]
    pub fn streams(&self, max: usize) -> Vec<StreamStats> {
        self.core.shard.slowest(max, &self.core.log)
    }

    /// Refuses new subscriptions and publishes from now on, lets every stream end at a frame border, spread over
    /// `window` (a few streams do not need all of it), and returns when the last one has gone or a second after the
    /// window is over. Readers come back to another server with their last event id.
    ///
    /// Cancel-safe: the streams end as planned even if nobody waits for it.
    pub async fn drain(&self, window: Duration) {
        self.core.draining.store(true, Ordering::SeqCst);
        self.core.shard.drain_all(clock::now(), window);
        let gone = async {
            loop {
                let freed = self.core.place_freed.notified();
                if self.core.places_taken.load(Ordering::SeqCst) == 0 {
                    return;
                }
                freed.await;
            }
        };
        let _ = tokio::time::timeout(window.saturating_add(Duration::from_secs(1)), gone).await;
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), payload: PhantomData }
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.core.log.epoch).finish_non_exhaustive()
    }
}
