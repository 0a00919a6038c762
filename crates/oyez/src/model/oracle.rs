//! What the history is to hold, and what a reader of it may be told.
//!
//! The oracle keeps every entry that was acknowledged, for ever. It asks the engine which numbers have left each class, but not whom
//! they concern: what a stream has to say about them it works out by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::begun::Due;
use super::deletions::{Deletion, Deletions};
use super::engine::{Appended, Extent, Knows, Settings};
use super::reader::{Reader, Values};
use super::topics::{KEYS, TOPICS, bits_of_all, topic_bits, topic_bits_of};
use super::wish::is_even;
use crate::ErrorKind;
use crate::gap::Reason;
use crate::limits::ONCE_WINDOW;
use crate::position::{Epoch, Position};
use crate::publish::Publish;

pub(super) struct Oracle {
    pub(super) epoch: Epoch,
    pub(super) knows: Knows,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    pub(super) remembers_all: bool,
    /// Topics that are compacted.
    pub(super) compacted: u16,
    pub(super) all: BTreeMap<u64, Published>,
    /// Publishers' ids, and which of them stand for none any more.
    ids: HashMap<String, Uses>,
    left_ids: HashSet<String>,
    /// Numbers that a crash may have taken.
    pub(super) skips: Vec<(u64, u64)>,
    /// How often something has left.
    pub(super) drops: u64,
    pub(super) deletions: Deletions,
    /// The newest entry of each topic and key, in the history or not; of those without a key only where that is compacted.
    values: HashMap<(&'static str, Option<&'static str>), u64>,
    /// What was published once, by its key.
    once: HashMap<&'static str, Once>,
    /// Where topics ended.
    ends: HashMap<&'static str, u64>,
    newest_ms: u64,
    /// The newest number, and the first that is in memory as well.
    pub(super) head: u64,
    pub(super) front: u64,
    extent: Extent,
    /// The time of the newest entry that left when it was last looked.
    left_ms: Option<u64>,
}

/// A batch that was published under an idempotency key.
struct Once {
    batch: Vec<Publish>,
    /// What it is told by from others.
    hash: u128,
    ids: Vec<String>,
    first: u64,
}

/// The entries that have one id.
struct Uses {
    first: u64,
    kept: usize,
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
    topic_bits: u16,
    /// As which it is missed when it is gone.
    loss_bits: u16,
    pub(super) id: String,
    pub(super) time_ms: u64,
    /// A filter lets it pass.
    pub(super) even: bool,
    key: Option<&'static str>,
    /// The class it was written to.
    class: usize,
    /// When it left the history, and when the streams that were open then could not read it any more, counted in times that something
    /// did.
    left_at: Option<u64>,
    gone_at: Option<u64>,
}

impl Published {
    pub(super) fn has_left(&self) -> bool {
        self.left_at.is_some()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone_at.is_some()
    }

    /// Had it left the history before a stream began, at that time?
    fn had_left(&self, began: u64) -> bool {
        self.left_at.is_some_and(|at| at <= began)
    }
}

impl Oracle {
    pub(super) fn new(settings: &Settings, knows: Knows, extent: Extent) -> Self {
        Self {
            epoch: settings.epoch,
            knows,
            remembers_all: settings.remembers_all,
            compacted: topic_bits(&settings.compact),
            all: BTreeMap::new(),
            ids: HashMap::new(),
            left_ids: HashSet::new(),
            skips: Vec::new(),
            drops: 0,
            deletions: Deletions::default(),
            values: HashMap::new(),
            once: HashMap::new(),
            ends: HashMap::new(),
            newest_ms: 0,
            head: extent.head,
            front: extent.front,
            extent,
            left_ms: None,
        }
    }

    /// A batch is appended at this time.
    pub(super) fn publish(&mut self, batch: &[Publish], appended: &Appended, now_ms: u64) {
        assert_eq!(appended.first, self.newest().max(self.head) + 1, "numbers follow each other");
        assert_eq!(appended.ids.len(), batch.len());
        self.newest_ms = self.newest_ms.max(now_ms);
        for (sequence, (publish, id)) in (appended.first..).zip(batch.iter().zip(&appended.ids)) {
            self.publish_one(sequence, publish, id, appended.class);
        }
    }

    fn publish_one(&mut self, sequence: u64, publish: &Publish, id: &str, class: usize) {
        match publish.event.event_id() {
            Some(own) => {
                assert_eq!(**own, *id);
                self.ids.entry(id.to_owned()).or_insert(Uses { first: sequence, kept: 0 }).kept += 1;
            }
            None => assert_eq!(id, self.position(sequence)),
        }
        let topics: Vec<_> = publish.topics.iter().map(|topic| known(topic, &TOPICS)).collect();
        let key = publish.extras.as_ref().and_then(|extras| extras.key.as_deref()).map(|key| known(key, &KEYS));
        for topic in &topics {
            if publish.is_end() {
                self.ends.insert(topic, sequence);
            } else if key.is_some() || topic_bits_of(topic) & self.compacted != 0 {
                self.values.insert((topic, key), sequence);
            }
        }
        let even = publish.is_end() || is_even(&publish.event);
        self.put(sequence, Published { key, even, ..self.entry(topics, id, class) });
    }

    fn entry(&self, topics: Vec<&'static str>, id: &str, class: usize) -> Published {
        let bits = bits_of_all(&topics);
        Published {
            topics,
            topic_bits: bits,
            loss_bits: bits,
            id: id.to_owned(),
            time_ms: self.newest_ms,
            even: false,
            key: None,
            class,
            left_at: None,
            gone_at: None,
        }
    }

    fn put(&mut self, sequence: u64, entry: Published) {
        self.all.insert(sequence, entry);
    }

    /// A topic is deleted at this place.
    pub(super) fn delete(&mut self, topic: &str, appended: &Appended, now_ms: u64) {
        assert_eq!(appended.first, self.newest().max(self.head) + 1, "numbers follow each other");
        let bits = topic_bits_of(topic);
        let readable = |(at, entry): (&u64, &Published)| {
            (entry.topic_bits & bits != 0 && self.is_readable(*at, None, self.drops, bits)).then_some(*at)
        };
        let last = self.all.iter().filter_map(readable).next_back();
        for entry in self.all.values_mut() {
            // what is gone may be in a page that was read before
            entry.topic_bits &= !bits;
            if self.knows.deleted_apart && !entry.is_gone() {
                entry.loss_bits &= !bits;
            }
        }
        self.values.retain(|(name, _), _| *name != topic);
        self.ends.remove(topic);
        if let Some(last) = last {
            self.deletions.push(Deletion { topic_bits: bits, last, at: appended.first, is_forgotten: false });
        }
        self.newest_ms = self.newest_ms.max(now_ms);
        let place = self.entry(Vec::new(), &appended.ids[0], appended.class);
        self.put(appended.first, place);
    }

    /// Looks how far the log reaches.
    pub(super) fn look(&mut self, extent: Extent) {
        self.left_ms = None;
        (self.head, self.front) = (extent.head, extent.front);
        if (&extent.history, &extent.reach) != (&self.extent.history, &self.extent.reach) {
            self.drops += 1;
            self.leave(&extent);
        }
        self.extent = extent;
    }

    fn leave(&mut self, extent: &Extent) {
        let before = self.extent.reach.iter().min().copied().unwrap_or_default();
        let end = extent.history.iter().max().copied().unwrap_or_default();
        let mut left = Vec::new();
        for (sequence, entry) in self.all.range_mut(before.min(end)..end) {
            let has_left = *sequence < extent.history[entry.class];
            assert!(has_left || !entry.has_left(), "{sequence} came back");
            if has_left && !entry.has_left() {
                entry.left_at = Some(self.drops);
                self.left_ms = Some(entry.time_ms);
                left.push(entry.id.clone());
            }
            if *sequence < extent.reach[entry.class] {
                entry.gone_at.get_or_insert(self.drops);
            }
        }
        for id in left {
            let Some(uses) = self.ids.get_mut(&id) else { continue };
            uses.kept -= 1;
            // which of the entries its reader has seen, nobody can tell then
            if uses.kept == 0 || !self.knows.ids_until_all_left {
                self.left_ids.insert(id);
            }
        }
    }

    /// Behind a stop that was not clean the log goes on behind `head`: what was not acknowledged names nothing.
    pub(super) fn crash(&mut self, head: u64) {
        let newest = self.newest();
        if head > newest + 1 {
            self.skips.push((newest.max(self.head) + 1, head - 1));
        }
    }

    /// The log is opened again: of a key the newest entry counts that is kept. Another class may have had a newer one that is gone.
    pub(super) fn open_again(&mut self) {
        self.deletions.forget(|place| self.all[&place].has_left());
        // a key is stored with the first entry of its batch
        self.once.retain(|_, once| !self.all[&once.first].has_left());
        self.values.retain(|(topic, _), _| topic_bits_of(topic) & self.compacted != 0);
        for (sequence, entry) in self.all.iter().filter(|(_, entry)| !entry.has_left() && entry.key.is_some()) {
            for topic in
                entry.topics.iter().filter(|topic| topic_bits_of(topic) & entry.topic_bits & !self.compacted != 0)
            {
                self.values.insert((topic, entry.key), *sequence);
            }
        }
    }

    pub(super) fn newest(&self) -> u64 {
        self.all.last_key_value().map_or(0, |(newest, _)| *newest)
    }

    fn in_history(&self) -> impl DoubleEndedIterator<Item = (&u64, &Published)> {
        let first = self.extent.history.iter().min().copied().unwrap_or_default();
        self.all.range(first..).filter(|(_, entry)| !entry.has_left())
    }

    /// What has left of what lies behind this place.
    fn left_behind(&self, after: u64) -> impl Iterator<Item = (&u64, &Published)> + Clone {
        let end = self.extent.history.iter().max().copied().unwrap_or_default();
        self.all.range(after + 1..end.max(after + 1)).filter(|(_, entry)| entry.has_left())
    }

    /// How many entries can be read.
    pub(super) fn kept(&self) -> usize {
        self.in_history().count()
    }

    /// How many topics have one of them.
    pub(super) fn topics_kept(&self) -> usize {
        self.in_history().fold(0, |bits, (_, entry)| bits | entry.topic_bits).count_ones() as usize
    }

    /// The time of the oldest.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.in_history().next().map(|(_, entry)| entry.time_ms)
    }

    /// The time of the newest entry that has left since it was looked before.
    pub(super) fn left_just_now(&self) -> Option<u64> {
        self.left_ms
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

    /// It was published under this key.
    pub(super) fn publish_once(&mut self, batch: Vec<Publish>, (key, hash): (&'static str, u128), appended: &Appended) {
        self.once.insert(key, Once { batch, hash, ids: appended.ids.clone(), first: appended.first });
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
            Err(_) if self.left_ids.contains(id) => Err(Reason::Unknown),
            Err(_) => self.ids.get(id).map(|uses| uses.first).ok_or(Reason::Unknown),
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
        self.in_history().next().map_or(self.head, |(oldest, _)| oldest - 1)
    }

    /// Where the newest so many that match begin, or all there are.
    pub(super) fn before_last(&self, number: usize, matchers: &[&str]) -> u64 {
        let bits = topic_bits(matchers);
        let kept: Vec<u64> =
            self.in_history().filter(|(_, entry)| entry.topic_bits & bits != 0).map(|(at, _)| *at).collect();
        match kept.len().checked_sub(number) {
            Some(surplus) => kept.get(surplus).map_or(self.head, |first| first - 1),
            None => self.earliest(),
        }
    }

    /// Has a snapshot of these topics anything to tell now?
    pub(super) fn has_values(&self, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers);
        self.values.values().any(|at| self.is_value(*at, self.drops, bits))
    }

    /// Up to where a snapshot of these topics is taken now: before their end, which is no value.
    pub(super) fn snapshot(&self, matchers: &[&str]) -> u64 {
        self.finish(matchers).map_or(self.head, |last| last - 1)
    }

    /// Where the values end that come first to a stream which resumes.
    pub(super) fn values_of_a_resume(&self) -> Option<Values> {
        let values = Values { upto: self.earliest(), knows: self.drops };
        (self.knows.values_first && self.compacted != 0).then_some(values)
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        self.skips.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// What a stream that begins behind `after` has to say, or may; with `must` whatever is gone.
    fn due(&self, reason: Reason, must: bool, requested: &str, after: u64, matchers: &[&str]) -> Option<Due> {
        let bits = topic_bits(matchers) & !self.compacted;
        let missed = self.left_behind(after).filter(|(_, entry)| entry.loss_bits & bits != 0).count() as u64;
        let reason = match reason {
            // those that have expired come first
            Reason::Expired if missed == 0 && self.is_deleted_before_the_history(after, matchers) => Reason::Deleted,
            reason => reason,
        };
        let must = must || missed > 0 || reason == Reason::Deleted;
        if !must && (self.remembers_all || !self.has_left_behind(after)) {
            return None;
        }
        let counts = reason == Reason::Expired;
        Some(Due {
            reason,
            must,
            requested: requested.to_owned(),
            missed: (counts && missed > 0).then_some(missed),
            countable: counts && self.is_countable(after, matchers),
            first: self.first_behind(after, None, Some(self.drops), matchers),
            head: self.head,
        })
    }

    /// Was something behind this place deleted, and has left since? That is told at once by those who know it apart.
    fn is_deleted_before_the_history(&self, after: u64, matchers: &[&str]) -> bool {
        self.knows.deleted_apart && self.deletions.behind(after, self.earliest(), matchers).next().is_some()
    }

    /// Behind this place, is what is gone nothing but what had been deleted before?
    pub(super) fn is_gone_deleted(&self, after: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        let mut gone = self.left_behind(after).filter(|(_, entry)| entry.loss_bits & bits != 0);
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
        // more may have left since it was found out, and of what was passed over before nobody knows whether it was replaced
        let is_number = view == self.drops && !is_in_snapshot;
        let matchers = &reader.wish.matchers;
        Due {
            reason: Reason::Policy,
            must: true,
            requested,
            missed: is_number.then_some(missed),
            countable: self.knows.number_in_stream && is_number && self.is_countable(cursor, matchers),
            first: self.first_behind(cursor, reader.values, Some(reader.began), matchers),
            head: self.head,
        }
    }

    /// The first one that comes, whatever a filter says of it, to a stream that began when so much had left.
    fn first_behind(&self, after: u64, values: Option<Values>, began: Option<u64>, matchers: &[&str]) -> Option<u64> {
        let bits = topic_bits(matchers);
        self.matching(after, self.head, matchers).find(|at| self.comes(*at, bits, values, began, self.drops))
    }

    /// Does it come, as one of these topics?
    fn comes(&self, sequence: u64, bits: u16, values: Option<Values>, began: Option<u64>, view: u64) -> bool {
        match values {
            Some(values) if sequence <= values.upto => self.is_value(sequence, began.unwrap_or(view), bits),
            _ => self.is_readable(sequence, began, view, bits),
        }
    }

    /// Is it known how many are missing behind this place? Of one topic from before the first that is gone, or of all.
    fn is_countable(&self, after: u64, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_known = if *only == "*" {
            self.knows.number_of_all && self.compacted == 0 && !self.all.values().any(|entry| entry.topics.is_empty())
        } else {
            let bits = topic_bits(matchers);
            !only.contains('*') && !self.all.range(..=after).any(|(_, entry)| entry.loss_bits & bits != 0)
        };
        is_known && self.remembers_all
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
            let is_news = entry.gone_at.is_some_and(|at| at > knows && at <= view) && !entry.had_left(reader.began);
            let is_wanted = values.is_none() || self.has_value(**sequence, bits);
            **sequence <= end && entry.loss_bits & bits != 0 && is_news && is_wanted
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
    /// Here is all the tolerance for a log that knows less than the oracle: one whose summary was full.
    pub(super) fn may_have_lost(&self, reader: &Reader, view: u64) -> bool {
        let has_left_since = |drops| {
            let is_news = |entry: &Published| entry.gone_at.is_some_and(|at| at > drops);
            self.all.values().any(|entry| is_news(entry) && !entry.had_left(reader.began))
        };
        self.losses(reader, self.head, view).next().is_some()
            // what has left may have been a value
            || reader.values.is_some_and(|values| reader.has < values.upto && has_left_since(values.knows))
            || (!self.remembers_all && self.all.values().any(Published::is_gone))
    }

    /// Is something missing behind a gap that ends here? Then another class has kept what is older than what this one has lost, or values
    /// have come first, and it is told again.
    pub(super) fn is_uneven(&self, end: u64, matchers: &[&str]) -> bool {
        let bits = topic_bits(matchers) & !self.compacted;
        self.left_behind(end).any(|(_, entry)| entry.loss_bits & bits != 0)
            || self.is_deleted_before_the_history(end, matchers)
    }

    /// Has anything left behind this place?
    pub(super) fn has_left_behind(&self, end: u64) -> bool {
        self.left_behind(end).next().is_some()
    }

    /// Could it be read, as one of the topics `bits`, when something had left so often, by a stream that began at a time? Of those that
    /// are compacted the values stay.
    fn is_readable(&self, sequence: u64, began: Option<u64>, view: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let had_left = began.is_some_and(|began| entry.had_left(began));
        (!had_left && (entry.gone_at.is_none_or(|at| at > view) || sequence >= self.front))
            || self.has_value(sequence, bits & self.compacted)
    }

    /// Is it the newest of its key in one of these topics?
    fn has_value(&self, sequence: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let is_value = |topic: &&str| self.values.get(&(*topic, entry.key)) == Some(&sequence);
        entry.topics.iter().filter(|topic| topic_bits_of(topic) & bits != 0).any(is_value)
    }

    /// Is it told as a value of one of these topics, to a stream that began at a time? Of those that are not compacted only what is in the
    /// history.
    fn is_value(&self, sequence: u64, began: u64, bits: u16) -> bool {
        let entry = &self.all[&sequence];
        let is_missing = entry.is_gone() || entry.had_left(began);
        self.has_value(sequence, if is_missing { bits & self.compacted } else { bits })
    }

    /// Entries behind `after`, up to `end`, that match.
    pub(super) fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        let behind = self.all.range(after + 1..=end.max(after + 1));
        behind.filter(move |(sequence, entry)| **sequence <= end && entry.topic_bits & bits != 0).map(|(at, _)| *at)
    }

    /// The next entry that the stream has to deliver.
    pub(super) fn next(&self, reader: &Reader, view: u64) -> Option<u64> {
        let bits = topic_bits(&reader.wish.matchers);
        let passes = |at: &u64| !reader.wish.only_even || self.all[at].even;
        let mut wanted = self.matching(reader.has, self.head, &reader.wish.matchers).filter(passes);
        let next = wanted.find(|at| self.comes(*at, bits, reader.values, Some(reader.began), view));
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}

/// The name in the table.
fn known(name: &str, table: &[&'static str]) -> &'static str {
    table.iter().find(|known| **known == name).expect("it is one of the world's")
}
