//! The tail of a log on disk, when the hub starts.

use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;

use super::damage::unreadable;
use super::store::Store;
use crate::Error;
use crate::log::tail::Tail;
use crate::log::{Bounds, Retention};
use crate::matcher::Matchers;

/// The tail begins where the store ended when it was opened. It has learned the facts of the stored entries.
pub(crate) fn tail_of(store: &Store, compact: Matchers, tail_bytes: usize) -> Result<Tail, Error> {
    let retention = Retention::default().bytes(tail_bytes);
    let mut tail = Tail::new(retention, Bounds::over_what_keeps(), compact, true, Arc::clone(&store.clock));
    let (remains, gone_through) = store.remains().map_err(unreadable)?;
    // in log order: a class that is kept longer may have older values than those dropped from another class
    let mut values = tail.recall_remains(remains, gone_through).into_iter().peekable();
    let recalled = store.each_marked(|entry| {
        while let Some(value) = values.next_if(|value| value.sequence < entry.sequence) {
            tail.recall_value(&value);
        }
        let _both = values.next_if(|value| value.sequence == entry.sequence);
        tail.recall(entry);
    });
    recalled.map_err(unreadable)?;
    values.for_each(|value| tail.recall_value(&value));
    tail.facts.expiring.fetch_or(store.has_expiring().map_err(unreadable)?, AcqRel);
    tail.facts.private.fetch_or(store.has_had_private(), AcqRel);
    tail.begin_after(store.opened.head);
    Ok(tail)
}
