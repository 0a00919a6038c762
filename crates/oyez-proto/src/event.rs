//! One event: data, type, id, reconnection time.

use std::time::Duration;

use crate::{Error, EventId, EventType, base64};

/// What a stream dispatches. Built from its data, then refined:
///
/// ```
/// use std::time::Duration;
/// use oyez_proto::Event;
///
/// let event = Event::data("hello").event("greeting")?.id("msg-1")?.retry(Duration::from_secs(3));
/// assert_eq!(event.data_str(), "hello");
/// assert!(Event::data("x").id("a\ndata: injected").is_err());
/// # Ok::<(), oyez_proto::Error>(())
/// ```
///
/// Data may be any text: each CR, LF or CRLF in it starts a new `data:` line, and a reader sees it as LF. Empty
/// data is an event with empty data, not nothing.
///
/// Source: HTML Standard, "Interpreting an event stream".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Event {
    data: String,
    event_type: Option<EventType>,
    id: Option<EventId>,
    retry: Option<Duration>,
}

impl Event {
    /// An event of the default type with this data and nothing else.
    #[must_use]
    pub fn data(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    pub(crate) fn from_parts(
        data: String,
        event_type: Option<EventType>,
        id: Option<EventId>,
        retry: Option<Duration>,
    ) -> Self {
        Self { data, event_type, id, retry }
    }

    /// An event whose data is `bytes` in base64 (RFC 4648, section 4, padded): a third longer than they are.
    /// [`Event::decode_base64`] gives them back.
    ///
    /// ```
    /// # use oyez_proto::Event;
    /// let event = Event::base64([0, 159, 146, 150]);
    /// assert_eq!(event.decode_base64()?, [0, 159, 146, 150]);
    /// # Ok::<(), oyez_proto::Error>(())
    /// ```
    #[must_use]
    pub fn base64(bytes: impl AsRef<[u8]>) -> Self {
        Self::data(base64::encode(bytes.as_ref()))
    }

    /// Sets the type that the event is dispatched as. Without it the type is `message`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is empty or holds NUL, CR or LF.
    pub fn event(self, event_type: impl Into<Box<str>>) -> Result<Self, Error> {
        Ok(self.with_type(EventType::new(event_type)?))
    }

    /// Sets the last event id, which a reader sends back when it reconnects. An empty one resets it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it cannot come back: see [`EventId`].
    pub fn id(self, id: impl Into<Box<str>>) -> Result<Self, Error> {
        Ok(self.with_id(EventId::new(id)?))
    }

    /// Sets the reconnection time of whoever reads the event, in whole milliseconds; a fraction is dropped.
    #[must_use]
    pub fn retry(mut self, reconnection_time: Duration) -> Self {
        self.retry = Some(whole_milliseconds(reconnection_time));
        self
    }

    /// [`Event::event`] with a type that is already proven.
    #[must_use]
    pub fn with_type(mut self, event_type: EventType) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// [`Event::id`] with an id that is already proven.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same event with other data.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<String>) -> Self {
        self.data = data.into();
        self
    }

    /// The same event without an id of its own.
    #[must_use]
    pub fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// The data. From a decoder its line ends are LF.
    #[must_use]
    pub fn data_str(&self) -> &str {
        &self.data
    }

    /// The data, without a copy.
    #[must_use]
    pub fn into_data(self) -> String {
        self.data
    }

    /// The type that was set; `None` is the default type `message`.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    /// The id that this event itself carries. The last event id in force may come from an earlier one.
    #[must_use]
    pub fn event_id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The reconnection time that this event itself carries.
    #[must_use]
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.retry
    }

    /// The bytes of an event made by [`Event::base64`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the data is not padded base64.
    pub fn decode_base64(&self) -> Result<Vec<u8>, Error> {
        base64::decode(&self.data)
    }
}

fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl From<String> for Event {
    fn from(data: String) -> Self {
        Self::data(data)
    }
}

impl From<&str> for Event {
    fn from(data: &str) -> Self {
        Self::data(data)
    }
}
