//! What all clones of a hub and all its streams share: the log, and who is to hear of what is appended.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use oyez_proto::EventId;
use tokio::sync::Notify;

use crate::limits::{Limits, at_most};
use crate::log::{Admission, Appender, Batch, Departure, Entry, Log, OnDrop, Published, Remains, Visible};
use crate::once::IdempotencyKey;
use crate::random::Random;
use crate::shard::Shard;
use crate::stats::{Counters, HubStats};
use crate::submission::Submission;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::{Error, ErrorKind, Topic};

/// What all clones of a hub and all its streams share.
pub(crate) struct Core {
    pub(crate) log: Arc<Log>,
    pub(crate) shard: Shard,
    pub(crate) counters: Counters,
    pub(crate) random: Random,
    pub(crate) limits: Limits,
    /// Threads that follow the log as the shard does.
    listeners: RwLock<Vec<Weak<dyn OnAppend>>>,
    pub(crate) places_taken: AtomicUsize,
    pub(crate) draining: AtomicBool,
    pub(crate) place_freed: Notify,
    pub(crate) appends: Appends,
}

/// How entries come into the log.
pub(crate) enum Appends {
    /// At once, under its lock: it is in memory.
    Here,
    /// By somebody who makes them durable first.
    By(Box<dyn Appender>),
}

/// Who wants to hear of each append, and looks into the log itself then. It must not block.
pub(crate) trait OnAppend: Send + Sync {
    fn appended(&self);
}

impl Core {
    /// The core of a hub whose log is in memory.
    pub(crate) fn new(log: Log, limits: Limits, random: Random) -> Self {
        Self {
            log: Arc::new(log),
            shard: Shard::default(),
            counters: Counters::default(),
            random,
            limits,
            listeners: RwLock::default(),
            places_taken: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            place_freed: Notify::new(),
            appends: Appends::Here,
        }
    }

    /// The core of a hub to whose log that appends which `start` begins.
    ///
    /// # Errors
    /// What `start` says.
    pub(crate) fn appended_by(
        log: Log,
        limits: Limits,
        random: Random,
        start: impl FnOnce(Shown) -> Result<Box<dyn Appender>, Error>,
    ) -> Result<Arc<Self>, Error> {
        let mut started = Ok(());
        let core = Arc::new_cyclic(|core| {
            let appends = match start(Shown(Weak::clone(core))) {
                Ok(appender) => Appends::By(appender),
                Err(error) => {
                    started = Err(error);
                    Appends::Here
                }
            };
            Self { appends, ..Self::new(log, limits, random) }
        });
        started.map(|()| core)
    }

    /// [`Core::append`], which waits until the batch is as durable as configured.
    pub(crate) async fn publish(
        &self,
        batch: Vec<Submission>,
        key: Option<IdempotencyKey>,
    ) -> Result<Published, Error> {
        match &self.appends {
            Appends::Here => self.append(batch, key, self.log.clock.ms()),
            Appends::By(appender) => appender.append(self.checked(batch, key)?).await,
        }
    }

    /// [`Core::publish`] that does not wait: what is not durable at once is handed in, and nobody hears what comes of it.
    ///
    /// # Errors
    /// What is wrong at once.
    pub(crate) fn hand_in(&self, batch: Vec<Submission>, key: Option<IdempotencyKey>) -> Result<(), Error> {
        let publish = pin!(self.publish(batch, key));
        // the first poll is what hands it in
        match publish.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(published) => published.map(drop),
            Poll::Pending => Ok(()),
        }
    }

    /// Appends at this time, in milliseconds since 1970, and wakes whom it concerns. With a key only once. For logs in memory.
    pub(crate) fn append(
        &self,
        batch: Vec<Submission>,
        key: Option<IdempotencyKey>,
        now_ms: u64,
    ) -> Result<Published, Error> {
        if let Appends::By(_) = self.appends {
            return Err(Error::invalid("this hub's history is on disk; await the publish, or detach it"));
        }
        let published = self.log.append(self.checked(batch, key)?, now_ms)?;
        if !published.replayed {
            self.has_appended(published.ids.len());
        }
        Ok(published)
    }

    fn checked(&self, batch: Vec<Submission>, key: Option<IdempotencyKey>) -> Result<Batch, Error> {
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
        let Appends::By(appender) = &self.appends else { return self.delete_in_memory(topic, self.log.clock.ms()) };
        self.log.admit_deletion(&topic)?;
        let mut known = self.log.newest_of(&topic).await?;
        loop {
            self.check_open()?;
            let published = appender.append(Batch::deletion(topic.clone(), known)).await?;
            // what was on its way meanwhile is hidden as well: another one says so to whoever reads this log later
            let id = published.ids.into_iter().next().expect("one entry has one id");
            match self.log.newest_hidden(&id) {
                hidden if hidden > known => known = hidden,
                _ => return Ok(id),
            }
        }
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
            return Err(Error::new(ErrorKind::Closed, "the hub is shutting down; publish to another node or later"));
        }
        Ok(())
    }

    /// So many entries are visible: wakes whom they concern.
    pub(crate) fn has_appended(&self, entries: usize) {
        self.counters.published.fetch_add(entries as u64, Ordering::Relaxed);
        self.shard.follow(&self.log);
        for listener in self.listeners.read().iter() {
            if let Some(listener) = listener.upgrade() {
                listener.appended();
            }
        }
    }

    /// Tells `listener` of each append from now on, for as long as it is there.
    #[cfg(any(feature = "serve", all(test, shuttle)))]
    pub(crate) fn listen(&self, listener: Weak<dyn OnAppend>) {
        let mut listeners = self.listeners.write();
        listeners.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&listener));
        listeners.push(listener);
    }

    /// A place under the maximum, for as long as the ticket lives.
    pub(crate) fn take_place(self: &Arc<Self>) -> Result<Ticket, Error> {
        let max = self.limits.subscribers_max;
        let taken = self.places_taken.fetch_add(1, Ordering::SeqCst);
        let ticket = Ticket(Arc::clone(self));
        // asked for after the place: a drain that does not wait for it has begun, and is seen
        if self.is_draining() {
            return Err(Error::new(ErrorKind::Closed, "the hub is shutting down; connect to another node or later"));
        }
        if taken >= max {
            return Err(Error::new(ErrorKind::Unavailable, format!("all {max} places for subscribers are taken")));
        }
        Ok(ticket)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn stats(&self) -> HubStats {
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
            torn_writes: log.below.torn,
            syncs: log.below.syncs,
            sync_time: log.below.sync_time,
            clock_ahead_ms: self.log.clock.ahead_ms(),
            latest_values: log.latest.entries as u64,
            latest_bytes: log.latest.bytes as u64,
            oldest: log.oldest.map(|sequence| self.log.position(sequence).event_id()),
            head: self.log.position(log.head).event_id(),
        }
    }
}

/// Shows what is durable to the readers of a hub, for as long as it is there.
#[derive(Clone)]
pub(crate) struct Shown(Weak<Core>);

impl Visible for Shown {
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

    fn trim(&self, now_ms: u64) {
        if let Some(core) = self.0.upgrade() {
            core.log.trim(now_ms);
        }
    }

    fn skip(&self, sequence: u64) {
        if let Some(core) = self.0.upgrade() {
            core.log.skip(sequence);
        }
    }
}

impl OnDrop for Shown {
    fn drop_below(&self, departure: &Departure) -> Remains {
        self.0.upgrade().map(|core| core.log.drop_below(departure)).unwrap_or_default()
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
