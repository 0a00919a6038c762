//! A connection that publishes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::bench::body::Body;
use crate::bench::head::{Head, NoHead, shown};
use crate::bench::limits::ANSWER_BYTES_MAX;
use crate::bench::server::PublishRequest;

/// One connection, one request at a time.
pub(crate) struct Connection {
    socket: TcpStream,
    /// When it was last used.
    pub(crate) used: u64,
}

impl Connection {
    pub(crate) fn open(publish: &PublishRequest, timeout: Duration) -> Result<Self, String> {
        let open = || {
            let socket = TcpStream::connect_timeout(&publish.endpoint.address, timeout)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(timeout))?;
            socket.set_write_timeout(Some(timeout))?;
            Ok(Self { socket, used: 0 })
        };
        open().map_err(|error: std::io::Error| format!("no connection: {error}"))
    }

    /// Sends a request and reads its answer, which says whether the connection can be used again.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Head, String> {
        self.socket.write_all(request).map_err(|error| format!("the request could not be written: {error}"))?;
        let mut received = Vec::new();
        let (mut head, length) = loop {
            self.read_more(&mut received)?;
            match Head::parse(&received) {
                Ok(found) => break found,
                Err(NoHead::Yet) => {}
                Err(NoHead::NotHttp | NoHead::TooLong) => {
                    return Err(format!("the answer is not HTTP: {}", shown(&received)));
                }
            }
        };
        received.drain(..length);
        let content = self.read_body(&mut head, received)?;
        match head.status {
            200..=299 => Ok(head),
            _ => Err(format!("{}: {}", head.status_line, shown(&content))),
        }
    }

    /// Reads the body that `received` begins.
    fn read_body(&mut self, head: &mut Head, mut received: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        loop {
            let framing = head.body.feed(&received, |part| content.extend_from_slice(part));
            framing.map_err(|_| "the chunks of the answer are malformed".to_owned())?;
            if head.body.ended() {
                return Ok(content);
            }
            if content.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            received.clear();
            match self.read_more(&mut received) {
                Err(_) if head.body == Body::UntilClose => {
                    head.closes = true;
                    return Ok(content);
                }
                outcome => outcome?,
            }
        }
    }

    fn read_more(&mut self, into: &mut Vec<u8>) -> Result<(), String> {
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err("the connection was closed before the answer was complete".to_owned()),
            Ok(read) => {
                into.extend_from_slice(buffer.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err("no answer within --timeout".to_owned())
            }
            Err(error) => Err(format!("no answer: {error}")),
        }
    }
}
