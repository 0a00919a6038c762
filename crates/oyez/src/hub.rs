//! Publish, subscribe, count, drain. The hub knows no HTTP.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use oyez_proto::{Event, EventId};
use tokio::sync::Notify;

use crate::clock;
use crate::limits::Limits;
#[cfg(unix)]
use crate::limits::disk::TAIL_BYTES;
#[cfg(unix)]
use crate::log::disk::{Committer, Keeper, KeeperBell, Tail, Witness};
#[cfg(unix)]
use crate::log::{Admission, Departure, Entry, Remains};
use crate::log::{Batch, Bounds, IdempotencyKey, Log, Published, Retention};
use crate::matcher::{Matcher, Matchers};
use crate::position::Epoch;
use crate::publish::{Publish, at_most};
use crate::random::Random;
use crate::shard::Shard;
use crate::stats::{Counters, HubStats, StreamStats};
#[cfg(unix)]
use crate::storage::{Storage, located};
use crate::subscribe::Subscribe;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::typed::Payload;
use crate::{Error, ErrorKind, Position, Topic};

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
/// let id = hub.publish("news", Event::data("hello")).await?;
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

/// What all clones of a hub and all its streams share.
pub(crate) struct Core {
    pub(crate) log: Log,
    pub(crate) shard: Shard,
    pub(crate) counters: Counters,
    pub(crate) random: Random,
    pub(crate) limits: Limits,
    /// Threads that follow the log as the shard does.
    followers: RwLock<Vec<Weak<dyn Follower>>>,
    places_taken: AtomicUsize,
    draining: AtomicBool,
    place_freed: Notify,
    /// Who writes, when the log is on disk.
    #[cfg(unix)]
    committer: Option<Committer>,
    #[cfg(unix)]
    keeper: Option<Keeper>,
}

/// A thread that follows the log: it is woken behind each append, and looks into the log itself then.
pub(crate) trait Follower: Send + Sync {
    /// Must not block.
    fn wake(&self);
}

/// Sets up a [`Hub`].
#[derive(Debug, Clone)]
#[must_use]
pub struct HubBuilder<T = Event> {
    retention: Retention,
    limits: Limits,
    compact: Matchers,
    payload: PhantomData<fn(T) -> T>,
}

impl<T: Payload> HubBuilder<T> {
    /// What is kept for those who come later or come back. 64 MiB by default.
    pub fn history(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Compacts the topics that `matcher` selects; may be called several times. Of each of their
    /// [keys](crate::Publish::key) the newest entry stays readable by [snapshots](crate::Subscribe::snapshot) and resumes
    /// until it is replaced or deleted, also when it has left the history; what was replaced is not missed. An entry without
    /// a key is the value of its topic. A million values or 64 MiB are kept; then the oldest go.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use oyez::{Event, Hub, Publish, Retention, Topic};
    ///
    /// let hub = Hub::<Event>::builder().history(Retention::none()).compact("sensors/*".parse()?).build();
    /// for (key, degrees) in [("roof", "19"), ("cellar", "12"), ("roof", "20")] {
    ///     let reading = Publish::new(Topic::new("sensors/temperature")?, Event::data(degrees)).key(key)?;
    ///     hub.publish_batch(vec![reading]).await?;
    /// }
    /// let mut stream = hub.subscribe("sensors/*").snapshot().into_stream()?;
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
        let log = Log::new(Epoch::draw(clock::wall_ns()), self.retention, Bounds::default(), self.compact);
        let core = Core::new(log, self.limits, Random::new());
        Hub { core: Arc::new(core), payload: PhantomData }
    }
}

#[cfg(unix)]
impl<T: Payload> HubBuilder<T> {
    /// Makes the hub with its history on disk, as `storage` says; [`history`](HubBuilder::history) is for hubs without. What is
    /// there is read and checked; all that was acknowledged is there again, under the same ids.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): the directory is not this user's alone, or what is in it was written by a newer version;
    /// [`Unavailable`](ErrorKind::Unavailable): another process has it; [`Internal`](ErrorKind::Internal): it cannot be read, or
    /// is damaged elsewhere than at its very end.
    pub fn open(self, storage: Storage) -> Result<Hub<T>, Error> {
        Ok(Hub { core: Core::on_disk(storage, self.limits, self.compact)?, payload: PhantomData })
    }
}

impl<T: Payload> Hub<T> {
    /// Resolves with the reason when the disk has failed: nothing more is acknowledged then, and the process should end, to be
    /// started again. Never resolves for a hub in memory.
    pub async fn failed(&self) -> String {
        #[cfg(unix)]
        if let Some(committer) = &self.core.committer {
            let mut failed = committer.failed();
            if let Ok(reason) = failed.wait_for(|failed| failed.is_some()).await {
                return reason.as_deref().unwrap_or_default().to_owned();
            }
        }
        std::future::pending().await
    }

    /// Writes what is being published to the disk and closes the history properly: the next start need not look for its end, and
    /// another hub can have the directory. Publishing ends with it; streams that are open can read on. Dropping the last clone of a hub does the same, but only when no stream holds it any more.
    pub async fn close(&self) {
        #[cfg(unix)]
        if let Some(committer) = &self.core.committer {
            committer.close().await;
            if let Some(keeper) = &self.core.keeper {
                keeper.stop();
            }
            self.core.log.release();
        }
    }

    /// A hub with the default history and limits.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a hub.
    ///
    /// ```
    /// use oyez::{Event, Hub, Limits, Retention};
    /// let mut limits = Limits::default();
    /// limits.subscribers_max = 10_000;
    /// let hub = Hub::<Event>::builder().history(Retention::last(1_000)).limits(limits).build();
    /// ```
    pub fn builder() -> HubBuilder<T> {
        HubBuilder {
            retention: Retention::default(),
            limits: Limits::default(),
            compact: Matchers::default(),
            payload: PhantomData,
        }
    }

    /// Appends `value` to the log. When this returns, the entry is as durable as configured, and every subscriber of
    /// `topic` can read it. Cancel-safe: a call that is dropped has either published or not, never in part.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the topic or the event is not allowed or too large, or `value` cannot be
    /// encoded; [`Closed`](ErrorKind::Closed) when the hub drains.
    pub async fn publish(&self, topic: &str, value: impl Into<Arc<T>>) -> Result<EventId, Error> {
        let publish = Self::one(topic, value.into())?;
        let published = self.core.publish(vec![publish], None).await?;
        Ok(published.ids.into_iter().next().expect("one entry has one id"))
    }

    /// [`Hub::publish`] without waiting, for logs in memory.
    ///
    /// # Errors
    /// As [`Hub::publish`], and [`Invalid`](ErrorKind::Invalid) when the history is on disk.
    pub fn try_publish(&self, topic: &str, value: impl Into<Arc<T>>) -> Result<EventId, Error> {
        let ids = self.core.append(vec![Self::one(topic, value.into())?], clock::wall_ms())?;
        Ok(ids.into_iter().next().expect("one entry has one id"))
    }

    fn one(topic: &str, value: Arc<T>) -> Result<Publish, Error> {
        let mut publish = Publish::new(Topic::new(topic)?, value.encode()?);
        if T::KEPT {
            publish.payload = Some(value);
        }
        Ok(publish)
    }

    /// Appends a batch: all of it, in order and without anything in between, or nothing. Returns the ids in order.
    ///
    /// The events are published as they are; a filter of a typed hub decodes them.
    ///
    /// # Errors
    /// As [`Hub::publish`]; then nothing is published, and the error names what was wrong.
    pub async fn publish_batch(&self, batch: Vec<Publish>) -> Result<Vec<EventId>, Error> {
        Ok(self.core.publish(batch, None).await?.ids)
    }

    /// [`Hub::publish_batch`] that can be sent again: within ten minutes, the same batch under the same key appends nothing and
    /// returns the ids of the first time. So a publisher that got no answer repeats the call until it gets one, without loss and
    /// without doubles.
    ///
    /// A million keys are remembered, in at most 64 MiB; beyond that the oldest are forgotten before their time.
    ///
    /// # Errors
    /// As [`Hub::publish_batch`]; and [`Mismatch`](ErrorKind::Mismatch) when the key stands for other events.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use oyez::{Event, Hub, IdempotencyKey, Publish, Topic};
    /// let hub = Hub::<Event>::new();
    /// let key = IdempotencyKey::new("order-7/paid")?;
    /// let paid = vec![Publish::new(Topic::new("orders/7")?, Event::data("paid"))];
    /// let first = hub.publish_once(key.clone(), paid.clone()).await?;
    /// let again = hub.publish_once(key, paid).await?;
    /// assert!(again.replayed && again.ids == first.ids);
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn publish_once(&self, key: IdempotencyKey, batch: Vec<Publish>) -> Result<Published, Error> {
        self.core.publish(batch, Some(key)).await
    }

    /// Ends `topic`: an event `oyez.end` is its last one. Readers of this topic, or of several that have all ended, get what is
    /// left, and then their streams end; an `EventSource` that comes back behind the end is answered 204 and stops. Who
    /// comes without an id gets the topic from its start, for as long as the history has its end. Patterns go on. To end it
    /// together with its last event, put [`Publish::end`] behind it in a batch.
    ///
    /// # Errors
    /// As [`Hub::publish`]; and [`Conflict`](ErrorKind::Conflict) when it has ended before, which is also the answer to
    /// whoever publishes to it from now on.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let hub = oyez::Hub::<String>::new();
    /// hub.publish("answers/7", "All is well".to_owned()).await?;
    /// hub.end("answers/7").await?;
    /// let mut stream = hub.subscribe("answers/7").into_stream()?;
    /// while let Some(item) = stream.next().await {
    ///     println!("{item:?}");
    /// }
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn end(&self, topic: &str) -> Result<EventId, Error> {
        let published = self.core.publish(vec![Publish::end(Topic::new(topic)?)], None).await?;
        Ok(published.ids.into_iter().next().expect("one entry has one id"))
    }

    /// Deletes `topic`: all that was published to it is hidden at once, from readers that are to come and from those that
    /// are there. An entry of several topics stays readable through the others. Gives back the place of the deletion in the
    /// log. A topic that nobody has published to can be deleted as well, and what is published to it from now on is read as
    /// ever.
    ///
    /// A reader that should have had what is hidden is told so in its stream, where that was
    /// ([`Reason::Deleted`](crate::Reason::Deleted)): one that resumes from before, or has fallen behind. Memory is given
    /// back as the history moves on.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when `topic` is no topic; [`Closed`](ErrorKind::Closed) when the hub drains.
    pub async fn delete(&self, topic: &str) -> Result<EventId, Error> {
        self.core.delete(Topic::new(topic)?).await
    }

    /// Begins a subscription to what `matcher` selects: an exact topic, `*` for all, or a pattern. Nothing happens
    /// until it is turned into a response or a stream; an invalid matcher is reported then.
    pub fn subscribe<M>(&self, matcher: M) -> Subscribe<T>
    where
        M: TryInto<Matcher>,
        M::Error: Into<Error>,
    {
        Subscribe::new(Arc::clone(&self.core)).and(matcher)
    }

    /// The place of the newest entry: what is published from now on comes behind it.
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

impl Core {
    pub(crate) fn new(log: Log, limits: Limits, random: Random) -> Self {
        Self {
            log,
            shard: Shard::default(),
            counters: Counters::default(),
            random,
            limits,
            followers: RwLock::default(),
            places_taken: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            place_freed: Notify::new(),
            #[cfg(unix)]
            committer: None,
            #[cfg(unix)]
            keeper: None,
        }
    }

    /// The core of a hub whose log is on disk.
    #[cfg(unix)]
    fn on_disk(storage: Storage, limits: Limits, compact: Matchers) -> Result<Arc<Self>, Error> {
        let not_started = |error: std::io::Error| Error::storage(format!("cannot start a thread: {error}"), error);
        let directory = storage.directory().to_owned();
        let (store, writer) = storage.open(&compact)?;
        let log = Log::on_disk(Arc::clone(&store), compact, TAIL_BYTES).map_err(|error| located(error, &directory))?;
        let bell = Arc::new(KeeperBell::default());
        let epoch = log.epoch;
        let mut started = Ok(());
        let core = Arc::new_cyclic(|core| {
            let committer = Committer::start(writer, epoch, Shown(Weak::clone(core)), Arc::clone(&bell));
            let committer = committer.map_err(|error| started = Err(not_started(error))).ok();
            let keeper = Keeper::start(store, Shown(Weak::clone(core)), bell);
            let keeper = keeper.map_err(|error| started = Err(not_started(error))).ok();
            Self { committer, keeper, ..Self::new(log, limits, Random::new()) }
        });
        started.map(|()| core)
    }

    /// [`Core::append_once`], which waits until the batch is as durable as configured.
    pub(crate) async fn publish(&self, batch: Vec<Publish>, key: Option<IdempotencyKey>) -> Result<Published, Error> {
        #[cfg(unix)]
        if let Some(committer) = &self.committer {
            return committer.append(self.checked(batch, key)?).await;
        }
        self.append_once(batch, key, clock::wall_ms())
    }

    /// Appends at this time, in milliseconds since 1970, and wakes whom it concerns.
    pub(crate) fn append(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<EventId>, Error> {
        self.append_once(batch, None, now_ms).map(|published| published.ids)
    }

    /// [`Core::append`], but with a key only once.
    pub(crate) fn append_once(
        &self,
        batch: Vec<Publish>,
        key: Option<IdempotencyKey>,
        now_ms: u64,
    ) -> Result<Published, Error> {
        if self.log.is_on_disk() {
            return Err(Error::invalid("this hub's history is on disk; publish to it with publish().await"));
        }
        let published = self.log.append(self.checked(batch, key)?, now_ms)?;
        if !published.replayed {
            self.has_appended(published.ids.len());
        }
        Ok(published)
    }

    fn checked(&self, batch: Vec<Publish>, key: Option<IdempotencyKey>) -> Result<Batch, Error> {
        self.check_open()?;
        at_most("events in one batch", batch.len(), self.limits.batch_events_max)?;
        let single = batch.len() == 1;
        for (index, publish) in batch.iter().enumerate() {
            publish.check(&self.limits).map_err(|error| if single { error } else { error.at(index) })?;
        }
        Ok(Batch::new(batch, key))
    }

    /// Deletes a topic.
    pub(crate) async fn delete(&self, topic: Topic) -> Result<EventId, Error> {
        #[cfg(unix)]
        if let Some(committer) = &self.committer {
            let mut known = self.log.newest_of(&topic)?;
            loop {
                self.check_open()?;
                let published = committer.append(Batch::deletion(topic.clone(), known)).await?;
                // what was on its way meanwhile is hidden as well: another one says so to whoever reads this log later
                let id = published.ids.into_iter().next().expect("one entry has one id");
                match self.log.newest_hidden(&id) {
                    hidden if hidden > known => known = hidden,
                    _ => return Ok(id),
                }
            }
        }
        self.delete_in_memory(topic, clock::wall_ms())
    }

    /// [`Core::delete`] at this time, in milliseconds since 1970, for logs in memory.
    pub(crate) fn delete_in_memory(&self, topic: Topic, now_ms: u64) -> Result<EventId, Error> {
        self.check_open()?;
        let published = self.log.append(Batch::deletion(topic, 0), now_ms)?;
        self.has_appended(0);
        Ok(published.ids.into_iter().next().expect("one entry has one id"))
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.is_draining() {
            return Err(Error::new(ErrorKind::Closed, "the hub drains and takes nothing more; go elsewhere"));
        }
        Ok(())
    }

    /// So many entries are visible: wakes whom they concern.
    pub(crate) fn has_appended(&self, entries: usize) {
        self.counters.published.fetch_add(entries as u64, Ordering::Relaxed);
        self.shard.follow(&self.log);
        for follower in self.followers.read().iter() {
            if let Some(follower) = follower.upgrade() {
                follower.wake();
            }
        }
    }

    /// Wakes `follower` behind each append from now on, for as long as it is there.
    #[cfg(any(feature = "serve", shuttle))]
    pub(crate) fn add_follower(&self, follower: Weak<dyn Follower>) {
        let mut followers = self.followers.write();
        followers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&follower));
        followers.push(follower);
    }

    /// A place under the maximum, for as long as the ticket lives.
    pub(crate) fn take_place(self: &Arc<Self>) -> Result<Ticket, Error> {
        let max = self.limits.subscribers_max;
        let taken = self.places_taken.fetch_add(1, Ordering::SeqCst);
        let ticket = Ticket(Arc::clone(self));
        // asked for behind the place: a drain that does not wait for it has begun, and is seen
        if self.is_draining() {
            return Err(Error::new(ErrorKind::Closed, "the hub drains; connect elsewhere or later"));
        }
        if taken >= max {
            return Err(Error::new(ErrorKind::Unavailable, format!("all {max} places for subscribers are taken")));
        }
        Ok(ticket)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    fn stats(&self) -> HubStats {
        let log = self.log.summary();
        HubStats {
            subscribers: self.shard.len() as u64,
            published: self.counters.published.load(Ordering::Relaxed),
            delivered: self.counters.delivered.load(Ordering::Relaxed),
            lag_max: self.shard.lag_max(&self.log),
            gaps: self.counters.gaps.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            ended: self.counters.ended(),
            history_entries: log.kept.entries as u64,
            history_bytes: log.kept.bytes as u64,
            topics: log.topics as u64,
            torn_writes: log.torn,
            latest_values: log.latest.entries as u64,
            latest_bytes: log.latest.bytes as u64,
            oldest: log.oldest.map(|sequence| self.log.position(sequence).event_id()),
            head: self.log.position(log.head).event_id(),
        }
    }
}

/// Shows what is durable to the readers of a hub, for as long as it is there.
#[cfg(unix)]
struct Shown(Weak<Core>);

#[cfg(unix)]
impl Tail for Shown {
    fn admit(&self, batch: &Batch, now_ms: u64) -> Result<Admission, Error> {
        self.0.upgrade().map_or(Ok(Admission::New), |core| core.log.admit(batch, now_ms))
    }

    fn show(&self, entries: Vec<Arc<Entry>>) {
        if let Some(core) = self.0.upgrade() {
            let number = entries.iter().filter(|entry| !entry.deletes()).count();
            core.log.show(entries);
            core.has_appended(number);
        }
    }

    fn trim(&self) {
        if let Some(core) = self.0.upgrade() {
            core.log.trim(clock::wall_ms());
        }
    }

    fn skip(&self, sequence: u64) {
        if let Some(core) = self.0.upgrade() {
            core.log.skip(sequence);
        }
    }
}

#[cfg(unix)]
impl Witness for Shown {
    fn leave_disk(&self, departure: &Departure) -> Remains {
        self.0.upgrade().map(|core| core.log.leave_disk(departure)).unwrap_or_default()
    }
}

/// A taken place among the subscribers.
pub(crate) struct Ticket(Arc<Core>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.places_taken.fetch_sub(1, Ordering::SeqCst);
        self.0.place_freed.notify_waiters();
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), payload: PhantomData }
    }
}

impl<T: Payload> Default for Hub<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.core.log.epoch).finish_non_exhaustive()
    }
}
