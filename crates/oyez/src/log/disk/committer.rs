//! The thread that writes. Batches that arrive during a sync are written next, together.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{oneshot, watch};
use tracing::{error, warn};

use super::failure::Failure;
use super::keeper::KeeperCall;
use super::writer::{Unwritten, Writer};
use crate::clock::{self, LogClock};
use crate::limits::disk::{COMMIT_EVENTS_MAX, FULL_PAUSE, FULL_TOLD, IDLE, QUEUE_BYTES_MAX};
use crate::log::appender::Visible;
use crate::log::{Admission, Batch, Published};
use crate::once::IdempotencyKey;
use crate::position::Epoch;
use crate::{Error, ErrorKind, Topic};

/// A handle on the thread. Dropping it writes the waiting batches, records where the log ends, and ends the thread.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    epoch: Epoch,
    failure: Failure,
    /// Closes when the thread has ended.
    running: watch::Receiver<()>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    bytes: usize,
    stop: bool,
}

struct Queued {
    batch: Batch,
    done: Answer,
}

type Answer = oneshot::Sender<Result<Appended, Error>>;

/// The positions of an appended batch.
struct Appended {
    first: u64,
    replayed: bool,
}

impl Committer {
    pub(crate) fn start(
        writer: Writer,
        epoch: Epoch,
        shown: impl Visible + 'static,
        keeper: Arc<KeeperCall>,
        failure: Failure,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (runs, running) = watch::channel(());
        let thread = Thread {
            shared: Arc::clone(&shared),
            clock: writer.clock(),
            writer,
            shown: Box::new(shown),
            pending: Vec::new(),
            events: 0,
            keys: HashSet::new(),
            ended: HashSet::new(),
            failure: failure.clone(),
            keeper,
            full_until: None,
            full_told: None,
            sync_at: clock::now(),
        };
        let closes = Closes(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let (_runs, _closes) = (runs, closes);
            thread.run();
        })?;
        Ok(Self { shared, thread: Some(thread), epoch, failure, running })
    }

    /// Appends the whole batch or nothing. Resolves when it is durable and visible.
    pub(crate) async fn append(&self, batch: Batch) -> Result<Published, Error> {
        let (done, answer) = oneshot::channel();
        let bytes = batch.bytes();
        // ids are made here, from the number of the first entry, so that nobody waits for it
        let ids = batch.ids();
        {
            let mut queue = self.shared.lock();
            if queue.stop {
                let closed =
                    || Error::new(ErrorKind::Closed, "the hub is shutting down; publish to another node or later");
                return Err(self.failure.refusal().unwrap_or_else(closed));
            }
            if queue.bytes > 0 && queue.bytes + bytes > QUEUE_BYTES_MAX {
                return Err(Error::new(ErrorKind::Unavailable, "the disk is slower than the publishers; try again"));
            }
            queue.bytes += bytes;
            queue.waiting.push_back(Queued { batch, done });
        }
        self.shared.arrived.notify_one();
        let Appended { first, replayed } = match answer.await {
            Ok(answer) => answer?,
            Err(_) => {
                // once the thread has ended, its reason is known
                self.ended().await;
                let ended = || Error::new(ErrorKind::Internal, "the log has ended");
                return Err(self.failure.refusal().unwrap_or_else(ended));
            }
        };
        Ok(Published { ids: ids.at(self.epoch, first), replayed })
    }

    /// Writes the waiting batches and records where the log ends. From now on no batch is accepted.
    pub(crate) async fn close(&self) {
        self.shared.lock().stop = true;
        self.shared.arrived.notify_one();
        self.ended().await;
    }

    /// Resolves when the thread has ended.
    async fn ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }
}

/// Marks the thread as ended, also after a panic, so that nobody waits for it.
struct Closes(Arc<Shared>);

impl Drop for Closes {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.stop = true;
        queue.waiting.clear();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // the thread itself may drop the last reference to this
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The waiting batches, as soon as there are some; after a while without any, an empty queue. `None` at the end.
    fn take(&self) -> Option<VecDeque<Queued>> {
        let mut queue = self.lock();
        if queue.waiting.is_empty() && !queue.stop {
            queue = self.arrived.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.waiting.is_empty() && queue.stop {
            return None;
        }
        queue.bytes = 0;
        Some(std::mem::take(&mut queue.waiting))
    }
}

enum Pushed {
    Pending { first: u64 },
    Replayed { first: u64 },
}

struct Thread {
    shared: Arc<Shared>,
    writer: Writer,
    clock: Arc<LogClock>,
    shown: Box<dyn Visible>,
    /// The first numbers of the batches to be written next, and their waiting publishers.
    pending: Vec<(u64, Answer)>,
    events: usize,
    /// Their idempotency keys. A second use of a key waits until the first is visible.
    keys: HashSet<IdempotencyKey>,
    /// The topics that they end. Other publishes to these topics wait until the end is visible.
    ended: HashSet<Topic>,
    failure: Failure,
    keeper: Arc<KeeperCall>,
    /// No room is asked for before this time.
    full_until: Option<Instant>,
    /// When a full disk was last logged.
    full_told: Option<Instant>,
    /// When unsynced writes are synced.
    sync_at: Instant,
}

impl Thread {
    fn run(mut self) {
        let _broken = self.failure.of_thread(NAME);
        while let Some(waiting) = self.shared.take() {
            let is_idle = waiting.is_empty();
            for submission in waiting {
                self.take(submission);
            }
            self.commit();
            if is_idle {
                self.rest();
            } else if self.sync_at <= clock::now() {
                self.sync();
            }
        }
        if !self.failure.is_told() {
            if let Err(error) = self.writer.stop(clock::wall_ms()) {
                error!(%error, "the history could not be closed properly; the next start checks its end");
            }
        }
    }

    fn take(&mut self, queued: Queued) {
        let Queued { batch, done } = queued;
        let key = batch.once().map(|once| once.key.clone());
        let is_known = key.as_ref().is_some_and(|key| self.keys.contains(key));
        let is_beyond = !self.ended.is_empty() && batch.beyond_an_end(|topic| self.ended.contains(topic)).is_some();
        if self.events + batch.0.len() > COMMIT_EVENTS_MAX || is_known || is_beyond {
            self.commit();
        }
        let (number, ended) = (batch.0.len(), batch.ended_topics());
        match self.push(batch, self.clock.ms()) {
            Ok(Pushed::Pending { first }) => {
                self.events += number;
                self.keys.extend(key);
                self.ended.extend(ended);
                self.pending.push((first, done));
            }
            // the publisher may no longer wait
            Ok(Pushed::Replayed { first }) => drop(done.send(Ok(Appended { first, replayed: true }))),
            Err(error) => drop(done.send(Err(error))),
        }
    }

    fn push(&mut self, batch: Batch, now_ms: u64) -> Result<Pushed, Error> {
        if let Admission::Replayed { first } = self.shown.admit(&batch, now_ms)? {
            return Ok(Pushed::Replayed { first });
        }
        if self.full_until.is_some_and(|until| clock::now() < until) {
            return Err(Error::full("the disk is full; make room on it"));
        }
        self.full_until = None;
        let head = self.writer.head();
        let mut room = self.writer.make_room(&batch.0, clock::wall_ms());
        if let Ok(false) = room {
            self.commit();
            room = self.writer.make_room(&batch.0, clock::wall_ms());
        }
        if self.writer.head() != head {
            // the first write after a start skips numbers, even if there is no room for it
            self.shown.skip(self.writer.head());
        }
        if let Some(refusal) = self.failure.refusal() {
            return Err(refusal);
        }
        match room {
            Ok(_) => {
                let first = self.writer.head() + 1;
                self.writer.push(batch.0, now_ms);
                Ok(Pushed::Pending { first })
            }
            Err(unwritten) => Err(self.refusal(unwritten)),
        }
    }

    /// Makes the pending batches durable and visible, and acknowledges them.
    fn commit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.events = 0;
        self.keys.clear();
        self.ended.clear();
        let pending = std::mem::take(&mut self.pending);
        let entries = match self.writer.write() {
            Ok(entries) => entries,
            Err(unwritten) => {
                let error = self.refusal(unwritten);
                self.shown.skip(self.writer.head());
                for (_, done) in pending {
                    let _ = done.send(Err(error.again()));
                }
                return;
            }
        };
        self.shown.show(entries);
        if self.writer.has_news() {
            self.keeper.call();
        }
        for (first, done) in pending {
            let _ = done.send(Ok(Appended { first, replayed: false }));
        }
        // after the answers, so that publishers can make their next batches meanwhile
        self.shown.trim(self.clock.ms());
    }

    /// Nobody publishes: does the work that can wait.
    fn rest(&mut self) {
        self.sync();
        if self.failure.is_told() {
            return;
        }
        if let Err(Unwritten::Failed(error)) = self.writer.leave_old_segments(self.clock.ms(), clock::wall_ms()) {
            self.refusal(Unwritten::Failed(error));
        }
    }

    /// Syncs writes that no publish waited for, now and then. This bounds the loss of a power cut, and damage before synced bytes
    /// can be recognised as damage.
    fn sync(&mut self) {
        if self.failure.is_told() {
            return;
        }
        self.sync_at = clock::now().checked_add(IDLE).unwrap_or(self.sync_at);
        if let Err(error) = self.writer.sync().and_then(|()| self.writer.look_where_it_is()) {
            self.refusal(Unwritten::Failed(error));
        }
    }

    fn refusal(&mut self, unwritten: Unwritten) -> Error {
        match unwritten {
            Unwritten::Full(error) => {
                let now = clock::now();
                self.full_until = now.checked_add(FULL_PAUSE);
                if self.full_told.is_none_or(|told| now.saturating_duration_since(told) >= FULL_TOLD) {
                    self.full_told = Some(now);
                    warn!(%error, "no room on the disk for the history; publishes are refused until there is, readers go on");
                }
                no_room(&error)
            }
            Unwritten::Failed(error) => {
                error!(%error, "the disk failed; no publish is acknowledged any more, because the state of the disk is unknown");
                self.failure.tell(format!("the disk failed: {error}"));
                self.failure.refusal().unwrap_or_else(|| Error::new(ErrorKind::Internal, "the disk failed"))
            }
        }
    }
}

fn no_room(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::ResourceBusy => {
            let message = format!("no descriptor for the history: {error}; raise the limit of open files");
            Error::new(ErrorKind::Unavailable, message)
        }
        _ => Error::full(format!("no room on the disk for the history: {error}; make room")),
    }
}

/// The thread that writes.
const NAME: &str = "oyez-log";
