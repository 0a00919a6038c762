//! The tail of a log on the server, when the hub starts.

use super::server::Server;
use std::sync::Arc;

use crate::log::tail::{Remains, Tail};
use crate::log::{Bounds, Retention};
use crate::matcher::Matchers;

/// It begins where the server's log ends, in so many bytes, and knows what the entries there mean.
pub(crate) fn tail_of(server: &Server, compact: Matchers, tail_bytes: usize) -> Tail {
    let mut tail =
        Tail::new(Retention::default().bytes(tail_bytes), Bounds::over_what_keeps(), compact, true, Arc::default());
    let kept = server.kept();
    let Remains { values, ends, deletions } = &kept.remains;
    let remains = Remains { values: values.clone(), ends: ends.clone(), deletions: deletions.clone() };
    // values that have left are all from before those that have not
    for value in tail.recall_remains(remains, kept.left_through) {
        tail.recall_value(&value);
    }
    kept.entries.values().for_each(|entry| tail.recall(entry));
    tail.begin_after(kept.newest);
    tail
}
