//! What an entry has to pass before a stream says it: the caller's own code.

use std::sync::Arc;

use crate::access::Access;
use crate::log::Entry;

/// What an entry has to pass.
pub(crate) struct Checks {
    pub(crate) filters: Vec<Filter>,
    pub(crate) access: Option<Arc<dyn Access>>,
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
