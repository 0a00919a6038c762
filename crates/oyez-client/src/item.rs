//! What the reader of a stream gets.

use std::time::Duration;

use oyez_proto::{Event, EventId};
use serde::Deserialize;

use crate::Error;

/// What an [`EventSource`](crate::EventSource) yields, in the order of the stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The stream is open.
    Open {
        /// The status of the answer: 200.
        status: u16,
    },
    /// An event.
    Event {
        /// Its data, type, and the id and reconnection time that it carries itself.
        event: Event,
        /// The last event id in force: its own, or that of an earlier block. This is what resumes the stream after it.
        last_event_id: Option<EventId>,
    },
    /// A comment, if they were asked for.
    Comment(String),
    /// A line of newline-delimited JSON, if [`Format::Lines`](oyez_proto::Format::Lines) was asked for.
    Line {
        /// The line as it came, without its end.
        text: String,
        /// What it says its type is; the hub's own lines have types that begin with `oyez.`.
        event_type: Option<String>,
    },
    /// The hub says that entries are missing here.
    Gap(Gap),
    /// The hub says that a stream is complete. The next attempt is answered with 204, after which nothing follows.
    End(Event),
    /// The hub names the connection, so that it can be controlled.
    Session(Event),
    /// The connection is lost or was not made; the next attempt follows after `wait`.
    Disconnected {
        /// Why.
        error: Error,
        /// How long until the next attempt.
        wait: Duration,
    },
}

/// A hole in a stream, announced by the hub: entries that match were no longer there when the stream was resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Gap {
    /// Why they are missing: `expired`, `deleted`, `unknown`, `epoch`, `crash`, `engine`, `policy`, `undecodable`.
    pub reason: String,
    /// The id that was to be resumed after.
    pub requested: Option<String>,
    /// The oldest id there is.
    pub oldest: Option<String>,
    /// How many entries are missing, where that is known.
    pub missed: Option<u64>,
}

impl Gap {
    /// Reads the data of an `oyez.gap`. Data that says less, or something else, makes a gap that says less.
    pub(crate) fn of(event: &Event) -> Self {
        serde_json::from_str(event.data_str()).unwrap_or_default()
    }
}

/// What an EventSource has to know of a line of newline-delimited JSON.
#[derive(Deserialize, Default)]
pub(crate) struct LineHead {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
    #[serde(rename = "type")]
    pub(crate) event_type: Option<String>,
}

impl LineHead {
    /// A line that is no such object says nothing.
    pub(crate) fn of(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_default()
    }
}
