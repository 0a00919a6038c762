//! A publish that is being said, and then happens.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use oyez_proto::{EventId, EventType};

use crate::core::{Appends, Core};
use crate::log::Published;
use crate::once::IdempotencyKey;
use crate::publish::Publish;
use crate::submission::Submission;
use crate::typed::Payload;
use crate::{Error, Topic};

/// One event on its way into the hub: what [`Hub::publish`](crate::Hub::publish) returns. Say more of it, then await it,
/// or take [`now`](Self::now).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::time::Duration;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order {
///     total: u32,
/// }
/// impl oyez::JsonPayload for Order {}
///
/// let hub = oyez::Hub::<Order>::new();
/// let minute = Duration::from_secs(60);
/// let order = Order { total: 7 };
/// let id = hub.publish("orders/7", order).also("orders").event("placed").key("7").ttl(minute).await?;
/// println!("published as {id}");
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is published until this is awaited"]
pub struct Publishing<'a, T> {
    core: &'a Core,
    publish: Publish<T>,
    once: Option<Result<IdempotencyKey, Error>>,
}

impl<'a, T: Payload> Publishing<'a, T> {
    pub(crate) fn new(core: &'a Core, publish: Publish<T>) -> Self {
        Self { core, publish, once: None }
    }

    /// To one topic more; see [`Publish::also`].
    pub fn also<N>(self, topic: N) -> Self
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.with(|publish| publish.also(topic))
    }

    /// The type that it is dispatched as; see [`Publish::event`].
    pub fn event<E>(self, event_type: E) -> Self
    where
        E: TryInto<EventType>,
        E::Error: Into<Error>,
    {
        self.with(|publish| publish.event(event_type))
    }

    /// An id of the publisher's own; see [`Publish::id`].
    pub fn id<I>(self, id: I) -> Self
    where
        I: TryInto<EventId>,
        I::Error: Into<Error>,
    {
        self.with(|publish| publish.id(id))
    }

    /// The reconnection time of its readers; see [`Publish::retry`].
    pub fn retry(self, time: Duration) -> Self {
        self.with(|publish| publish.retry(time))
    }

    /// What it is the newest value of; see [`Publish::key`].
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.with(|publish| publish.key(key))
    }

    /// How long it may be read; see [`Publish::ttl`].
    pub fn ttl(self, time: Duration) -> Self {
        self.with(|publish| publish.ttl(time))
    }

    /// For those readers only whose grant selects one of its topics; see [`Publish::private`].
    pub fn private(self) -> Self {
        self.with(Publish::private)
    }

    /// Names the publish, so that it can be sent again: within ten minutes, the same publish under the same key appends
    /// nothing and gives the id of the first time. See [`Hub::publish_once`](crate::Hub::publish_once).
    pub fn once(mut self, key: impl AsRef<str>) -> Self {
        self.once = Some(IdempotencyKey::new(key.as_ref()));
        self
    }

    /// Publishes without waiting for what comes of it: in a `Drop`, in a thread without a runtime. It works for every
    /// hub, and keeps the order of its calls. With a history on disk the event is handed in, and readers have it when it
    /// is durable; an error that is found later, as of a full disk, is not told.
    ///
    /// # Errors
    /// As [`Hub::publish`](crate::Hub::publish), as far as it is known at once.
    ///
    /// ```
    /// struct Visitor(oyez::Hub<String>);
    ///
    /// impl Drop for Visitor {
    ///     fn drop(&mut self) {
    ///         let _ = self.0.publish("visitors", "one has left").detach();
    ///     }
    /// }
    /// # drop(Visitor(oyez::Hub::new()));
    /// ```
    pub fn detach(self) -> Result<(), Error> {
        let (core, submission, key) = self.proven()?;
        core.hand_in(vec![submission], key)
    }

    /// Publishes at once and gives the id, for logs in memory. For every hub there is [`detach`](Self::detach).
    ///
    /// # Errors
    /// As [`Hub::publish`](crate::Hub::publish), and [`Invalid`](crate::ErrorKind::Invalid) when the history is on disk,
    /// where durable takes time.
    pub fn now(self) -> Result<EventId, Error> {
        let (core, submission, key) = self.proven()?;
        core.append(vec![submission], key, core.log.clock.ms()).map(only)
    }

    fn with(mut self, more: impl FnOnce(Publish<T>) -> Publish<T>) -> Self {
        self.publish = more(self.publish);
        self
    }

    fn proven(self) -> Result<(&'a Core, Submission, Option<IdempotencyKey>), Error> {
        Ok((self.core, self.publish.into_submission()?, self.once.transpose()?))
    }
}

impl<'a, T: Payload> IntoFuture for Publishing<'a, T> {
    type Output = Result<EventId, Error>;
    type IntoFuture = PublishFuture<'a>;

    fn into_future(self) -> PublishFuture<'a> {
        PublishFuture(match self.proven() {
            Err(error) => State::Known(Err(error)),
            Ok((core, submission, key)) => match &core.appends {
                Appends::Here => State::Here(core, submission, key),
                Appends::By(_) => State::Waits(Box::pin(core.publish(vec![submission], key))),
            },
        })
    }
}

impl<T> fmt::Debug for Publishing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.publish.fmt(f)
    }
}

/// Resolves with the id of the event when that is as durable as configured, and every subscriber of its topics can read
/// it. Cancel-safe: dropped before that, it has published all or nothing.
pub struct PublishFuture<'a>(State<'a>);

enum State<'a> {
    /// It was wrong before it began.
    Known(Result<EventId, Error>),
    /// Into memory, at once when it is polled: without an allocation.
    Here(&'a Core, Submission, Option<IdempotencyKey>),
    Waits(Pin<Box<dyn Future<Output = Result<Published, Error>> + Send + 'a>>),
    Over,
}

impl Future for PublishFuture<'_> {
    type Output = Result<EventId, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let published = match std::mem::replace(&mut self.0, State::Over) {
            State::Known(result) => result,
            State::Here(core, submission, key) => core.append(vec![submission], key, core.log.clock.ms()).map(only),
            State::Waits(mut publish) => match publish.as_mut().poll(cx) {
                Poll::Ready(published) => published.map(only),
                Poll::Pending => {
                    self.0 = State::Waits(publish);
                    return Poll::Pending;
                }
            },
            State::Over => panic!("a publish was polled after it had resolved"),
        };
        Poll::Ready(published)
    }
}

impl fmt::Debug for PublishFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishFuture")
    }
}

/// The id of the only entry.
fn only(published: Published) -> EventId {
    published.ids.into_iter().next().expect("one entry has one id")
}
