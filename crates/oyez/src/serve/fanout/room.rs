//! The readers of one hub on a fan-out thread, those who read the same together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::run::{Framing, Run};
use crate::hub::Core;
use crate::index::{Index, Places};
use crate::limits::FOLLOW_ENTRIES;
use crate::limits::serve::{RUN_BYTES, RUN_ENTRIES};
use crate::log::{Entry, Page, Retained};
use crate::matcher::Matchers;

/// Follows the log of one hub for all its readers here: an entry costs a look-up and a note for each group that it
/// concerns, however many readers are in it.
pub(crate) struct Room {
    pub(crate) core: Arc<Core>,
    /// Everything up to here has been noted in the groups that it concerns.
    pub(crate) followed: u64,
    groups: Slab<Group>,
    by_name: HashMap<Name, usize>,
    index: Index,
    /// Groups with something to send, each once.
    queue: VecDeque<usize>,
    step: Vec<Arc<Entry>>,
    /// Streams of this hub on the thread, in a group or not.
    pub(crate) streams: usize,
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
    members: Vec<usize>,
    /// Streams that are in it or will be.
    users: usize,
    /// The newest entry that concerns it.
    pub(crate) head: u64,
    run: Option<Run>,
    queued: bool,
    /// The turn that is going on: whose turn it is, and the head when it began.
    next: usize,
    turn_head: u64,
}

/// What a reader at a cursor gets.
pub(crate) enum Next<'a> {
    Run(&'a Run),
    /// Nothing up to this cursor.
    Nothing(u64),
    /// Entries that it should have had are gone.
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
        }
    }

    /// The group of those who read this, which is kept for as long as it has users.
    pub(crate) fn enter(&mut self, matchers: &Arc<Matchers>, framing: Framing) -> usize {
        let name = Name { matchers: Arc::clone(matchers), framing };
        let key = *self.by_name.entry(name).or_insert_with_key(|name| {
            let entry = self.groups.vacant_entry();
            let key = entry.key();
            let places = self.index.join(key, &name.matchers);
            entry.insert(Group {
                name: name.clone(),
                places,
                members: Vec::new(),
                users: 0,
                head: 0,
                run: None,
                queued: false,
                next: 0,
                turn_head: 0,
            });
            key
        });
        self.groups[key].users += 1;
        key
    }

    pub(crate) fn leave(&mut self, key: usize) {
        let group = &mut self.groups[key];
        group.users -= 1;
        if group.users > 0 {
            return;
        }
        let group = self.groups.remove(key);
        self.by_name.remove(&group.name);
        if group.queued {
            self.queue.retain(|queued| *queued != key);
        }
        let groups = &mut self.groups;
        self.index.leave(&group.places, |moved, number, at| {
            if let Some(place) = groups.get_mut(moved).and_then(|group| group.places.get_mut(number)) {
                place.move_to(at);
            }
        });
    }

    pub(crate) fn group(&self, key: usize) -> &Group {
        &self.groups[key]
    }

    pub(crate) fn group_mut(&mut self, key: usize) -> &mut Group {
        &mut self.groups[key]
    }

    /// Notes what the log has got since.
    pub(crate) fn follow(&mut self) {
        loop {
            let gone = self.core.log.follow(self.followed, FOLLOW_ENTRIES, &mut self.step);
            if gone > self.followed {
                // whom those entries concerned nobody knows: all look
                for (key, group) in &mut self.groups {
                    group.head = group.head.max(gone);
                    queue(&mut self.queue, key, group);
                }
                self.followed = gone;
            }
            let Some(last) = self.step.last().map(|entry| entry.sequence) else { return };
            for entry in self.step.drain(..) {
                self.index.visit(&entry.topics, |key| {
                    let group = &mut self.groups[key];
                    group.head = entry.sequence;
                    queue(&mut self.queue, key, group);
                });
            }
            self.followed = last;
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.core.log.head() > self.followed
    }

    /// The group whose turn it is.
    pub(crate) fn front(&self) -> Option<usize> {
        self.queue.front().copied()
    }

    /// The member of the group in front whose turn it is; `None` when all have been visited.
    pub(crate) fn next_member(&mut self, key: usize) -> Option<usize> {
        let group = &mut self.groups[key];
        if group.next == 0 {
            group.turn_head = group.head;
        }
        let member = group.members.get(group.next).copied()?;
        group.next += 1;
        Some(member)
    }

    /// All members of the group in front have been visited; it has another turn behind the others if something has come
    /// since, or somebody has not had all.
    pub(crate) fn end_turn(&mut self, key: usize) {
        self.queue.pop_front();
        let group = &mut self.groups[key];
        group.queued = false;
        group.next = 0;
        if group.head > group.turn_head {
            queue(&mut self.queue, key, group);
        } else {
            group.run = None;
        }
    }

    /// Lets the group have another turn.
    pub(crate) fn turn_again(&mut self, key: usize) {
        let group = &mut self.groups[key];
        group.turn_head = 0;
        queue(&mut self.queue, key, group);
    }

    /// What a member of the group that has come so far gets next.
    pub(crate) fn next(&mut self, key: usize, cursor: u64) -> Next<'_> {
        let group = &mut self.groups[key];
        let fits = |run: &Run| run.from == cursor && (run.full || run.upto >= group.head);
        if !group.run.as_ref().is_some_and(fits) {
            let page = Retained { entries: RUN_ENTRIES, bytes: RUN_BYTES };
            match self.core.log.read_at_most(page, cursor, &group.name.matchers) {
                Page::Lost(_) => return Next::Lost,
                Page::Read { entries, cursor, .. } if entries.is_empty() => return Next::Nothing(cursor),
                Page::Read { entries, cursor: upto, more } => {
                    let run = Run::new(cursor, upto, more, &entries, group.name.framing, &self.core.log);
                    group.run = Some(run);
                }
            }
        }
        Next::Run(group.run.as_ref().expect("it was there or was made"))
    }
}

impl Group {
    pub(crate) fn matchers(&self) -> &Arc<Matchers> {
        &self.name.matchers
    }

    /// A member joins; tells its place.
    pub(crate) fn join(&mut self, stream: usize) -> usize {
        self.members.push(stream);
        self.members.len() - 1
    }

    /// The member at `place` leaves; tells who has its place now.
    pub(crate) fn part(&mut self, place: usize) -> Option<usize> {
        self.members.swap_remove(place);
        if place < self.next {
            // whoever has the place now may not have had its turn
            self.turn_head = 0;
        }
        self.members.get(place).copied()
    }
}

fn queue(queue: &mut VecDeque<usize>, key: usize, group: &mut Group) {
    if !group.queued && !group.members.is_empty() {
        group.queued = true;
        queue.push_back(key);
    }
}
