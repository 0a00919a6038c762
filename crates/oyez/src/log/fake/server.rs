//! The server.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::log::Batch;
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::log::tail::{Departure, Remains};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::{Error, ErrorKind, Topic};

/// Keeps entries whether or not there is a hub, gives them their numbers and times, and knows all that has left.
pub(crate) struct Server {
    pub(crate) epoch: Epoch,
    /// Of these topics nothing is missed.
    compact: Matchers,
    /// How often a question is looked at before it is answered.
    lateness: u64,
    kept: Mutex<Kept>,
    mood: Mutex<Mood>,
}

/// What it keeps.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) entries: BTreeMap<u64, Arc<Entry>>,
    pub(super) newest: u64,
    newest_ms: u64,
    /// The time of day, which the test sets by hand.
    now_ms: u64,
    left: Vec<Left>,
    pub(super) drops: u64,
    /// What hubs said is to be kept of what has left, up to which number.
    pub(super) remains: Remains,
    pub(super) left_through: u64,
}

/// An entry that has left.
struct Left {
    sequence: u64,
    time_ms: u64,
    topics: Vec<Topic>,
    id: Option<String>,
    /// How often something had been dropped then.
    drop: u64,
}

/// Whether it answers.
#[derive(Default)]
struct Mood {
    is_away: bool,
    /// Who asked while it was away.
    waiting: Vec<Waker>,
    /// It refuses the next question, and has refused so many.
    refuses: bool,
    refusals: u64,
}

impl Server {
    pub(crate) fn new(epoch: Epoch, compact: Matchers, lateness: u64) -> Self {
        Self { epoch, compact, lateness, kept: Mutex::default(), mood: Mutex::default() }
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_time(&self, now_ms: u64) {
        self.kept().now_ms = now_ms;
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.kept().now_ms
    }

    pub(crate) fn newest(&self) -> u64 {
        self.kept().newest
    }

    /// The number of the oldest entry; the next one when there is none.
    pub(crate) fn first(&self) -> u64 {
        let kept = self.kept();
        kept.entries.first_key_value().map_or(kept.newest + 1, |(first, _)| *first)
    }

    pub(crate) fn is_away(&self) -> bool {
        self.mood().is_away
    }

    /// Goes away, or comes back and answers whoever has asked meanwhile.
    pub(crate) fn set_away(&self, is_away: bool) {
        let mut mood = self.mood();
        mood.is_away = is_away;
        let waiting = std::mem::take(&mut mood.waiting);
        drop(mood);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Refuses the next question, or does not any more.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.mood().refuses = refuses;
    }

    /// How many questions it has refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.mood().refusals
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when it refuses.
    pub(super) async fn answers(&self) -> Result<(), Error> {
        let mut looks = self.lateness;
        poll_fn(|cx| {
            let mut mood = self.mood();
            if mood.is_away {
                mood.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            if looks > 0 {
                looks -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let refuses = std::mem::take(&mut mood.refuses);
            mood.refusals += u64::from(refuses);
            Poll::Ready(if refuses { Err(refusal("the server refuses")) } else { Ok(()) })
        })
        .await
    }

    /// Keeps a batch from now on, whoever knows of it.
    pub(crate) fn append(&self, batch: Batch) -> Vec<Arc<Entry>> {
        let mut kept = self.kept();
        // a clock that is set back must not put entries out of order
        kept.newest_ms = kept.newest_ms.max(kept.now_ms);
        let place = |draft: crate::log::draft::Draft| {
            kept.newest += 1;
            let position = Position { epoch: self.epoch, sequence: kept.newest };
            let entry = Arc::new(draft.place(position, kept.newest_ms));
            kept.entries.insert(entry.sequence, Arc::clone(&entry));
            entry
        };
        batch.0.into_iter().map(place).collect()
    }

    /// Everything up to this number leaves. `tell` tells the hub before it is gone, and what it wants to be kept of it; it may look
    /// here, so nothing is locked meanwhile.
    pub(crate) fn drop_through(&self, through: u64, tell: impl FnOnce(&Departure) -> Remains) {
        let marks = self.kept().entries.range(..=through).map(|(sequence, _)| *sequence).collect();
        let oldest = self.kept().entries.range(through + 1..).next().map_or(through + 1, |(oldest, _)| *oldest);
        let remains = tell(&Departure { through, oldest, marks });
        let mut kept = self.kept();
        kept.drops += 1;
        kept.remains = remains;
        kept.left_through = through;
        let stays = kept.entries.split_off(&(through + 1));
        let drop = kept.drops;
        let leaves = std::mem::replace(&mut kept.entries, stays);
        kept.left.extend(leaves.into_values().map(|entry| Left {
            sequence: entry.sequence,
            time_ms: entry.time_ms,
            topics: if entry.deletes() { Vec::new() } else { entry.topics.to_vec() },
            id: entry.publisher_id.as_ref().map(ToString::to_string),
            drop,
        }));
    }

    /// What a reader after `after` has missed since so much had been dropped.
    pub(super) fn missed(&self, after: After, matchers: &Matchers, drops: u64) -> Missed {
        let kept = self.kept();
        let counts = |topic: &Topic| matchers.matches(topic) && !self.compact.matches(topic);
        let is_missed = |left: &&Left| {
            left.drop > drops && after.is_before(left.sequence, left.time_ms) && left.topics.iter().any(counts)
        };
        let missed = kept.left.iter().filter(is_missed).count() as u64;
        match after {
            _ if missed == 0 => Missed::Nothing,
            After::Sequence(_) if matchers.is_exact() && matchers.len() == 1 => Missed::Events(missed),
            After::Sequence(_) | After::Time(_) => Missed::Unknown,
        }
    }

    /// Has an entry left that had this publisher's id?
    pub(super) fn has_left(&self, id: &str) -> bool {
        self.kept().left.iter().any(|left| left.id.as_deref() == Some(id))
    }
}

pub(super) fn refusal(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}
