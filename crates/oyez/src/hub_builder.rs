//! Sets up a hub.

use std::marker::PhantomData;
use std::sync::Arc;

use oyez_proto::Event;

#[cfg(all(unix, feature = "disk"))]
use crate::Error;
use crate::clock;
use crate::core::Core;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::log::{Bounds, Log, Retention};
use crate::matcher::{Matcher, Matchers};
use crate::position::Epoch;
use crate::random::Random;
#[cfg(all(unix, feature = "disk"))]
use crate::storage::Storage;
use crate::typed::Payload;

/// Sets up a [`Hub`].
#[derive(Debug, Clone)]
#[must_use]
pub struct HubBuilder<T = Event> {
    retention: Option<Retention>,
    limits: Limits,
    compact: Matchers,
    payload: PhantomData<fn(T) -> T>,
}

impl<T> HubBuilder<T> {
    pub(crate) fn new() -> Self {
        let (limits, compact) = (Limits::default(), Matchers::default());
        Self { retention: None, limits, compact, payload: PhantomData }
    }
}

impl<T: Payload> HubBuilder<T> {
    /// What is kept for those who come later or come back. 64 MiB by default, and what [`Storage`](crate::Storage) says where the history is
    /// on disk.
    pub fn history(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Compacts the topics that `matcher` selects; may be called several times. Of each of their
    /// [keys](crate::Publish::key) the newest entry stays readable by [snapshots](crate::Subscribe::snapshot) and resumes
    /// until it is replaced or deleted, also when it has left the history; what was replaced is not missed. An entry without
    /// a key is the value of its topic. A million values or 64 MiB are kept; then the oldest go.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use oyez::{Event, Hub, Retention};
    ///
    /// let hub = Hub::<Event>::builder().history(Retention::none()).compact("sensors/*".parse()?).build();
    /// for (key, degrees) in [("roof", "19"), ("cellar", "12"), ("roof", "20")] {
    ///     hub.publish("sensors/temperature", degrees).key(key).await?;
    /// }
    /// let mut stream = hub.subscribe_pattern("sensors/*").snapshot().into_stream()?;
    /// for expected in ["12", "20"] {
    ///     let item = stream.next().await.and_then(|item| item.event()).expect("two values are there");
    ///     assert_eq!(item.value.data_str(), expected);
    /// }
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn compact(mut self, matcher: Matcher) -> Self {
        self.compact.push(matcher);
        self
    }

    /// The bounds of the hub.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes the hub. Its log is new, and so is the epoch of its ids.
    #[must_use]
    pub fn build(self) -> Hub<T> {
        let log = Log::new(
            Epoch::draw(clock::wall_ns()),
            self.retention.unwrap_or_default(),
            Bounds::default(),
            self.compact,
        );
        let core = Core::new(log, self.limits, Random::new());
        Hub::of(Arc::new(core))
    }
}

#[cfg(all(unix, feature = "disk"))]
impl<T: Payload> HubBuilder<T> {
    /// Makes the hub with its history on disk, as `storage` says. What is there is read and checked; all that was acknowledged is
    /// there again, under the same ids. What is kept may be said by [`history`](HubBuilder::history) or by
    /// [`Storage::keep`](crate::Storage::keep); its bytes are bytes on the disk.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): the directory is not this user's alone, or what is in it was written by a newer version, or the
    /// two say different things;
    /// [`Unavailable`](crate::ErrorKind::Unavailable): another process has it; [`Internal`](crate::ErrorKind::Internal): it cannot be read, or
    /// is damaged elsewhere than at its very end.
    pub fn open(self, storage: Storage) -> Result<Hub<T>, Error> {
        let storage = match self.retention {
            Some(retention) => storage.keep_as(retention)?,
            None => storage,
        };
        storage.start(self.limits, self.compact).map(Hub::of)
    }
}

impl<T: Payload> Hub<T> {
    /// A hub with the default history and limits.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a hub.
    ///
    /// ```
    /// use oyez::{Event, Hub, Limits, Retention};
    /// let limits = Limits::default().subscribers_max(10_000);
    /// let hub = Hub::<Event>::builder().history(Retention::last(1_000)).limits(limits).build();
    /// ```
    pub fn builder() -> HubBuilder<T> {
        HubBuilder::new()
    }
}

impl<T: Payload> Default for Hub<T> {
    fn default() -> Self {
        Self::new()
    }
}
