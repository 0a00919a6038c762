//! What makes readers a group.

use std::sync::Arc;

use super::framing::Framing;
use crate::matcher::Matchers;

/// What the readers of a group have in common: what they read and how it is written. What their grants are is not in it: most
/// entries are public, and are made once for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GroupName {
    pub(crate) matchers: Arc<Matchers>,
    pub(crate) framing: Framing,
}
