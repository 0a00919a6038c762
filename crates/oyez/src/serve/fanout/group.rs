//! Readers who get the same.

use std::sync::Arc;
use std::time::Instant;

use super::fresh::Fresh;
use super::group_name::GroupName;
use super::run::{Next, Run, Stretch};
use super::runs::Runs;
use super::stream_id::StreamKey;
use crate::index::Places;
use crate::limits::serve::{RUN_BYTES, RUN_ENTRIES};
use crate::log::{Behind, Entry, Log, Read, Retained};
use crate::matcher::Matchers;
use crate::readable::Readable;

/// The streams of one name, what is made for them, and whose turn it is.
pub(crate) struct Group {
    pub(crate) name: GroupName,
    /// Where it stands in the index of its hub's groups.
    pub(crate) places: Places,
    members: Vec<StreamKey>,
    /// Streams that are in it or will be.
    pub(crate) users: usize,
    /// The newest entry that concerns it.
    pub(crate) head: u64,
    /// Where all that it reads has ended: who has come so far is done.
    pub(crate) finish: Option<u64>,
    /// When its members were written to last.
    pub(crate) written: Option<Instant>,
    fresh: Fresh,
    /// Of what is fresh, and of what is not.
    runs: Runs,
    old_runs: Runs,
    /// It waits for its turn, or has it.
    queued: bool,
    /// The turn that is going on: whose turn it is, and the head when it began.
    next: usize,
    turn_head: u64,
}

impl Group {
    /// A group without members; everything up to `followed` is to be looked for in the log.
    pub(crate) fn new(name: GroupName, places: Places, finish: Option<u64>, followed: u64) -> Self {
        Self {
            name,
            places,
            members: Vec::new(),
            users: 0,
            head: 0,
            finish,
            written: None,
            fresh: Fresh::behind(followed),
            runs: Runs::default(),
            old_runs: Runs::default(),
            queued: false,
            next: 0,
            turn_head: 0,
        }
    }

    pub(crate) fn matchers(&self) -> &Arc<Matchers> {
        &self.name.matchers
    }

    /// Is a stream that has come so far done?
    pub(crate) fn is_finished(&self, cursor: u64) -> bool {
        self.finish.is_some_and(|finish| finish <= cursor)
    }

    /// A member joins; tells its place.
    pub(crate) fn join(&mut self, stream: StreamKey) -> u32 {
        self.members.push(stream);
        u32::try_from(self.members.len() - 1).expect("there are fewer members than streams")
    }

    /// The member at `place` leaves; tells who has its place now.
    pub(crate) fn part(&mut self, place: u32) -> Option<StreamKey> {
        let place = place as usize;
        self.members.swap_remove(place);
        if place < self.next {
            // whoever has the place now may not have had its turn
            self.turn_head = 0;
        }
        self.members.get(place).copied()
    }

    /// True when it is to be queued for a turn: there are members, and it does not wait already.
    pub(crate) fn queue(&mut self) -> bool {
        let is_new = !self.queued && !self.members.is_empty();
        self.queued |= is_new;
        is_new
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.queued
    }

    /// Has some of its members been visited in this turn?
    pub(crate) fn is_in_turn(&self) -> bool {
        self.next > 0
    }

    /// The member whose turn it is; `None` when all have been visited.
    pub(crate) fn next_member(&mut self) -> Option<StreamKey> {
        if self.next == 0 {
            self.turn_head = self.head;
        }
        let member = self.members.get(self.next).copied()?;
        self.next += 1;
        Some(member)
    }

    /// All members have been visited. True when there is to be another turn: something has come since, or somebody has not
    /// had all.
    pub(crate) fn end_turn(&mut self) -> bool {
        self.queued = false;
        self.next = 0;
        if self.head > self.turn_head {
            return true;
        }
        self.put_away();
        false
    }

    /// Whoever has had its turn has not had all.
    pub(crate) fn turn_again(&mut self) {
        self.turn_head = 0;
    }

    /// The newest entry concerns it.
    pub(crate) fn note(&mut self, entry: &Arc<Entry>) {
        let before = std::mem::replace(&mut self.head, entry.sequence);
        // without a turn nobody would put it away again
        if self.queued {
            self.fresh.push(entry, before);
        } else {
            self.fresh = Fresh::behind(entry.sequence);
        }
    }

    /// Entries up to `gone` have left the log, and nobody knows whether they concerned it.
    pub(crate) fn note_loss(&mut self, gone: u64, finish: Option<u64>) {
        self.head = self.head.max(gone);
        self.finish = finish;
        self.fresh = Fresh::behind(gone);
    }

    /// What was noted or made of entries up to `followed` may be hidden now: it is looked for in the log again.
    pub(crate) fn forget_entries(&mut self, followed: u64) {
        (self.runs, self.old_runs) = (Runs::default(), Runs::default());
        self.fresh = Fresh::behind(followed);
    }

    /// What the turn needed.
    pub(crate) fn put_away(&mut self) {
        (self.runs, self.old_runs) = (Runs::default(), Runs::default());
        self.fresh.forget(self.head);
    }

    /// What a member that has come so far, and may have these private entries, gets next. Everything up to `followed` was noted.
    pub(crate) fn next<'r>(
        &mut self,
        cursor: u64,
        readable: impl Fn() -> &'r Readable,
        followed: u64,
        log: &Log,
    ) -> Next<'_> {
        if self.fresh.reaches(cursor) {
            self.next_fresh(cursor, readable, followed, log)
        } else {
            self.next_old(cursor, readable, log)
        }
    }

    fn next_fresh<'r>(
        &mut self,
        cursor: u64,
        readable: impl Fn() -> &'r Readable,
        followed: u64,
        log: &Log,
    ) -> Next<'_> {
        let fits = |run: &Run| run.follows(cursor) && (run.full || run.upto >= self.head);
        if let Some(which) = self.runs.find(fits, &readable) {
            return self.runs.get(which).next(log);
        }
        let Some(stretch) = self.fresh.next(cursor, followed) else { return Next::Nothing(followed.max(cursor)) };
        let which = self.runs.make(&stretch, &self.name, readable, log);
        self.runs.get(which).next(log)
    }

    fn next_old<'r>(&mut self, cursor: u64, readable: impl Fn() -> &'r Readable, log: &Log) -> Next<'_> {
        // what was read before is as good, though there may be more by now
        if let Some(which) = self.old_runs.find(|run| run.follows(cursor), &readable) {
            return self.old_runs.get(which).next(log);
        }
        let page = Retained { entries: RUN_ENTRIES, bytes: RUN_BYTES };
        // who is to be told of what was deleted, each subscriber knows for itself
        let behind = Behind { cursor, known: 0 };
        // what is gone, below the tail or hidden is its subscriber's business
        let Some(read) = log.read_tail(page, behind, &self.name.matchers) else { return Next::Lost };
        let Read { entries, cursor: upto, more: full, .. } = read;
        if entries.is_empty() {
            // patterns that skip much: its subscriber searches on, and not on this thread
            return if full { Next::Lost } else { Next::Nothing(upto) };
        }
        let stretch = Stretch { from: cursor, upto, full, entries: &entries };
        let which = self.old_runs.make(&stretch, &self.name, readable, log);
        self.old_runs.get(which).next(log)
    }
}
