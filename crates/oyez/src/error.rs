//! The one error of this crate.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

/// Why the hub did not do what it was asked. Opaque; [`Error::kind`] says what the caller can do next, the text names the value
/// that was wrong, and ends with the cause if another error caused it. So [`source`](std::error::Error::source) begins with the
/// source of that cause, and [`Error::get_ref`] gives the cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Why something is missing before it: there is no stream to say so.
    gap: Option<&'static str>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong; the same call fails again.
    Invalid,
    /// The credential does not allow it.
    Denied,
    /// The position, or the end of a topic that has ended, is no longer in the history; what is asked for cannot be exact.
    Gone,
    /// A bound was reached or an engine is away; retry later.
    Unavailable,
    /// Everything that was asked for has been read and its topics have ended: nothing will come any more. No failure: stop.
    Ended,
    /// The topic has ended, so nothing can be appended to it; take another one.
    Conflict,
    /// The idempotency key stands for another publish; take a new one.
    Mismatch,
    /// The hub drains; connect elsewhere.
    Closed,
    /// The storage has no room; it works again when there is some.
    Full,
    /// A broken invariant or damaged storage.
    Internal,
}

impl ErrorKind {
    /// The status of the HTTP answer that says it. [`Sse::refusal`](crate::Sse::refusal) answers with it, and so may a
    /// handler of your own that publishes.
    ///
    /// ```
    /// assert_eq!(oyez::ErrorKind::Full.status(), http::StatusCode::INSUFFICIENT_STORAGE);
    /// ```
    ///
    /// Source: RFC 9110, section 15; RFC 4918, section 11, for 422 and 507.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Ended => StatusCode::NO_CONTENT,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::Mismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// Whether it passes by itself: the same request may succeed later, so its answer has a `Retry-After`.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Unavailable | Self::Closed | Self::Full)
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), cause: None, gap: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// An [`ErrorKind::Internal`] of the storage; `message` says the cause as well.
    pub(crate) fn storage(message: impl Into<Cow<'static, str>>, cause: std::io::Error) -> Self {
        Self { kind: ErrorKind::Internal, message: message.into(), cause: Some(cause.into()), gap: None }
    }

    /// An [`ErrorKind::Full`].
    pub(crate) fn full(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Full, message)
    }

    /// The same for another caller, without its cause.
    pub(crate) fn again(&self) -> Self {
        Self { kind: self.kind, message: self.message.clone(), cause: None, gap: self.gap }
    }

    /// The same error, before which something is missing for this reason.
    pub(crate) fn after_gap(self, gap: Option<&'static str>) -> Self {
        Self { gap, ..self }
    }

    /// Why something is missing before it.
    pub(crate) fn gap(&self) -> Option<&'static str> {
        self.gap
    }

    /// The same error in other words.
    pub(crate) fn in_words(self, message: String) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same error, naming the event of a batch that it is about.
    pub(crate) fn at(self, index: usize) -> Self {
        Self { message: format!("event {} of the batch: {}", index + 1, self.message).into(), ..self }
    }

    /// An [`ErrorKind::Invalid`] for a [`Payload`](crate::Payload) of your own that cannot be encoded or decoded.
    pub fn payload(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::caused(ErrorKind::Invalid, "payload cannot be converted", cause)
    }

    /// An error with its cause, which its text ends with.
    pub(crate) fn caused(
        kind: ErrorKind,
        what: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let cause = cause.into();
        let message = format!("{what}: {cause}").into();
        Self { kind, message, cause: Some(cause), gap: None }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error that caused it, if there is one: of a [`Payload`](crate::Payload), or of the storage an
    /// [`io::Error`](std::io::Error).
    #[must_use]
    pub fn get_ref(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().and_then(std::error::Error::source)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<oyez_proto::Error> for Error {
    fn from(error: oyez_proto::Error) -> Self {
        Self::invalid(error.to_string())
    }
}
