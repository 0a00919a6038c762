//! A server that does what a test says, byte for byte: it answers late, wrongly, in pieces, or not at all. Libraries
//! that mock HTTP cannot cut a stream. The tests of `oyez-cli` use it as well.
#![allow(dead_code, reason = "two crates share it, and neither needs all of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Nothing here takes long; whatever has not happened by then never will, on a busy machine either.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose requests come one by one, in the order in which they were read. A connection on which no request comes
/// is no request: clients open one more than they need while the answer to the last request is not yet back in their pool.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Receiver<Connection>,
    asking: Sender<Connection>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asking, asked) = mpsc::channel();
        let sender = asking.clone();
        thread::spawn(move || {
            loop {
                Connection::new(listener.accept().unwrap().0).wait_for_request(&sender);
            }
        });
        Self { address, asked, asking }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for the next request.
    pub(crate) fn accept(&self) -> Connection {
        self.accept_within(PATIENCE).expect("a request")
    }

    /// Waits for the next request, which may come on this connection or on another.
    pub(crate) fn next(&self, kept: Connection) -> Connection {
        kept.wait_for_request(&self.asking);
        self.accept()
    }

    /// The next request, if it comes in time.
    pub(crate) fn accept_within(&self, time: Duration) -> Option<Connection> {
        self.asked.recv_timeout(time).ok()
    }

    /// Whether a request waits to be answered.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.try_recv().is_ok()
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
    fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(socket), head: String::new(), body: Vec::new() }
    }

    /// Sends the connection on when a request is there. One that is closed before it is no news.
    fn wait_for_request(mut self, asking: &Sender<Self>) {
        let asking = asking.clone();
        thread::spawn(move || {
            if self.try_read_request() {
                // the test may be over
                drop(asking.send(self));
            }
        });
    }

    /// Waits for the next request on this connection; `false` when the other side has closed it instead.
    pub(crate) fn try_read_request(&mut self) -> bool {
        self.head.clear();
        while !self.head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut self.head).unwrap_or(0) == 0 {
                return false;
            }
        }
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.body = vec![0; length];
        self.reader.read_exact(&mut self.body).is_ok()
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
        self.send(head_of_stream(headers));
    }

    /// As [`open`](Self::open), for somebody who may have gone.
    pub(crate) fn try_open(&mut self) -> io::Result<()> {
        self.try_send(head_of_stream("content-type: text/event-stream\r\n"))
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

fn head_of_stream(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n")
}
