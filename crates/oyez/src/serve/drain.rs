//! The streams that are open, so that a drain can end them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::watch;

use crate::control::StreamControl;
use crate::sync::Mutex;

/// Shared by a server and its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    streams: Mutex<Slab<StreamControl>>,
    started: watch::Sender<Option<Instant>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { streams: Mutex::default(), started: watch::Sender::new(None) }
    }
}

/// A stream's place among those that a drain ends.
#[derive(Debug)]
pub(crate) struct Listed {
    drain: Drain,
    key: usize,
}

impl Drain {
    /// Ends every listed stream within `window`, and says that it has begun.
    pub(crate) fn start(&self, now: Instant, window: Duration) {
        // streams that are listed from here on see that it has begun
        self.0.started.send_replace(Some(now));
        let streams: Vec<_> = self.0.streams.lock().iter().map(|(_, stream)| stream.clone()).collect();
        StreamControl::drain_all(&streams, now, window);
    }

    /// Resolves when the drain begins.
    pub(crate) async fn started(&self) {
        // the sender lives in `self`: an error cannot be
        let _ = self.0.started.subscribe().wait_for(Option::is_some).await;
    }

    /// Lists a stream for as long as the answer lives. One that comes while the drain is on ends at once.
    pub(crate) fn list(&self, stream: &StreamControl) -> Listed {
        let key = self.0.streams.lock().insert(stream.clone());
        if let Some(now) = *self.0.started.borrow() {
            stream.drain_at(now);
        }
        Listed { drain: self.clone(), key }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.drain.0.streams.lock().try_remove(self.key);
    }
}
