//! A fan-out thread, as the server has it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::inbox::Inbox;
use super::thread::Thread;
use crate::serve::traffic::Traffic;

/// A fan-out thread and the way to it. Dropping it ends its streams.
pub(crate) struct Fanout {
    pub(crate) inbox: Arc<Inbox>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Fanout {
    /// Starts a thread.
    pub(crate) fn start(stall: Duration, traffic: Traffic) -> io::Result<Self> {
        let (thread, inbox) = Thread::new(stall, traffic)?;
        let (end, ended) = oneshot::channel();
        let closes = Closes(Arc::clone(&inbox));
        std::thread::Builder::new().name("oyez-fanout".to_owned()).spawn(move || {
            thread.run();
            drop(closes);
            // nobody may be waiting
            let _ = end.send(());
        })?;
        Ok(Self { inbox, ended: Some(ended) })
    }

    /// Resolves when no stream is left.
    pub(crate) async fn emptied(&self) {
        self.inbox.streams().until(|open| open == 0).await;
    }

    /// Ends all streams at once, and the thread.
    pub(crate) async fn stop(mut self) {
        self.inbox.stop();
        if let Some(ended) = self.ended.take() {
            // an error is the end as well
            let _ = ended.await;
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.inbox.stop();
    }
}

/// The thread has ended, be it by a panic: nobody is to wait for it.
struct Closes(Arc<Inbox>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}
