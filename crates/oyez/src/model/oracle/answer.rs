//! What becomes of a batch: it is new, or was published before, or is refused.

use std::collections::HashSet;

use super::Oracle;
use crate::ErrorKind;
use crate::limits::ONCE_WINDOW;
use crate::model::engine::Appended;
use crate::submission::Submission;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::model) enum Answer {
    New,
    /// It was published before, under these ids.
    Replayed(Vec<String>),
    Refused(ErrorKind),
}

/// A batch that was published under an idempotency key.
pub(super) struct Once {
    batch: Vec<Submission>,
    /// What it is told by from others.
    hash: u128,
    ids: Vec<String>,
    pub(super) first: u64,
}

impl Oracle {
    /// What was published under this key.
    pub(in crate::model) fn batch_of(&self, key: &str) -> Option<Vec<Submission>> {
        self.once.get(key).map(|once| once.batch.clone())
    }

    /// What is to become of a batch now that is published under this key, with this hash.
    pub(in crate::model) fn answer(
        &self,
        batch: &[Submission],
        once: Option<(&'static str, u128)>,
        now_ms: u64,
    ) -> Answer {
        let used = once.and_then(|(key, hash)| Some((self.once.get(key)?, hash)));
        let is_recent =
            |once: &Once| now_ms.saturating_sub(self.all[&once.first].time_ms) < ONCE_WINDOW.as_millis() as u64;
        match used.filter(|(once, _)| is_recent(once)) {
            Some((once, hash)) if once.hash == hash => Answer::Replayed(once.ids.clone()),
            Some(_) => Answer::Refused(ErrorKind::Mismatch),
            None if self.refuses(batch) => Answer::Refused(ErrorKind::Conflict),
            None => Answer::New,
        }
    }

    /// It was published under this key.
    pub(in crate::model) fn publish_once(
        &mut self,
        batch: Vec<Submission>,
        (key, hash): (&'static str, u128),
        appended: &Appended,
    ) {
        self.once.insert(key, Once { batch, hash, ids: appended.ids.clone(), first: appended.first });
    }

    /// Is something of it to be published after the end of its topic?
    fn refuses(&self, batch: &[Submission]) -> bool {
        let mut ended: HashSet<&str> = self.ends.keys().copied().collect();
        batch.iter().any(|publish| {
            let is_beyond = publish.topics.iter().any(|topic| ended.contains(&**topic));
            if publish.is_end() {
                ended.extend(publish.topics.iter().map(|topic| &**topic));
            }
            is_beyond
        })
    }
}
