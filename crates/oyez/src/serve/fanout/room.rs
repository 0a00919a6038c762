//! The readers of one hub on a fan-out thread, those who read the same together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use smallvec::SmallVec;

use super::inbox::Key;
use super::run::{Framing, Run};
use crate::core::Core;
use crate::index::{Index, Places};
use crate::limits::FOLLOW_ENTRIES;
use crate::limits::serve::{FRESH_ENTRIES, RUN_BYTES, RUN_ENTRIES};
use crate::log::{Behind, Entry, Log, Read, Retained};
use crate::matcher::Matchers;
use crate::sync::atomic::Ordering::Relaxed;

/// Follows the log of one hub for all its readers here: an entry costs a look-up and a note for each group that it
/// concerns, however many readers are in it.
pub(crate) struct Room {
    pub(crate) core: Arc<Core>,
    /// Everything up to here has been noted in the groups that it concerns.
    pub(crate) followed: u64,
    groups: Slab<Group>,
    by_name: HashMap<Name, u32>,
    index: Index,
    /// Groups with something to send, each once.
    queue: VecDeque<u32>,
    step: Vec<Arc<Entry>>,
    /// Streams of this hub on the thread, in a group or not.
    pub(crate) streams: usize,
    /// Entries delivered that are not in the hub's counter yet, which all threads share.
    pub(crate) delivered: u64,
    /// Groups of which a member was visited out of turn.
    visited: Vec<u32>,
    /// Where a topic was deleted last, when that was looked at last.
    deleted: u64,
}

/// What the readers of a group have in common: what they read and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    matchers: Arc<Matchers>,
    framing: Framing,
}

pub(crate) struct Group {
    name: Name,
    places: Places,
    /// Keys of the streams in it.
    members: Vec<Key>,
    /// Streams that are in it or will be.
    users: usize,
    /// The newest entry that concerns it.
    pub(crate) head: u64,
    /// Where all that it reads has ended: who has come so far is done.
    pub(crate) finish: Option<u64>,
    /// When its members were written to last.
    pub(crate) written: Option<Instant>,
    fresh: Fresh,
    /// What comes behind the cursor that was asked for last: of what is fresh, and of what is not.
    run: Option<Run>,
    old_run: Option<Run>,
    queued: bool,
    /// The turn that is going on: whose turn it is, and the head when it began.
    next: usize,
    turn_head: u64,
}

/// The newest entries that concern a group, while a turn goes on: what those at the tail get need not be looked for in the
/// log.
#[derive(Default)]
struct Fresh {
    /// All that concern it behind this cursor are here.
    from: u64,
    entries: SmallVec<[Arc<Entry>; 1]>,
}

/// What a reader at a cursor gets.
pub(crate) enum Next<'a> {
    Run(&'a Run),
    /// Nothing up to this cursor, which is the tail.
    Nothing(u64),
    /// Nothing up to this cursor, and perhaps something behind it.
    Skipped(u64),
    /// Entries that it should have had are gone, or some that come next have expired: its subscriber knows what to say.
    Lost,
}

impl Room {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let followed = core.log.head();
        Self {
            core,
            followed,
            groups: Slab::new(),
            by_name: HashMap::new(),
            index: Index::default(),
            queue: VecDeque::new(),
            step: Vec::new(),
            streams: 0,
            delivered: 0,
            visited: Vec::new(),
            deleted: 0,
        }
    }

    /// The group of those who read this, which is kept for as long as it has users.
    pub(crate) fn enter(&mut self, matchers: &Arc<Matchers>, framing: Framing) -> u32 {
        let name = Name { matchers: Arc::clone(matchers), framing };
        let followed = self.followed;
        let key = *self.by_name.entry(name).or_insert_with_key(|name| {
            let entry = self.groups.vacant_entry();
            let key = u32::try_from(entry.key()).expect("there are fewer groups than streams");
            let places = self.index.join(key, &name.matchers);
            entry.insert(Group {
                name: name.clone(),
                places,
                members: Vec::new(),
                users: 0,
                head: 0,
                finish: self.core.log.finish(&name.matchers),
                written: None,
                fresh: Fresh { from: followed, ..Fresh::default() },
                run: None,
                old_run: None,
                queued: false,
                next: 0,
                turn_head: 0,
            });
            key
        });
        self.group_mut(key).users += 1;
        key
    }

    pub(crate) fn leave(&mut self, key: u32) {
        let group = self.group_mut(key);
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        let group = self.groups.remove(key as usize);
        self.by_name.remove(&group.name);
        if group.queued {
            self.queue.retain(|queued| *queued != key);
        }
        let groups = &mut self.groups;
        self.index.leave(&group.places, |moved, number, at| {
            if let Some(place) = groups.get_mut(moved as usize).and_then(|group| group.places.get_mut(number)) {
                place.move_to(at);
            }
        });
    }

    pub(crate) fn group(&self, key: u32) -> &Group {
        &self.groups[key as usize]
    }

    pub(crate) fn group_mut(&mut self, key: u32) -> &mut Group {
        &mut self.groups[key as usize]
    }

    /// Notes what the log has got since.
    pub(crate) fn follow(&mut self) {
        loop {
            let gone = self.core.log.follow(self.followed, FOLLOW_ENTRIES, &mut self.step);
            if gone > self.followed {
                // whom those entries concerned nobody knows: all look
                for (key, group) in &mut self.groups {
                    group.head = group.head.max(gone);
                    group.finish = self.core.log.finish(&group.name.matchers);
                    group.fresh = Fresh { from: gone, ..Fresh::default() };
                    queue(&mut self.queue, key as u32, group);
                }
                self.followed = gone;
            }
            let Some(last) = self.step.last().map(|entry| entry.sequence) else { return };
            let core = &self.core;
            for entry in self.step.drain(..).filter(|entry| !entry.deletes()) {
                self.index.visit(&entry.topics, |key| {
                    let group = &mut self.groups[key as usize];
                    // it may select several of the topics
                    if group.head < entry.sequence {
                        queue(&mut self.queue, key, group);
                        group.note(&entry);
                        if entry.ended_topic().is_some() {
                            group.finish = core.log.finish(&group.name.matchers);
                        }
                    }
                });
            }
            let before = std::mem::replace(&mut self.followed, last);
            if self.core.log.newest_deletion() > before {
                // entries that were noted just now may be hidden
                self.forget_entries();
            }
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.core.log.head() > self.followed
    }

    /// The group whose turn it is.
    pub(crate) fn front(&self) -> Option<u32> {
        self.queue.front().copied()
    }

    /// The turn of the group in front goes on behind those of the others: a large group is visited in slices, and they
    /// need not wait for all of it.
    pub(crate) fn let_others(&mut self) {
        // one whose turn has not begun has waited already
        if self.front().is_some_and(|key| self.group(key).next > 0) {
            self.queue.rotate_left(1);
        }
    }

    /// The member of the group in front whose turn it is; `None` when all have been visited.
    pub(crate) fn next_member(&mut self, key: u32) -> Option<Key> {
        let group = self.group_mut(key);
        if group.next == 0 {
            group.turn_head = group.head;
        }
        let member = group.members.get(group.next).copied()?;
        group.next += 1;
        Some(member)
    }

    /// All members of the group in front have been visited; it has another turn behind the others if something has come
    /// since, or somebody has not had all.
    pub(crate) fn end_turn(&mut self, key: u32) {
        self.queue.pop_front();
        let group = &mut self.groups[key as usize];
        group.queued = false;
        group.next = 0;
        if group.head > group.turn_head {
            queue(&mut self.queue, key, group);
        } else {
            group.put_away();
        }
    }

    /// A stream is visited out of turn: what is made for it is kept for others that are, until the room settles.
    pub(crate) fn note_visit(&mut self, key: u32) {
        if self.visited.last() != Some(&key) {
            self.visited.push(key);
        }
    }

    /// What was made out of turn is put away, and the hub's counter is brought up to date.
    pub(crate) fn settle(&mut self) {
        for key in self.visited.drain(..) {
            if let Some(group) = self.groups.get_mut(key as usize).filter(|group| !group.queued) {
                group.put_away();
            }
        }
        if self.delivered > 0 {
            self.core.counters.delivered.fetch_add(std::mem::take(&mut self.delivered), Relaxed);
        }
    }

    /// Lets the group have another turn.
    pub(crate) fn turn_again(&mut self, key: u32) {
        let group = &mut self.groups[key as usize];
        group.turn_head = 0;
        queue(&mut self.queue, key, group);
    }

    /// Something was deleted: what was noted or made before may be hidden now, so it is looked for in the log again.
    fn forget_entries(&mut self) {
        self.deleted = self.core.log.newest_deletion();
        for (_, group) in &mut self.groups {
            (group.run, group.old_run) = (None, None);
            group.fresh = Fresh { from: self.followed, ..Fresh::default() };
        }
    }

    /// What a member of the group that has come so far gets next.
    pub(crate) fn next(&mut self, key: u32, cursor: u64) -> Next<'_> {
        if self.core.log.newest_deletion() > self.deleted {
            self.forget_entries();
        }
        let group = &mut self.groups[key as usize];
        if cursor >= group.fresh.from {
            let fits = |run: &Run| run.follows(cursor) && (run.full || run.upto >= group.head);
            if !group.run.as_ref().is_some_and(fits) {
                group.run = group.fresh_run(cursor, self.followed, &self.core.log);
            }
            let nothing = Next::Nothing(self.followed.max(cursor));
            return group.run.as_ref().map_or(nothing, |run| run.unless_expired(&self.core.log));
        }
        // what was read before is as good, though there may be more by now
        if !group.old_run.as_ref().is_some_and(|run| run.follows(cursor)) {
            let page = Retained { entries: RUN_ENTRIES, bytes: RUN_BYTES };
            // who is to be told of what was deleted, each subscriber knows for itself
            let behind = Behind { cursor, known: 0 };
            let Some(read) = self.core.log.read_tail(page, behind, &group.name.matchers) else {
                // what is gone, below the tail or hidden is its subscriber's business
                return Next::Lost;
            };
            let Read { entries, cursor: upto, more, .. } = read;
            if entries.is_empty() {
                // patterns that skip much: nothing yet
                return if more { Next::Skipped(upto) } else { Next::Nothing(upto) };
            }
            let run = Run::new(cursor, upto, more, &entries, group.name.framing, &self.core.log);
            let expires_ms = self.core.log.first_expiry_ms(&entries, &group.name.matchers);
            group.old_run = Some(run.until(expires_ms));
        }
        group.old_run.as_ref().expect("it was there or was made just now").unless_expired(&self.core.log)
    }
}

impl Run {
    fn unless_expired(&self, log: &Log) -> Next<'_> {
        let has_expired = self.expires_ms != u64::MAX && self.expires_ms <= log.expiry_clock.ms();
        if has_expired { Next::Lost } else { Next::Run(self) }
    }
}

impl Group {
    pub(crate) fn matchers(&self) -> &Arc<Matchers> {
        &self.name.matchers
    }

    /// Is a stream that has come so far done?
    pub(crate) fn is_finished(&self, cursor: u64) -> bool {
        self.finish.is_some_and(|finish| finish <= cursor)
    }

    /// A member joins; tells its place.
    pub(crate) fn join(&mut self, stream: Key) -> u32 {
        self.members.push(stream);
        u32::try_from(self.members.len() - 1).expect("there are fewer members than streams")
    }

    /// The member at `place` leaves; tells who has its place now.
    pub(crate) fn part(&mut self, place: u32) -> Option<Key> {
        let place = place as usize;
        self.members.swap_remove(place);
        if place < self.next {
            // whoever has the place now may not have had its turn
            self.turn_head = 0;
        }
        self.members.get(place).copied()
    }

    /// The newest entry concerns it.
    fn note(&mut self, entry: &Arc<Entry>) {
        if self.fresh.entries.len() >= FRESH_ENTRIES {
            self.fresh = Fresh { from: self.fresh.from.max(self.head), ..Fresh::default() };
        }
        self.head = entry.sequence;
        // without a turn nobody would put it away again
        if self.queued {
            self.fresh.entries.push(Arc::clone(entry));
        } else {
            self.fresh.from = entry.sequence;
        }
    }

    /// What the turn needed.
    fn put_away(&mut self) {
        (self.run, self.old_run) = (None, None);
        self.fresh = Fresh { from: self.fresh.from.max(self.head), ..Fresh::default() };
    }

    /// What comes behind `cursor`, of which all that concerns the group is fresh. Everything up to `followed` was noted.
    fn fresh_run(&self, cursor: u64, followed: u64, log: &Log) -> Option<Run> {
        let entries = &self.fresh.entries;
        let read = entries.partition_point(|entry| entry.sequence <= cursor);
        let new = entries.get(read..).filter(|new| !new.is_empty())?;
        let from = read.checked_sub(1).and_then(|last| entries.get(last)).map_or(self.fresh.from, |last| last.sequence);
        let mut bytes = 0;
        let fit = new.iter().take_while(|entry| {
            let fits = bytes < RUN_BYTES;
            bytes += entry.frame().chunk().len();
            fits
        });
        let fit = fit.count();
        let full = fit < new.len();
        let upto = if full { new[fit - 1].sequence } else { followed };
        let expires_ms = log.first_expiry_ms(&new[..fit], &self.name.matchers);
        Some(Run::new(from, upto, full, &new[..fit], self.name.framing, log).until(expires_ms))
    }
}

fn queue(queue: &mut VecDeque<u32>, key: u32, group: &mut Group) {
    if !group.queued && !group.members.is_empty() {
        group.queued = true;
        queue.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oyez_proto::Event;

    use super::*;
    use crate::Topic;
    use crate::format::Format;
    use crate::limits::Limits;
    use crate::log::{Bounds, Retention};
    use crate::matcher::Matcher;
    use crate::position::Epoch;
    use crate::publish::Publish;
    use crate::random::Random;

    const TOPICS: [&str; 4] = ["a", "b", "c/1", "c/2"];
    const SUBSCRIPTIONS: [&[&str]; 5] = [&["a"], &["a", "b"], &["*"], &["c/*"], &["c/1", "c/*"]];

    /// A reader without a socket: what it was sent, and how far its cursor came.
    struct Member {
        matchers: Arc<Matchers>,
        group: u32,
        place: u32,
        begun: u64,
        cursor: u64,
        chunked: bool,
        bytes: Vec<u8>,
        /// When its bytes up to here were sent.
        times: Vec<(usize, u64)>,
        told: u64,
    }

    struct World {
        room: Room,
        random: Random,
        members: Slab<Member>,
        /// Those who come back, and are not at the tail yet.
        behind: Vec<Member>,
        entries: Vec<Arc<Entry>>,
        now_ms: u64,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let log = Log::new(Epoch::from_bits(1), Retention::default(), Bounds::default(), Matchers::default());
            log.expiry_clock.set(1);
            let core = Arc::new(Core::new(log, Limits::default(), Random::from_seed(seed)));
            Self {
                room: Room::new(core),
                random: Random::from_seed(seed),
                members: Slab::new(),
                behind: Vec::new(),
                entries: Vec::new(),
                now_ms: 1,
            }
        }

        fn below(&self, number: usize) -> usize {
            self.random.within(0..=number as u64 - 1) as usize
        }

        fn publish(&mut self) {
            let topic = Topic::new(TOPICS[self.below(TOPICS.len())]).unwrap();
            // now and then one that fills a run by itself
            let length = if self.below(40) == 0 { RUN_BYTES + 100 } else { self.below(300) };
            let mut publish = Publish::new(topic, Event::data("x".repeat(length)));
            if self.below(4) == 0 {
                publish = publish.ttl(Duration::from_millis(1 + self.below(5) as u64)).unwrap();
            }
            if self.below(4) == 0 {
                self.now_ms += 1;
                self.room.core.log.expiry_clock.set(self.now_ms);
            }
            self.room.core.append(vec![publish], self.now_ms).unwrap();
            let followed = self.entries.len() as u64;
            self.room.core.log.follow(followed, 1, &mut self.entries);
        }

        fn come(&mut self) {
            let mut matchers = Matchers::default();
            for text in SUBSCRIPTIONS[self.below(SUBSCRIPTIONS.len())] {
                matchers.push(text.parse::<Matcher>().unwrap());
            }
            let chunked = self.below(3) > 0;
            let framing = Framing { format: Format::Sse, chunked };
            let group = self.room.enter(&Arc::new(matchers), framing);
            let matchers = Arc::clone(self.room.group(group).matchers());
            // the room may have followed further, or not as far
            let head = self.room.core.log.head();
            let cursor = if self.below(2) == 0 { head } else { self.random.within(0..=head) };
            let (bytes, times) = (Vec::new(), Vec::new());
            self.behind.push(Member {
                matchers,
                group,
                place: 0,
                begun: cursor,
                cursor,
                chunked,
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
            let core = Arc::clone(&self.room.core);
            let next = self.room.next(group, member.cursor);
            let at_tail = match &next {
                Next::Run(run) => !run.full,
                Next::Nothing(_) => true,
                Next::Skipped(_) | Next::Lost => false,
            };
            let whole = member.take(&next, written, &core.log, self.now_ms);
            self.room.note_visit(group);
            if self.below(3) > 0 {
                self.room.settle();
            }
            if !(at_tail && whole) {
                self.behind.push(member);
                return;
            }
            let cursor = member.cursor;
            let key = self.members.insert(member) as Key;
            self.members[key as usize].place = self.room.group_mut(group).join(key);
            if self.room.group(group).head > cursor {
                self.room.turn_again(group);
            }
        }

        fn leave(&mut self) {
            let keys: Vec<usize> = self.members.iter().map(|(key, _)| key).collect();
            if keys.is_empty() {
                return;
            }
            let member = self.members.remove(keys[self.below(keys.len())]);
            if let Some(moved) = self.room.group_mut(member.group).part(member.place) {
                self.members[moved as usize].place = member.place;
            }
            self.room.leave(member.group);
            self.verify(&member, None);
        }

        /// One visit, as the thread makes it; its write may be cut short, and the rest comes at once.
        fn visit(&mut self) -> bool {
            self.room.follow();
            let Some(group) = self.room.front() else { return false };
            let Some(key) = self.room.next_member(group) else {
                self.room.end_turn(group);
                return true;
            };
            let written = self.random.next();
            let member = &mut self.members[key as usize];
            if member.cursor >= self.room.group(group).head {
                return true;
            }
            let (core, now_ms) = (Arc::clone(&self.room.core), self.now_ms);
            member.take(&self.room.next(group, member.cursor), written, &core.log, now_ms);
            if member.cursor < self.room.group(group).head {
                self.room.turn_again(group);
            }
            true
        }

        /// Topics end one by one; whose all have is done, and nobody else is.
        fn end_topics(&mut self, order: &mut Random) {
            let mut open = TOPICS.to_vec();
            while !open.is_empty() {
                let topic = open.swap_remove(order.within(0..=open.len() as u64 - 1) as usize);
                self.room.core.append(vec![Publish::end(Topic::new(topic).unwrap())], 0).unwrap();
                let followed = self.entries.len() as u64;
                self.room.core.log.follow(followed, 1, &mut self.entries);
                while self.visit() {}
                for (_, member) in &self.members {
                    let reads_open = open.iter().any(|topic| member.matchers.matches(&Topic::new(topic).unwrap()));
                    let done = member.matchers.is_exact() && !reads_open;
                    assert_eq!(self.room.group(member.group).is_finished(member.cursor), done, "{:?}", member.matchers);
                    self.verify(member, Some(self.room.core.log.head()));
                }
            }
        }

        /// It got what matches, up to its cursor or to `upto`, in order and once.
        fn verify(&self, member: &Member, upto: Option<u64>) {
            let upto = upto.unwrap_or(member.cursor);
            let due = |entry: &&Arc<Entry>| {
                let matches = entry.topics.iter().any(|topic| member.matchers.matches(topic));
                matches && entry.sequence > member.begun && entry.sequence <= upto
            };
            let mut expected = Vec::new();
            let mut last = 0;
            for entry in self.entries.iter().filter(due) {
                let bytes = if member.chunked { entry.frame().chunk().clone() } else { entry.frame().bytes() };
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
        /// A write of one in four is cut short at a place that `written` says, and the rest comes at once. True when it was not.
        /// What the room does not say it looks for itself.
        fn take(&mut self, next: &Next<'_>, written: u64, log: &Log, now_ms: u64) -> bool {
            let whole = self.take_bytes(next, written, log);
            self.times.push((self.bytes.len(), now_ms));
            whole
        }

        fn take_bytes(&mut self, next: &Next<'_>, written: u64, log: &Log) -> bool {
            match next {
                Next::Run(run) => {
                    assert!(run.bytes.len() <= 2 * RUN_BYTES + 1_000);
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
                    for (entry, _) in entries.iter().zip(expired).filter(|(_, expired)| !expired) {
                        self.bytes.extend_from_slice(&if self.chunked {
                            entry.frame().chunk().clone()
                        } else {
                            entry.frame().bytes()
                        });
                        self.told = entry.sequence;
                    }
                    self.cursor = cursor;
                }
            }
            true
        }
    }

    #[test]
    fn each_member_gets_what_matches_in_order_and_once_however_writes_are_cut_and_turns_fall() {
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
            let head = world.room.core.log.head();
            for (_, member) in &world.members {
                world.verify(member, Some(head));
            }
            world.end_topics(&mut Random::from_seed(seed));
            while !world.members.is_empty() {
                world.leave();
            }
            assert!(world.room.groups.is_empty() && world.room.queue.is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn what_was_deleted_is_handed_to_nobody_whatever_was_made_of_it_before() {
        let mut world = World::new(1);
        let mut matchers = Matchers::default();
        matchers.push("a".parse().unwrap());
        let group = world.room.enter(&Arc::new(matchers), Framing { format: Format::Sse, chunked: true });
        let publish = |world: &World, name: &str| {
            let publish = Publish::new(Topic::new(name).unwrap(), Event::data("x"));
            world.room.core.append(vec![publish], 0).unwrap();
        };
        let delete = |world: &World| world.room.core.delete_in_memory(Topic::new("a").unwrap(), 0).unwrap();
        let is_lost = |world: &mut World, cursor| matches!(world.room.next(group, cursor), Next::Lost);
        world.room.group_mut(group).join(0);

        // noted, a run made of it, and one for a reader that is behind
        publish(&world, "a");
        world.room.follow();
        publish(&world, "a");
        world.room.follow();
        assert!(matches!(world.room.next(group, 1), Next::Run(run) if !run.bytes.is_empty()));
        assert!(matches!(world.room.next(group, 0), Next::Run(run) if !run.bytes.is_empty()));
        delete(&world);
        assert!(is_lost(&mut world, 1) && is_lost(&mut world, 0), "its subscriber is to tell it");
        assert!(matches!(world.room.next(group, 2), Next::Nothing(_)), "that one has had everything");

        // noted behind the deletion, of which the room has heard before
        publish(&world, "a");
        delete(&world);
        assert!(matches!(world.room.next(group, 3), Next::Nothing(3)), "nothing is noted yet");
        world.room.follow();
        assert!(is_lost(&mut world, 3));

        publish(&world, "a");
        world.room.follow();
        assert!(matches!(world.room.next(group, 5), Next::Run(run) if run.upto == 6));
    }
}
