//! [`model`](crate::model) over a history on disk: a disk that is killed and loses power between steps, segments of a few
//! entries, and a tail in memory that holds next to nothing.
//!
//! The oracle knows every entry that was acknowledged. It asks the store which numbers have left each class, but not whom they
//! concern: what a stream has to say about them it works out by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant, UNIX_EPOCH};

use oyez_proto::Event;

use crate::Topic;
use crate::gap::{Gap, Reason};
use crate::hub::Core;
use crate::limits::Limits;
use crate::log::disk::{Class, DiskDice, Durability, Settings, SimulatedDisk, Store, Witness, Writer};
use crate::log::{Batch, Log, Remains, Retention};
use crate::matcher::Matchers;
use crate::model::{Dice, Named};
use crate::model::{MATCHERS, TOPICS, topic_bits};
use crate::position::{Epoch, Position};
use crate::publish::Publish;
use crate::random::Random;
use crate::response::LastEventId;
use crate::subscribe::Subscribe;
use crate::subscriber::{Output, SlowPolicy, Subscriber, Turn};

#[test]
fn a_history_on_disk_is_the_log_in_order_whatever_stops_and_whatever_leaves() {
    let worlds = if std::env::var_os("OYEZ_TEST_LONG").is_some() { 8_000 } else { 400 };
    let mut seen = Seen::default();
    // the seed that a failure has named
    let only = std::env::var("OYEZ_TEST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..worlds, |seed| seed..seed + 1) {
        let _named = Named(seed);
        World::new(seed).run(&mut seen);
    }
    // a model that does not reach what it is about proves nothing
    println!("{worlds} worlds: {seen:?}");
    assert!(seen.begins > 20 * worlds && seen.entries > 50 * worlds, "{seen:?}");
    for (what, number) in [
        ("gaps", seen.gaps),
        ("exact", seen.exact),
        ("crash", seen.crash),
        ("policy", seen.policy),
        ("exact, in the stream", 4 * seen.exact_policy),
        ("behind", seen.behind),
        ("from disk", seen.from_disk),
        ("in flight", seen.in_flight),
        ("stops", seen.restarts[0]),
        ("kills", seen.restarts[1]),
        ("power cuts", seen.restarts[2]),
        ("drops", seen.drops),
        ("deleted", seen.deleted),
        ("deleted and gone", 40 * seen.deleted_and_gone),
        ("drops beside other classes", seen.uneven),
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
    /// Of those, the ones for ids that a crash took.
    crash: u64,
    /// Gaps in the middle of a stream.
    policy: u64,
    exact_policy: u64,
    /// Streams that ended because their reader fell behind.
    behind: u64,
    /// Entries that were not in memory.
    from_disk: u64,
    /// Pages that were read before something left, and looked at behind it.
    in_flight: u64,
    /// Clean stops, kills and power cuts.
    restarts: [u64; 3],
    /// Times that something left the disk.
    drops: u64,
    /// Gaps because of deletions.
    deleted: u64,
    /// Gaps of which only what had been deleted before is gone.
    deleted_and_gone: u64,
    /// Gaps that were followed by entries older than what is missing.
    uneven: u64,
}

/// An entry as the oracle remembers it, for ever.
struct Published {
    topics: Vec<&'static str>,
    /// As which topics it can be read: not as those that were deleted.
    topic_bits: u16,
    /// As which it could be read.
    all_bits: u16,
    id: String,
    time_ms: u64,
    even: bool,
    chain: usize,
    /// When it left the disk, counted in times that something did.
    gone_at: Option<u64>,
}

/// What the hub stands on, made anew at each start.
struct Life {
    store: Arc<Store>,
    writer: Writer,
    core: Arc<Core>,
}

struct World {
    dice: Dice,
    disk: SimulatedDisk,
    setup: Setup,
    life: Life,
    now: Instant,
    now_ms: u64,
    newest_ms: u64,
    all: BTreeMap<u64, Published>,
    /// Numbers that a crash may have taken.
    skips: Vec<(u64, u64)>,
    /// How often something has left the disk.
    drops: u64,
    deletions: Vec<Deletion>,
    readers: Vec<Reader>,
    /// Readers whose hub has stopped.
    cut: Vec<Reader>,
    ids: Vec<String>,
}

/// What the hub is started with, each time alike.
struct Setup {
    classes: Vec<Class>,
    summary_bytes: usize,
    segment_bytes: (usize, usize),
    tail_bytes: usize,
    epoch: Epoch,
    /// Nothing known of what is gone is ever forgotten.
    remembers_all: bool,
}

/// A topic that was deleted, at this place of the log, and the last of its entries that could be read until then.
struct Deletion {
    topic_bits: u16,
    last: u64,
    at: u64,
}

struct Reader {
    /// None when its hub has stopped.
    subscriber: Option<Subscriber>,
    matchers: Vec<&'static str>,
    only_even: bool,
    slow: SlowPolicy,
    /// The reader has everything that matches up to here.
    has: u64,
    /// What had left by then it knows of.
    knows: u64,
    /// Of deletions up to here it is not told.
    deletions_known: u64,
    /// Places of deletions that it was told of.
    deleted: Vec<u64>,
    /// Its page was read when something had left the disk so often.
    page_of: Option<u64>,
    until: Option<u64>,
    last_id: Option<String>,
    begun: Begun,
}

enum Begun {
    Open(Option<Due>),
    Said,
}

/// A gap that has to be, or at least may be, announced.
struct Due {
    reason: Reason,
    must: bool,
    requested: String,
    missed: Option<u64>,
    countable: bool,
    /// The first entry that matches and can be read.
    first: Option<u64>,
    head: u64,
    /// Nothing is gone but what was hidden before.
    hidden: bool,
    /// When all that was so, in times that something had left the disk.
    at: u64,
}

/// Wakes the thread that waits for a page.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.0.lock().unwrap();
        let (mut rung, late) = self.1.wait_timeout_while(rung, Duration::from_secs(60), |rung| !*rung).unwrap();
        assert!(!late.timed_out(), "nobody says that the page is there");
        *rung = false;
    }
}

struct Keeping<'a>(&'a Core);

impl Witness for Keeping<'_> {
    fn leave_disk(&self, through: u64, leaves: &dyn Fn(&[Topic]) -> bool) -> Remains {
        self.0.log.leave_disk(through, leaves)
    }
}

impl DiskDice for Dice {
    fn below(&mut self, end: u64) -> u64 {
        Self::below(self, end)
    }
}

impl Setup {
    fn new(dice: &mut Dice, seed: u64) -> Self {
        let mut retention = || Retention {
            events: dice.pick(&[0, 20, 100, usize::MAX, usize::MAX]),
            bytes: dice.pick(&[20_000, 60_000, 200_000, 64 << 20]),
            age: dice.pick(&[None, None, Some(30), Some(200)]).map(Duration::from_millis),
        };
        let mut classes = vec![Class { topics: None, retention: retention() }];
        let others = [Some("a/*"), Some("x*"), Some("b"), None, None, None];
        let retentions = [retention(), retention()];
        for retention in retentions {
            if let Some(topics) = dice.pick(&others) {
                classes.push(Class { topics: Some(topics.parse().unwrap()), retention });
            }
        }
        let summary_bytes = dice.pick(&[0, 600, 1 << 20, 1 << 20, 1 << 20]);
        let smallest = dice.pick(&[5 << 10, 6 << 10, 8 << 10]);
        Self {
            classes,
            summary_bytes,
            segment_bytes: (smallest, dice.pick(&[1, 2, 4]) * smallest),
            tail_bytes: dice.pick(&[0, 1_000, 4_000, 1 << 20]),
            epoch: Epoch::from_bits(seed),
            remembers_all: summary_bytes > 3_000,
        }
    }

    fn start(&self, disk: &SimulatedDisk, seed: u64) -> Life {
        let settings = Settings {
            classes: self.classes.clone(),
            summary_bytes: self.summary_bytes,
            segment_bytes: self.segment_bytes,
            epoch: self.epoch,
            compact: Matchers::default(),
        };
        let store = Arc::new(Store::open(Arc::new(disk.clone()), settings).unwrap());
        let log = Log::on_disk(Arc::clone(&store), Matchers::default(), self.tail_bytes).unwrap();
        let writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
        Life { store, writer, core }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let setup = Setup::new(&mut dice, seed);
        let disk = SimulatedDisk::default();
        let life = setup.start(&disk, seed);
        Self {
            dice,
            disk,
            setup,
            life,
            now: crate::clock::now(),
            now_ms: 1_000_000,
            newest_ms: 0,
            all: BTreeMap::new(),
            skips: Vec::new(),
            drops: 0,
            deletions: Vec::new(),
            readers: Vec::new(),
            cut: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..100 {
            match self.dice.below(12) {
                // what one class keeps of what another has deleted is another matter
                0 if self.setup.classes.len() == 1 && self.dice.one_in(3) => self.delete(),
                0..=2 => self.publish(),
                3 => self.pass_time(),
                4 => self.keep(seen),
                5 if self.dice.one_in(3) => self.restart(seen),
                5 | 6 => self.begin(None, seen),
                7 => self.reconnect(seen),
                _ => self.read(seen),
            }
        }
    }

    fn head(&self) -> u64 {
        self.life.core.log.head()
    }

    fn pass_time(&mut self) {
        let ms = self.dice.pick(&[1, 3, 10, 60]);
        self.now += Duration::from_millis(ms);
        // the wall clock may be set back meanwhile
        self.now_ms = if self.dice.one_in(10) { self.now_ms - 20 } else { self.now_ms + ms };
    }

    /// Several batches, written together.
    fn publish(&mut self) {
        let mut shown = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let number = if self.dice.one_in(20) { 60 } else { 1 + self.dice.below(8) };
            let batch = Batch::new((0..number).map(|_| self.event()).collect(), None);
            let writer = &mut self.life.writer;
            if !writer.make_room(&batch.0).unwrap() {
                writer.write().unwrap();
                self.life.core.log.show(std::mem::take(&mut shown), self.now_ms);
                assert!(writer.make_room(&batch.0).unwrap(), "nothing waits any more");
            }
            let entries = writer.push(batch.0, self.now_ms);
            self.newest_ms = self.newest_ms.max(self.now_ms);
            // a batch is written as one
            let chain = self.life.store.chain_of(entries.iter().flat_map(|entry| &entry.topics));
            for entry in &entries {
                let topics = entry.topics.iter().map(|topic| *TOPICS.iter().find(|name| ***name == **topic).unwrap());
                let topics: Vec<_> = topics.collect();
                let published = Published {
                    topic_bits: topics.iter().fold(0, |bits, topic| bits | crate::model::topic_bits_of(topic)),
                    all_bits: topics.iter().fold(0, |bits, topic| bits | crate::model::topic_bits_of(topic)),
                    topics,
                    id: entry.event_id(self.setup.epoch).to_string(),
                    time_ms: self.newest_ms,
                    even: entry.event().data_str().starts_with("true"),
                    chain,
                    gone_at: None,
                };
                self.all.insert(entry.sequence, published);
            }
            shown.extend(entries);
        }
        self.life.writer.write().unwrap();
        let number = shown.len();
        self.life.core.log.show(shown, self.now_ms);
        self.life.core.has_appended(number);
        assert_eq!(self.head(), self.life.writer.head());
    }

    fn delete(&mut self) {
        let topic = self.dice.pick(&TOPICS);
        let bits = crate::model::topic_bits_of(topic);
        let topic = Topic::new(topic).unwrap();
        let known = self.life.core.log.newest_of(&topic).unwrap();
        let at = self.head() + 1;
        let mut last = 0;
        for (sequence, entry) in self.all.iter_mut().filter(|(_, entry)| entry.topic_bits & bits != 0) {
            // what is gone may be in a page that was read before
            entry.topic_bits &= !bits;
            last = if entry.gone_at.is_none() { *sequence } else { last };
        }
        if last > 0 {
            self.deletions.push(Deletion { topic_bits: bits, last, at });
        }
        let batch = Batch::deletion(topic, known);
        assert!(self.life.writer.make_room(&batch.0).unwrap(), "nothing waits");
        let entries = self.life.writer.push(batch.0, self.now_ms);
        self.newest_ms = self.newest_ms.max(self.now_ms);
        let (time_ms, even) = (self.newest_ms, false);
        let id = entries[0].event_id(self.setup.epoch).to_string();
        let place =
            Published { topics: Vec::new(), topic_bits: 0, all_bits: 0, id, time_ms, even, chain: 0, gone_at: None };
        self.all.insert(at, place);
        self.life.writer.write().unwrap();
        self.life.core.log.show(entries, self.now_ms);
        self.life.core.has_appended(0);
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
        for deletion in self.deleted_behind(reader.has, end, &reader.matchers) {
            let known = deletion.at <= reader.deletions_known || reader.deleted.contains(&deletion.at);
            // the filter may have passed over it before
            assert!(known || reader.only_even, "{} was deleted without a word", deletion.last);
        }
    }

    fn event(&mut self) -> Publish {
        let few = self.dice.one_in(3);
        let topics: &[&str] = if few { &TOPICS[..2] } else { &TOPICS };
        let even = self.dice.one_in(2);
        let data = format!("{even}{}", "x".repeat(self.dice.pick(&[0, 10, 500])));
        let mut event = Event::data(data);
        if self.dice.one_in(6) {
            event = event.id(format!("p{}", self.dice.below(1 << 40))).unwrap();
        }
        let first = self.dice.pick(topics);
        let mut publish = Publish::new(Topic::new(first).unwrap(), event);
        let second = self.dice.pick(topics);
        if second != first && self.dice.one_in(4) {
            publish = publish.topic(Topic::new(second).unwrap());
        }
        publish
    }

    /// What the keeper does, and the writer while nothing is published.
    fn keep(&mut self, seen: &mut Seen) {
        if self.dice.one_in(2) {
            self.life.writer.leave_old_segments(self.now_ms).unwrap();
        }
        let drops = self.life.store.drops();
        self.life.store.keep(self.now_ms, &Keeping(&self.life.core)).unwrap();
        if self.life.store.drops() == drops {
            return;
        }
        self.drops += 1;
        seen.drops += 1;
        let firsts = self.life.store.firsts();
        for (sequence, entry) in &mut self.all {
            let is_gone = *sequence < firsts[entry.chain];
            assert!(is_gone || entry.gone_at.is_none(), "{sequence} came back");
            if is_gone {
                entry.gone_at.get_or_insert(self.drops);
            }
        }
    }

    fn restart(&mut self, seen: &mut Seen) {
        let mut stopped = std::mem::take(&mut self.readers);
        stopped.retain_mut(|reader| reader.subscriber.take().is_some() && reader.last_id.is_some());
        self.cut.extend(stopped);
        let how = self.dice.below(3);
        let head = self.head();
        if how == 0 {
            self.life.writer.stop().unwrap();
        }
        self.disk = match how {
            2 => self.disk.after_a_power_cut(&mut self.dice),
            _ if self.dice.one_in(2) => self.disk.after_a_power_cut(&mut self.dice),
            _ => self.disk.after_a_kill(),
        };
        seen.restarts[how as usize] += 1;
        let firsts = self.life.store.firsts();
        self.life = self.setup.start(&self.disk, self.dice.below(1 << 40));
        assert_eq!(self.life.store.firsts(), firsts, "something has gone, or come back, with a restart");
        let newest = self.all.last_key_value().map_or(0, |(newest, _)| *newest);
        if how == 0 {
            assert_eq!(self.head(), head, "a clean stop skips no number");
        }
        if self.head() > newest + 1 && how != 0 {
            self.skips.push((newest.max(head) + 1, self.head() - 1));
        }
        self.everything_is_there();
    }

    /// All that was acknowledged and has not left is there.
    fn everything_is_there(&self) {
        let kept = self.life.store.kept();
        let expected = self.all.values().filter(|entry| entry.gone_at.is_none()).count();
        assert_eq!(kept.entries, expected);
    }

    fn find(&self, id: &str) -> Result<u64, Reason> {
        match Position::parse(id) {
            Ok(position) if position.epoch != self.setup.epoch => Err(Reason::Epoch),
            Ok(position) if position.sequence > self.head() => Err(Reason::Unknown),
            Ok(position) => Ok(position.sequence),
            Err(_) => {
                let mut kept = self.all.iter().filter(|(_, entry)| entry.gone_at.is_none());
                kept.find(|(_, entry)| entry.id == id).map(|(sequence, _)| *sequence).ok_or(Reason::Unknown)
            }
        }
    }

    fn random_id(&mut self) -> String {
        let epoch = self.setup.epoch;
        let sequence = self.dice.below(self.head() + 3);
        let skipped = self.skips.len() as u64;
        match self.dice.below(12) {
            0 => "made up".into(),
            1 => Position { epoch: Epoch::from_bits(7 << 20), sequence }.to_string(),
            2 | 3 if skipped > 0 => {
                let (first, last) = self.skips[self.dice.below(skipped) as usize];
                let sequence = self.dice.pick(&[first - 1, first, last, last + 1]);
                Position { epoch, sequence }.to_string()
            }
            4..=8 if !self.all.is_empty() => {
                let at = self.dice.below(self.all.len() as u64) as usize;
                let (sequence, entry) = self.all.iter().nth(at).unwrap();
                match self.dice.one_in(3) {
                    true => entry.id.clone(),
                    false => Position { epoch, sequence: *sequence }.to_string(),
                }
            }
            _ if self.ids.is_empty() => Position { epoch, sequence: 0 }.to_string(),
            _ => self.ids[self.dice.below(self.ids.len() as u64) as usize].clone(),
        }
    }

    fn reconnect(&mut self, seen: &mut Seen) {
        let from = if self.cut.is_empty() { &mut self.readers } else { &mut self.cut };
        if from.is_empty() {
            return;
        }
        let at = self.dice.below(from.len() as u64) as usize;
        let reader = from.swap_remove(at);
        self.begin(Some(&reader), seen);
    }

    /// Begins a stream somewhere, or goes on with one that was cut.
    fn begin(&mut self, cut: Option<&Reader>, seen: &mut Seen) {
        let resumed = cut.and_then(|reader| reader.last_id.clone());
        let mut matchers = vec![self.dice.pick(&MATCHERS)];
        while self.dice.one_in(3) {
            matchers.push(self.dice.pick(&MATCHERS));
        }
        let mut only_even = self.dice.one_in(6);
        if let Some(cut) = cut {
            matchers.clone_from(&cut.matchers);
            only_even = cut.only_even;
        }
        let slow = self.dice.pick(&[SlowPolicy::Disconnect, SlowPolicy::Skip]);
        let mut subscribe = Subscribe::<Event>::new(Arc::clone(&self.life.core)).slow(slow);
        subscribe = matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and(*matcher));
        subscribe = match self.dice.below(3) {
            0 => subscribe.keep_alive(Duration::ZERO),
            _ => subscribe.keep_alive(Duration::from_millis(5)),
        };
        if only_even {
            subscribe = subscribe.filter(|event: &Event| event.data_str().starts_with("true"));
        }
        let (kind, number) = (self.dice.below(7), self.dice.below(30) as usize);
        let time_ms = self.now_ms.saturating_sub(self.dice.below(80));
        let id = resumed.clone().unwrap_or_else(|| self.random_id());
        subscribe = match kind {
            _ if resumed.is_some() => subscribe.earliest().resume(LastEventId::new(id.as_str())),
            0 => subscribe,
            1 => subscribe.earliest(),
            2 => subscribe.last(number),
            3 => subscribe.since(UNIX_EPOCH + Duration::from_millis(time_ms), "then"),
            _ => subscribe.since_id(&id),
        };
        let poll = self.dice.one_in(5);
        if poll {
            subscribe = subscribe.poll();
        }
        let subscriber = subscribe.begin(self.now, self.now_ms).unwrap();
        seen.begins += 1;

        let resumes = resumed.is_some() && self.find(&id).is_ok_and(|after| !self.is_skipped(after))
            || resumed.is_none()
                && (kind == 3 || kind > 3 && self.find(&id).is_ok_and(|after| !self.is_skipped(after)));
        let (has, due) = match kind {
            0..=3 if resumed.is_none() => self.expected_start(kind, number, time_ms, &matchers),
            _ => match self.find(&id) {
                Ok(after) if self.is_skipped(after) => (after, self.due(Reason::Crash, true, &id, after, &matchers)),
                Ok(after) => (after, self.due(Reason::Expired, false, &id, after, &matchers)),
                Err(reason) => (0, self.due(reason, true, &id, 0, &matchers)),
            },
        };
        if let (Some(cut), Ok(after)) = (cut, self.find(&id)) {
            if resumed.is_some() && matches!(cut.begun, Begun::Said) {
                let between =
                    |after, end| self.matching(after, end, &matchers).filter(|at| self.passes(*at, only_even));
                assert_eq!(between(cut.has, after).count(), 0, "{id} skips what its reader has not got");
                assert_eq!(between(after, cut.has).count(), 0, "{id} repeats what its reader has got");
            }
        }
        let reader = Reader {
            subscriber: Some(subscriber),
            matchers,
            only_even,
            slow,
            has,
            knows: self.drops,
            deletions_known: if resumes { 0 } else { self.head() },
            deleted: Vec::new(),
            page_of: None,
            until: poll.then(|| self.head()),
            last_id: resumed,
            begun: Begun::Open(due),
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

    /// Where a stream begins that does not resume by an id, and what it has to say first.
    fn expected_start(&self, kind: u64, number: usize, time_ms: u64, matchers: &[&'static str]) -> (u64, Option<Due>) {
        let kept = |sequence: &u64| self.all[sequence].gone_at.is_none();
        match kind {
            0 => (self.head(), None),
            1 => (0, None),
            2 => {
                let mut newest: Vec<u64> = self.matching(0, self.head(), matchers).filter(kept).collect();
                let surplus = newest.len().saturating_sub(number);
                newest.drain(..surplus);
                (newest.first().map_or_else(|| self.head(), |first| first - 1), None)
            }
            _ => {
                let earlier = self.all.iter().rev().find(|(_, entry)| entry.time_ms < time_ms);
                let after = earlier.map_or(0, |(sequence, _)| *sequence);
                (after, self.due(Reason::Expired, false, "then", after, matchers))
            }
        }
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        self.skips.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// What a stream that begins behind `after` has to say, or may; with `must` whatever is gone.
    fn due(&self, reason: Reason, must: bool, requested: &str, after: u64, matchers: &[&str]) -> Option<Due> {
        let is_gone = |entry: &Published| entry.gone_at.is_some();
        let bits = topic_bits(matchers);
        let missed =
            self.all.range(after + 1..).filter(|(_, entry)| entry.all_bits & bits != 0 && is_gone(entry)).count();
        let may = self.all.range(after + 1..).any(|(_, entry)| entry.gone_at.is_some());
        if !must && missed == 0 && (self.setup.remembers_all || !may) {
            return None;
        }
        let by_id = reason == Reason::Expired && requested != "then";
        let missed_any = missed > 0;
        Some(Due {
            reason,
            must: must || missed_any,
            requested: requested.to_owned(),
            missed: (by_id && missed_any).then_some(missed as u64),
            countable: by_id && self.is_countable(after, matchers),
            hidden: missed_any
                && !self.all.range(after + 1..).any(|(_, entry)| entry.topic_bits & bits != 0 && is_gone(entry)),
            first: self.first_behind(after, matchers),
            head: self.head(),
            at: self.drops,
        })
    }

    fn first_behind(&self, after: u64, matchers: &[&str]) -> Option<u64> {
        self.matching(after, self.head(), matchers).find(|at| self.is_readable(*at, self.drops))
    }

    /// Is it known how many are missing behind this place? Of one topic from before the first that is gone.
    fn is_countable(&self, after: u64, matchers: &[&str]) -> bool {
        let [only] = matchers else { return false };
        let is_exact = !only.contains('*');
        self.setup.remembers_all
            && is_exact
            && !self.all.range(..=after).any(|(_, entry)| entry.all_bits & topic_bits(matchers) != 0)
    }

    fn read(&mut self, seen: &mut Seen) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.dice.below(self.readers.len() as u64) as usize;
        for _ in 0..=self.dice.below(8) {
            if at >= self.readers.len() || !self.poll(at, seen) {
                break;
            }
        }
    }

    /// One turn of a stream. False when there is no point in another.
    fn poll(&mut self, at: usize, seen: &mut Seen) -> bool {
        let mut reader = self.readers.swap_remove(at);
        let mut out = Vec::new();
        let bell = Arc::new(Bell::default());
        let subscriber = reader.subscriber.as_mut().expect("it is open");
        let turn = subscriber.poll(self.now, &Waker::from(Arc::clone(&bell)), &mut out);
        assert_eq!(turn == Turn::Deliver, !out.is_empty());
        // what it says now it read before
        let view = reader.page_of.take().unwrap_or(self.drops);
        seen.in_flight += u64::from(view != self.drops);
        let is_fetching = subscriber.is_fetching();
        if is_fetching {
            while !subscriber.has_fetched() {
                bell.wait();
            }
            reader.page_of = Some(self.drops);
        }
        for output in out {
            self.check(&mut reader, output, view, seen);
        }
        let next = self.next(&reader, view);
        match turn {
            Turn::Deliver | Turn::Yield => {}
            Turn::Wait(_) if is_fetching => {}
            Turn::Wait(_) => {
                assert_eq!(next, None, "sleeps with something to read");
                self.has_been_told(&reader, self.head());
            }
            Turn::End => {
                let complete = reader.until.is_some_and(|until| next.is_none_or(|next| next > until));
                let behind = reader.slow == SlowPolicy::Disconnect && self.may_have_lost(&reader, view);
                assert!(complete || behind, "ended for no reason behind {}", reader.has);
                seen.behind += u64::from(behind && !complete);
                // its reader comes back, or it is forgotten
                if self.dice.one_in(2) {
                    self.begin(Some(&reader), seen);
                }
                return false;
            }
        }
        self.readers.push(reader);
        let last = self.readers.len() - 1;
        self.readers.swap(at, last);
        !matches!(turn, Turn::Wait(_)) || is_fetching && !self.dice.one_in(5)
    }

    /// Entries behind the reader that have left since it began, or since it was told last; also those that had been deleted.
    fn losses<'a>(&'a self, reader: &'a Reader, view: u64) -> impl Iterator<Item = u64> + 'a {
        let bits = topic_bits(&reader.matchers);
        let front = self.life.core.log.front().max(reader.has + 1);
        let gone = self.all.range(reader.has + 1..front).filter(move |(_, entry)| {
            entry.all_bits & bits != 0 && entry.gone_at.is_some_and(|at| at > reader.knows && at <= view)
        });
        gone.map(|(sequence, _)| *sequence)
    }

    fn may_have_lost(&self, reader: &Reader, view: u64) -> bool {
        let left = |after| self.all.values().any(|entry| entry.gone_at.is_some_and(|at| at > after));
        self.losses(reader, view).next().is_some()
            || (!self.setup.remembers_all && left(0))
            // what another class lost long ago is told again with what this one loses now
            || (self.setup.classes.len() > 1 && left(reader.knows))
    }

    fn check(&mut self, reader: &mut Reader, output: Output, view: u64, seen: &mut Seen) {
        let id = |sequence| Position { epoch: self.setup.epoch, sequence }.to_string();
        match output {
            Output::Open { cursor, .. } => match (&reader.begun, cursor) {
                (Begun::Open(Some(due)), None) => assert!(due.must || !self.setup.remembers_all),
                (Begun::Open(due), Some(cursor)) => {
                    assert!(due.as_ref().is_none_or(|due| !due.must), "a gap is due before the stream has a place");
                    let next = self.next(reader, view);
                    reader.has = cursor;
                    assert_eq!(self.next(reader, view), next, "begins at {cursor}");
                    reader.begun = Begun::Said;
                    self.told(reader, id(cursor));
                }
                (Begun::Open(None), None) => panic!("a gap that nobody needs"),
                (Begun::Said, _) => panic!("opened twice"),
            },
            Output::Gap(gap) if gap.reason == Reason::Deleted => {
                assert!(matches!(reader.begun, Begun::Said));
                self.check_deleted(reader, &gap, seen);
                self.told(reader, gap.position.to_string());
            }
            Output::Gap(gap) => {
                let due = match std::mem::replace(&mut reader.begun, Begun::Said) {
                    Begun::Open(due) => {
                        seen.gaps += 1;
                        seen.deleted_and_gone += u64::from(due.as_ref().is_some_and(|due| due.hidden));
                        due.expect("a gap that nobody needs")
                    }
                    Begun::Said => self.due_now(reader, &gap, view, seen),
                };
                self.check_gap(&gap, &due, reader, seen);
                reader.has = gap.position.sequence;
                self.told(reader, gap.position.to_string());
            }
            Output::Entry(entry) => {
                assert_eq!(self.next(reader, view), Some(entry.sequence), "behind {}", reader.has);
                assert!(matches!(reader.begun, Begun::Said));
                self.has_been_told(reader, entry.sequence - 1);
                let expected = &self.all[&entry.sequence];
                assert_eq!((entry.time_ms, &*entry.event_id(self.setup.epoch)), (expected.time_ms, &*expected.id));
                assert!(entry.topics.iter().map(|topic| &**topic).eq(expected.topics.iter().copied()));
                assert_eq!(entry.event().data_str().starts_with("true"), expected.even);
                let id = expected.id.clone();
                reader.has = entry.sequence;
                seen.entries += 1;
                seen.from_disk += u64::from(entry.sequence < self.life.core.log.front());
                self.told(reader, id);
            }
            Output::KeepAlive(Some(cursor)) => {
                assert_eq!(self.next(reader, view).filter(|next| *next <= cursor), None, "passed unread entries");
                assert!(cursor <= self.head());
                self.has_been_told(reader, cursor);
                reader.has = reader.has.max(cursor);
                self.told(reader, id(cursor));
            }
            Output::KeepAlive(None) => {}
        }
    }

    /// A reader is told that what it should have had was deleted.
    fn check_deleted(&self, reader: &mut Reader, gap: &Gap, seen: &mut Seen) {
        seen.deleted += 1;
        let place = gap.position.sequence;
        // the last one may just have come, as one of another topic
        let has = reader.has.saturating_sub(1);
        let told = self.deleted_behind(has, place, &reader.matchers).map(|deletion| deletion.at);
        let told: Vec<_> = told.filter(|at| *at > reader.deletions_known && !reader.deleted.contains(at)).collect();
        assert!(!told.is_empty(), "nothing was deleted up to {place}");
        reader.deleted.extend(told);
        // what has left since is in the gap as well
        assert!(self.next(reader, self.drops).is_none_or(|next| next > place), "passes unread entries");
        reader.has = place;
    }

    /// What a reader has to be told that has fallen behind.
    fn due_now(&self, reader: &mut Reader, gap: &Gap, view: u64, seen: &mut Seen) -> Due {
        seen.policy += 1;
        assert_eq!(reader.slow, SlowPolicy::Skip);
        let cursor = Position::parse(&gap.requested).unwrap().sequence;
        assert!(self.next(reader, view).is_none_or(|next| next > cursor), "passed unread entries");
        let missed = self.losses(reader, view).count() as u64;
        assert!(missed > 0 || self.may_have_lost(reader, view), "nothing is missing");
        reader.knows = view;
        reader.has = cursor;
        // more may have left since it was found out
        let missed = (view == self.drops).then_some(missed);
        let (reason, requested) = (Reason::Policy, gap.requested.clone());
        seen.exact_policy += u64::from(gap.missed.is_some());
        let first = self.first_behind(cursor, &reader.matchers);
        Due {
            reason,
            must: true,
            requested,
            missed,
            countable: false,
            hidden: false,
            first,
            head: self.head(),
            at: self.drops,
        }
    }

    fn check_gap(&self, gap: &Gap, due: &Due, reader: &Reader, seen: &mut Seen) {
        assert_eq!((gap.reason, &gap.requested), (due.reason, &due.requested));
        match (gap.missed, due.missed) {
            (Some(_), _) if reader.only_even => panic!("nobody knows what the filter would have said"),
            (Some(told), Some(missed)) => {
                assert_eq!(told, missed, "{gap:?} {:?} knows {}", reader.matchers, reader.knows);
                seen.exact += u64::from(gap.reason == Reason::Expired);
            }
            (Some(told), None) => panic!("{told} missed, says who?"),
            (None, missed) => assert!(!due.countable || reader.only_even || missed.is_none(), "{missed:?} are missed"),
        }
        seen.crash += u64::from(gap.reason == Reason::Crash);
        let Due { first, head, .. } = *due;
        let expected = first.map_or(head, |first| first - 1);
        if !self.deletions.is_empty() && gap.oldest.is_none() && gap.position.sequence <= expected {
            return; // it was not looked for to the end
        }
        assert_eq!(gap.position.sequence, expected, "{gap:?} {:?}", reader.matchers);
        let oldest = first.map(|first| match reader.only_even {
            true => Position { epoch: self.setup.epoch, sequence: first }.to_string(),
            false => self.all[&first].id.clone(),
        });
        assert_eq!(gap.oldest.as_deref(), oldest.as_deref());
        let mut missing = self.matching(gap.position.sequence, self.head(), &reader.matchers);
        if missing.any(|at| self.all[&at].gone_at.is_some()) {
            // another class has kept what is older than what this one has lost
            seen.uneven += 1;
        } else if self.setup.remembers_all && due.at == self.drops {
            self.is_told_once(gap, reader);
        }
    }

    /// Whoever has the gap's id resumes without a word, if nothing else leaves the history meanwhile.
    fn is_told_once(&self, gap: &Gap, reader: &Reader) {
        let subscribe = Subscribe::<Event>::new(Arc::clone(&self.life.core)).since_id(&gap.position.to_string());
        let subscribe = reader.matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and(*matcher));
        let mut again = subscribe.begin(self.now, 0).unwrap();
        let mut out = Vec::new();
        again.poll(self.now, Waker::noop(), &mut out);
        assert!(matches!(out[..], [Output::Open { cursor: Some(_), .. }]), "the gap is told twice");
    }

    fn told(&mut self, reader: &mut Reader, id: String) {
        self.ids.push(id.clone());
        reader.last_id = Some(id);
    }

    fn passes(&self, sequence: u64, only_even: bool) -> bool {
        !only_even || self.all[&sequence].even
    }

    /// Could it be read when something had left the disk so often?
    fn is_readable(&self, sequence: u64, view: u64) -> bool {
        self.all[&sequence].gone_at.is_none_or(|at| at > view) || sequence >= self.life.core.log.front()
    }

    /// Entries behind `after`, up to `end`, that match.
    fn matching(&self, after: u64, end: u64, matchers: &[&str]) -> impl Iterator<Item = u64> + '_ {
        let bits = topic_bits(matchers);
        let behind = self.all.range(after + 1..=end.max(after + 1));
        behind.filter(move |(sequence, entry)| **sequence <= end && entry.topic_bits & bits != 0).map(|(at, _)| *at)
    }

    /// The next entry that the stream has to deliver.
    fn next(&self, reader: &Reader, view: u64) -> Option<u64> {
        let wanted = |at: &u64| self.passes(*at, reader.only_even) && self.is_readable(*at, view);
        let next = self.matching(reader.has, self.head(), &reader.matchers).find(wanted);
        next.filter(|next| reader.until.is_none_or(|until| *next <= until))
    }
}
