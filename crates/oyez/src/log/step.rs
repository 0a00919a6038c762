//! The bound of one step of a search.

use std::future::poll_fn;
use std::task::Poll;

use crate::Topic;
use crate::limits::{PAGE_ENTRIES, SCAN_ENTRIES, STEP_WORK};
use crate::matcher::Matchers;

/// The work that is left in one step. A step is bounded in work and so in time, whatever was asked. Matching is linear in topic and
/// pattern, so work is counted in their bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    looks: usize,
    work: usize,
    patterns: usize,
    pattern_bytes: usize,
}

impl Step {
    /// A step that tries these matchers.
    pub(crate) fn of(matchers: &Matchers) -> Self {
        let patterns = if matchers.is_all() { 0 } else { matchers.patterns.len() };
        let pattern_bytes = if patterns == 0 { 0 } else { matchers.pattern_bytes() };
        Self { looks: SCAN_ENTRIES, work: STEP_WORK, patterns, pattern_bytes: pattern_bytes + matchers.exact.len() }
    }

    /// Whether a step with these matchers ends before a page is full.
    pub(crate) fn is_short(matchers: &Matchers) -> bool {
        let Self { work, patterns, pattern_bytes, .. } = Self::of(matchers);
        PAGE_ENTRIES * (pattern_bytes + patterns * TOPIC_BYTES) > work
    }

    /// A longer step, for work without a lock and outside the threads that serve readers.
    pub(crate) fn long(matchers: &Matchers) -> Self {
        let step = Self::of(matchers);
        Self { looks: LONG * step.looks, work: LONG * step.work, ..step }
    }

    /// Whether the step is over. A step looks at one topic at least.
    pub(crate) fn is_over(&self) -> bool {
        self.looks == 0 || self.work == 0
    }

    /// Counts the matching of these topics.
    pub(crate) fn look_at(&mut self, topics: &[Topic]) {
        let work: usize = topics.iter().map(|topic| self.patterns * topic.len() + self.pattern_bytes).sum();
        self.looks = self.looks.saturating_sub(1);
        self.work = self.work.saturating_sub(work);
    }

    /// Gives way, and begins the next step.
    pub(crate) async fn give_way(&mut self, matchers: &Matchers) {
        *self = Self::of(matchers);
        give_way().await;
    }

    /// [`give_way`](Self::give_way) if the step is over.
    pub(crate) async fn give_way_when_over(&mut self, matchers: &Matchers) {
        if self.is_over() {
            self.give_way(matchers).await;
        }
    }
}

/// An ordinary topic.
const TOPIC_BYTES: usize = 32;

/// A long step is as much as this many others.
const LONG: usize = 8;

/// Lets others go first, once. A search holds no lock meanwhile.
pub(crate) async fn give_way() {
    let mut has_given_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_given_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
