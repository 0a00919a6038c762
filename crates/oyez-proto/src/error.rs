//! The one error of this crate.

use std::borrow::Cow;
use std::fmt;

/// Why an input was refused. Opaque; [`Error::kind`] says what the caller can do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong; the same call fails again.
    Invalid,
    /// A bound was reached; the stream it was reached on cannot be read further.
    TooLarge,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::Invalid, message: message.into() }
    }

    pub(crate) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::TooLarge, message: message.into() }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
