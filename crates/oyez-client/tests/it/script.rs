//! A server that does what a test says, byte for byte: it answers late, wrongly, in pieces, or not at all. Libraries
//! that mock HTTP cannot cut a stream. The tests of `oyez-cli` use it as well.
#![allow(dead_code, reason = "two crates share it, and neither needs all of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Nothing here takes long; whatever has not happened by then never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || while sender.send(listener.accept().unwrap().0).is_ok() {});
        Self { address, accepted }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for a connection and for the request on it.
    pub(crate) fn accept(&self) -> Connection {
        self.accept_within(PATIENCE).expect("a connection")
    }

    /// The same, if a connection comes in time.
    pub(crate) fn accept_within(&self, time: Duration) -> Option<Connection> {
        let socket = self.accepted.recv_timeout(time).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection { reader: BufReader::new(socket), head: String::new(), body: Vec::new() };
        connection.read_request();
        Some(connection)
    }

    /// Whether a connection waits to be accepted.
    pub(crate) fn is_asked(&self) -> bool {
        self.accepted.try_recv().is_ok()
    }
}

/// An address that refuses connections.
pub(crate) fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A connection and the latest request on it. Dropping it closes it.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Waits for the next request on this connection.
    pub(crate) fn read_request(&mut self) {
        assert!(self.try_read_request(), "no request: {:?}", self.head);
    }

    /// The same; `false` when the other side has closed the connection instead.
    pub(crate) fn try_read_request(&mut self) -> bool {
        self.head.clear();
        while !self.head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut self.head).unwrap_or(0) == 0 {
                return false;
            }
        }
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.body = vec![0; length];
        self.reader.read_exact(&mut self.body).unwrap();
        true
    }

    pub(crate) fn request_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Opens an event stream that lasts until the connection is closed.
    pub(crate) fn open(&mut self) {
        self.open_with("content-type: text/event-stream\r\n");
    }

    pub(crate) fn open_with(&mut self, headers: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n"));
    }

    /// Answers the latest request and says that the connection will be closed.
    pub(crate) fn answer(&mut self, status: &str, headers: &str, body: &str) {
        self.answer_and_stay(status, &format!("{headers}connection: close\r\n"), body);
    }

    /// Answers the latest request; another may follow on this connection.
    pub(crate) fn answer_and_stay(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"));
    }

    /// Waits until the other side has closed the connection.
    pub(crate) fn wait_for_close(&mut self) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), "", "a request, not the end"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.reader.get_mut().shutdown(Shutdown::Write).unwrap();
    }
}
