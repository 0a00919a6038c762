//! The socket as hyper uses it, with a bound on how long a reader may take nothing.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::ReadBufCursor;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::half_heads::{HalfHead, HalfHeads};
use super::requests::Requests;
use super::socket::Socket;
use super::timeouts::Timeouts;
use super::traffic::{OpenConnection, Traffic};
use crate::clock;
use crate::control::StreamControl;
use crate::limits::serve::{HEAD_BYTES_MAX, LINGER, LINGER_SILENCE, NOT_SENT_BYTES, READ_BYTES, SEND_BUFFER_BYTES};
use crate::serve::patience::{Patience, Seen};
use crate::sync::Mutex;
use crate::timer::Timer;

/// A socket whose writes fail when the peer has taken no byte for the stall time while there were some to take.
pub(crate) struct Transport {
    socket: Socket,
    stall: Duration,
    /// The socket was full, and not all has been sent since.
    patience: Option<Patience>,
    is_blocked: bool,
    look_at: Option<Instant>,
    timer: Timer,
    /// What comes, and how long the head of a request may take: the first since there is a connection, later ones since their first byte.
    requests: Requests,
    is_first: bool,
    header: Duration,
    head_since: Option<Instant>,
    head_timer: Timer,
    /// Of a head that has not come whole nothing goes on.
    half: HalfHead,
    /// What goes on next.
    ready: Vec<u8>,
    upgraded: Upgraded,
    /// The stream that is being answered with, to tell it why it ends.
    current: CurrentStream,
    unflushed: Unflushed,
    traffic: Traffic,
    open: OpenConnection,
}

/// Whether the connection speaks another protocol from now on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upgraded(Arc<AtomicBool>);

impl Upgraded {
    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

/// Whether hyper has written something that it has not flushed since. Then there may be more of it in hyper.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unflushed(Arc<AtomicBool>);

impl Unflushed {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn set(&self, unflushed: bool) {
        self.0.store(unflushed, Relaxed);
    }
}

/// The stream that a connection is answering with, if it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct CurrentStream(Arc<Mutex<Option<StreamControl>>>);

impl CurrentStream {
    pub(crate) fn set(&self, stream: Option<StreamControl>) {
        *self.0.lock() = stream;
    }

    fn mark_stalled(&self) {
        if let Some(stream) = &*self.0.lock() {
            stream.mark_stalled();
        }
    }
}

impl Transport {
    pub(crate) fn new(socket: Socket, timeouts: Timeouts, half_heads: HalfHeads, traffic: Traffic) -> Self {
        let Timeouts { stall, header, .. } = timeouts;
        if let (false, Some(options)) = (cfg!(target_os = "linux"), socket.options()) {
            tune(options, stall);
        }
        Self {
            socket,
            stall,
            patience: None,
            is_blocked: false,
            look_at: None,
            timer: Timer::default(),
            requests: Requests::new(),
            is_first: true,
            header,
            head_since: Some(clock::now()),
            head_timer: Timer::default(),
            half: HalfHead::new(half_heads),
            ready: Vec::new(),
            upgraded: Upgraded::default(),
            current: CurrentStream::default(),
            unflushed: Unflushed::default(),
            open: traffic.open(),
            traffic,
        }
    }

    /// Can its socket leave the runtime?
    pub(crate) fn can_leave(&self) -> bool {
        self.socket.is_tcp()
    }

    pub(crate) fn current(&self) -> CurrentStream {
        self.current.clone()
    }

    pub(crate) fn unflushed(&self) -> Unflushed {
        self.unflushed.clone()
    }

    pub(crate) fn upgraded(&self) -> Upgraded {
        self.upgraded.clone()
    }

    /// The socket, out of the runtime. It does not block.
    pub(crate) fn into_socket(self) -> io::Result<(std::net::TcpStream, OpenConnection)> {
        Ok((self.socket.into_std()?, self.open))
    }

    /// Writes what is still to be answered, closes the sending side, and reads on and drops what comes for a while: who still sends is to find the answer. A socket that is
    /// closed with bytes unread is reset, and what it has sent is lost with it.
    ///
    /// Source: RFC 9112, 9.6.
    pub(crate) async fn read_on(mut self, answer: &[u8]) {
        let rest = async {
            self.socket.write_all(answer).await?;
            self.traffic.has_sent(answer.len());
            self.socket.shutdown().await?;
            let mut dropped = vec![0; READ_BYTES];
            while timeout(LINGER_SILENCE, self.socket.read(&mut dropped)).await?? > 0 {}
            Ok::<(), io::Error>(())
        };
        // whatever it ends by, the peer had its time
        let _ = timeout(LINGER, rest).await;
    }

    /// Bytes that have come and not gone on.
    pub(crate) fn kept(&self) -> usize {
        self.ready.len() + self.half.len()
    }

    /// Is the head of a request on its way?
    pub(crate) fn is_in_head(&self) -> bool {
        self.requests.is_in_head()
    }

    /// Waits until the first head has come whole, or what is to be refused: nobody needs hyper before, and its buffers. False when the
    /// peer has closed.
    pub(crate) fn poll_first_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut chunk = [const { MaybeUninit::uninit() }; READ_BYTES];
        loop {
            let mut read = ReadBuf::uninit(&mut chunk);
            let going_on = ready!(self.poll_take(&mut read, cx))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.ready.extend_from_slice(&read.filled()[..going_on]);
            // empty lines before a request are none of it
            if self.ready.iter().all(|byte| matches!(byte, b'\r' | b'\n')) && !self.requests.is_refused() {
                self.ready.clear();
                continue;
            }
            self.is_first = false;
            self.head_since = None;
            return Poll::Ready(Ok(true));
        }
    }

    /// Takes what comes next, nothing when the peer has closed, and says how much of it goes on; `ready` goes before.
    fn poll_take(&mut self, read: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Poll::Ready(result) = Pin::new(&mut self.socket).poll_read(cx, read) else {
            return self.wait_for_head(cx).map_ok(|never| match never {});
        };
        self.note_timeout(result)?;
        let come = read.filled();
        let going_on = self.requests.take(come);
        if going_on > 0 {
            self.ready = self.half.take();
        }
        if self.requests.is_refused() || come.is_empty() {
            self.half.take();
        } else {
            self.half.hold(&come[going_on..], cx);
        }
        if self.half.len() > HEAD_BYTES_MAX {
            // hyper refuses it with 431
            self.ready = self.half.take();
        }
        if !self.is_first && (going_on > 0 || !self.requests.is_in_head()) {
            self.head_since = None;
        }
        Poll::Ready(Ok(going_on))
    }

    /// Nothing comes for now: the rest of a head does in time.
    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        if !self.is_first && !self.requests.is_in_head() {
            return Poll::Pending;
        }
        if !self.half.has_its_place(cx) {
            let message = "half the head of a request is given up for younger ones";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, message)));
        }
        let since = *self.head_since.get_or_insert_with(clock::now);
        ready!(self.head_timer.poll(Some(since + self.header), cx));
        let message = format!("the head of a request did not come within {} s", self.header.as_secs());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }

    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            let written = self.note_timeout(written)?;
            self.traffic.has_sent(written);
            let takes_nothing = self.has_written(written);
            return Poll::Ready(if takes_nothing { Err(self.stalled()) } else { Ok(written) });
        }
        self.is_blocked = true;
        let now = clock::now();
        let Self { socket, stall, patience, look_at, .. } = self;
        if patience.is_none() {
            *patience = Some(Patience::begin(socket.options().as_ref(), now));
            *look_at = Patience::next_look(*stall, now);
        }
        loop {
            ready!(self.timer.poll(self.look_at, cx));
            if self.takes_nothing(clock::now()) {
                return Poll::Ready(Err(self.stalled()));
            }
        }
    }

    /// True when the reader has taken nothing for too long, though the kernel takes more.
    fn has_written(&mut self, bytes: usize) -> bool {
        let Some(patience) = &mut self.patience else { return false };
        let now = clock::now();
        if std::mem::take(&mut self.is_blocked) {
            patience.has_been_read(now);
        }
        if !cfg!(target_os = "linux") || self.socket.options().is_none() {
            // nobody says what is unsent: a socket that takes more is one that is read
            self.patience = None;
            return false;
        }
        patience.has_written(bytes);
        self.look_at.is_none_or(|at| at <= now) && self.takes_nothing(now)
    }

    fn takes_nothing(&mut self, now: Instant) -> bool {
        let Some(patience) = &mut self.patience else { return false };
        let seen = patience.look(self.socket.options().as_ref(), self.stall, now);
        self.look_at = Patience::next_look(self.stall, now);
        if seen == Seen::Drained && !self.is_blocked {
            self.patience = None;
        }
        seen == Seen::TookNothing
    }

    fn stalled(&self) -> io::Error {
        self.current.mark_stalled();
        io::Error::new(io::ErrorKind::TimedOut, format!("the reader took no byte for {} s", self.stall.as_secs()))
    }
}

impl Transport {
    /// The kernel's own timeout is the same one and may be the first to see it.
    fn note_timeout<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() == io::ErrorKind::TimedOut {
                self.current.mark_stalled();
            }
        })
    }
}

/// Sets what each connection needs: on Linux on its listener, from which it has it without a call of its own.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "the kernel's timeout is Linux's"))]
pub(crate) fn tune<'s>(socket: impl Into<SockRef<'s>>, stall: Duration) {
    let socket = socket.into();
    let tuned = socket.set_tcp_nodelay(true).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER_BYTES));
    #[cfg(target_os = "linux")]
    let tuned = tuned
        .and_then(|()| socket.set_tcp_notsent_lowat(NOT_SENT_BYTES))
        // keep-alives do not find a peer that is gone while there is data on the way; this does
        .and_then(|()| socket.set_tcp_user_timeout(Some(stall)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a socket option is not available");
    }
}

impl hyper::rt::Read for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.upgraded.0.load(Relaxed) {
            this.requests.pass();
            this.ready.append(&mut this.half.take());
        }
        let mut chunk = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = chunk.len().min(buf.remaining());
        loop {
            if !this.ready.is_empty() {
                let left = this.ready.split_off(room.min(this.ready.len()));
                buf.put_slice(&std::mem::replace(&mut this.ready, left));
                return Poll::Ready(Ok(()));
            }
            if this.requests.is_refused() {
                // hyper refuses it with 400 and closes
                buf.put_slice(&NO_HEAD[..room.min(NO_HEAD.len())]);
                return Poll::Ready(Ok(()));
            }
            let mut read = ReadBuf::uninit(&mut chunk[..room]);
            let going_on = ready!(this.poll_take(&mut read, cx))?;
            let going_on = &read.filled()[..going_on];
            if !this.ready.is_empty() {
                this.ready.extend_from_slice(going_on);
            } else if !going_on.is_empty() || read.filled().is_empty() {
                buf.put_slice(going_on);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl hyper::rt::Write for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.unflushed.set(true);
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed.set(true);
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            self.unflushed.set(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// What is no part of a head: a byte that none may hold, and the end of one.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_has_the_options_of_its_listener() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        tune(&listener, Duration::from_secs(7));
        let address = listener.local_addr().unwrap();
        let (accepted, peer) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
        let ((accepted, _), _peer) = (accepted.unwrap(), peer.unwrap());
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
    }
}
