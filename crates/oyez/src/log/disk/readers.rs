//! Threads that read pages from disk for streams that are behind, one page at a time and in the order in which they were
//! asked for: no stream is served twice before another is served once, and no thread that serves live readers waits for
//! a disk.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::thread::JoinHandle;

use super::segment::PAGE;
use super::store::{Store, StoredRead};
use crate::limits::disk::READERS_MAX;
use crate::matcher::Matchers;

pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    store: Arc<Store>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stop: bool,
}

/// What is to be read.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) cursor: u64,
    pub(crate) matchers: Arc<Matchers>,
    /// Up to this number; behind it is the tail.
    pub(crate) last: u64,
    /// Segments that had been dropped when the stream last knew of all that is gone.
    pub(crate) drops: u64,
}

struct Job {
    wanted: Wanted,
    slot: Weak<Slot>,
}

/// A page on its way. Dropping it calls the read off, if it has not begun.
#[derive(Clone)]
pub(crate) struct Fetch(Arc<Slot>);

impl PartialEq for Fetch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fetch {}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

struct Slot(Mutex<Fetched>);

struct Fetched {
    waker: Option<Waker>,
    read: Option<io::Result<StoredRead>>,
}

impl Readers {
    pub(crate) fn start(store: Arc<Store>) -> io::Result<Self> {
        let shared = Arc::new(Shared { store, queue: Mutex::default(), arrived: Condvar::new() });
        let number =
            std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2).clamp(1, READERS_MAX);
        let thread = |number| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("oyez-read-{number}")).spawn(move || shared.run())
        };
        let threads = (0..number).map(thread).collect::<io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Reads a page when its turn has come, and wakes `waker` then.
    pub(crate) fn fetch(&self, wanted: Wanted, waker: &Waker) -> Fetch {
        let slot = Arc::new(Slot(Mutex::new(Fetched { waker: Some(waker.clone()), read: None })));
        lock(&self.shared.queue).jobs.push_back(Job { wanted, slot: Arc::downgrade(&slot) });
        self.shared.arrived.notify_one();
        Fetch(slot)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        lock(&self.shared.queue).stop = true;
        self.shared.arrived.notify_all();
        let own = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(Job { wanted, slot }) = self.next() {
            if slot.strong_count() == 0 {
                continue;
            }
            let Wanted { cursor, matchers, last, drops } = wanted;
            let read = self.store.read(PAGE, cursor, &matchers, last, drops);
            let Some(slot) = slot.upgrade() else { continue };
            let waker = {
                let mut fetched = lock(&slot.0);
                fetched.read = Some(read);
                fetched.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stop {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Fetch {
    /// Is it there?
    #[cfg(test)]
    pub(crate) fn is_there(&self) -> bool {
        lock(&self.0.0).read.is_some()
    }

    /// What was read; `None` when it is not there yet, and `waker` is woken when it is.
    pub(crate) fn take(&self, waker: &Waker) -> Option<io::Result<StoredRead>> {
        let mut fetched = lock(&self.0.0);
        let read = fetched.read.take();
        if read.is_none() {
            fetched.waker = Some(waker.clone());
        }
        read
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
