//! What reaches a fan-out thread from other threads.

use std::io;
use std::sync::Arc;
use std::task::Wake;

use bytes::Bytes;
use mio::net::TcpStream;
use tokio::sync::Notify;

use crate::core::OnAppend;
use crate::doorbell::Doorbell;
use crate::live::Live;
use crate::serve::drain::Listed;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Shared by a fan-out thread and those who have something for it. The thread is woken only when it sleeps.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    doorbell: Doorbell,
    waker: mio::Waker,
    streams: AtomicUsize,
    /// A stream has gone.
    pub(crate) freed: Notify,
}

/// What waits for the thread. Bounded by the number of streams: each is handed over once, and woken by its control and
/// by its shard once between two of its turns.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) handed: Vec<Handed>,
    pub(crate) woken: Vec<Id>,
    pub(crate) stop: bool,
}

/// A stream that has left hyper.
pub(crate) struct Handed {
    pub(crate) socket: TcpStream,
    pub(crate) head: Bytes,
    pub(crate) chunked: bool,
    pub(crate) live: Live,
    pub(crate) listed: Listed,
    /// Bytes that the reader has sent behind its request.
    pub(crate) discarded: usize,
}

/// The place of a stream on the thread. Half as large as `usize`: there are fewer than descriptors.
pub(crate) type Key = u32;

/// A stream of the thread. The place is used again, its round is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) key: Key,
    pub(crate) round: u32,
}

impl Inbox {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self {
            waiting: Mutex::default(),
            doorbell: Doorbell::default(),
            waker,
            streams: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Hands a stream over. Dropped, it ends.
    pub(crate) fn hand(&self, handed: Handed) {
        let mut waiting = self.waiting.lock();
        if waiting.stop {
            return;
        }
        self.streams.fetch_add(1, SeqCst);
        waiting.handed.push(handed);
        drop(waiting);
        self.ring();
    }

    /// Whether there is a thread that takes streams.
    pub(crate) fn is_open(&self) -> bool {
        !self.waiting.lock().stop
    }

    /// The thread has ended, and its streams with it.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        let left = std::mem::replace(&mut *waiting, Waiting { stop: true, ..Waiting::default() });
        self.streams.store(0, SeqCst);
        drop(waiting);
        drop(left);
        self.freed.notify_waiters();
    }

    /// Ends every stream at once, and the thread.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.ring();
    }

    pub(crate) fn take(&self) -> Waiting {
        let mut waiting = self.waiting.lock();
        let stop = waiting.stop;
        std::mem::replace(&mut *waiting, Waiting { stop, ..Waiting::default() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.handed.is_empty() && waiting.woken.is_empty() && !waiting.stop
    }

    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// A stream of the thread has ended.
    pub(crate) fn uncount(&self) {
        self.streams.fetch_sub(1, SeqCst);
        self.freed.notify_waiters();
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.load(SeqCst)
    }
}

impl OnAppend for Inbox {
    fn appended(&self) {
        self.ring();
    }
}

impl Inbox {
    /// Wakes the thread, if it sleeps.
    fn ring(&self) {
        if self.doorbell.ring() {
            // the only way to fail is a kernel out of memory; the thread then wakes at its next time
            let _: io::Result<()> = self.waker.wake();
        }
    }
}

/// Wakes one stream.
pub(crate) struct StreamWaker {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) id: Id,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.inbox.waiting.lock().woken.push(self.id);
        self.inbox.ring();
    }
}
