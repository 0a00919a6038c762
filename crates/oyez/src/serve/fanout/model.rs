//! The readers of one hub without sockets: turns, visits and cut writes in random order, held against what each should have.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oyez_proto::Event;
use slab::Slab;

use super::framing::Framing;
use super::groups::Groups;
use super::run::Next;
use super::stream_id::StreamKey;
use crate::Topic;
use crate::core::Core;
use crate::format::Format;
use crate::limits::Limits;
use crate::limits::serve::RUN_BYTES;
use crate::log::{Behind, Bounds, Entry, Log, Read, Retained, Retention};
use crate::matcher::{Matcher, Matchers, selects};
use crate::position::Epoch;
use crate::random::Random;
use crate::readable::{PUBLIC, Readable};
use crate::submission::Submission;

const TOPICS: [&str; 4] = ["a", "b", "c/1", "c/2"];
const SUBSCRIPTIONS: [&[&str]; 5] = [&["a"], &["a", "b"], &["*"], &["c/*"], &["c/1", "c/*"]];
/// More than a group keeps runs apart for.
const GRANTS: [&[&str]; 12] = [
    &[],
    &["*"],
    &["a"],
    &["b"],
    &["c/1"],
    &["c/*"],
    &["a", "b"],
    &["a", "c/2"],
    &["b", "c/*"],
    &["a", "c/*"],
    &["b", "c/1"],
    &["elsewhere"],
];

/// A reader without a socket: what it was sent, and how far its cursor came.
struct Member {
    matchers: Arc<Matchers>,
    group: u32,
    place: u32,
    begun: u64,
    cursor: u64,
    /// Which of [`GRANTS`] it has.
    grant: usize,
    readable: Readable,
    framing: Framing,
    bytes: Vec<u8>,
    /// When its bytes up to here were sent.
    times: Vec<(usize, u64)>,
    told: u64,
}

struct World {
    groups: Groups,
    random: Random,
    members: Slab<Member>,
    /// Those who come back, and are not at the tail yet.
    behind: Vec<Member>,
    entries: Vec<Arc<Entry>>,
    now_ms: u64,
    /// Some entries are private.
    privacy: bool,
    /// Private entries held against what a reader got, or did not.
    verified: Cell<usize>,
    made: RefCell<HashMap<Made, Bytes>>,
}

/// An entry in a format, and for whose grant if it is private.
type Made = (u64, Framing, Option<usize>);

/// An entry as it is to come to a socket, with these of its topics.
fn bytes(entry: &Entry, topics: &[Topic], framing: Framing) -> Bytes {
    match framing.format {
        Format::Sse => framing.frame(entry.frame()),
        Format::Envelope => framing.frame(&entry.envelope(Epoch::from_bits(1), topics)),
        Format::Ndjson => framing.frame(&entry.line(Epoch::from_bits(1), topics)),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let log = Log::new(Epoch::from_bits(1), Retention::default(), Bounds::default(), Matchers::default());
        log.clock.set(1);
        let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
        Self {
            groups: Groups::new(core),
            random: Random::from_seed(seed),
            members: Slab::new(),
            behind: Vec::new(),
            entries: Vec::new(),
            now_ms: 1,
            privacy: seed % 2 == 1,
            verified: Cell::new(0),
            made: RefCell::default(),
        }
    }

    fn below(&self, number: usize) -> usize {
        self.random.within(0..=number as u64 - 1) as usize
    }

    fn publish(&mut self) {
        let topic = Topic::new(TOPICS[self.below(TOPICS.len())]).unwrap();
        // now and then one that fills a run by itself
        let length = if self.below(40) == 0 { RUN_BYTES + 100 } else { self.below(300) };
        let mut publish = Submission::new(topic, Event::data("x".repeat(length)));
        while self.below(3) == 0 {
            publish = publish.topic(Topic::new(TOPICS[self.below(TOPICS.len())]).unwrap());
        }
        if self.privacy && self.below(2) == 0 {
            publish = publish.private();
        }
        if self.below(4) == 0 {
            publish = publish.ttl(Duration::from_millis(1 + self.below(5) as u64)).unwrap();
        }
        if self.below(4) == 0 {
            self.now_ms += 1;
            self.groups.core.log.clock.set(self.now_ms);
        }
        self.groups.core.append(vec![publish], None, self.now_ms).unwrap();
        let followed = self.entries.len() as u64;
        self.groups.core.log.follow(followed, 1, &mut self.entries);
    }

    fn come(&mut self) {
        let mut matchers = Matchers::default();
        for text in SUBSCRIPTIONS[self.below(SUBSCRIPTIONS.len())] {
            matchers.push(text.parse::<Matcher>().unwrap());
        }
        let format = *[Format::Envelope, Format::Ndjson].get(self.below(8)).unwrap_or(&Format::Sse);
        let bare = format != Format::Ndjson && self.below(3) == 0;
        let framing = Framing { format, chunked: self.below(3) > 0, bare };
        let grant = self.below(GRANTS.len());
        let readable = Readable::of(GRANTS[grant].iter().map(|text| text.parse().unwrap()));
        let group = self.groups.enter(&Arc::new(matchers), framing);
        let matchers = Arc::clone(self.groups.group(group).matchers());
        // they may have been followed further, or not as far
        let head = self.groups.core.log.head();
        let cursor = if self.below(2) == 0 { head } else { self.random.within(0..=head) };
        let (bytes, times) = (Vec::new(), Vec::new());
        self.behind.push(Member {
            matchers,
            group,
            place: 0,
            begun: cursor,
            cursor,
            grant,
            readable,
            framing,
            bytes,
            times,
            told: 0,
        });
    }

    /// One visit of a stream that is behind, as the thread makes it: at the tail it joins its group.
    fn catch_up(&mut self) {
        if self.behind.is_empty() {
            return;
        }
        let mut member = self.behind.swap_remove(self.below(self.behind.len()));
        let (group, written) = (member.group, self.random.next());
        let core = Arc::clone(&self.groups.core);
        let readable = member.readable.clone();
        let next = self.groups.next(group, member.cursor, || &readable);
        let at_tail = match &next {
            Next::Run(run) => !run.full,
            Next::Nothing(_) => true,
            Next::Skipped(_) | Next::Lost => false,
        };
        let whole = member.take(&next, written, &core.log, self.now_ms);
        self.groups.note_visit(group);
        if self.below(3) > 0 {
            self.groups.settle();
        }
        if !(at_tail && whole) {
            self.behind.push(member);
            return;
        }
        let cursor = member.cursor;
        let key = self.members.insert(member) as StreamKey;
        self.members[key as usize].place = self.groups.group_mut(group).join(key);
        if self.groups.group(group).head > cursor {
            self.groups.turn_again(group);
        }
    }

    fn leave(&mut self) {
        let keys: Vec<usize> = self.members.iter().map(|(key, _)| key).collect();
        if keys.is_empty() {
            return;
        }
        let member = self.members.remove(keys[self.below(keys.len())]);
        if let Some(moved) = self.groups.group_mut(member.group).part(member.place) {
            self.members[moved as usize].place = member.place;
        }
        self.groups.leave(member.group);
        self.verify(&member, None);
    }

    /// One visit, as the thread makes it; its write may be cut short, and the rest comes at once.
    fn visit(&mut self) -> bool {
        self.groups.follow();
        let Some(group) = self.groups.front() else { return false };
        let Some(key) = self.groups.next_member(group) else {
            self.groups.end_turn(group);
            return true;
        };
        let written = self.random.next();
        let member = &mut self.members[key as usize];
        if member.cursor >= self.groups.group(group).head {
            return true;
        }
        let (core, now_ms) = (Arc::clone(&self.groups.core), self.now_ms);
        let readable = member.readable.clone();
        member.take(&self.groups.next(group, member.cursor, || &readable), written, &core.log, now_ms);
        if member.cursor < self.groups.group(group).head {
            self.groups.turn_again(group);
        }
        true
    }

    /// Topics end one by one; whose all have is done, and nobody else is.
    fn end_topics(&mut self, order: &mut Random) {
        let mut open = TOPICS.to_vec();
        while !open.is_empty() {
            let topic = open.swap_remove(order.within(0..=open.len() as u64 - 1) as usize);
            self.groups.core.append(vec![Submission::end(Topic::new(topic).unwrap())], None, 0).unwrap();
            let followed = self.entries.len() as u64;
            self.groups.core.log.follow(followed, 1, &mut self.entries);
            while self.visit() {}
            for (_, member) in &self.members {
                let reads_open = open.iter().any(|topic| member.matchers.matches(&Topic::new(topic).unwrap()));
                let done = member.matchers.is_exact() && !reads_open;
                assert_eq!(self.groups.group(member.group).is_finished(member.cursor), done, "{:?}", member.matchers);
                self.verify(member, Some(self.groups.core.log.head()));
            }
        }
    }

    /// An entry as a member is to get it, made once for all whom it concerns.
    fn bytes_for(&self, member: &Member, entry: &Entry) -> Bytes {
        if member.framing.format == Format::Sse {
            return bytes(entry, &[], member.framing);
        }
        let name = (entry.sequence, member.framing, entry.private.then_some(member.grant));
        let make = || bytes(entry, &member.topics_of(entry), member.framing);
        self.made.borrow_mut().entry(name).or_insert_with(make).clone()
    }

    /// It got what matches, up to its cursor or to `upto`, in order and once.
    fn verify(&self, member: &Member, upto: Option<u64>) {
        self.verified.set(self.verified.get() + self.entries.iter().filter(|entry| entry.private).count());
        let upto = upto.unwrap_or(member.cursor);
        let due = |entry: &&Arc<Entry>| {
            let matches = entry.topics.iter().any(|topic| member.matchers.matches(topic));
            let passes = member.is_sent(entry);
            matches && passes && entry.sequence > member.begun && entry.sequence <= upto
        };
        let mut expected = Vec::new();
        let mut last = 0;
        for entry in self.entries.iter().filter(due) {
            let bytes = self.bytes_for(member, entry);
            let place = expected.len();
            if let Some(expires_ms) = entry.expires_ms() {
                if !member.bytes[place..].starts_with(&bytes) {
                    assert!(expires_ms <= self.now_ms, "it can still be read");
                    continue;
                }
                let sent = member.times.iter().find(|(end, _)| *end > place).map(|(_, time)| *time);
                assert!(sent < Some(expires_ms), "it was sent when it had expired");
            }
            expected.extend_from_slice(&bytes);
            last = entry.sequence;
        }
        assert_eq!(member.bytes, expected);
        assert_eq!(member.told, last);
    }
}

impl Member {
    /// Does its grant select the topic, by the texts of both?
    fn may_know(&self, topic: &str) -> bool {
        GRANTS[self.grant].iter().any(|text| selects(text, topic))
    }

    fn may_have(&self, entry: &Entry) -> bool {
        !entry.private || entry.topics.iter().any(|topic| self.may_know(topic))
    }

    /// Is it to get the entry? Who reads a bare stream gets no end.
    fn is_sent(&self, entry: &Entry) -> bool {
        self.may_have(entry) && !(self.framing.bare && entry.ended_topic().is_some())
    }

    /// What it is to be told of an entry's topics.
    fn topics_of(&self, entry: &Entry) -> Vec<Topic> {
        entry.topics.iter().filter(|topic| !entry.private || self.may_know(topic)).cloned().collect()
    }

    /// A write of one in four is cut short at a place that `written` says, and the rest comes at once. True when it was not.
    /// What its group does not say it looks for itself.
    fn take(&mut self, next: &Next<'_>, written: u64, log: &Log, now_ms: u64) -> bool {
        let whole = self.take_bytes(next, written, log);
        self.times.push((self.bytes.len(), now_ms));
        whole
    }

    fn take_bytes(&mut self, next: &Next<'_>, written: u64, log: &Log) -> bool {
        match next {
            Next::Run(run) => {
                // what a line of JSON adds is less than an entry costs otherwise
                let bound = if self.framing.format == Format::Sse { 2 * RUN_BYTES + 1_000 } else { 4 * RUN_BYTES };
                assert!(run.bytes.len() <= bound);
                let whole = written % 4 > 0;
                let written = if whole { run.bytes.len() } else { (written / 4) as usize % (run.bytes.len() + 1) };
                let sent = run.sent(written);
                self.bytes.extend_from_slice(&run.bytes[..written]);
                self.bytes.extend_from_slice(&sent.rest);
                self.cursor = sent.cursor;
                self.told = sent.told.unwrap_or(self.told);
                return whole;
            }
            Next::Nothing(cursor) | Next::Skipped(cursor) => self.cursor = *cursor,
            Next::Lost => {
                let page = Retained { entries: 64, bytes: 32 << 10 };
                let read = log.read_tail(page, Behind { cursor: self.cursor, known: 0 }, &self.matchers);
                let Some(Read { entries, cursor, .. }) = read else { panic!("nothing is dropped here") };
                let expired = log.expired(&entries, &self.matchers);
                assert!(expired.contains(&true), "nothing has expired here");
                let told = entries.iter().zip(expired).filter(|(entry, expired)| !expired && self.is_sent(entry));
                let told: Vec<_> = told
                    .map(|(entry, _)| (bytes(entry, &self.topics_of(entry), self.framing), entry.sequence))
                    .collect();
                for (bytes, sequence) in told {
                    self.bytes.extend_from_slice(&bytes);
                    self.told = sequence;
                }
                self.cursor = cursor;
            }
        }
        true
    }
}

#[test]
fn each_member_gets_what_matches_in_order_and_once_however_writes_are_cut_and_turns_fall() {
    let mut verified = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            match world.below(12) {
                0 => world.come(),
                1 if world.below(3) == 0 => world.leave(),
                1..=4 => world.publish(),
                5..=7 => world.catch_up(),
                _ => {
                    world.visit();
                }
            }
        }
        for steps in 0.. {
            world.catch_up();
            if world.behind.is_empty() {
                break;
            }
            assert!(steps < 10_000, "never at the tail, seed {seed}");
        }
        let mut visits = 0;
        while world.visit() {
            // also in the middle of the last turn, behind which nothing comes that would mend it
            if world.below(10) == 0 {
                world.leave();
            }
            visits += 1;
            assert!(visits < 100_000, "turns without end, seed {seed}");
        }
        let head = world.groups.core.log.head();
        for (_, member) in &world.members {
            world.verify(member, Some(head));
        }
        world.end_topics(&mut Random::from_seed(seed));
        while !world.members.is_empty() {
            world.leave();
        }
        assert!(world.groups.is_empty(), "seed {seed}");
        verified += world.verified.get();
    }
    assert!(verified > 100_000, "private entries and readers tried: {verified}");
}

#[test]
fn what_was_deleted_is_handed_to_nobody_whatever_was_made_of_it_before() {
    let mut world = World::new(1);
    let mut matchers = Matchers::default();
    matchers.push("a".parse().unwrap());
    let group = world.groups.enter(&Arc::new(matchers), Framing { format: Format::Sse, chunked: true, bare: false });
    let publish = |world: &World, name: &str| {
        let publish = Submission::new(Topic::new(name).unwrap(), Event::data("x"));
        world.groups.core.append(vec![publish], None, 0).unwrap();
    };
    let delete = |world: &World| world.groups.core.delete_in_memory(Topic::new("a").unwrap(), 0).unwrap();
    let is_lost = |world: &mut World, cursor| matches!(world.groups.next(group, cursor, || &PUBLIC), Next::Lost);
    world.groups.group_mut(group).join(0);

    // noted, a run made of it, and one for a reader that is behind
    publish(&world, "a");
    world.groups.follow();
    publish(&world, "a");
    world.groups.follow();
    assert!(matches!(world.groups.next(group, 1, || &PUBLIC), Next::Run(run) if !run.bytes.is_empty()));
    assert!(matches!(world.groups.next(group, 0, || &PUBLIC), Next::Run(run) if !run.bytes.is_empty()));
    delete(&world);
    assert!(is_lost(&mut world, 1) && is_lost(&mut world, 0), "its subscriber is to tell it");
    assert!(matches!(world.groups.next(group, 2, || &PUBLIC), Next::Nothing(_)), "that one has had everything");

    // noted behind the deletion, of which they have heard before
    publish(&world, "a");
    delete(&world);
    assert!(matches!(world.groups.next(group, 3, || &PUBLIC), Next::Nothing(3)), "nothing is noted yet");
    world.groups.follow();
    assert!(is_lost(&mut world, 3));

    publish(&world, "a");
    world.groups.follow();
    assert!(matches!(world.groups.next(group, 5, || &PUBLIC), Next::Run(run) if run.upto == 6));
}
