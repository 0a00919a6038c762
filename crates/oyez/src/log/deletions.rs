//! Which topics were deleted, and which readers get a gap for that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Topic;
use crate::limits::{DELETED_NAMES_BYTES_MAX, DELETIONS_KEPT};
use crate::log::entry::deletion_cost;
use crate::log::gone::{After, DroppedRun, Missed};
use crate::log::step::Step;
use crate::matcher::Matchers;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{Acquire, Release};

/// A deletion hides the earlier entries of its topic at once, in the log and in its index. An entry of several topics stays
/// readable through the others. A reader gets the gap when it passes the last hidden entry. So each reader gets it once, also if it
/// reconnects in between.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    /// The newest deletion of each topic, while the log holds earlier entries.
    hidden_before: HashMap<Topic, u64>,
    /// The bytes of those names.
    names_bytes: usize,
    /// Up to here `hidden_before` was searched for names that can be forgotten.
    forgotten_before: u64,
    /// By the last hidden entry and the position of the deletion.
    runs: BTreeMap<(u64, u64), Deletion>,
    /// The position of the newest deletion, readable without the lock.
    newest: Arc<AtomicU64>,
    /// The last entry hidden by a forgotten deletion, and its time.
    forgotten: (u64, u64),
}

#[derive(Debug)]
struct Deletion {
    topic: Topic,
    hidden: DroppedRun,
}

/// A dropped deletion that may still hide entries of a longer-lived class.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outlived {
    topic: String,
    at: u64,
    hidden: DroppedRun,
}

impl Outlived {
    /// The topic, the position of the deletion, and the number of the last entry that it hides.
    pub(crate) fn parts(&self) -> (Topic, u64, u64) {
        (Topic::known(&self.topic), self.at, self.hidden.last())
    }
}

/// Hidden entries that a reader passes without having read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// The last hidden entry.
    pub(crate) last: u64,
    pub(crate) missed: Missed,
}

impl Deletions {
    /// The position of the newest deletion; 0 without one.
    pub(crate) fn newest(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.newest)
    }

    /// Whether anything was deleted after `sequence`.
    pub(crate) fn any_after(&self, sequence: u64) -> bool {
        self.newest.load(Acquire) > sequence
    }

    /// Whether the log holds hidden entries.
    pub(crate) fn hides_any(&self) -> bool {
        !self.hidden_before.is_empty()
    }

    /// Notes that `topic` is deleted at this position. `hidden` are the entries that this hides.
    pub(crate) fn note(&mut self, topic: &Topic, at: u64, hidden: DroppedRun) {
        self.newest.fetch_max(at, Release);
        let before = self.hidden_before.entry(topic.clone()).or_insert_with(|| {
            self.names_bytes += deletion_cost(topic);
            0
        });
        *before = at.max(*before);
        if hidden.last() > 0 {
            self.runs.insert((hidden.last(), at), Deletion { topic: topic.clone(), hidden });
        }
        while self.runs.len() > DELETIONS_KEPT {
            let Some(((last, _), deletion)) = self.runs.pop_first() else { break };
            self.forgotten = self.forgotten.max((last, deletion.hidden.last_ms()));
        }
    }

    /// The log has dropped a deletion and everything that it hid.
    pub(crate) fn leave(&mut self, topic: &Topic, at: u64) {
        if self.hidden_before.get(topic) == Some(&at) {
            self.hidden_before.remove(topic);
            self.names_bytes -= deletion_cost(topic);
        }
    }

    /// Can another topic be deleted? All that are hidden have to be known, and their names are held in memory.
    pub(crate) fn has_room_for(&self, topic: &Topic) -> bool {
        self.hidden_before.contains_key(topic) || self.names_bytes + deletion_cost(topic) <= DELETED_NAMES_BYTES_MAX
    }

    /// If there are many deletions, forgets those before `oldest`, the oldest retained entry. A few are kept: a page that was read
    /// before its entries were dropped may still be on its way to a reader.
    pub(crate) fn forget_before(&mut self, oldest: u64) {
        if self.hidden_before.len() > DELETIONS_KEPT && oldest > self.forgotten_before {
            self.forgotten_before = oldest;
            self.hidden_before.retain(|_, at| *at > oldest);
            self.names_bytes = self.hidden_before.keys().map(deletion_cost).sum();
        }
    }

    /// The deletions up to `through` that may still hide entries. Entries from `oldest` on are retained.
    pub(crate) fn outlived(&self, through: u64, oldest: u64) -> Vec<Outlived> {
        let by_place: HashMap<u64, &Deletion> =
            self.runs.iter().map(|((_, at), deletion)| (*at, deletion)).filter(|(at, _)| *at <= through).collect();
        let places = self.hidden_before.iter().filter(|(_, at)| (oldest..=through).contains(*at));
        let outlived = places.map(|(topic, at)| {
            let known = by_place.get(at).map(|deletion| deletion.hidden);
            // it hid nothing, or its run was forgotten with others: then each earlier reader gets a gap
            let hidden = known.unwrap_or_else(|| DroppedRun::unknown(self.forgotten.0.min(at - 1), u64::MAX));
            Outlived { topic: topic.to_string(), at: *at, hidden }
        });
        outlived.collect()
    }

    /// Restores what [`outlived`](Self::outlived) returned, when the hub starts.
    pub(crate) fn recall(&mut self, outlived: &[Outlived]) {
        for Outlived { topic, at, hidden } in outlived {
            self.note(&Topic::known(topic), *at, *hidden);
        }
    }

    /// The newest entry that the deletion at this position hides; 0 without one.
    pub(crate) fn newest_hidden_at(&self, place: u64) -> u64 {
        let mut runs = self.runs.keys().rev().filter(|(_, at)| *at == place);
        runs.next().map_or(0, |(last, _)| *last)
    }

    /// Whether the entry was deleted as one of `topic`.
    pub(crate) fn hides(&self, topic: &Topic, sequence: u64) -> bool {
        self.hides_any() && self.hidden_before.get(topic).is_some_and(|at| sequence < *at)
    }

    /// All entries that match, up to this number, were deleted.
    pub(crate) fn floor(&self, matchers: &Matchers) -> u64 {
        let before = |topic| self.hidden_before.get(topic).copied().unwrap_or_default();
        if matchers.is_exact() { matchers.exact.iter().map(before).min().unwrap_or_default() } else { 0 }
    }

    /// The deletions that hid entries which a reader after `after` may have missed, in the log up to `oldest`. Ordered by the
    /// hidden entries.
    pub(crate) fn missed(&self, after: After, oldest: u64) -> Vec<Deleted> {
        if after.is_before(self.forgotten.0.min(oldest), self.forgotten.1) {
            return vec![Deleted::forgotten(self.forgotten.0)];
        }
        self.runs.range(..=(oldest, u64::MAX)).filter_map(|(place, deletion)| deletion.missed(*place, after)).collect()
    }

    /// The deletions after `known` that hid entries which a reader after `cursor` may have missed. Ordered by the hidden entries.
    pub(crate) fn after(&self, cursor: u64, known: u64) -> Vec<Deleted> {
        if !self.any_after(known.max(cursor)) {
            return Vec::new(); // hidden entries lie before their deletion
        }
        let forgotten = (cursor < self.forgotten.0).then(|| Deleted::forgotten(self.forgotten.0));
        let runs = self.runs.range((cursor + 1, 0)..).filter(|((_, at), _)| *at > known);
        let others = runs.filter_map(|(place, deletion)| deletion.missed(*place, After::Sequence(cursor)));
        forgotten.into_iter().chain(others).collect()
    }
}

impl Deletion {
    fn missed(&self, (last, _): (u64, u64), after: After) -> Option<Deleted> {
        let missed = self.hidden.missed(after);
        (missed != Missed::Nothing).then(|| Deleted { topic: Some(self.topic.clone()), last, missed })
    }
}

/// A deletion that a reader has to be told of, if it reads the topic.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// None if the topic was forgotten: then every reader is concerned.
    topic: Option<Topic>,
    last: u64,
    missed: Missed,
}

impl Deleted {
    fn forgotten(last: u64) -> Self {
        Self { topic: None, last, missed: Missed::Unknown }
    }

    /// The first deletion that concerns a reader of these topics, and whether there is another. Runs without the log's lock, since
    /// there may be many.
    pub(crate) async fn first(deleted: Vec<Self>, matchers: &Matchers) -> Option<(Hidden, bool)> {
        let mut step = Step::of(matchers);
        let mut first: Option<Hidden> = None;
        for Self { topic, last, missed } in deleted {
            step.give_way_when_over(matchers).await;
            step.look_at(topic.as_slice());
            if topic.is_some_and(|topic| !matchers.matches(&topic)) {
                continue;
            }
            if let Some(first) = first {
                return Some((first, true));
            }
            // with more topics, an entry may be counted that the reader gets through another topic
            let is_counted = matchers.is_exact() && matchers.len() == 1;
            first = Some(Hidden { last, missed: if is_counted { missed } else { Missed::Unknown } });
        }
        first.map(|first| (first, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::search::now;

    fn matchers(text: &str) -> Matchers {
        let mut matchers = Matchers::default();
        matchers.push(text.parse().unwrap());
        matchers
    }

    fn run(sequences: &[u64]) -> DroppedRun {
        let mut run = DroppedRun::default();
        sequences.iter().for_each(|sequence| run.add(*sequence, 0));
        run
    }

    #[test]
    fn a_reader_is_told_at_the_last_entry_that_was_hidden() {
        let topic = |name| Topic::new(name).unwrap();
        let mut deletions = Deletions::default();
        deletions.note(&topic("a"), 10, run(&[3, 4, 5]));
        deletions.note(&topic("b"), 11, run(&[6, 8]));
        deletions.note(&topic("never published to"), 12, DroppedRun::default());
        let check = |cursor, known, matcher, expected: Option<(u64, Missed)>| {
            let found = now(Deleted::first(deletions.after(cursor, known), &matchers(matcher)));
            let found = found.map(|(hidden, _)| (hidden.last, hidden.missed));
            assert_eq!(found, expected, "{cursor} {known} {matcher}");
        };
        check(0, 0, "a", Some((5, Missed::Events(3))));
        check(4, 0, "a", Some((5, Missed::Events(1))));
        check(5, 0, "a", None);
        check(0, 10, "a", None);
        check(0, 0, "*", Some((5, Missed::Unknown)));
        check(5, 0, "*", Some((8, Missed::Unknown)));
        check(7, 0, "b", Some((8, Missed::Unknown)));
        check(0, 0, "c", None);
        check(0, 12, "*", None);
        let missed = |after, oldest, matcher| {
            let found = now(Deleted::first(deletions.missed(After::Sequence(after), oldest), &matchers(matcher)));
            found.map(|(hidden, more)| if more { Missed::Unknown } else { hidden.missed })
        };
        assert_eq!((missed(0, 5, "a"), missed(0, 4, "a"), missed(5, 9, "a")), (Some(Missed::Events(3)), None, None));
        assert_eq!((missed(0, 9, "*"), missed(6, 9, "b")), (Some(Missed::Unknown), Some(Missed::Unknown)));
        assert!(deletions.hides(&topic("a"), 9) && !deletions.hides(&topic("a"), 11));
        deletions.leave(&topic("a"), 10);
        assert!(!deletions.hides(&topic("a"), 9));
    }

    #[test]
    fn names_are_held_up_to_a_bound_and_there_is_room_again_when_some_are_forgotten() {
        let topic = |n: u64| Topic::new(&format!("{n:0>900}")).unwrap();
        let mut deletions = Deletions::default();
        let mut number = 0;
        while deletions.has_room_for(&topic(number + 1)) {
            number += 1;
            deletions.note(&topic(number), number, DroppedRun::default());
        }
        let each = deletion_cost(&topic(1));
        assert_eq!(number, (DELETED_NAMES_BYTES_MAX / each) as u64);
        assert!(deletions.has_room_for(&topic(7)), "it is known already");
        deletions.note(&topic(7), number + 1, DroppedRun::default());
        assert_eq!(deletions.names_bytes, number as usize * each);
        deletions.leave(&topic(8), 8);
        assert!(deletions.has_room_for(&topic(number + 1)));
        deletions.forget_before(number / 2);
        let left = deletions.hidden_before.len();
        assert_eq!(left as u64, number - number / 2 + 1);
        assert_eq!(deletions.names_bytes, left * each);
    }

    #[test]
    fn beyond_the_bound_everybody_from_before_is_told() {
        let mut deletions = Deletions::default();
        for n in 1..=DELETIONS_KEPT as u64 + 3 {
            deletions.note(&Topic::new(&n.to_string()).unwrap(), 2 * n, run(&[2 * n - 1]));
        }
        assert_eq!(deletions.runs.len(), DELETIONS_KEPT);
        let other = matchers("other");
        let next = |cursor| now(Deleted::first(deletions.after(cursor, 0), &other));
        assert_eq!(next(0), Some((Hidden { last: 5, missed: Missed::Unknown }, false)));
        assert_eq!(next(5), None);
    }
}
