//! A request as the log tells it: never with its query, its data or a credential.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use http_body::Body as _;
use tokio::time::Instant;
use tracing::{Level, debug, enabled, info};

use crate::caller::peer;

/// A request, to be told when it is over: with the answer, or when the stream ends that it has become.
#[derive(Debug, Clone)]
pub(crate) struct Visit(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    started: Instant,
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
    /// The log of requests was asked for.
    access: bool,
    /// A stream tells it when it ends.
    streams: AtomicBool,
}

/// Tells the visit that has become a stream, when it is dropped with the stream.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    visit: Visit,
    selectors: usize,
}

impl Visit {
    /// The visit that this request is, if it is to be told; `access` is whether the log of requests was asked for. `path` is without
    /// what belongs in no log.
    pub(crate) fn of(request: &Request, path: &str, access: bool) -> Option<Self> {
        let asked = || Asked {
            started: Instant::now(),
            method: request.method().clone(),
            path: path.to_owned(),
            peer: peer(request),
            access,
            streams: AtomicBool::new(false),
        };
        (access || enabled!(Level::DEBUG)).then(|| Self(Arc::new(asked())))
    }

    /// What a stream of so many topics and patterns is to hold, and to [`begin`](Self::begin) once it is sure to come.
    pub(crate) fn stream(&self, selectors: usize) -> StreamEnd {
        StreamEnd { visit: self.clone(), selectors }
    }

    /// The answer is a stream: it is told at its end.
    pub(crate) fn begin(&self) {
        self.0.streams.store(self.0.access, Ordering::SeqCst);
    }

    /// Tells what was answered, unless it is a stream.
    pub(crate) fn answered(&self, response: &Response) {
        if !self.0.streams.load(Ordering::SeqCst) {
            self.tell(response.status().as_u16(), response.body().size_hint().exact(), None);
        }
    }

    fn tell(&self, status: u16, bytes: Option<u64>, selectors: Option<usize>) {
        let Asked { started, method, path, peer, .. } = &*self.0;
        let peer = peer.map(tracing::field::display);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.0.access {
            true => info!(%method, path, peer, status, ms, bytes, selectors, "request"),
            false => debug!(%method, path, peer, status, ms, bytes, "request"),
        }
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        if self.visit.0.streams.load(Ordering::SeqCst) {
            self.visit.tell(200, None, Some(self.selectors));
        }
    }
}
