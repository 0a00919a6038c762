//! One open event stream.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::bench::blocks::{Blocks, Found};
use crate::bench::body::Body;
use crate::bench::head::{Head, NoHead, shown};
use crate::bench::limits::{LOCAL_ADDRESSES_MAX, PORTS_PER_ADDRESS, READ_BYTES, SHOWN_BYTES_MAX};

/// A subscriber's connection. Between reads it holds no buffer: all of them read into one.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    body: Body,
    blocks: Blocks,
    /// What came together with the head.
    early: Vec<u8>,
}

/// Who is told what a stream brings.
pub(crate) trait Receive {
    /// A read brought so many bytes; the events in them follow.
    fn read(&mut self, bytes: usize);
    fn event(&mut self, found: Found<'_>);
}

/// How a connection is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    /// Which connection of this process it is; on loopback, the local address follows from that.
    pub(crate) number: usize,
    pub(crate) receive_bytes: Option<u32>,
    pub(crate) timeout: Duration,
}

impl Stream {
    /// Connects, sends `request` and reads the head.
    pub(crate) async fn open(dial: Dial, request: &[u8]) -> Result<Self, Refusal> {
        let silent = Refusal::Silent(dial.timeout);
        timeout(dial.timeout, Self::connect(dial, request)).await.unwrap_or(Err(silent))
    }

    async fn connect(dial: Dial, request: &[u8]) -> Result<Self, Refusal> {
        let socket = dial.connect().await.map_err(Refusal::NoConnection)?;
        let mut early = Vec::new();
        write(&socket, request).await.map_err(Refusal::Cut)?;
        loop {
            let open = read_more(&socket, &mut early).await.map_err(Refusal::Cut)?;
            match Head::parse(&early) {
                Ok((head, length)) => {
                    early.drain(..length);
                    let body = accept(&head).ok_or_else(|| Refusal::NotAStream(head.into(), early.clone()))?;
                    return Ok(Self { socket, body, blocks: Blocks::new(), early });
                }
                Err(NoHead::NotHttp) if !early.is_empty() => return Err(Refusal::NotHttp(early)),
                Err(NoHead::TooLong) => return Err(Refusal::Endless),
                Err(_) if open => {}
                Err(_) => return Err(Refusal::NoAnswer),
            }
        }
    }

    /// Waits for bytes, reads once and tells `receiver`. `false` when the stream has ended.
    pub(crate) async fn read(&mut self, receiver: &mut impl Receive) -> io::Result<bool> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return take(&mut self.body, &mut self.blocks, &early, receiver);
        }
        poll_fn(|context| BUFFER.with_borrow_mut(|buffer| self.poll_read(context, buffer, receiver))).await
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        receiver: &mut impl Receive,
    ) -> Poll<io::Result<bool>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(false));
        }
        Poll::Ready(take(&mut self.body, &mut self.blocks, buffer.filled(), receiver))
    }
}

impl Dial {
    async fn connect(self) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = self.receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        // the first address is the system's choice: that way it may use a port again that waits out its close
        if let Some(local) = self.local().filter(|_| self.number >= PORTS_PER_ADDRESS) {
            socket.bind(local)?;
        }
        let socket = socket.connect(self.address).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn local(self) -> Option<SocketAddr> {
        let number = u8::try_from(self.number / PORTS_PER_ADDRESS % LOCAL_ADDRESSES_MAX).ok()?;
        match self.address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Some((Ipv4Addr::new(127, 0, 0, 1 + number), 0).into()),
            _ => None,
        }
    }
}

/// What to read a stream's body with; `None` when the answer is no event stream.
fn accept(head: &Head) -> Option<Body> {
    let plain = matches!(head.content_encoding.as_str(), "" | "identity");
    (head.status == 200 && head.is_event_stream() && plain).then_some(head.body)
}

/// Takes what was read apart. `false` at the end.
fn take(body: &mut Body, blocks: &mut Blocks, bytes: &[u8], receiver: &mut impl Receive) -> io::Result<bool> {
    receiver.read(bytes.len());
    let mut outcome = Ok(());
    let framing = body.feed(bytes, |part| {
        if outcome.is_ok() {
            outcome = blocks.feed(part, |found| receiver.event(found));
        }
    });
    outcome.map_err(io::Error::other)?;
    framing.map_err(|_| io::Error::other("the chunks of the stream are malformed"))?;
    Ok(!body.ended())
}

async fn write(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what there is, a little at a time so that it stays with the head; `false` at the end.
async fn read_more(socket: &TcpStream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut buffer) {
            Ok(read) => {
                into.extend_from_slice(buffer.get(..read).unwrap_or_default());
                return Ok(read > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum Refusal {
    NoConnection(io::Error),
    Cut(io::Error),
    Silent(Duration),
    NoAnswer,
    Endless,
    NotHttp(Vec<u8>),
    NotAStream(Box<Head>, Vec<u8>),
}

impl fmt::Display for Refusal {
    /// What came back, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "nothing listens there: start the server (oyez serve) or set --subscribe URL")
            }
            Self::NoConnection(error) => write!(f, "no connection: {error}"),
            Self::Cut(error) => write!(f, "the connection broke before an answer: {error}"),
            Self::Silent(time) => {
                write!(f, "no head of an answer within {time:?}: is it an HTTP server, and is it overloaded?")
            }
            Self::NoAnswer => write!(f, "the connection was closed without an answer: is it an HTTP server?"),
            Self::Endless => write!(f, "the head of the answer does not end: not an SSE server"),
            Self::NotHttp(bytes) => {
                write!(f, "not an SSE server: what it says is not HTTP/1.1: {}", shown(bytes))
            }
            Self::NotAStream(head, body) => not_a_stream(head, body, f),
        }
    }
}

fn not_a_stream(head: &Head, body: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Head { status, status_line, content_type, location, content_encoding, .. } = head;
    let hint = match status {
        200 if head.is_event_stream() => {
            return write!(f, "the stream is encoded with {content_encoding:?}, which was not asked for");
        }
        200 => {
            return write!(
                f,
                "not an SSE server: content-type {content_type:?}, not text/event-stream: {}",
                shown(body)
            );
        }
        300..=399 => return write!(f, "not an event stream but {status_line} to {location:?}: use that URL"),
        401 | 403 => "give a credential with -H 'Authorization: …'",
        404 | 405 => "is this the URL of a stream? Set it with --subscribe URL",
        204 => "the stream has ended, or there is none",
        429 | 503 => "the server accepts no more subscribers now",
        _ => "set the URL of the stream with --subscribe URL",
    };
    let body = body.get(..SHOWN_BYTES_MAX).unwrap_or(body);
    let said = if body.is_empty() { String::new() } else { format!(", {}", shown(body)) };
    write!(f, "not an event stream but {status_line}{said}: {hint}")
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, number: usize, expected: Option<&str>) {
        let dial =
            Dial { address: address.parse().unwrap(), number, receive_bytes: None, timeout: Duration::from_secs(1) };
        assert_eq!(dial.local(), expected.map(|address| SocketAddr::new(address.parse().unwrap(), 0)));
    }

    #[test]
    fn connections_to_loopback_spread_over_its_addresses() {
        check("127.0.0.1:80", 0, Some("127.0.0.1"));
        check("127.0.0.1:80", PORTS_PER_ADDRESS - 1, Some("127.0.0.1"));
        check("127.0.0.1:80", 3 * PORTS_PER_ADDRESS, Some("127.0.0.4"));
        check("[::1]:80", 3 * PORTS_PER_ADDRESS, None);
        check("192.0.2.1:80", 3 * PORTS_PER_ADDRESS, None);
    }

    #[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is there without being set up
    #[tokio::test]
    async fn a_connection_comes_from_its_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (number, expected) in [(0, "127.0.0.1"), (PORTS_PER_ADDRESS, "127.0.0.2")] {
            let dial = Dial { address, number, receive_bytes: None, timeout: Duration::from_secs(1) };
            let (connected, accepted) = tokio::join!(dial.connect(), listener.accept());
            let (_, from) = accepted.unwrap();
            assert_eq!((from, from.ip().to_string().as_str()), (connected.unwrap().local_addr().unwrap(), expected));
        }
    }
}
