//! The owner of a set of subscribers: it follows the log and wakes those who have something to read.

use std::cmp::Reverse;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, UNIX_EPOCH};

use slab::Slab;

use crate::control::StreamControl;
use crate::index::{Index, Places, SlotKey};
use crate::limits::{FOLLOW_ENTRIES, STATS_TOPICS};
use crate::log::{Entry, Log};
use crate::matcher::Matchers;
use crate::stats::{Reader, StreamStats};
use crate::sync::Mutex;

/// A reader of the log on behalf of its subscribers. Those that have read everything keep no cursor of their own: they
/// stand where the shard stands, so entries that concern nobody cost them nothing. Every stream is listed here; announced
/// to are those that sleep here, which the streams of a fan-out thread do not.
///
/// No wake-up can be lost: a publisher appends first and lets the shard follow afterwards, and a subscriber goes to
/// sleep under the same lock under which the shard notes what is unread.
#[derive(Default)]
pub(crate) struct Shard {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Everything up to here has been announced to the subscribers below.
    followed: u64,
    slots: Slab<Slot>,
    index: Index,
    /// Streams that sleep here, or have.
    sleepers: usize,
    /// Room for one step, kept between steps.
    step: Vec<Arc<Entry>>,
}

struct Slot {
    matchers: Arc<Matchers>,
    control: StreamControl,
    reader: Reader,
    sleeper: Option<Box<Sleeper>>,
}

/// What the shard keeps of a subscriber from the first time it sleeps here.
struct Sleeper {
    places: Places,
    /// The subscriber has read up to here by itself.
    read: u64,
    /// The first entry that concerns it after that; 0 when there is none. Later ones are not noted.
    unread: u64,
    /// Set while it sleeps.
    waker: Option<Waker>,
}

/// What a subscriber at the tail learns when it wants to sleep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SleepOutcome {
    /// This entry is to be read first.
    Unread(u64),
    /// Nothing: it sleeps, and everything up to here is known not to concern it.
    Asleep(u64),
}

impl Shard {
    /// Lists a stream.
    pub(crate) fn join(&self, matchers: Arc<Matchers>, control: StreamControl, reader: Reader) -> SlotKey {
        let key = self.state.lock().slots.insert(Slot { matchers, control, reader, sleeper: None });
        SlotKey::try_from(key).expect("there are fewer streams than that")
    }

    pub(crate) fn leave(&self, key: SlotKey) {
        let mut state = self.state.lock();
        let State { slots, index, sleepers, .. } = &mut *state;
        let Some(Slot { sleeper: Some(sleeper), .. }) = slots.try_remove(key as usize) else { return };
        *sleepers -= 1;
        index.leave(&sleeper.places, |moved, number, at| {
            let sleeper = slots.get_mut(moved as usize).and_then(|slot| slot.sleeper.as_mut());
            if let Some(place) = sleeper.and_then(|sleeper| sleeper.places.get_mut(number)) {
                place.move_to(at);
            }
        });
    }

    /// Puts a subscriber to sleep that has read everything up to `read`, unless something has come since.
    pub(crate) fn sleep(&self, key: SlotKey, read: u64, waker: &Waker) -> SleepOutcome {
        let mut state = self.state.lock();
        let State { followed, slots, index, sleepers, .. } = &mut *state;
        let (followed, Some(slot)) = (*followed, slots.get_mut(key as usize)) else {
            return SleepOutcome::Asleep(read);
        };
        let Some(sleeper) = &mut slot.sleeper else {
            let places = index.join(key, &slot.matchers);
            *sleepers += 1;
            let asleep = followed <= read;
            let waker = asleep.then(|| waker.clone());
            slot.sleeper = Some(Box::new(Sleeper { places, read, unread: 0, waker }));
            // what was announced before it came was not announced to it
            return if asleep { SleepOutcome::Asleep(read) } else { SleepOutcome::Unread(read + 1) };
        };
        sleeper.read = read.max(sleeper.read);
        let unread = std::mem::take(&mut sleeper.unread);
        if unread > sleeper.read {
            sleeper.waker = None;
            return SleepOutcome::Unread(unread);
        }
        // it has read by itself what was noted; later entries were not noted
        if unread != 0 && followed > sleeper.read {
            sleeper.waker = None;
            return SleepOutcome::Unread(sleeper.read + 1);
        }
        match &mut sleeper.waker {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
        SleepOutcome::Asleep(sleeper.read.max(followed))
    }

    /// Follows the log to its head and wakes whom the new entries concern. Called by each publisher after its
    /// append; the work is theirs, and no subscriber's code runs in it.
    pub(crate) fn follow(&self, log: &Log) {
        let mut woken: Vec<Waker> = Vec::new();
        let mut state = self.state.lock();
        if state.sleepers == 0 {
            state.followed = log.head();
            return;
        }
        let mut step = std::mem::take(&mut state.step);
        loop {
            let gone = log.follow(state.followed, FOLLOW_ENTRIES, &mut step);
            if gone > state.followed {
                state.announce_loss(gone, &mut woken);
            }
            let Some(last) = step.last().map(|entry| entry.sequence) else { break };
            for entry in step.drain(..).filter(|entry| !entry.deletes()) {
                state.announce(&entry, &mut woken);
            }
            state.followed = last;
        }
        state.step = step;
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Ends every stream, spread evenly over `window`.
    pub(crate) fn drain_all(&self, now: Instant, window: Duration) {
        let controls: Vec<_> = self.state.lock().slots.iter().map(|(_, slot)| slot.control.clone()).collect();
        StreamControl::drain_all(&controls, now, window);
    }

    /// Ends the streams of this reader at once, and says how many they are. Looks at every stream.
    pub(crate) fn end_streams_of(&self, user: &str, now: Instant) -> usize {
        let controls: Vec<_> = {
            let state = self.state.lock();
            let theirs = state.slots.iter().filter(|(_, slot)| slot.reader.user.as_deref() == Some(user));
            theirs.map(|(_, slot)| slot.control.clone()).collect()
        };
        // not under the lock: a stream may leave as soon as it hears of it
        controls.iter().for_each(|control| control.end_at(now));
        controls.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().slots.len()
    }

    /// The most entries that a stream has still to read. Looks at every stream.
    pub(crate) fn lag_max(&self, log: &Log) -> u64 {
        let state = self.state.lock();
        let head = log.head();
        state.slots.iter().map(|(_, slot)| slot.lag(head)).max().unwrap_or_default()
    }

    /// The streams that lag most, at most so many; among equals the oldest first. Looks at every stream.
    pub(crate) fn slowest(&self, max: usize, log: &Log) -> Vec<StreamStats> {
        let state = self.state.lock();
        let head = log.head();
        let order = |slot: &Slot| (Reverse(slot.lag(head)), slot.control.number());
        let mut slots: Vec<&Slot> = state.slots.iter().map(|(_, slot)| slot).collect();
        if slots.len() > max {
            slots.select_nth_unstable_by_key(max, |slot| order(slot));
            slots.truncate(max);
        }
        slots.sort_unstable_by_key(|slot| order(slot));
        slots.into_iter().map(|slot| slot.stats(head, log)).collect()
    }
}

impl Slot {
    fn lag(&self, head: u64) -> u64 {
        if self.is_live() { 0 } else { head.saturating_sub(self.control.cursor()) }
    }

    fn is_live(&self) -> bool {
        self.control.is_live() && self.sleeper.as_ref().is_none_or(|sleeper| sleeper.unread == 0)
    }

    fn stats(&self, head: u64, log: &Log) -> StreamStats {
        let lag = self.lag(head);
        StreamStats {
            number: self.control.number(),
            topics: self.matchers.iter().take(STATS_TOPICS).map(|matcher| matcher.to_string()).collect(),
            topics_total: self.matchers.len(),
            peer: self.reader.peer,
            user: self.reader.user.clone(),
            since: UNIX_EPOCH + Duration::from_millis(self.reader.since_ms),
            position: log.position(head - lag),
            lag,
            delivered: self.control.delivered(),
            live: self.is_live(),
        }
    }
}

impl State {
    /// Entries up to `gone` have left the log before we followed: nobody knows whom they concern, so all look.
    fn announce_loss(&mut self, gone: u64, woken: &mut Vec<Waker>) {
        for sleeper in self.slots.iter_mut().filter_map(|(_, slot)| slot.sleeper.as_mut()) {
            let first = sleeper.read.max(self.followed) + 1;
            if sleeper.unread == 0 && first <= gone {
                sleeper.unread = first;
                woken.extend(sleeper.waker.take());
            }
        }
        self.followed = gone;
    }

    fn announce(&mut self, entry: &Entry, woken: &mut Vec<Waker>) {
        let Self { slots, index, .. } = self;
        index.visit(&entry.topics, |key| {
            let Some(sleeper) = slots.get_mut(key as usize).and_then(|slot| slot.sleeper.as_mut()) else { return };
            if sleeper.unread != 0 || entry.sequence <= sleeper.read {
                return;
            }
            sleeper.unread = entry.sequence;
            woken.extend(sleeper.waker.take());
        });
    }
}
