//! The readers of one hub on a fan-out thread.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::framing::Framing;
use super::group::Group;
use super::group_name::GroupName;
use super::run::Next;
use super::stream_id::StreamKey;
use crate::core::Core;
use crate::index::{Index, SlotKey};
use crate::limits::FOLLOW_ENTRIES;
use crate::log::Entry;
use crate::matcher::Matchers;
use crate::readable::Readable;
use crate::sync::atomic::Ordering::Relaxed;

/// Follows the log of one hub for all its readers here, those who read the same together: an entry costs a look-up and a
/// note for each group that it concerns, however many readers are in it.
pub(crate) struct Groups {
    pub(crate) core: Arc<Core>,
    /// Everything up to here has been noted in the groups that it concerns.
    pub(crate) followed: u64,
    groups: Slab<Group>,
    by_name: HashMap<GroupName, SlotKey>,
    index: Index,
    /// Groups with something to send, each once.
    queue: VecDeque<SlotKey>,
    step: Vec<Arc<Entry>>,
    /// Streams of this hub on the thread, in a group or not.
    pub(crate) streams: usize,
    /// Entries delivered that are not in the hub's counter yet, which all threads share.
    pub(crate) delivered: u64,
    /// Groups of which a member was visited out of turn.
    visited: Vec<SlotKey>,
    /// Where a topic was deleted last, when that was looked at last.
    deleted: u64,
}

impl Groups {
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
    pub(crate) fn enter(&mut self, matchers: &Arc<Matchers>, framing: Framing) -> SlotKey {
        let name = GroupName { matchers: Arc::clone(matchers), framing };
        let followed = self.followed;
        let key = *self.by_name.entry(name).or_insert_with_key(|name| {
            let entry = self.groups.vacant_entry();
            let key = SlotKey::try_from(entry.key()).expect("there are fewer groups than streams");
            let places = self.index.join(key, &name.matchers);
            entry.insert(Group::new(name.clone(), places, self.core.log.finish(&name.matchers), followed));
            key
        });
        self.group_mut(key).users += 1;
        key
    }

    pub(crate) fn leave(&mut self, key: SlotKey) {
        let group = self.group_mut(key);
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        let group = self.groups.remove(key as usize);
        self.by_name.remove(&group.name);
        if group.is_queued() {
            self.queue.retain(|queued| *queued != key);
        }
        let groups = &mut self.groups;
        self.index.leave(&group.places, |moved, number, at| {
            if let Some(place) = groups.get_mut(moved as usize).and_then(|group| group.places.get_mut(number)) {
                place.move_to(at);
            }
        });
    }

    pub(crate) fn group(&self, key: SlotKey) -> &Group {
        &self.groups[key as usize]
    }

    pub(crate) fn group_mut(&mut self, key: SlotKey) -> &mut Group {
        &mut self.groups[key as usize]
    }

    /// Notes what the log has got since.
    pub(crate) fn follow(&mut self) {
        loop {
            let gone = self.core.log.follow(self.followed, FOLLOW_ENTRIES, &mut self.step);
            if gone > self.followed {
                self.note_loss(gone);
            }
            let Some(last) = self.step.last().map(|entry| entry.sequence) else { return };
            self.note_step();
            let before = std::mem::replace(&mut self.followed, last);
            if self.core.log.newest_deletion() > before {
                // entries that were noted just now may be hidden
                self.forget_entries();
            }
        }
    }

    /// Whom those entries concerned nobody knows: all look.
    fn note_loss(&mut self, gone: u64) {
        for (key, group) in &mut self.groups {
            group.note_loss(gone, self.core.log.finish(&group.name.matchers));
            if group.queue() {
                self.queue.push_back(key as SlotKey);
            }
        }
        self.followed = gone;
    }

    fn note_step(&mut self) {
        let Self { core, groups, index, queue, step, .. } = self;
        for entry in step.drain(..).filter(|entry| !entry.deletes()) {
            index.visit(&entry.topics, |key| {
                let group = &mut groups[key as usize];
                // it may select several of the topics
                if group.head < entry.sequence {
                    if group.queue() {
                        queue.push_back(key);
                    }
                    group.note(&entry);
                    if entry.ended_topic().is_some() {
                        group.finish = core.log.finish(&group.name.matchers);
                    }
                }
            });
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.core.log.head() > self.followed
    }

    /// The group whose turn it is.
    pub(crate) fn front(&self) -> Option<SlotKey> {
        self.queue.front().copied()
    }

    /// The turn of the group in front goes on behind those of the others: a large group is visited in slices, and they
    /// need not wait for all of it.
    pub(crate) fn let_others(&mut self) {
        // one whose turn has not begun has waited already
        if self.front().is_some_and(|key| self.group(key).is_in_turn()) {
            self.queue.rotate_left(1);
        }
    }

    /// The member of the group in front whose turn it is; `None` when all have been visited.
    pub(crate) fn next_member(&mut self, key: SlotKey) -> Option<StreamKey> {
        self.group_mut(key).next_member()
    }

    /// All members of the group in front have been visited; it may have another turn behind the others.
    pub(crate) fn end_turn(&mut self, key: SlotKey) {
        self.queue.pop_front();
        let group = self.group_mut(key);
        if group.end_turn() && group.queue() {
            self.queue.push_back(key);
        }
    }

    /// A stream is visited out of turn: what is made for it is kept for others that are, until it is settled.
    pub(crate) fn note_visit(&mut self, key: SlotKey) {
        if self.visited.last() != Some(&key) {
            self.visited.push(key);
        }
    }

    /// What was made out of turn is put away, and the hub's counter is brought up to date.
    pub(crate) fn settle(&mut self) {
        for key in self.visited.drain(..) {
            if let Some(group) = self.groups.get_mut(key as usize).filter(|group| !group.is_queued()) {
                group.put_away();
            }
        }
        if self.delivered > 0 {
            self.core.counters.delivered.fetch_add(std::mem::take(&mut self.delivered), Relaxed);
        }
    }

    /// Lets the group have another turn.
    pub(crate) fn turn_again(&mut self, key: SlotKey) {
        let group = self.group_mut(key);
        group.turn_again();
        if group.queue() {
            self.queue.push_back(key);
        }
    }

    /// Something was deleted: what was noted or made before may be hidden now.
    fn forget_entries(&mut self) {
        self.deleted = self.core.log.newest_deletion();
        for (_, group) in &mut self.groups {
            group.forget_entries(self.followed);
        }
    }

    /// What a member of the group that has come so far, and may have these private entries, gets next.
    pub(crate) fn next<'r>(&mut self, key: SlotKey, cursor: u64, readable: impl Fn() -> &'r Readable) -> Next<'_> {
        if self.core.log.newest_deletion() > self.deleted {
            self.forget_entries();
        }
        self.groups[key as usize].next(cursor, readable, self.followed, &self.core.log)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.queue.is_empty()
    }
}
