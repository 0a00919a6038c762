//! The server: it accepts connections until it is told to stop, and drains then.

#[cfg(target_os = "linux")]
use std::any::Any;
use std::future::{Future, IntoFuture, Pending, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
#[cfg(target_os = "linux")]
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error};

use super::acceptor::Acceptor;
use super::app::App;
use super::connection::{self, Shared};
use super::drain::Drain;
use super::fanout::Fanout;
use super::half_heads::HalfHeads;
use super::timeouts::Timeouts;
use super::traffic::Traffic;
#[cfg(target_os = "linux")]
use super::transport;
use crate::clock;
use crate::limits::serve::{CONNECTIONS_MAX, DRAIN, DRAIN_LEAVE, FOREVER, HALF_HEADS_BYTES_MAX};

/// Serves `app` on `listener` over HTTP/1.1, without TLS and without HTTP/2: put a proxy in front for those. Await it.
///
/// It takes what `axum::serve` takes: a router that has its state, or any tower service ([`App`]), and any
/// `axum::serve::Listener`. Streams on a `tokio::net::TcpListener` leave hyper for a thread that writes one event to many
/// sockets; on another listener, such as a `UnixListener`, they stay in hyper and work the same. A request that upgrades,
/// to a WebSocket for instance, is handed to its handler; what becomes of it is in no count and no drain.
///
/// Each request carries `axum::extract::ConnectInfo` with the listener's address and a
/// [`BodyTimeout`](crate::BodyTimeout). A panic in a handler ends its connection only.
///
/// ```no_run
/// # async fn run(app: axum::Router) -> std::io::Result<()> {
/// use std::time::Duration;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
/// oyez::serve(listener, app).with_graceful_shutdown(stop).drain(Duration::from_secs(20)).await
/// # }
/// ```
pub fn serve<L, A>(listener: L, app: A) -> Serve<L, A>
where
    L: Listener<Addr: Clone + Send + Sync + 'static>,
    A: App,
{
    let (drain, timeouts, connections_max) = (DRAIN, Timeouts::default(), CONNECTIONS_MAX);
    Serve { listener, app, signal: pending(), drain, timeouts, connections_max, traffic: Traffic::default() }
}

/// A server about to run: see [`serve`].
#[must_use = "a server does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Serve<L, A, F = Pending<()>> {
    listener: L,
    app: A,
    signal: F,
    drain: Duration,
    timeouts: Timeouts,
    connections_max: usize,
    traffic: Traffic,
}

impl<L, A, F> Serve<L, A, F> {
    /// Drains when `signal` resolves: stops accepting, finishes plain requests, and ends streams at a frame border.
    pub fn with_graceful_shutdown<G>(self, signal: G) -> Serve<L, A, G>
    where
        G: Future<Output = ()>,
    {
        let Self { listener, app, signal: _, drain, timeouts, connections_max, traffic } = self;
        Serve { listener, app, signal, drain, timeouts, connections_max, traffic }
    }

    /// How long a drain may take: streams end spread over it (a few need less), and what else is open at its end is
    /// cut. 20 s by default.
    pub fn drain(mut self, window: Duration) -> Self {
        self.drain = window.min(FOREVER);
        self
    }

    /// From the connection to the end of its first request's head, and from the first byte of a later one to its end. 10 s by default.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.header = timeout.min(FOREVER);
        self
    }

    /// Without a request between two on one connection. 75 s by default.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = timeout.min(FOREVER);
        self
    }

    /// Without a byte of a request's body. 30 s by default; a handler can change it for its request by
    /// [`BodyTimeout`](crate::BodyTimeout).
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.body = timeout.min(FOREVER);
        self
    }

    /// Without a byte taken by a reader while there are some to take; it is cut then. 30 s by default.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.stall = timeout.min(FOREVER);
        self
    }

    /// Connections at once; further ones wait in the kernel's queue. 100,000 by default.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Counts connections and bytes there, for metrics.
    pub fn count_in(mut self, traffic: &Traffic) -> Self {
        self.traffic = traffic.clone();
        self
    }
}

impl<L, A, F> Serve<L, A, F>
where
    L: Listener<Addr: Clone + Send + Sync + 'static>,
    A: App,
    F: Future<Output = ()>,
{
    async fn run(self) -> io::Result<()> {
        let Self { listener, app, signal, drain: window, timeouts, connections_max, traffic } = self;
        let drain = Drain::default();
        let half_heads = HalfHeads::new(HALF_HEADS_BYTES_MAX);
        let fanout = Fanout::start(timeouts.stall, traffic.clone())?;
        #[cfg(target_os = "linux")]
        if let Some(listener) = (&listener as &dyn Any).downcast_ref::<TcpListener>() {
            transport::tune(listener, timeouts.stall);
        }
        let mut connections = JoinSet::new();
        let mut acceptor = Acceptor::new(listener);
        let mut signal = pin!(signal);
        loop {
            let held = connections.len();
            let has_place = fanout.inbox.streams().until(|streams| held + streams < connections_max);
            tokio::select! {
                // a stop is not kept waiting by those who keep coming
                biased;
                () = &mut signal => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                (stream, address) = async { has_place.await; acceptor.accept().await } => {
                    let shared = Shared { timeouts, half_heads: half_heads.clone(), drain: drain.clone(), traffic: traffic.clone() };
                    let inbox = Arc::clone(&fanout.inbox);
                    connections.spawn(connection::run(stream, address, app.clone(), shared, inbox));
                }
            }
        }
        drop(acceptor);
        debug!(connections = connections.len(), "drains");
        // a stream that is told to end at the window's end would be cut there
        let leave = (window / DRAIN_LEAVE).min(Duration::from_secs(1));
        drain.start(clock::now(), window - leave);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
            fanout.emptied().await;
        };
        if tokio::time::timeout(window, all).await.is_err() {
            connections.shutdown().await;
        }
        fanout.stop().await;
        Ok(())
    }
}

impl<L, A, F> IntoFuture for Serve<L, A, F>
where
    L: Listener<Addr: Clone + Send + Sync + 'static>,
    A: App,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(panicked) = ended {
        error!(error = %panicked, "a connection ended by a panic");
    }
}
