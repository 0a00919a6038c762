//! The log and its readers against an oracle that keeps everything, on a clock moved by hand.
//!
//! A world is a hub with a random history; random steps publish, begin streams at random places, read them, cut them and
//! resume them. The oracle knows every entry ever published, so it can say of each stream what comes next, whether a
//! gap is due, and how much it is to say. A failure prints the seed of its world.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oyez_proto::Event;

use crate::Topic;
use crate::gap::{Gap, Reason};
use crate::hub::Core;
use crate::limits::Limits;
use crate::log::{Bounds, Log, Retained, Retention};
use crate::matcher::{Matchers, selects};
use crate::position::{Epoch, Position};
use crate::publish::Publish;
use crate::random::Random;
use crate::response::LastEventId;
use crate::subscribe::Subscribe;
use crate::subscriber::{Output, SlowPolicy, Subscriber, Turn};

#[test]
fn every_stream_is_the_log_in_order_and_every_hole_is_announced() {
    let worlds = if std::env::var_os("OYEZ_TEST_LONG").is_some() { 25_000 } else { 2_500 };
    let mut seen = Seen::default();
    for seed in 0..worlds {
        let _named = Named(seed);
        World::new(seed).run(&mut seen);
    }
    // a model that does not reach what it is about proves nothing
    println!("{worlds} worlds: {seen:?}");
    assert!(seen.begins > 30 * worlds && seen.entries > 30 * worlds, "{seen:?}");
    for (what, number) in [
        ("gaps", seen.gaps),
        ("exact", seen.exact),
        ("policy", seen.policy),
        ("behind", seen.behind),
        ("snapshots", seen.snapshots),
        ("left", seen.left),
        ("deleted, at once", seen.deleted[0]),
        ("deleted, in the stream", seen.deleted[1]),
    ] {
        assert!(number > worlds / 10, "{what}: {seen:?}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    begins: u64,
    entries: u64,
    /// Gaps at the begin of a stream.
    gaps: u64,
    /// Of those, the ones that said how many are missing.
    exact: u64,
    /// Streams that began with values.
    snapshots: u64,
    /// Streams that were told of a deletion: at their begin, and later.
    deleted: [u64; 2],
    /// Values that came though the log does not hold them any more.
    left: u64,
    /// Gaps in the middle of a stream.
    policy: u64,
    /// Streams that ended because their reader fell behind.
    behind: u64,
    complete: u64,
}

pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world that failed has the seed {}", self.0);
        }
    }
}

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub(crate) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// An entry as the oracle remembers it, for ever.
struct Published {
    topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    topic_bits: u16,
    id: String,
    time_ms: u64,
    even: bool,
    key: Option<&'static str>,
}

struct World {
    dice: Dice,
    core: Arc<Core>,
    retention: Retention,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    remembers_all: bool,
    now: Instant,
    now_ms: u64,
    newest_ms: u64,
    /// The entry with the number n stands at n - 1.
    all: Vec<Published>,
    /// What an id of a publisher stands for, while an entry that has it is in the history.
    publisher_ids: HashMap<String, u64>,
    history_start: u64,
    /// Topics that are compacted, as bits.
    compacted: u16,
    /// The newest entry of each topic and key; of those without a key only where it is compacted.
    values: HashMap<(&'static str, Option<&'static str>), u64>,
    deletions: Vec<Deletion>,
    readers: Vec<Reader>,
    /// Every id that any stream has told.
    ids: Vec<String>,
}

/// A topic that was deleted, at this place of the log, and the last of its entries that could be read until then.
struct Deletion {
    topic_bits: u16,
    last: u64,
    at: u64,
}

/// A stream and what its reader knows.
struct Reader {
    subscriber: Subscriber,
    matchers: Vec<&'static str>,
    only_even: bool,
    slow: SlowPolicy,
    /// The reader has everything that matches up to here.
    has: u64,
    /// Of deletions up to here it is not told.
    known: u64,
    /// Places of deletions that it was told of, and whether for sure.
    deleted: Vec<(u64, bool)>,
    /// Up to here only values come; those from before the second number only of compacted topics.
    values: Option<(u64, u64)>,
    sent: u64,
    limit: Option<u64>,
    until: Option<u64>,
    until_time: Option<(u64, Instant)>,
    last_id: Option<String>,
    last_id_is_unique: bool,
    begun: Begun,
}

/// What the stream has to say first.
enum Begun {
    Open(Option<Due>),
    /// The same, without a place: it is a snapshot that has something to tell.
    Snapshot,
    Said,
}

/// A gap that has to be, or at least may be, announced.
struct Due {
    reason: Reason,
    must: bool,
    requested: String,
    /// How many are missing, where that means anything.
    missed: Option<u64>,
    /// The number can be known.
    countable: bool,
    /// The first entry that matches and is kept.
    first: Option<u64>,
    head: u64,
}

pub(crate) const TOPICS: [&str; 12] = ["a", "a/b", "a/c", "b", "b/c/d", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
pub(crate) const MATCHERS: [&str; 16] =
    ["a", "a/b", "a/c", "b", "x1", "x2", "x3", "never", "*", "*", "a/*", "*/c", "x*", "x*1", "*/*/d", "never/*"];

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let retention = Retention {
            events: dice.pick(&[0, 1, 2, 5, 20, 100, usize::MAX]),
            bytes: dice.pick(&[2_000, 8_000, 40_000, 64 << 20, 64 << 20]),
            age: dice.pick(&[None, None, Some(5), Some(50)]).map(Duration::from_millis),
        };
        let bounds = Bounds {
            slack: Retained { entries: dice.pick(&[0, 3, 10, 1_024]), bytes: dice.pick(&[1_000, 4 << 20]) },
            summary_bytes: dice.pick(&[0, 600, 1 << 20, 1 << 20]),
            // what is pushed out of it has tests of its own
            ..Bounds::default()
        };
        // twelve short names need less than this
        let remembers_all = bounds.summary_bytes.min(retention.bytes / 16) > 3_000;
        let mut compact = Matchers::default();
        let mut compacted = 0;
        while dice.one_in(2) {
            let matcher = dice.pick(&["a", "a/b", "b", "x1", "a/*", "x*", "*/*/d", "*"]);
            compact.push(matcher.parse().unwrap());
            compacted |= topic_bits(&[matcher]);
        }
        let log = Log::new(Epoch::from_bits(seed), retention, bounds, compact);
        let core = Core::new(log, Limits::default(), Random::from_seed(seed));
        Self {
            dice,
            core: Arc::new(core),
            retention,
            remembers_all,
            now: crate::clock::now(),
            now_ms: 1_000_000,
            newest_ms: 0,
            all: Vec::new(),
            publisher_ids: HashMap::new(),
            history_start: 1,
            compacted,
            values: HashMap::new(),
            deletions: Vec::new(),
            readers: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..100 {
            match self.dice.below(10) {
                0 if self.dice.one_in(3) => self.delete(),
                0 | 1 => self.publish(),
                2 => self.pass_time(),
                3..=5 => self.begin(None, seen),
                6 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    fn head(&self) -> u64 {
        self.all.len() as u64
    }

    fn pass_time(&mut self) {
        let ms = self.dice.pick(&[1, 3, 10, 60]);
        self.now += Duration::from_millis(ms);
        // the wall clock may be set back meanwhile
        self.now_ms = if self.dice.one_in(10) { self.now_ms - 20 } else { self.now_ms + ms };
    }

    fn publish(&mut self) {
        let number = if self.dice.one_in(20) { 150 } else { 1 + self.dice.below(4) };
        let topics: &[&str] = if self.dice.one_in(3) { &TOPICS[..2] } else { &TOPICS };
        let mut batch = Vec::new();
        for _ in 0..number {
            let mut names = vec![self.dice.pick(topics)];
            if self.dice.one_in(4) {
                names.push(self.dice.pick(topics));
                names.dedup();
            }
            let even = self.dice.one_in(2);
            let data = format!("{even}{}", "x".repeat(self.dice.pick(&[0, 10, 500])));
            let mut event = Event::data(data);
            let mut id = Position { epoch: self.core.log.epoch, sequence: self.head() + 1 }.to_string();
            if self.dice.one_in(6) {
                id = if self.dice.one_in(3) {
                    format!("again-{}", self.dice.below(3))
                } else {
                    format!("p{}", self.head() + 1)
                };
                event = event.id(id.as_str()).unwrap();
                let first = self.head() + 1;
                self.publisher_ids.entry(id.clone()).or_insert(first);
            }
            let key = self.dice.pick(&[None, None, Some("k1"), Some("k2")]);
            let mut publish = Publish::new(Topic::new(names[0]).unwrap(), event);
            if let Some(key) = key {
                publish = publish.key(key).unwrap();
            }
            for name in &names[1..] {
                publish = publish.topic(Topic::new(name).unwrap());
            }
            batch.push(publish);
            self.newest_ms = self.newest_ms.max(self.now_ms);
            let topic_bits = (0..TOPICS.len()).filter(|at| names.contains(&TOPICS[*at])).map(|at| 1 << at).sum();
            for name in &names {
                if key.is_some() || topic_bits_of(name) & self.compacted != 0 {
                    self.values.insert((name, key), self.head() + 1);
                }
            }
            self.all.push(Published { topics: names, topic_bits, id, time_ms: self.newest_ms, even, key });
        }
        let first = self.all.len() - batch.len();
        let ids = self.core.append(batch, self.now_ms).unwrap();
        assert!(ids.iter().map(|id| &**id).eq(self.all[first..].iter().map(|entry| &*entry.id)));
        self.history_has_moved();
    }

    fn delete(&mut self) {
        let topic = self.dice.pick(&TOPICS);
        let (bit, front, at) = (topic_bits_of(topic), self.core.log.front(), self.head() + 1);
        let kept = self.values.iter().filter(|((name, _), _)| *name == topic).map(|(_, sequence)| *sequence);
        let in_log = (front..at).filter(|sequence| self.entry(*sequence).topic_bits & bit != 0);
        // values of other topics leave with their entries
        let kept = kept.filter(|sequence| *sequence >= front || bit & self.compacted != 0);
        if let Some(last) = kept.chain(in_log).max() {
            self.deletions.push(Deletion { topic_bits: bit, last, at });
        }
        self.values.retain(|(name, _), _| *name != topic);
        for entry in &mut self.all[front as usize - 1..] {
            entry.topic_bits &= !bit;
        }
        let id = self.core.delete_in_memory(Topic::new(topic).unwrap(), self.now_ms).unwrap();
        self.newest_ms = self.newest_ms.max(self.now_ms);
        let (topics, time_ms, even) = (Vec::new(), self.newest_ms, false);
        self.all.push(Published { topics, topic_bits: 0, id: id.to_string(), time_ms, even, key: None });
        self.history_has_moved();
    }

    /// Compares what is kept with the retention.
    fn history_has_moved(&mut self) {
        let summary = self.core.log.summary();
        assert_eq!(summary.head, self.head());
        let start = summary.oldest.unwrap_or(summary.head + 1);
        let Retention { events, bytes, age } = self.retention;
        let is_old = |entry: &Published| {
            age.is_some_and(|age| self.now_ms.saturating_sub(entry.time_ms) > age.as_millis() as u64)
        };
        let kept = &self.all[start as usize - 1..];
        assert!(start >= self.history_start && kept.len() == summary.kept.entries && kept.len() <= events);
        assert!(summary.kept.bytes <= bytes || kept.is_empty());
        assert!(!kept.first().is_some_and(is_old));
        if start > self.history_start && bytes > 1 << 20 {
            let dropped = &self.all[start as usize - 2];
            assert!(kept.len() == events || is_old(dropped), "{start} was dropped without need");
        }
        for dropped in &self.all[self.history_start as usize - 1..start as usize - 1] {
            if self.publisher_ids.contains_key(&dropped.id) && !kept.iter().any(|entry| entry.id == dropped.id) {
                self.publisher_ids.remove(&dropped.id);
            }
        }
        let topics = kept.iter().fold(0, |all, entry| all | entry.topic_bits);
        assert_eq!(summary.topics, topics.count_ones() as usize);
        self.history_start = start;
    }

    /// What an id stands for.
    fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.core.log.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head() => Err(Reason::Unknown),
            Ok(position) => Ok(position.sequence),
            Err(_) => self.publisher_ids.get(id).copied().ok_or(Reason::Unknown),
        }
    }

    fn random_id(&mut self) -> String {
        let epoch = self.core.log.epoch;
        let sequence = self.dice.below(self.head() + 3);
        match self.dice.below(12) {
            0 => "made up".into(),
            1 => Position { epoch: Epoch::from_bits(7 << 20), sequence }.to_string(),
            2 => format!("again-{}", self.dice.below(3)),
            3 => format!("p{sequence}"),
            4..=6 => Position { epoch, sequence }.to_string(),
            _ if self.ids.is_empty() => Position { epoch, sequence: 0 }.to_string(),
            _ => self.ids[self.dice.below(self.ids.len() as u64) as usize].clone(),
        }
    }

    fn reconnect(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.below(self.readers.len() as u64) as usize;
        let reader = self.readers.swap_remove(at);
        self.begin(Some(reader), seen);
    }

    /// Begins a stream somewhere, or goes on with one that was cut.
    fn begin(&mut self, cut: Option<Reader>, seen: &mut Seen) {
        let resumed = cut.as_ref().and_then(|reader| reader.last_id.clone());
        let mut matchers = vec![self.dice.pick(&MATCHERS)];
        while self.dice.one_in(3) {
            matchers.push(self.dice.pick(&MATCHERS));
        }
        let mut only_even = self.dice.one_in(6);
        if let Some(cut) = &cut {
            matchers.clone_from(&cut.matchers);
            only_even = cut.only_even;
        }
        let slow = self.dice.pick(&[SlowPolicy::Disconnect, SlowPolicy::Skip]);
        let mut subscribe = Subscribe::<Event>::new(Arc::clone(&self.core)).slow(slow);
        subscribe = matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and(*matcher));
        subscribe = match self.dice.below(3) {
            0 => subscribe.keep_alive(Duration::ZERO),
            _ => subscribe.keep_alive(Duration::from_millis(5)),
        };
        if only_even {
            subscribe = subscribe.filter(|event: &Event| event.data_str().starts_with("true"));
        }
        let limit = self.dice.one_in(8).then(|| self.dice.below(10));
        if let Some(limit) = limit {
            subscribe = subscribe.limit(limit);
        }

        let known = self.head();
        // what the oracle expects is decided by the history behind the trim that a begin may do
        let (kind, number) = (self.dice.below(7), self.dice.below(8) as usize);
        let time_ms = self.now_ms.saturating_sub(self.dice.below(80));
        let id = resumed.clone().unwrap_or_else(|| self.random_id());
        subscribe = match kind {
            _ if resumed.is_some() => subscribe.earliest().resume(LastEventId::new(id.as_str())),
            0 => subscribe,
            1 => subscribe.earliest(),
            2 => subscribe.last(number),
            3 => subscribe.since(UNIX_EPOCH + Duration::from_millis(time_ms), "then"),
            4 => subscribe.snapshot(),
            _ => subscribe.since_id(&id),
        };
        let poll = self.dice.one_in(5);
        if poll {
            subscribe = subscribe.poll();
        }
        let until_ms = self.dice.one_in(8).then(|| self.now_ms + self.dice.below(20));
        if let Some(ms) = until_ms {
            subscribe = subscribe.until(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        }
        let found = self.find(&id);
        let subscriber = subscribe.begin(self.now, self.now_ms).unwrap();
        self.history_has_moved();
        let found = if self.retention.age.is_some() { self.find(&id) } else { found };
        seen.begins += 1;

        let oldest = self.history_start - 1;
        let kept_after = |after: u64| if self.compacted == 0 { after.max(oldest) } else { after };
        let is_resume = resumed.is_some() || !matches!(kind, 0..=2 | 4);
        let is_snapshot = resumed.is_none() && kind == 4;
        let mut values = (is_resume && self.compacted != 0).then_some((oldest, oldest + 1));
        let (mut has, due) = if !is_resume {
            match kind {
                0 => (self.head(), None),
                1 => (oldest, None),
                4 => {
                    values = Some((self.head(), oldest + 1));
                    (0, None)
                }
                _ => {
                    let newest = (oldest + 1..=self.head()).rev().filter(|sequence| self.matches(*sequence, &matchers));
                    (newest.take(number).last().map_or_else(|| self.head(), |first| first - 1), None)
                }
            }
        } else if resumed.is_none() && kind == 3 {
            let wanted =
                |sequence: &u64| self.entry(*sequence).time_ms >= time_ms && self.matches(*sequence, &matchers);
            let missed = self.losses(0, oldest, &matchers).filter(wanted).count() as u64;
            let earlier = self.all.partition_point(|entry| entry.time_ms < time_ms) as u64;
            let may = oldest > 0 && self.entry(oldest).time_ms >= time_ms;
            let is_missed = |last| self.entry(last).time_ms >= time_ms;
            let deleted = self.deleted_behind(0, oldest, &matchers).any(|deletion| is_missed(deletion.last));
            let due = self.due(Reason::Expired, missed, may, "then", earlier, &matchers);
            (kept_after(earlier), self.or_deleted(due, deleted, "then", earlier, &matchers))
        } else {
            match found {
                Ok(after) => {
                    let missed = self.losses(after, oldest, &matchers).count() as u64;
                    let deleted = self.deleted_behind(after, oldest, &matchers).next().is_some();
                    let due = self.due(Reason::Expired, missed, after < oldest, &id, after, &matchers);
                    (kept_after(after), self.or_deleted(due, deleted, &id, after, &matchers))
                }
                Err(reason) => (kept_after(0), self.due(reason, u64::MAX, true, &id, 0, &matchers)),
            }
        };
        if let (Some(cut), Ok(after)) = (&cut, found) {
            if resumed.is_some() && cut.last_id_is_unique && matches!(cut.begun, Begun::Said) {
                assert_eq!(
                    self.matching(cut.has, after, &matchers).count(),
                    0,
                    "{id} skips what its reader has not got"
                );
                assert_eq!(self.matching(after, cut.has, &matchers).count(), 0, "{id} repeats what its reader has got");
            }
        }
        let mut begun = Begun::Open(due);
        if is_snapshot {
            if self.told_values(0, self.head(), oldest + 1, &matchers).next().is_some() {
                begun = Begun::Snapshot;
            } else {
                (has, values) = (self.head(), None);
            }
        }
        let reader = Reader {
            subscriber,
            matchers,
            only_even,
            slow,
            has,
            known: if is_resume && (found.is_ok() || resumed.is_none() && kind == 3) { 0 } else { known },
            deleted: Vec::new(),
            values,
            sent: 0,
            limit,
            until: poll.then(|| self.head()),
            until_time: until_ms.map(|ms| (ms, self.now + Duration::from_millis(ms - self.now_ms))),
            last_id: resumed,
            last_id_is_unique: cut.is_none_or(|cut| cut.last_id_is_unique),
            begun,
        };
        self.readers.push(reader);
        if self.readers.len() > 4 {
            self.readers.remove(0);
        }
        let at = self.readers.len() - 1;
        if !self.dice.one_in(4) {
            self.poll(at, seen);
        }
    }

    /// `missed` is [`u64::MAX`] where the number means nothing.
    fn due(
        &self,
        reason: Reason,
        missed: u64,
        may: bool,
        requested: &str,
        after: u64,
        matchers: &[&str],
    ) -> Option<Due> {
        let must = missed > 0;
        if !must && (self.remembers_all || !may) {
            return None;
        }
        let missed = (missed != u64::MAX).then_some(missed);
        let oldest = self.history_start - 1;
        let value = self.told_values(after, oldest, oldest + 1, matchers).next();
        let first = value.or_else(|| self.matching(oldest, self.head(), matchers).next());
        let countable = self.is_countable(requested, matchers);
        Some(Due { reason, must, requested: requested.to_owned(), missed, countable, first, head: self.head() })
    }

    /// Is it known how many are missing behind this id? Of one topic, or all of them, from before the first that is gone.
    fn is_countable(&self, requested: &str, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        if *only == "*" {
            let deleted_any = self.all.iter().any(|entry| entry.topics.is_empty());
            return self.compacted == 0 && !deleted_any && self.find(requested).is_ok();
        }
        let from_start = |after| self.matching(0, after, matchers).next().is_none();
        !only.contains('*') && self.find(requested).is_ok_and(from_start)
    }

    /// What is due when entries were deleted as well; those that have expired come first.
    fn or_deleted(
        &self,
        due: Option<Due>,
        deleted: bool,
        requested: &str,
        after: u64,
        matchers: &[&str],
    ) -> Option<Due> {
        if !deleted || due.as_ref().is_some_and(|due| due.must) {
            return due;
        }
        self.due(Reason::Deleted, u64::MAX, true, requested, after, matchers)
    }

    /// Deletions that hid something behind `after`, up to `end`.
    fn deleted_behind(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = &Deletion> {
        let bits = topic_bits(matchers);
        self.deletions
            .iter()
            .filter(move |deletion| deletion.topic_bits & bits != 0 && deletion.last > after && deletion.last <= end)
    }

    /// The reader comes to `end`: of what was hidden before it must know.
    fn has_been_told(&self, reader: &Reader, end: u64) {
        let values = reader.values.map_or(0, |(upto, _)| upto);
        for deletion in self.deleted_behind(reader.has.max(values), end, &reader.matchers) {
            let known = deletion.at <= reader.known || reader.deleted.iter().any(|(at, _)| *at == deletion.at);
            // the filter may have passed over it before
            assert!(known || reader.only_even, "{} was deleted without a word", deletion.last);
        }
    }

    fn read(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.below(self.readers.len() as u64) as usize;
        for _ in 0..=self.dice.below(4) {
            if at >= self.readers.len() || !self.poll(at, seen) {
                break;
            }
        }
    }

    /// One turn of a stream. False when there is no point in another.
    fn poll(&mut self, at: usize, seen: &mut Seen) -> bool {
        let mut reader = self.readers.swap_remove(at);
        let mut out = Vec::new();
        let turn = reader.subscriber.poll(self.now, Waker::noop(), &mut out);
        let front = self.core.log.front();
        assert_eq!(turn == Turn::Deliver, !out.is_empty());
        for output in out {
            self.check(&mut reader, output, front, seen);
        }
        let next = self.next(&reader);
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) => {
                assert_eq!(next, None, "sleeps with something to read");
                self.has_been_told(&reader, self.head());
            }
            Turn::End => {
                let full = reader.limit.is_some_and(|limit| reader.sent >= limit);
                let complete = reader.until.is_some_and(|until| next.is_none_or(|next| next > until));
                let lost = self.losses(reader.has, front - 1, &reader.matchers).next().is_some();
                let behind = reader.slow == SlowPolicy::Disconnect && (lost || !self.remembers_all && front > 1);
                let late = reader.until_time.is_some_and(|(until, at)| {
                    self.now >= at
                        || self
                            .matching(reader.has, self.head(), &reader.matchers)
                            .any(|next| self.entry(next).time_ms > until)
                });
                assert!(full || complete || behind || late, "ended for no reason behind {}", reader.has);
                seen.behind += u64::from(behind && !full && !complete);
                seen.complete += u64::from(full || complete);
                // its reader comes back, or it is forgotten
                if self.dice.one_in(2) {
                    self.begin(Some(reader), seen);
                }
                return false;
            }
        }
        self.readers.push(reader);
        let last = self.readers.len() - 1;
        self.readers.swap(at, last);
        turn != Turn::Wait(None)
    }

    fn check(&mut self, reader: &mut Reader, output: Output, front: u64, seen: &mut Seen) {
        let id = |sequence| Position { epoch: self.core.log.epoch, sequence }.to_string();
        match output {
            Output::Open { cursor, .. } => match (&reader.begun, cursor) {
                (Begun::Snapshot, None) => {
                    seen.snapshots += 1;
                    reader.begun = Begun::Said;
                }
                (Begun::Snapshot, Some(_)) => panic!("whoever is cut now would not ask for the snapshot again"),
                (Begun::Open(Some(due)), None) => assert!(due.must || !self.remembers_all),
                (Begun::Open(due), Some(cursor)) => {
                    assert!(due.as_ref().is_none_or(|due| !due.must), "a gap is due before the stream has a place");
                    let next = self.next(reader);
                    reader.has = cursor;
                    assert_eq!(self.next(reader), next);
                    reader.begun = Begun::Said;
                    self.told(reader, id(cursor), true);
                }
                (Begun::Open(None), None) => panic!("a gap that nobody needs"),
                (Begun::Said, _) => panic!("opened twice"),
            },
            Output::Gap(gap) if gap.reason == Reason::Deleted && matches!(reader.begun, Begun::Said) => {
                seen.deleted[1] += 1;
                let place = gap.position.sequence;
                // values that come behind what is gone may be told of together with it
                let surely = reader.values.map_or(place, |(upto, _)| upto).max(place);
                let upto = surely.max(front - 1);
                // the last one may just have come, as one of another topic
                let has = reader.has.saturating_sub(1);
                let told = self.deleted_behind(has, upto, &reader.matchers);
                let told = told.map(|deletion| (deletion.at, deletion.last <= surely));
                let is_new = |(at, _): &(u64, bool)| *at > reader.known && !reader.deleted.contains(&(*at, true));
                let told: Vec<_> = told.filter(is_new).collect();
                assert!(!told.is_empty(), "nothing was deleted");
                reader.deleted.extend(told);
                assert_eq!(self.next(reader).filter(|next| *next <= place), None, "passes unread entries");
                reader.has = place;
                self.told(reader, gap.position.to_string(), true);
            }
            Output::Gap(gap) => {
                let due = match std::mem::replace(&mut reader.begun, Begun::Said) {
                    Begun::Open(due) => {
                        seen.gaps += 1;
                        seen.deleted[0] += u64::from(gap.reason == Reason::Deleted);
                        due.expect("a gap that nobody needs")
                    }
                    Begun::Snapshot => panic!("a snapshot has all that there is"),
                    Begun::Said => {
                        seen.policy += 1;
                        let cursor = Position::parse(&gap.requested).unwrap().sequence;
                        assert_eq!(self.next(reader).filter(|next| *next <= cursor), None, "passed unread entries");
                        let missed = self.losses(reader.has, front - 1, &reader.matchers).count() as u64;
                        assert_eq!(reader.slow, SlowPolicy::Skip);
                        assert!(missed > 0 || !self.remembers_all && front > 1, "nothing is missing");
                        let requested = gap.requested.clone();
                        let upto = reader.values.map_or(0, |(upto, _)| upto).max(front - 1);
                        let value = self.told_values(cursor, upto, front, &reader.matchers).next();
                        let first = value.or_else(|| self.matching(upto, self.head(), &reader.matchers).next());
                        // of what was passed over before, nobody knows whether it was replaced
                        let missed = if reader.values.is_none() { Some(missed) } else { gap.missed };
                        reader.values = (self.compacted != 0 || reader.values.is_some()).then_some((upto, front));
                        let countable = self.is_countable(&requested, &reader.matchers);
                        let head = self.head();
                        Due { reason: Reason::Policy, must: true, requested, missed, countable, first, head }
                    }
                };
                self.check_gap(&gap, &due, reader, seen);
                reader.has = gap.position.sequence;
                self.told(reader, gap.position.to_string(), true);
            }
            Output::Entry(entry) => {
                let next = self.next(reader);
                assert_eq!(next, Some(entry.sequence), "behind {}", reader.has);
                self.has_been_told(reader, entry.sequence - 1);
                assert!(matches!(reader.begun, Begun::Said));
                let expected = self.entry(entry.sequence);
                assert_eq!((entry.time_ms, &*entry.event_id(self.core.log.epoch)), (expected.time_ms, &*expected.id));
                assert!(entry.topics.iter().map(|topic| &**topic).eq(expected.topics.iter().copied()));
                let unique = !expected.id.starts_with("again-");
                let id = expected.id.clone();
                reader.has = entry.sequence;
                reader.sent += 1;
                seen.entries += 1;
                seen.left += u64::from(entry.sequence < front);
                self.told(reader, id, unique);
            }
            Output::KeepAlive(Some(cursor)) => {
                assert_eq!(
                    self.next(reader).filter(|next| *next <= cursor),
                    None,
                    "the cursor has passed unread entries"
                );
                assert!(cursor <= self.head());
                self.has_been_told(reader, cursor);
                reader.has = reader.has.max(cursor);
                self.told(reader, id(cursor), true);
            }
            Output::KeepAlive(None) => {}
        }
    }

    fn check_gap(&self, gap: &Gap, due: &Due, reader: &Reader, seen: &mut Seen) {
        // where nobody knows for sure what else has expired, that may be said
        if gap.reason != Reason::Expired || due.reason != Reason::Deleted || self.remembers_all {
            assert_eq!(gap.reason, due.reason);
        }
        assert_eq!(gap.requested, due.requested);
        match (gap.missed, due.missed) {
            (_, _) if gap.reason == Reason::Deleted => {}
            (Some(_), _) if reader.only_even => panic!("nobody knows what the filter would have said"),
            (Some(told), Some(missed)) => {
                assert_eq!(told, missed);
                seen.exact += 1;
            }
            (Some(told), None) => panic!("{told} missed, says who?"),
            (None, Some(missed)) => {
                assert!(!due.countable || reader.only_even || !self.remembers_all, "{missed} could be told");
            }
            (None, None) => {}
        }
        assert_eq!(gap.position.sequence, due.first.map_or(due.head, |first| first - 1));
        let oldest = due.first.map(|first| match reader.only_even {
            true => Position { epoch: self.core.log.epoch, sequence: first }.to_string(),
            false => self.entry(first).id.clone(),
        });
        assert_eq!(gap.oldest.as_deref(), oldest.as_deref());
        // told once: whoever has the gap's id resumes without a word, if nothing else leaves the history meanwhile
        if gap.position.sequence + 1 >= self.history_start {
            let subscribe = Subscribe::<Event>::new(Arc::clone(&self.core)).since_id(&gap.position.to_string());
            let subscribe = reader.matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and(*matcher));
            let mut again = subscribe.begin(self.now, 0).unwrap();
            let mut out = Vec::new();
            again.poll(self.now, Waker::noop(), &mut out);
            assert!(matches!(out[..], [Output::Open { cursor: Some(_), .. }]), "the gap is told twice");
        }
    }

    fn told(&mut self, reader: &mut Reader, id: String, unique: bool) {
        self.ids.push(id.clone());
        reader.last_id = Some(id);
        reader.last_id_is_unique = unique;
    }

    fn entry(&self, sequence: u64) -> &Published {
        &self.all[sequence as usize - 1]
    }

    fn matches(&self, sequence: u64, matchers: &[&str]) -> bool {
        self.entry(sequence).topic_bits & topic_bits(matchers) != 0
    }

    /// Sequence numbers behind `after`, up to `end`, that match.
    fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        (after + 1..=end).filter(move |sequence| self.entry(*sequence).topic_bits & bits != 0)
    }

    /// Of those, the ones that are missed when they are gone: not those of topics that are compacted.
    fn losses(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers) & !self.compacted;
        (after + 1..=end).filter(move |sequence| self.entry(*sequence).topic_bits & bits != 0)
    }

    /// Values behind `after`, up to `end`, that match; those from before `from` only of topics that are compacted.
    fn told_values(&self, after: u64, end: u64, from: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        (after + 1..=end).filter(move |sequence| {
            let entry = self.entry(*sequence);
            entry.topics.iter().any(|topic| {
                let bits = topic_bits_of(topic) & if *sequence < from { bits & self.compacted } else { bits };
                bits != 0 && self.values.get(&(*topic, entry.key)) == Some(sequence)
            })
        })
    }

    /// The next entry that the stream has to deliver.
    fn next(&self, reader: &Reader) -> Option<u64> {
        let passes = |sequence: &u64| !reader.only_even || self.entry(*sequence).even;
        let (upto, from) = reader.values.unwrap_or_default();
        let values = self.told_values(reader.has, upto, from, &reader.matchers);
        // of what is gone the values are left
        let (cursor, gone) = (reader.has.max(upto), self.core.log.front() - 1);
        let left = self.told_values(cursor, gone, gone + 1, &reader.matchers);
        let log = self.matching(cursor.max(gone), self.head(), &reader.matchers);
        let next = values.chain(left).chain(log).find(passes);
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}

pub(crate) fn topic_bits_of(topic: &str) -> u16 {
    TOPICS.iter().position(|name| *name == topic).map_or(0, |at| 1 << at)
}

/// The topics that one of `matchers` selects, as bits.
pub(crate) fn topic_bits(matchers: &[&str]) -> u16 {
    static TABLE: OnceLock<HashMap<&str, u16>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let bits = |matcher| (0..TOPICS.len()).filter(|at| selects(matcher, TOPICS[*at])).map(|at| 1 << at).sum();
        MATCHERS.iter().map(|matcher| (*matcher, bits(matcher))).collect()
    });
    matchers.iter().fold(0, |all, matcher| all | table[matcher])
}
