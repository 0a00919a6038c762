//! New connections.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use super::socket::{Socket, same};
use crate::clock;
use crate::limits::serve::{ACCEPT_LOG_PAUSE, ACCEPT_PAUSE};

/// Takes the connections of a listener, one after the other.
pub(crate) struct Acceptor<L> {
    listener: L,
    /// When it last said that it cannot.
    complained: Option<Instant>,
}

impl<L: Listener> Acceptor<L> {
    pub(crate) fn new(listener: L) -> Self {
        Self { listener, complained: None }
    }

    /// The next connection. A listener of another kind than TCP waits out its errors by itself. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> (Socket, L::Addr)
    where
        L::Addr: 'static,
    {
        let Self { listener, complained } = self;
        if let Some(listener) = (listener as &mut dyn Any).downcast_mut::<TcpListener>() {
            let (stream, address) = accept(listener, complained).await;
            let address = same(address).unwrap_or_else(|_| unreachable!("the address of TCP is that of its listener"));
            return (Socket::Tcp(stream), address);
        }
        let (io, address) = listener.accept().await;
        (Socket::of(io), address)
    }
}

/// The next connection. An error of the listener, such as too many open files, is waited out: it passes when connections end.
/// Cancel-safe.
async fn accept(listener: &TcpListener, complained: &mut Option<Instant>) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                let now = clock::now();
                if complained.is_none_or(|then| now - then >= ACCEPT_LOG_PAUSE) {
                    *complained = Some(now);
                    warn!(%error, "cannot accept connections; open streams go on");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
