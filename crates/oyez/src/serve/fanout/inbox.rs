//! What reaches a fan-out thread from other threads.

use std::io;
use std::sync::Arc;
use std::task::Wake;

use bytes::Bytes;
use mio::net::TcpStream;

use super::open_streams::OpenStreams;
use super::stream_id::StreamId;
use crate::core::OnAppend;
use crate::live::Live;
use crate::serve::drain::Listed;
use crate::serve::traffic::Traffic;
use crate::sleep_flag::SleepFlag;
use crate::sync::Mutex;

/// Shared by a fan-out thread and those who have something for it. The thread is woken only when it sleeps.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    sleep_flag: SleepFlag,
    waker: mio::Waker,
    streams: OpenStreams,
}

/// What waits for the thread. Bounded by the number of streams: each is handed over once, and woken by its control and
/// by its shard once between two of its turns.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) handed: Vec<Handed>,
    pub(crate) woken: Vec<StreamId>,
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

impl Inbox {
    pub(crate) fn new(waker: mio::Waker, traffic: Traffic) -> Self {
        Self { waiting: Mutex::default(), sleep_flag: SleepFlag::default(), waker, streams: OpenStreams::new(traffic) }
    }

    /// Hands a stream over. Dropped, it ends.
    pub(crate) fn hand(&self, handed: Handed) {
        let mut waiting = self.waiting.lock();
        if waiting.stop {
            return;
        }
        self.streams.begin();
        waiting.handed.push(handed);
        drop(waiting);
        self.wake();
    }

    /// Whether there is a thread that takes streams.
    pub(crate) fn is_open(&self) -> bool {
        !self.waiting.lock().stop
    }

    /// The thread has ended, and its streams with it.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        let left = std::mem::replace(&mut *waiting, Waiting { stop: true, ..Waiting::default() });
        drop(waiting);
        drop(left);
        self.streams.end_all();
    }

    /// Ends every stream at once, and the thread.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.wake();
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

    /// Wakes the thread, if it sleeps.
    fn wake(&self) {
        if self.sleep_flag.take() {
            // the only way to fail is a kernel out of memory; the thread then wakes at its next time
            let _: io::Result<()> = self.waker.wake();
        }
    }

    pub(crate) fn sleep_flag(&self) -> &SleepFlag {
        &self.sleep_flag
    }

    /// Streams that were handed over and have not ended.
    pub(crate) fn streams(&self) -> &OpenStreams {
        &self.streams
    }
}

impl OnAppend for Inbox {
    fn appended(&self) {
        self.wake();
    }
}

/// Wakes one stream.
pub(crate) struct StreamWaker {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) id: StreamId,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.inbox.waiting.lock().woken.push(self.id);
        self.inbox.wake();
    }
}
