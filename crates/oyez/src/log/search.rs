//! Searches in the log, on threads of their own, so that only their askers wait for them.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

use tracing::error;

#[cfg(target_os = "linux")]
use crate::limits::SEARCH_NICENESS;
use crate::limits::SEARCH_THREADS_MAX;

/// Runs searches in turn, a step of each. So no search waits for the whole of another, and no thread that serves readers takes
/// part. The threads start with the first search that takes more than one step.
pub(crate) struct Searches {
    shared: Arc<Shared>,
    threads: OnceLock<Vec<JoinHandle<()>>>,
    /// Set by a test that runs the searches itself, without threads.
    #[cfg(test)]
    by_hand: AtomicBool,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Arc<Task>>,
    stop: bool,
}

/// A search that is under way.
struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    /// Whether it is in the queue.
    queued: AtomicBool,
    /// Whether nobody waits for its result any more.
    is_abandoned: AtomicBool,
    shared: Weak<Shared>,
}

/// A handle on a search; as a future, its result. Dropping it cancels the search between two of its steps.
pub(crate) struct Search<T> {
    slot: Arc<Slot<T>>,
    /// The rest of the search, unless its first step finished it.
    task: Option<Arc<Task>>,
}

struct Slot<T>(Mutex<Wanted<T>>);

struct Wanted<T> {
    found: Option<T>,
    /// Whether there is a result; it may have been taken.
    is_over: bool,
    waker: Option<Waker>,
}

impl<T> PartialEq for Search<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slot, &other.slot)
    }
}

impl<T> Eq for Search<T> {}

impl<T> fmt::Debug for Search<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").finish_non_exhaustive()
    }
}

impl Searches {
    pub(crate) fn new() -> Self {
        let shared = Shared { queue: Mutex::default(), arrived: Condvar::new() };
        Self {
            shared: Arc::new(shared),
            threads: OnceLock::new(),
            #[cfg(test)]
            by_hand: AtomicBool::new(false),
        }
    }

    /// Begins a search. Its first step runs here, which finishes most searches. The rest runs on a thread.
    pub(crate) fn begin<T: Send + 'static>(&self, search: impl Future<Output = T> + Send + 'static) -> Search<T> {
        let mut search: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(search);
        // it is polled again at once, so its waker does nothing
        let mut step = || match search.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => Some(found),
            Poll::Pending => None,
        };
        let mut found = step();
        // the model checker knows only its own threads
        while cfg!(all(test, shuttle)) && found.is_none() {
            found = step();
        }
        let is_found = found.is_some();
        let slot = Arc::new(Slot(Mutex::new(Wanted { found, is_over: is_found, waker: None })));
        let task = (!is_found).then(|| self.go_on(search, &slot));
        Search { slot, task }
    }

    fn go_on<T: Send + 'static>(
        &self,
        search: Pin<Box<dyn Future<Output = T> + Send>>,
        slot: &Arc<Slot<T>>,
    ) -> Arc<Task> {
        let slot = Filling(Arc::downgrade(slot));
        let future = Box::pin(async move {
            let found = search.await;
            slot.fill(Some(found));
        });
        let task = Arc::new(Task {
            future: Mutex::new(Some(future)),
            queued: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            shared: Arc::downgrade(&self.shared),
        });
        if !self.is_by_hand() {
            self.threads.get_or_init(|| self.start());
        }
        Arc::clone(&task).wake();
        task
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "a test's flag is in it"))]
    fn is_by_hand(&self) -> bool {
        #[cfg(test)]
        return self.by_hand.load(Acquire);
        #[cfg(not(test))]
        false
    }

    /// Runs all searches until each is over or waits. From now on no thread runs them.
    #[cfg(test)]
    pub(crate) fn run_by_hand(&self) {
        self.by_hand.store(true, Release);
        loop {
            let next = lock(&self.shared.queue).tasks.pop_front();
            let Some(task) = next else { return };
            task.step();
        }
    }

    fn start(&self) -> Vec<JoinHandle<()>> {
        let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2);
        let thread = |number| {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new().name(format!("oyez-search-{number}")).spawn(move || shared.run())
        };
        let threads = (0..processors.clamp(1, SEARCH_THREADS_MAX)).map(thread);
        let started: Vec<_> = threads.flatten().collect();
        if started.is_empty() {
            error!("no thread for searches can be started; readers that need a search wait for ever");
        }
        started
    }
}

impl Drop for Searches {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.stop = true;
        let left = std::mem::take(&mut queue.tasks);
        drop(queue);
        self.shared.arrived.notify_all();
        drop(left);
        // a search may hold the last reference to what holds this
        let own = std::thread::current().id();
        for thread in self.threads.take().into_iter().flatten().filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        // at a lower priority than the threads that serve readers; if the system refuses, at the same
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, SEARCH_NICENESS);
        while let Some(task) = self.next() {
            task.step();
            // lets woken threads go first: otherwise they may wait for this thread's time slice, some milliseconds
            std::thread::yield_now();
        }
    }

    fn next(&self) -> Option<Arc<Task>> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stop {
                return None;
            }
            if let Some(task) = queue.tasks.pop_front() {
                return Some(task);
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Task {
    /// Runs a step. A panic in it is passed to the waiting task and ends no thread.
    fn step(self: &Arc<Self>) {
        self.queued.store(false, Release);
        let mut future = lock(&self.future);
        let Some(running) = future.as_mut() else { return };
        let waker = Waker::from(Arc::clone(self));
        let mut poll = || running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let is_over = self.is_abandoned.load(Acquire) || catch_unwind(AssertUnwindSafe(&mut poll)).unwrap_or(true);
        let over = if is_over { future.take() } else { None };
        drop(future);
        drop(over);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, AcqRel) {
            return;
        }
        let Some(shared) = self.shared.upgrade() else { return };
        let mut queue = lock(&shared.queue);
        if !queue.stop {
            queue.tasks.push_back(self);
            drop(queue);
            shared.arrived.notify_one();
        }
    }
}

/// Fills the slot of the waiting task, if there is one. Does so too if the search never finishes.
struct Filling<T>(Weak<Slot<T>>);

impl<T> Filling<T> {
    fn fill(&self, found: Option<T>) {
        let Some(slot) = self.0.upgrade() else { return };
        let mut wanted = lock(&slot.0);
        if wanted.is_over {
            return;
        }
        (wanted.found, wanted.is_over) = (found, true);
        let waker = wanted.waker.take();
        drop(wanted);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Filling<T> {
    fn drop(&mut self) {
        self.fill(None);
    }
}

impl<T> Search<T> {
    /// The result. `None` while the search runs; then `waker` is woken when the result is there. It is returned once.
    ///
    /// # Panics
    /// When the search has panicked.
    pub(crate) fn take(&self, waker: &Waker) -> Option<T> {
        let mut wanted = lock(&self.slot.0);
        let found = wanted.found.take();
        if found.is_none() {
            assert!(!wanted.is_over, "a search has panicked");
            wanted.waker = Some(waker.clone());
        }
        found
    }

    /// Wakes `waker` when there is a result, unless there is one already.
    pub(crate) fn wake_when_found(&self, waker: &Waker) {
        let mut wanted = lock(&self.slot.0);
        if wanted.found.is_none() {
            wanted.waker = Some(waker.clone());
        }
    }

    /// A search that is over.
    pub(crate) fn of(found: T) -> Self {
        let slot = Slot(Mutex::new(Wanted { found: Some(found), is_over: true, waker: None }));
        Self { slot: Arc::new(slot), task: None }
    }

    /// The result, if the first step found it.
    pub(crate) fn at_once(self) -> Result<T, Self> {
        let found = lock(&self.slot.0).found.take();
        found.ok_or(self)
    }

    /// A reference to the result.
    #[cfg(test)]
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        lock(&self.slot.0).found.as_ref().map(look)
    }

    /// Whether there is a result.
    #[cfg(test)]
    pub(crate) fn is_there(&self) -> bool {
        lock(&self.slot.0).found.is_some()
    }

    /// Waits for the result.
    #[cfg(test)]
    pub(crate) fn wait(self) -> T {
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if let Some(found) = self.take(&waker) {
                return found;
            }
            std::thread::park();
        }
    }
}

impl<T> Drop for Search<T> {
    /// A cancelled search releases what it holds, such as the log and its files.
    fn drop(&mut self) {
        let is_over = lock(&self.slot.0).is_over;
        if let Some(task) = self.task.take().filter(|_| !is_over) {
            task.is_abandoned.store(true, Release);
            task.wake();
        }
    }
}

impl<T> Future for Search<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.take(cx.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

/// Runs a search that waits for nothing.
#[cfg(test)]
pub(crate) fn now<T>(search: impl Future<Output = T>) -> T {
    let mut search = std::pin::pin!(search);
    loop {
        if let Poll::Ready(found) = search.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return found;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::step::give_way;

    #[test]
    fn a_search_that_panics_is_its_askers_and_others_go_on() {
        let searches = Searches::new();
        let broken = searches.begin(async {
            give_way().await;
            panic!("on purpose");
        });
        let broken = std::panic::catch_unwind(AssertUnwindSafe(|| -> () { broken.wait() }));
        assert!(broken.is_err());
        let found = searches.begin(async {
            give_way().await;
            7
        });
        assert_eq!(found.wait(), 7);
    }

    #[test]
    fn what_nobody_waits_for_lets_go_of_what_it_holds() {
        let (searches, held) = (Searches::new(), Arc::new(()));
        let kept = Arc::clone(&held);
        let search = searches.begin(async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        drop(search);
        // another search comes after it, and there may be several threads
        while Arc::strong_count(&held) > 1 {
            searches.begin(give_way()).wait();
        }
    }
}
