//! The seam between the state machine and the network.

use std::error;
use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};

/// Sends one request and gives back its answer, its body as chunks. `HttpConnect` does it over
/// TCP and TLS; a test, a tunnel or another HTTP library can do it in its own way.
///
/// It follows no redirects, repeats nothing and stops when its future or its chunks are dropped.
pub trait Connect: Send + Sync + 'static {
    /// Sends `request` to its absolute URI.
    ///
    /// # Errors
    /// A [`ConnectError`] says whether the request may have reached the server.
    fn connect(&self, request: Request<Bytes>) -> Connecting;
}

/// An answer to come.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Response<Chunks>, ConnectError>> + Send>>;

/// The body of an answer, as it arrives.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// An error of whoever connects.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// Why no answer came.
#[derive(Debug)]
pub struct ConnectError {
    sent: bool,
    is_final: bool,
    source: BoxError,
}

impl ConnectError {
    /// Nothing of the request was sent, so nothing can have been done.
    pub fn before_sending(source: impl Into<BoxError>) -> Self {
        Self { sent: false, is_final: false, source: source.into() }
    }

    /// The request, or part of it, was sent; what became of it is unknown.
    pub fn after_sending(source: impl Into<BoxError>) -> Self {
        Self { sent: true, is_final: false, source: source.into() }
    }

    /// Whether the request may have reached the server.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.sent
    }

    /// What was asked for is wrong: no attempt will do better.
    #[cfg(feature = "reqwest")]
    pub(crate) fn and_final(self, is_final: bool) -> Self {
        Self { is_final, ..self }
    }

    pub(crate) fn is_final(&self) -> bool {
        self.is_final
    }

    pub(crate) fn into_source(self) -> BoxError {
        self.source
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.sent { "no answer" } else { "no connection" })
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.source)
    }
}
