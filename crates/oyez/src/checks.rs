//! What an entry has to pass before a stream says it: the caller's own code.

use std::sync::Arc;

use crate::Position;
use crate::access::Access;
use crate::gap::Gap;
use crate::log::Entry;

/// What an entry has to pass.
pub(crate) struct Checks {
    pub(crate) filters: Vec<Filter>,
    pub(crate) access: Option<Arc<dyn Access>>,
}

impl Checks {
    /// A gap as the reader may know it: what a filter or an access check would have held back is not missed, and a
    /// publisher's id is told only with its entry.
    pub(crate) fn veil(mut gap: Gap) -> Gap {
        let first = Position { sequence: gap.position.sequence + 1, ..gap.position };
        gap.oldest = gap.oldest.map(|_| first.event_id());
        gap.missed = None;
        gap
    }
}

/// A filter over entries. It has been given the payload's type by the typed hub.
pub(crate) type Filter = Arc<dyn Fn(&Entry) -> Verdict + Send + Sync>;

/// What a filter says of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Skip,
    /// The entry does not decode as the hub's payload type.
    Undecodable,
}
