//! What a caller may read, as plain data.

use std::sync::Arc;
use std::time::SystemTime;

use crate::readable::Readable;
use crate::{Matcher, Topic};

/// Which [private](crate::Publish::private) entries a reader may have, until when, and who it is: what a token says, without
/// the token. Public entries need no grant.
///
/// A private entry reaches a subscription when its matchers select one of the entry's topics, as for all entries, and the
/// grant selects one of them as well; that may be another one. Of its topics a reader is told those that the grant selects.
/// A grant costs the hub next to nothing: what is made for one reader is shared with all others that may have it, whatever their
/// grants are. For a decision that is no list of topics there is [`Access`](crate::Access).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use oyez::{Event, Grant, Hub};
///
/// let hub = Hub::<Event>::new();
/// for user in ["ada", "bob"] {
///     hub.publish(format!("users/{user}"), format!("for {user}")).private().await?;
/// }
/// hub.publish("users/all", "for everyone").await?;
///
/// let grant = Grant::reading(["users/bob".parse()?]);
/// let mut stream = hub.subscribe_pattern("users/*").grant(grant).earliest().poll().into_stream()?;
/// let mut got = Vec::new();
/// while let Some(item) = stream.next().await {
///     got.extend(item.event().map(|event| event.value.data_str().to_owned()));
/// }
/// assert_eq!(got, ["for bob", "for everyone"]);
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Grant {
    pub(crate) readable: Readable,
    pub(crate) expires: Option<SystemTime>,
    pub(crate) subject: Option<Arc<str>>,
}

impl Grant {
    /// Nothing private: what a subscription without a grant has.
    pub fn public() -> Self {
        Self::default()
    }

    /// Everything.
    pub fn all() -> Self {
        Self::reading([Matcher::all()])
    }

    /// The private entries of which one of `matchers` selects a topic. At most
    /// [`grant_matchers_max`](crate::Limits::grant_matchers_max) of them, which the subscription checks.
    pub fn reading(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        Self { readable: Readable::of(matchers), ..Self::default() }
    }

    /// Ends the stream at this time: never later, and less than a second before. A subscription after it is refused.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let hub = oyez::Hub::<String>::new();
    /// let grant = oyez::Grant::all().expires(SystemTime::now() + Duration::from_secs(3_600));
    /// let response = hub.subscribe("news").grant(grant).into_response();
    /// ```
    pub fn expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// Who reads, for [`Hub::streams`](crate::Hub::streams): a label, of which nothing follows.
    pub fn subject(mut self, label: impl Into<Arc<str>>) -> Self {
        self.subject = Some(label.into());
        self
    }

    /// May its reader have private entries of `topic`, and be told that name?
    #[must_use]
    pub fn may_read(&self, topic: &Topic) -> bool {
        self.readable.has(topic)
    }
}
