//! A server on loopback and a caller that writes bytes.

use std::net::SocketAddr;
use std::time::Duration;

use oyez::{Event, Hub};
use oyez_server::{Server, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough for a loaded machine; nothing waits for it unless the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Hosted {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) hub: Hub<Event>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), oyez_server::ServerError>>,
}

impl Hosted {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.admin = Some("127.0.0.1:0".to_owned());
        change(&mut settings);
        let server = Server::bind(settings.resolve().unwrap()).await.unwrap();
        let (address, admin, hub) = (server.address().unwrap(), server.admin_address().unwrap(), server.hub());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, admin, hub, stop: Some(stop), running }
    }

    pub(crate) async fn connect(&self) -> Caller {
        Caller::connect(self.address).await
    }

    /// Sends one request on a connection of its own and reads the answer to its end.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut caller = self.connect().await;
        caller.send(request).await;
        caller.answer().await
    }

    /// `GET` of a path, with these header lines.
    pub(crate) async fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.ask(head("GET", target, headers)).await
    }

    /// `POST` of a body to a path, with these header lines.
    pub(crate) async fn post(&self, target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let length = format!("Content-Length: {}", body.len());
        let mut request = head("POST", target, &[headers, &[length.as_str()]].concat()).into_bytes();
        request.extend_from_slice(body);
        self.ask(request).await
    }

    /// Starts the drain.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(self) {
        timeout(PATIENCE, self.running).await.expect("the server ends").unwrap().unwrap();
    }
}

/// The head of a request that closes its connection.
pub(crate) fn head(method: &str, target: &str, headers: &[&str]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// One connection.
pub(crate) struct Caller(TcpStream);

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads until `part` has come.
    pub(crate) async fn read_until(&mut self, part: &str) -> String {
        let mut read = Vec::new();
        let found = timeout(PATIENCE, async {
            while !String::from_utf8_lossy(&read).contains(part) {
                let mut chunk = [0; 4_096];
                let length = self.0.read(&mut chunk).await.unwrap();
                assert!(length > 0, "ended before {part:?} came: {:?}", String::from_utf8_lossy(&read));
                read.extend_from_slice(&chunk[..length]);
            }
        });
        if found.await.is_err() {
            panic!("{part:?} did not come, but {:?}", String::from_utf8_lossy(&read));
        }
        String::from_utf8(read).unwrap()
    }

    /// Reads until the server closes.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        // a reset after the answer is an end as well
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("the server closes");
        Answer(String::from_utf8(bytes).unwrap())
    }
}

/// A response, as it came.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The body, without the chunks' frames.
    pub(crate) fn body(&self) -> String {
        let (_, body) = self.0.split_once("\r\n\r\n").unwrap_or_default();
        if self.header("transfer-encoding") != Some("chunked") {
            return body.to_owned();
        }
        let (mut rest, mut text) = (body, String::new());
        while let Some((size, tail)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            text.push_str(&tail[..size]);
            rest = tail[size..].strip_prefix("\r\n").unwrap_or_default();
        }
        text
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The id of the event that a publish made.
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status(), 200, "{self:?}");
        self.json()["id"].as_str().unwrap().to_owned()
    }
}
