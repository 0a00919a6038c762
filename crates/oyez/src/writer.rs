//! The one who writes a topic to its end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oyez_proto::{Event, EventId, EventType};

use crate::core::Core;
use crate::publish::Publish;
use crate::publishing::Publishing;
use crate::submission::Submission;
use crate::typed::{IntoPayload, Payload};
use crate::{Error, Topic};

/// Writes a topic to its end, as the tokens of an answer or the steps of a job. Made by
/// [`Hub::writer`](crate::Hub::writer).
///
/// Readers wait for an end. So a writer that is dropped before its [`end`](Self::end), because its task failed or
/// panicked or was cancelled, says so: it publishes an event of type `failed`, or what [`otherwise`](Self::otherwise)
/// says, and ends the topic with it. With a history on disk the drop does not wait until both are durable; when the hub
/// drains or is closed nothing can be published any more, and readers find no end.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let hub = oyez::Hub::<String>::new();
/// let writer = hub.writer("answers/7")?;
/// for token in ["All", " is", " well"] {
///     writer.publish(token).await?;
/// }
/// writer.end().await?;
///
/// let lost = hub.writer("answers/8")?.otherwise("the model has failed");
/// drop(lost);
/// let mut stream = hub.subscribe("answers/8").into_stream()?;
/// let last = stream.next().await.and_then(|item| item.event()).expect("one event is there");
/// assert_eq!(*last.value, "the model has failed");
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a writer that is dropped ends its topic"]
pub struct Writer<T = Event> {
    core: Arc<Core>,
    topic: Topic,
    otherwise: Publish<T>,
    has_ended: bool,
}

impl<T: Payload> Writer<T> {
    pub(crate) fn new(core: Arc<Core>, topic: Topic) -> Self {
        let failed = Event::data(FAILED_DATA).with_type(EventType::new(FAILED).expect("a type of ours is one"));
        let otherwise = Publish::of(Ok(Submission::new(topic.clone(), failed)));
        Self { core, topic, otherwise, has_ended: false }
    }

    /// What the last event is when the writer is dropped before its end.
    pub fn otherwise(mut self, value: impl IntoPayload<T>) -> Self {
        self.otherwise = Publish::new(&self.topic, value);
        self
    }

    /// Publishes `value` to the topic, as [`Hub::publish`](crate::Hub::publish) does.
    pub fn publish(&self, value: impl IntoPayload<T>) -> Publishing<'_, T> {
        Publishing::new(&self.core, Publish::new(&self.topic, value))
    }

    /// Ends the topic: see [`Hub::end`](crate::Hub::end). A call that is dropped before it resolves, or fails, is a drop
    /// of the writer.
    ///
    /// # Errors
    /// As [`Hub::end`](crate::Hub::end).
    pub async fn end(self) -> Result<EventId, Error> {
        let end = Publish::end(&self.topic);
        self.end_by(end).await
    }

    /// [`Writer::end`], and so long after it nobody can read the topic any more.
    ///
    /// # Errors
    /// As [`Writer::end`], and [`Invalid`](crate::ErrorKind::Invalid) when `ttl` is less than a millisecond.
    pub async fn end_with_ttl(self, ttl: Duration) -> Result<EventId, Error> {
        let end = Publish::end(&self.topic).ttl(ttl);
        self.end_by(end).await
    }

    async fn end_by(mut self, end: Publish<T>) -> Result<EventId, Error> {
        let ended = Publishing::new(&self.core, end).await;
        self.has_ended = ended.is_ok();
        ended
    }

    /// The topic that it writes.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let end = Submission::end(self.topic.clone());
        let last = self.otherwise.clone().into_submission();
        let batch = last.into_iter().chain([end]).collect();
        // nobody is left to hear what comes of it
        let _ = self.core.hand_in(batch, None);
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The type of what a lost writer says. Not `error`: that is what an `EventSource` calls a broken connection.
const FAILED: &str = "failed";
const FAILED_DATA: &str = r#"{"reason":"the writer stopped before the end"}"#;
