//! A connection's socket, of whatever kind its listener has.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What comes out of a listener.
pub(crate) enum Socket {
    /// It has the options that a stream needs, and can leave the runtime.
    Tcp(TcpStream),
    /// A Unix socket, TLS, or what else a listener brings: it stays in hyper.
    Other(Box<dyn Io>),
}

/// A stream of bytes in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<I: AsyncRead + AsyncWrite + Unpin + Send> Io for I {}

impl Socket {
    pub(crate) fn of<I: Io + 'static>(io: I) -> Self {
        match same::<I, TcpStream>(io) {
            Ok(tcp) => Self::Tcp(tcp),
            Err(io) => Self::Other(Box::new(io)),
        }
    }

    /// Can it leave the runtime?
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Its options, where it is the kernel's and has those of TCP.
    pub(crate) fn options(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Tcp(tcp) => Some(tcp.into()),
            Self::Other(_) => None,
        }
    }

    /// The socket, out of the runtime. It does not block.
    pub(crate) fn into_std(self) -> io::Result<std::net::TcpStream> {
        match self {
            Self::Tcp(tcp) => tcp.into_std(),
            Self::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// `a`, if it is a `B`.
pub(crate) fn same<A: 'static, B: 'static>(a: A) -> Result<B, A> {
    let mut a = Some(a);
    let b = (&mut a as &mut dyn Any).downcast_mut::<Option<B>>().and_then(Option::take);
    b.ok_or_else(|| a.take().expect("it was not taken"))
}

macro_rules! each {
    ($socket:expr, $io:ident => $do:expr) => {
        match $socket.get_mut() {
            Socket::Tcp(io) => {
                let $io = Pin::new(io);
                $do
            }
            Socket::Other(io) => {
                let $io = Pin::new(io);
                $do
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Other(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_shutdown(cx))
    }
}
