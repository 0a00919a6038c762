//! The one error of this crate.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::BoxError;

/// Why a stream stopped, lost its connection, or could not be asked for; or why a publish failed. Opaque;
/// [`Error::kind`] says what the caller can do next.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the caller passed is wrong; the same call fails again.
    Invalid,
    /// The server said no, or something that is no event stream; the same request fails again.
    Refused,
    /// There is no connection, or the server asks for patience: nothing was done, retry later.
    Unavailable,
    /// An event is larger than the bound.
    TooLarge,
    /// The request was sent and no answer came: what was published may be there or not.
    Unknown,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, retry_after: None, source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// `detail` is what the server says about it; empty when it says nothing.
    pub(crate) fn answered(kind: ErrorKind, status: u16, detail: &str) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut message = format!("the server answered {status}");
        for (separator, part) in [(" ", reason.unwrap_or_default()), (": ", detail)] {
            if !part.is_empty() {
                message.push_str(separator);
                message.push_str(part);
            }
        }
        Self { status: Some(status), ..Self::new(kind, message) }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_status(mut self, status: Option<u16>) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status of the answer, if one came and it is the cause.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the server asks to wait before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
