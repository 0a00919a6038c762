//! What a driver tells an [`EventSource`](crate::EventSource) of an answer, and what the answer is asked to be.

use std::time::Duration;

use crate::mime;

/// The head of an answer, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) location: &'a str,
    pub(crate) retry_after: Duration,
    pub(crate) hub: bool,
}

impl<'a> Head<'a> {
    /// The head of an answer with this status and no headers.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The header `Content-Type`; several lines of it joined by a comma.
    #[must_use]
    pub fn content_type(mut self, value: &'a str) -> Self {
        self.content_type = value;
        self
    }

    /// The header `Location`.
    #[must_use]
    pub fn location(mut self, value: &'a str) -> Self {
        self.location = value;
        self
    }

    /// The header `Retry-After` as a time from now. More than an hour counts as an hour.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// Whether the header `Oyez: 1` is there: the types `oyez.…` are then the hub's own words, else plain events.
    #[must_use]
    pub fn hub(mut self, is_hub: bool) -> Self {
        self.hub = is_hub;
        self
    }

    pub(crate) fn has_type(&self, mime_type: &str) -> bool {
        mime::names(self.content_type, mime_type)
    }
}

/// What the body of a stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// `text/event-stream`.
    #[default]
    EventStream,
    /// `application/x-ndjson`: one JSON value a line, delivered as [`Delivery::Line`]; empty lines are keep-alives.
    /// The driver reads ids and reconnection times out of the lines, see [`EventSource::set_last_event_id`] and
    /// [`EventSource::set_reconnection_time`].
    ///
    /// [`Delivery::Line`]: crate::Delivery::Line
    /// [`EventSource::set_last_event_id`]: crate::EventSource::set_last_event_id
    /// [`EventSource::set_reconnection_time`]: crate::EventSource::set_reconnection_time
    Lines,
}

impl Format {
    /// The MIME type that this format is asked for with, and that an answer must have.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::EventStream => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }
}
