//! A hole in a stream, told to its reader.

use std::fmt;

use bytes::{Bytes, BytesMut};
use oyez_proto::{Event, EventId};
use serde::Serialize;

use crate::position::Position;

/// What a subscriber has missed, as `event: oyez.gap` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why entries are missing.
    pub reason: Reason,
    /// The id or time that the resume asked for.
    pub requested: String,
    /// The id of the first entry that follows, if any is kept.
    pub oldest: Option<EventId>,
    /// How many entries are missing, when that is known.
    pub missed: Option<u64>,
    /// The place before the first entry that follows, or the head: a resume from here is complete.
    pub position: Position,
}

/// Why entries are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// They have left the history.
    Expired,
    /// Their topic was deleted.
    Deleted,
    /// The id was never given out here, or is not known any more: also a publisher's id that was used again after its first
    /// entry had left the history.
    Unknown,
    /// The id belongs to a log that is gone.
    Epoch,
    /// The reader lagged too far, and its policy skips.
    Policy,
    /// The id is of an entry that is lost: a crash of the machine took it before it was durable, or the history was put back from a
    /// copy.
    Crash,
    /// Entries do not decode as the hub's payload type.
    Undecodable,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Unknown => "unknown",
            Self::Epoch => "epoch",
            Self::Policy => "policy",
            Self::Crash => "crash",
            Self::Undecodable => "undecodable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Gap {
    /// The type of the event that tells a gap.
    pub const EVENT_TYPE: &'static str = "oyez.gap";

    /// The entry at `position` does not decode, so nobody knows whether the filter wanted it.
    pub(crate) fn undecodable(position: Position) -> Self {
        let requested = position.to_string();
        Self { reason: Reason::Undecodable, requested, oldest: None, missed: None, position }
    }

    /// Entries after `after` and up to `position` have expired.
    pub(crate) fn expired(after: Position, missed: u64, oldest: Option<EventId>, position: Position) -> Self {
        Self { reason: Reason::Expired, requested: after.to_string(), oldest, missed: Some(missed), position }
    }

    /// As a reader may know it that may not have every entry: what a filter, an access check or a grant would have held back is
    /// not missed, and a publisher's id is told only with its entry.
    pub(crate) fn veiled(mut self) -> Self {
        let first = Position { sequence: self.position.sequence + 1, ..self.position };
        self.oldest = self.oldest.map(|_| first.event_id());
        self.missed = None;
        self
    }

    pub(crate) fn data(&self) -> String {
        #[derive(Serialize)]
        struct Data<'a> {
            reason: &'a str,
            requested: &'a str,
            oldest: Option<&'a str>,
            missed: Option<u64>,
        }
        let data = Data {
            reason: self.reason.as_str(),
            requested: &self.requested,
            oldest: self.oldest.as_deref(),
            missed: self.missed,
        };
        serde_json::to_string(&data).expect("strings and numbers are JSON")
    }

    pub(crate) fn frame(&self) -> Bytes {
        let event = Event::data(self.data()).event(Self::EVENT_TYPE).expect("a type without line breaks");
        let event = event.with_id(self.position.event_id());
        let mut frame = BytesMut::with_capacity(event.encoded_len());
        event.encode(&mut frame);
        frame.freeze()
    }
}
