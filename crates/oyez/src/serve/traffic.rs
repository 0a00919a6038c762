//! What a server counts about its connections.

use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a server counts about its connections, for those who look; see [`Serve::count_in`](crate::Serve::count_in). All clones count
/// together.
///
/// ```
/// # fn run(listener: tokio::net::TcpListener, app: axum::Router) {
/// let traffic = oyez::Traffic::default();
/// let server = oyez::serve(listener, app).count_in(&traffic);
/// assert_eq!((traffic.connections(), traffic.sent_bytes()), (0, 0));
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Traffic {
    /// Connections that are open, streams and upgraded ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Relaxed)
    }

    /// Bytes that sockets have taken since the start: heads and bodies of all answers, streams included, and the framing of HTTP.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.0.sent_bytes.load(Relaxed)
    }

    /// A connection is open until what this returns is dropped.
    pub(crate) fn open(&self) -> OpenConnection {
        self.begin();
        OpenConnection(self.clone())
    }

    /// A connection is open until [`Traffic::end`].
    pub(crate) fn begin(&self) {
        self.0.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, connections: usize) {
        self.0.connections.fetch_sub(connections as u64, Relaxed);
    }

    pub(crate) fn has_sent(&self, bytes: usize) {
        self.0.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Traffic);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.end(1);
    }
}
