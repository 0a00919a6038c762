//! A server and its clients, over real sockets.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use oyez::Serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough for the slowest machine; nothing waits for it when all is well.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits until `is_so`.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, so).await;
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        Self::start_with(app, |serve| serve).await
    }

    pub(crate) async fn start_with(
        app: Router,
        set: impl FnOnce(Serve<TcpListener, Router>) -> Serve<TcpListener, Router>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let signal = async { stopped.await.unwrap_or_default() };
        let serve = set(oyez::serve(listener, app)).with_graceful_shutdown(signal);
        let ended = tokio::spawn(async { serve.await.unwrap() });
        Self { address, stop: Some(stop), ended }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Connects and sends a GET request.
    pub(crate) async fn get(&self, path: &str) -> Client {
        let mut client = self.connect().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        client
    }

    pub(crate) fn begin_drain(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        within("the server ends", self.ended).await.unwrap();
    }
}

/// A connection, and what was read from it.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) read: String,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, read: String::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `text` stands in what was read, and takes all up to its end.
    pub(crate) async fn read_to(&mut self, text: &str) -> String {
        let mut bytes = vec![0; 64 << 10];
        let read = async {
            loop {
                if let Some(at) = self.read.find(text) {
                    let rest = self.read.split_off(at + text.len());
                    return std::mem::replace(&mut self.read, rest);
                }
                let number = self.stream.read(&mut bytes).await.unwrap();
                assert_ne!(number, 0, "ended before {text:?}: {:?}", self.read);
                self.read.push_str(std::str::from_utf8(&bytes[..number]).unwrap());
            }
        };
        within(text, read).await
    }

    /// Reads to the end of the connection, a reset included.
    pub(crate) async fn read_to_end(mut self) -> String {
        let mut bytes = vec![0; 64 << 10];
        let read = async {
            while let Ok(number @ 1..) = self.stream.read(&mut bytes).await {
                self.read.push_str(std::str::from_utf8(&bytes[..number]).unwrap());
            }
        };
        within("the connection ends", read).await;
        self.read
    }
}
