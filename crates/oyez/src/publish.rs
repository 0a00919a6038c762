//! What a publisher hands to the hub.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use oyez_proto::{EventId, EventType};

use crate::submission::Submission;
use crate::typed::{IntoPayload, Payload};
use crate::{Error, Topic};

/// One event and the topics it is published to: an item of a batch. [`Hub::publish`](crate::Hub::publish) makes one and
/// publishes it.
///
/// `T` is what the hub carries, so a `Hub<Order>` takes orders and nothing else. What is wrong with a topic, a type or a
/// key is told when it is published, or by [`Publish::checked`]; then nothing is published.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use oyez::{Hub, Publish};
///
/// let hub = Hub::<String>::new();
/// let batch = vec![
///     Publish::new("orders/7", "paid").also("orders").event("status").key("7"),
///     Publish::end("orders/7"),
/// ];
/// assert_eq!(hub.publish_batch(batch).await?.len(), 2);
///
/// let error = hub.publish_batch(vec![Publish::new("orders/*", "paid")]).await.unwrap_err();
/// assert!(error.to_string().contains("orders/*"));
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is published until a hub is given it"]
pub struct Publish<T = oyez_proto::Event> {
    submission: Result<Submission, Error>,
    payload: PhantomData<fn(T)>,
}

impl<T: Payload> Publish<T> {
    /// `value` to `topic`.
    pub fn new<N>(topic: N, value: impl IntoPayload<T>) -> Self
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        let submission = topic.try_into().map_err(Into::into).and_then(|topic| {
            let value = value.into_payload();
            let mut submission = Submission::new(topic, value.encode()?);
            if T::KEPT {
                submission.payload = Some(value);
            }
            Ok(submission)
        });
        Self::of(submission)
    }

    /// The end of `topic`: an event `oyez.end`, after which nothing can be appended to it. Readers of the topic and of
    /// nothing else are done with it; see [`Hub::end`](crate::Hub::end). As the last of a batch it ends the topic
    /// together with what goes before.
    pub fn end<N>(topic: N) -> Self
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        Self::of(topic.try_into().map_err(Into::into).map(Submission::end))
    }

    /// The same event to one topic more. A subscriber of several of its topics gets it once. An end is that of one
    /// topic, and stays so.
    pub fn also<N>(self, topic: N) -> Self
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.then(|submission| Ok(submission.topic(topic.try_into().map_err(Into::into)?)))
    }

    /// The type that the event is dispatched as, in place of the one that its value has.
    /// Types that begin with `oyez.` are the hub's own.
    pub fn event<E>(self, event_type: E) -> Self
    where
        E: TryInto<EventType>,
        E::Error: Into<Error>,
    {
        self.then(|mut submission| {
            submission.event = submission.event.with_type(event_type.try_into().map_err(Into::into)?);
            Ok(submission)
        })
    }

    /// An id of the publisher's own, in place of one that the hub gives. It is kept verbatim and can be resumed from
    /// like any other for as long as its entry is in the history. Ids are to be unique: one that is used again stands
    /// for the first entry that had it, until all of them have left the history.
    pub fn id<I>(self, id: I) -> Self
    where
        I: TryInto<EventId>,
        I::Error: Into<Error>,
    {
        self.then(|mut submission| {
            submission.event = submission.event.with_id(id.try_into().map_err(Into::into)?);
            Ok(submission)
        })
    }

    /// The reconnection time of whoever reads the event, in whole milliseconds. At most an hour.
    pub fn retry(self, time: Duration) -> Self {
        self.then(|mut submission| {
            submission.event = submission.event.retry(time);
            Ok(submission)
        })
    }

    /// The event is the new value of `key` in its topics: of several events with one key the newest is the one that
    /// counts. A [snapshot](crate::Subscribe::snapshot) has it alone. 1 to 256 bytes without control characters.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.then(|submission| submission.key(key.as_ref()))
    }

    /// The event may be read for so long, at least a millisecond, and is hidden from then on from whoever has not got
    /// it yet. A reader that resumes past it, or was on its way to it, is told that something is missing. For an
    /// [end](Publish::end) it is how long the whole topic can be read from then on.
    pub fn ttl(self, time: Duration) -> Self {
        self.then(|submission| submission.ttl(time))
    }

    /// The event is for those readers only whose [`Grant`](crate::Grant) selects one of its topics: for all others it is as if
    /// it were not there, live and in the history.
    ///
    /// What they may still see is that something was: numbers of the hub's ids are counted over all entries, a place that an id
    /// names is a place for whoever has it, and a reader that has missed something is told so if it *may* have been for it,
    /// without a number. The newest values of snapshots and of [`SlowPolicy::Latest`](crate::SlowPolicy::Latest) are those of
    /// all entries, of which a reader gets those that it may have. That a topic has ended is told to everyone who reads it by
    /// name; the event of an end that is private is not.
    pub fn private(self) -> Self {
        self.then(|submission| Ok(submission.private()))
    }

    /// The same, if all that was said of it is right so far. What the hub's own [`Limits`](crate::Limits) refuse is
    /// told when it is published.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) names the first thing that is wrong: the topic, the type, the id, the
    /// key, the time, or a value that cannot be encoded.
    pub fn checked(self) -> Result<Self, Error> {
        self.submission.map(|submission| Self::of(Ok(submission)))
    }

    /// Goes on while nothing is wrong.
    fn then(self, next: impl FnOnce(Submission) -> Result<Submission, Error>) -> Self {
        Self::of(self.submission.and_then(next))
    }
}

impl<T> Publish<T> {
    pub(crate) fn of(submission: Result<Submission, Error>) -> Self {
        Self { submission, payload: PhantomData }
    }

    pub(crate) fn into_submission(self) -> Result<Submission, Error> {
        self.submission
    }

    /// All of a batch, or what is wrong with the first that is.
    pub(crate) fn submissions(batch: Vec<Self>) -> Result<Vec<Submission>, Error> {
        let single = batch.len() == 1;
        let number = |index: usize, error: Error| if single { error } else { error.at(index) };
        let proven = |(index, publish): (usize, Self)| publish.submission.map_err(|error| number(index, error));
        batch.into_iter().enumerate().map(proven).collect()
    }
}

impl<T> Clone for Publish<T> {
    fn clone(&self) -> Self {
        let submission = self.submission.as_ref().map(Clone::clone).map_err(Error::again);
        Self { submission, payload: PhantomData }
    }
}

impl<T> fmt::Debug for Publish<T> {
    /// Without the data: it belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.submission {
            Ok(submission) => submission.fmt(f),
            Err(error) => f.debug_tuple("Publish").field(error).finish(),
        }
    }
}
