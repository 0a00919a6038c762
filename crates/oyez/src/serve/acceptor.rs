//! New connections.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::clock;
use crate::limits::serve::{ACCEPT_LOG_PAUSE, ACCEPT_PAUSE};

/// Takes the connections of a listener, one after the other.
pub(crate) struct Acceptor {
    listener: TcpListener,
    /// When it last said that it cannot.
    complained: Option<Instant>,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, complained: None }
    }

    /// The next connection. An error of the listener, such as too many open files, is waited out: it passes when
    /// connections end. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_about_the_peer(&error) => {}
                Err(error) => {
                    let now = clock::now();
                    if self.complained.is_none_or(|then| now - then >= ACCEPT_LOG_PAUSE) {
                        self.complained = Some(now);
                        warn!(%error, "cannot accept connections; open streams go on");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
