//! What the history is to hold, and what a reader of it may be told.
//!
//! The oracle keeps every entry that was acknowledged, for ever. It asks the store which numbers have left each class, but not whom they
//! concern: what a stream has to say about them it works out by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::readers::{Reader, Values};
use super::setup::Setup;
use crate::ErrorKind;
use crate::core::Core;
use crate::gap::Reason;
use crate::limits::ONCE_WINDOW;
use crate::log::Entry;
use crate::model::begun::Due;
use crate::model::deletions::{Deletion, Deletions};
use crate::model::topics::{KEYS, TOPICS, bits_of_all, topic_bits, topic_bits_of};
use crate::model::wish::is_even;
use crate::position::{Epoch, Position};
use crate::publish::Publish;

pub(super) struct Oracle {
    pub(super) epoch: Epoch,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    pub(super) remembers_all: bool,
    /// Topics that are compacted.
    compacted: u16,
    pub(super) all: BTreeMap<u64, Published>,
    /// Numbers that a crash may have taken.
    pub(super) skips: Vec<(u64, u64)>,
    /// How often something has left the disk.
    pub(super) drops: u64,
    pub(super) deletions: Deletions,
    /// The newest entry of each topic and key, in the history or not; of those without a key only where that is compacted.
    values: HashMap<(&'static str, Option<&'static str>), u64>,
    /// What was published once, by its key.
    once: HashMap<&'static str, Once>,
    /// Where topics ended.
    ends: HashMap<&'static str, u64>,
    pub(super) newest_ms: u64,
    /// The newest number, and the first that is in memory as well.
    pub(super) head: u64,
    pub(super) front: u64,
}

/// A batch that was published under an idempotency key.
struct Once {
    batch: Vec<Publish>,
    /// What it is told by from others.
    hash: u128,
    ids: Vec<String>,
    first: u64,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    New,
    /// It was published before, under these ids.
    Replayed(Vec<String>),
    Refused(ErrorKind),
}

/// An entry as the oracle remembers it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    pub(super) topic_bits: u16,
    /// As which it could be read.
    pub(super) all_bits: u16,
    pub(super) id: String,
    pub(super) time_ms: u64,
    /// A filter lets it pass.
    pub(super) even: bool,
    key: Option<&'static str>,
    /// The class it was written to.
    chain: usize,
    /// When it left the disk, counted in times that something did.
    gone_at: Option<u64>,
}

impl Published {
    pub(super) fn is_gone(&self) -> bool {
        self.gone_at.is_some()
    }
}

impl Oracle {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            epoch: setup.epoch,
            remembers_all: setup.remembers_all(),
            compacted: topic_bits(&setup.compact),
            values: HashMap::new(),
            once: HashMap::new(),
            ends: HashMap::new(),
            all: BTreeMap::new(),
            skips: Vec::new(),
            drops: 0,
            deletions: Deletions::default(),
            newest_ms: 0,
            head: 0,
            front: 1,
        }
    }

    /// Looks how far the log reaches.
    pub(super) fn look(&mut self, core: &Core) {
        (self.head, self.front) = (core.log.head(), core.log.front());
    }

    /// An entry is published at this time, to a class.
    pub(super) fn publish(&mut self, entry: &Entry, now_ms: u64, chain: usize) {
        self.newest_ms = self.newest_ms.max(now_ms);
        let topics: Vec<_> = entry.topics.iter().map(|topic| known(topic, &TOPICS)).collect();
        let key = entry.key().map(|key| known(key, &KEYS));
        let ended = entry.ended_topic().map(|topic| known(topic, &TOPICS));
        if let Some(topic) = ended {
            self.ends.insert(topic, entry.sequence);
        }
        for topic in topics.iter().filter(|_| ended.is_none()) {
            if key.is_some() || topic_bits_of(topic) & self.compacted != 0 {
                self.values.insert((topic, key), entry.sequence);
            }
        }
        let bits = bits_of_all(&topics);
        let published = Published {
            topics,
            topic_bits: bits,
            all_bits: bits,
            id: entry.event_id(self.epoch).to_string(),
            time_ms: self.newest_ms,
            even: ended.is_some() || is_even(&entry.event()),
            key,
            chain,
            gone_at: None,
        };
        self.all.insert(entry.sequence, published);
    }

    /// A topic is deleted at the place of this entry.
    pub(super) fn delete(&mut self, topic: &str, entry: &Entry, now_ms: u64, chain: usize) {
        let bits = topic_bits_of(topic);
        let readable = |(at, entry): (&u64, &Published)| {
            (entry.topic_bits & bits != 0 && self.is_readable(*at, self.drops, bits)).then_some(*at)
        };
        let last = self.all.iter().filter_map(readable).next_back();
        for entry in self.all.values_mut() {
            // what is gone may be in a page that was read before
            entry.topic_bits &= !bits;
        }
        self.values.retain(|(name, _), _| *name != topic);
        self.ends.remove(topic);
        if let Some(last) = last {
            self.deletions.push(Deletion { topic_bits: bits, last, at: entry.sequence, is_forgotten: false });
        }
        self.newest_ms = self.newest_ms.max(now_ms);
        let place = Published {
            topics: Vec::new(),
            topic_bits: 0,
            all_bits: 0,
            id: entry.event_id(self.epoch).to_string(),
            time_ms: self.newest_ms,
            even: false,
            key: None,
            chain,
            gone_at: None,
        };
        self.all.insert(entry.sequence, place);
    }

    /// Of each class this is the first number that has not left the disk now.
    pub(super) fn leave_disk(&mut self, firsts: &[u64]) {
        self.drops += 1;
        for (sequence, entry) in &mut self.all {
            let is_gone = *sequence < firsts[entry.chain];
            assert!(is_gone || !entry.is_gone(), "{sequence} came back");
            if is_gone {
                entry.gone_at.get_or_insert(self.drops);
            }
        }
    }

    /// Behind a stop that was not clean the log goes on behind `head`: what was not acknowledged names nothing.
    pub(super) fn crash(&mut self, head: u64) {
        let newest = self.all.last_key_value().map_or(0, |(newest, _)| *newest);
        if head > newest + 1 {
            self.skips.push((newest.max(self.head) + 1, head - 1));
        }
    }

    /// The log is opened again: of a key the newest entry counts that is kept. Another class may have had a newer one that is gone.
    pub(super) fn open_again(&mut self) {
        self.deletions.forget(|place| self.all[&place].is_gone());
        // a key is stored with the first entry of its batch
        self.once.retain(|_, once| !self.all[&once.first].is_gone());
        self.values.retain(|(topic, _), _| topic_bits_of(topic) & self.compacted != 0);
        for (sequence, entry) in self.all.iter().filter(|(_, entry)| !entry.is_gone() && entry.key.is_some()) {
            for topic in
                entry.topics.iter().filter(|topic| topic_bits_of(topic) & entry.topic_bits & !self.compacted != 0)
            {
                self.values.insert((topic, entry.key), *sequence);
            }
        }
    }

    /// How many entries can be read.
    pub(super) fn kept(&self) -> usize {
        self.all.values().filter(|entry| !entry.is_gone()).count()
    }

    /// What was published under this key.
    pub(super) fn batch_of(&self, key: &str) -> Option<Vec<Publish>> {
        self.once.get(key).map(|once| once.batch.clone())
    }

    /// What is to become of a batch now that is published under this key, with this hash.
    pub(super) fn answer(&self, batch: &[Publish], once: Option<(&'static str, u128)>, now_ms: u64) -> Answer {
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

    /// It was published under this key, as the entries from `first` on.
    pub(super) fn publish_once(&mut self, batch: Vec<Publish>, (key, hash): (&'static str, u128), first: u64) {
        let ids = self.all.range(first..).take(batch.len()).map(|(_, entry)| entry.id.clone()).collect();
        self.once.insert(key, Once { batch, hash, ids, first });
    }

    pub(super) fn has_ended(&self, topic: &str) -> bool {
        self.ends.contains_key(topic)
    }

    /// Is something of it to be published behind the end of its topic?
    fn refuses(&self, batch: &[Publish]) -> bool {
        let mut ended: HashSet<&str> = self.ends.keys().copied().collect();
        batch.iter().any(|publish| {
            let is_beyond = publish.topics.iter().any(|topic| ended.contains(&**topic));
            if publish.is_end() {
                ended.extend(publish.topics.iter().map(|topic| &**topic));
            }
            is_beyond
        })
    }

    /// The last end of topics that have all ended, behind which nothing can come.
    pub(super) fn finish(&self, matchers: &[&str]) -> Option<u64> {
        let ends: Option<Vec<u64>> = matchers.iter().map(|matcher| self.ends.get(matcher).copied()).collect();
        ends?.into_iter().max()
    }

    pub(super) fn position(&self, sequence: u64) -> String {
        Position { epoch: self.epoch, sequence }.to_string()
    }

    /// What an id stands for.
    pub(super) fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head => Err(Reason::Unknown),
            Ok(position) if self.is_skipped(position.sequence) => Err(Reason::Crash),
            Ok(position) => Ok(position.sequence),
            Err(_) => {
                // once one of them has left, nobody can tell which of them its reader has seen
                let uses = || self.all.iter().filter(|(_, entry)| entry.id == id);
                let kept = uses().next().filter(|_| !uses().any(|(_, entry)| entry.is_gone()));
                kept.map(|(sequence, _)| *sequence).ok_or(Reason::Unknown)
            }
        }
    }

    /// Where a reader reads on that comes with this id, and what it is to be told first.
    pub(super) fn resume(&self, id: &str, matchers: &[&str]) -> (u64, Option<Due>) {
        match self.find(id) {
            Ok(after) => (after, self.due(Reason::Expired, false, id, after, matchers)),
            Err(Reason::Crash) => {
                let after = Position::parse(id).expect("it is one of the hub's").sequence;
                (after, self.due(Reason::Crash, true, id, after, matchers))
            }
            Err(reason) => (0, self.due(reason, true, id, 0, matchers)),
        }
    }

    /// The same of one that wants everything from this time on.
    pub(super) fn resume_at(&self, time_ms: u64, requested: &str, matchers: &[&str]) -> (u64, Option<Due>) {
        let earlier = self.all.iter().rev().find(|(_, entry)| entry.time_ms < time_ms);
        let after = earlier.map_or(0, |(sequence, _)| *sequence);
        let due = self.due(Reason::Expired, false, requested, after, matchers);
        // how many entries of a time are gone is not known
        (after, due.map(|due| Due { missed: None, countable: false, ..due }))
    }

    /// Before the oldest entry of the history.
    pub(super) fn earliest(&self) -> u64 {
        self.all.iter().find(|(_, entry)| !entry.is_gone()).map_or(self.head, |(oldest, _)| oldest - 1)
    }

    /// Where the newest so many that match begin, or all there are.
    pub(super) fn before_last(&self, number: usize, matchers: &[&str]) -> u64 {
        let kept: Vec<u64> = self.matching(0, self.head, matchers).filter(|at| !self.all[at].is_gone()).collect();
        match kept.len().checked_sub(number) {
            Some(surplus) => kept.get(surplus).map_or(self.head, |first| first - 1),
            None => self.earliest(),
        }
    }

    /// Has a snapshot of these topics anything to tell now?
    pub(super) fn has_values(&self, matchers: &[&str]) -> bool {
        self.all.keys().any(|at| self.is_value(*at, topic_bits(matchers)))
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        self.skips.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// What a stream that begins behind `after` has to say, or may; with `must` whatever is gone.
    fn due(&self, reason: Reason, must: bool, requested: &str, after: u64, matchers: &[&str]) -> Option<Due> {
        let bits = topic_bits(matchers) & !self.compacted;
        let gone = || self.all.range(after + 1..).filter(|(_, entry)| entry.is_gone());
        let missed = gone().filter(|(_, entry)| entry.all_bits & bits != 0).count() as u64;
        if !must && missed == 0 && (self.remembers_all || gone().next().is_none()) {
            return None;
        }
        let counts = reason == Reason::Expired;
        Some(Due {
            reason,
            must: must || missed > 0,
            requested: requested.to_owned(),
            missed: (counts && missed > 0).then_some(missed),
            countable: counts && self.is_countable(after, matchers),
            first: self.first_behind(after, matchers, None),
            head: self.head,
        })
    }

    /// Behind this place, is what is gone nothing but what had been deleted before?
    pub(super) fn is_gone_deleted(&self, after: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        let mut gone = self.all.range(after + 1..).filter(|(_, entry)| entry.is_gone() && entry.all_bits & bits != 0);
        gone.clone().next().is_some() && gone.all(|(_, entry)| entry.topic_bits & bits == 0)
    }

    /// What a reader is to be told now that has fallen behind and stands at `cursor`; what it says it read at the time of `view`.
    pub(super) fn due_now(&self, reader: &Reader, cursor: u64, requested: String, view: u64) -> Due {
        let missed = self.losses(reader, self.head, view).count() as u64;
        assert!(
            missed > 0 || self.may_have_lost(reader, view),
            "nothing is missing: {reader:?}, in view of {view} of {}",
            self.drops
        );
        let is_in_snapshot = reader.values.is_some_and(|values| cursor < values.upto);
        Due {
            reason: Reason::Policy,
            must: true,
            requested,
            // more may have left since it was found out, and of what was passed over before nobody knows whether it was replaced
            missed: (view == self.drops && !is_in_snapshot).then_some(missed),
            countable: false,
            first: self.first_behind(cursor, &reader.wish.matchers, reader.values),
            head: self.head,
        }
    }

    /// The first one that comes, whatever a filter says of it.
    fn first_behind(&self, after: u64, matchers: &[&str], values: Option<Values>) -> Option<u64> {
        self.matching(after, self.head, matchers).find(|at| self.comes(*at, topic_bits(matchers), values, self.drops))
    }

    /// Does it come, as one of these topics?
    fn comes(&self, sequence: u64, bits: u16, values: Option<Values>, view: u64) -> bool {
        match values {
            Some(values) if sequence <= values.upto => self.is_value(sequence, bits),
            _ => self.is_readable(sequence, view, bits),
        }
    }

    /// Is it known how many are missing behind this place? Of one topic from before the first that is gone.
    fn is_countable(&self, after: u64, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_exact = !only.contains('*');
        self.remembers_all
            && is_exact
            && !self.all.range(..=after).any(|(_, entry)| entry.all_bits & topic_bits(matchers) != 0)
    }

    /// Entries behind the reader, up to `end`, that have left since it began, or since it was told last; also those that had been
    /// deleted.
    pub(super) fn losses<'a>(&'a self, reader: &'a Reader, end: u64, view: u64) -> impl Iterator<Item = u64> + 'a {
        let bits = topic_bits(&reader.wish.matchers) & !self.compacted;
        let end = end.min(self.front - 1).max(reader.has);
        let gone = self.all.range(reader.has + 1..=end.max(reader.has + 1)).filter(move |(sequence, entry)| {
            // before its place a snapshot has values only
            let values = reader.values.filter(|values| **sequence <= values.upto);
            let knows = values.map_or(reader.knows, |values| values.knows);
            let is_news = entry.gone_at.is_some_and(|at| at > knows && at <= view);
            let is_wanted = values.is_none() || self.has_value(**sequence, bits);
            **sequence <= end && entry.all_bits & bits != 0 && is_news && is_wanted
        });
        gone.map(|(sequence, _)| *sequence)
    }

    /// Of those one that had not been deleted, of which its reader has to know when it comes to `end`.
    pub(super) fn lost(&self, reader: &Reader, end: u64, view: u64) -> Option<u64> {
        let bits = topic_bits(&reader.wish.matchers) & !self.compacted;
        self.losses(reader, end, view).find(|at| self.all[at].topic_bits & bits != 0)
    }

    /// May its reader be told that it has lost something?
    ///
    /// Here is all the tolerance for a store that knows less than the oracle: one whose summary was full.
    pub(super) fn may_have_lost(&self, reader: &Reader, view: u64) -> bool {
        let has_left_since = |drops| self.all.values().any(|entry| entry.gone_at.is_some_and(|at| at > drops));
        self.losses(reader, self.head, view).next().is_some()
            // what has left may have been a value
            || reader.values.is_some_and(|values| reader.has < values.upto && has_left_since(values.knows))
            || (!self.remembers_all && has_left_since(0))
    }

    /// Is something missing behind a gap that ends here? Then another class has kept what is older than what this one has lost, and
    /// it is told again.
    pub(super) fn is_uneven(&self, end: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        self.all.range(end + 1..).any(|(_, entry)| entry.all_bits & bits != 0 && entry.is_gone())
    }

    /// Could it be read, as one of the topics `bits`, when something had left the disk so often? Of those that are compacted the values
    /// stay.
    fn is_readable(&self, sequence: u64, view: u64, bits: u16) -> bool {
        self.all[&sequence].gone_at.is_none_or(|at| at > view)
            || sequence >= self.front
            || self.has_value(sequence, bits & self.compacted)
    }

    /// Is it the newest of its key in one of these topics?
    fn has_value(&self, sequence: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let is_value = |topic: &&str| self.values.get(&(*topic, entry.key)) == Some(&sequence);
        entry.topics.iter().filter(|topic| topic_bits_of(topic) & bits != 0).any(is_value)
    }

    /// Is it told as a value of one of these topics? Of those that are not compacted only what is in the history.
    fn is_value(&self, sequence: u64, bits: u16) -> bool {
        let bits = if self.all[&sequence].is_gone() { bits & self.compacted } else { bits };
        self.has_value(sequence, bits)
    }

    /// Entries behind `after`, up to `end`, that match.
    fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        let behind = self.all.range(after + 1..=end.max(after + 1));
        behind.filter(move |(sequence, entry)| **sequence <= end && entry.topic_bits & bits != 0).map(|(at, _)| *at)
    }

    /// Entries behind `after`, up to `end`, that the reader wants, gone or not.
    pub(super) fn wanted(&self, reader: &Reader, after: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let only_even = reader.wish.only_even;
        self.matching(after, end, &reader.wish.matchers).filter(move |at| !only_even || self.all[at].even)
    }

    /// The next entry that the stream has to deliver.
    pub(super) fn next(&self, reader: &Reader, view: u64) -> Option<u64> {
        let bits = topic_bits(&reader.wish.matchers);
        let next = self.wanted(reader, reader.has, self.head).find(|at| self.comes(*at, bits, reader.values, view));
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}

/// The name in the table.
fn known(name: &str, table: &[&'static str]) -> &'static str {
    table.iter().find(|known| **known == name).expect("it is one of the world's")
}
