//! What an [`EventSource`](crate::EventSource) tells its driver.

use std::time::Duration;

use crate::{Error, Event, EventId};

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Drop the connection there is, if any, and open one. Report the answer by
    /// [`head`](crate::EventSource::head), a failure by [`disconnected`](crate::EventSource::disconnected).
    Connect(Attempt),
    /// Drop the connection and call [`waited`](crate::EventSource::waited) after this time.
    Wait(Duration),
    /// Hand this to the reader of the stream.
    Deliver(Delivery),
    /// Drop the connection; nothing follows.
    Stop(Stop),
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Attempt {
    /// The value of the header `Last-Event-ID`; without one the header is left out. Never empty.
    pub last_event_id: Option<EventId>,
    /// Where to go instead of the place asked last; without it the request goes to the first URL.
    pub redirect: Option<Redirect>,
}

/// An answer that points elsewhere. The driver resolves the location against the URL that it asked, leaves
/// `Authorization` and `Cookie` behind when the origin changes, and turns the method into GET where HTTP says so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The header `Location` as it came; not empty.
    pub location: String,
}

/// What the reader of a stream sees, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The stream is open.
    Open {
        /// The status of the answer: 200.
        status: u16,
    },
    /// An event. Until the next call of `poll`, the id in force for it is
    /// [`last_event_id`](crate::EventSource::last_event_id).
    Event(Event),
    /// A comment, if they were asked for.
    Comment(String),
    /// A line of a [`Format::Lines`](crate::Format::Lines) stream.
    Line(String),
    /// The hub says that entries are missing here; the data says which.
    Gap(Event),
    /// The hub says that the stream is complete. The next attempt is answered with 204, which stops the machine.
    End(Event),
    /// The hub names the connection, so that it can be controlled.
    Session(Event),
    /// There is no connection; the machine waits, then tries again.
    Disconnected {
        /// Why.
        cause: Cause,
        /// How long until the next attempt.
        wait: Duration,
    },
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The connection failed before an answer came; the driver knows how.
    Network,
    /// The answer was a status that may pass: 429 or 5xx.
    Status(u16),
    /// An open stream ended or broke off.
    Ended,
}

/// Why the machine stopped for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// 204: the server has nothing more. The normal end.
    Complete,
    /// A status that opens no stream and does not pass by itself.
    Status(u16),
    /// 200, but of this type, which is not the one asked for.
    ContentType(String),
    /// A redirect without a location.
    NoLocation(u16),
    /// More than five redirects in a row.
    Redirects,
    /// As many attempts in a row failed as were allowed; this is why the last one did.
    Attempts(Cause),
    /// An event or line is larger than the bound.
    TooLarge(Error),
}
