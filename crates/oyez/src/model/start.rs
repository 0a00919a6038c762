//! Where a stream begins.

use std::time::{Duration, UNIX_EPOCH};

use oyez_proto::Event;

use crate::last_event_id::LastEventId;
use crate::subscribe::Subscribe;

pub(super) enum Start {
    Live,
    Earliest,
    Last(usize),
    Snapshot,
    Time(u64),
    Id(String),
    /// The id that its last stream told, with a header.
    Resumed(String),
}

/// As which a time is asked for.
pub(super) const THEN: &str = "then";

impl Start {
    pub(super) fn apply(&self, subscribe: Subscribe<Event>) -> Subscribe<Event> {
        match self {
            Self::Live => subscribe,
            Self::Earliest => subscribe.earliest(),
            Self::Last(number) => subscribe.last(*number),
            Self::Snapshot => subscribe.snapshot(),
            Self::Time(ms) => subscribe.since(UNIX_EPOCH + Duration::from_millis(*ms), THEN),
            Self::Id(id) => subscribe.since_id(id),
            Self::Resumed(id) => subscribe.earliest().resume(LastEventId::new(id.as_str())),
        }
    }
}
