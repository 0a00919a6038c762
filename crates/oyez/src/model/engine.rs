//! What a world needs of the engine under its log, and what that can know.

use std::sync::Arc;

use super::dice::Dice;
use super::oracle::Oracle;
use crate::core::Core;
use crate::position::Epoch;
use crate::submission::Submission;
use crate::{ErrorKind, Topic};

/// A hub's log on one kind of engine. All laws hold on each; where one cannot know what another does, its [`Knows`] says so.
pub(super) trait Engine: Sized {
    const KNOWS: Knows;

    /// A log with settings of these chances, in an epoch of this seed.
    fn start(dice: &mut Dice, seed: u64) -> Self;

    /// One that keeps everything.
    fn keeping_all(dice: &mut Dice, seed: u64) -> Self;

    fn settings(&self) -> Settings;

    fn core(&self) -> &Arc<Core>;

    /// Appends a batch, with a key once. It is visible at the latest when [`flush`](Self::flush) comes back.
    ///
    /// # Errors
    /// As what it is refused.
    fn append(&mut self, batch: Vec<Submission>, key: Option<&'static str>, now_ms: u64)
    -> Result<Appended, ErrorKind>;

    /// Makes visible what was appended, as one.
    fn flush(&mut self, _now_ms: u64) {}

    /// Deletes a topic; nothing waits to be made visible.
    ///
    /// # Errors
    /// As what it is refused.
    fn delete(&mut self, topic: Topic, now_ms: u64) -> Result<Appended, ErrorKind>;

    /// Lets go of what is too old or too much, where that is not done with each append. False when there is no such thing.
    fn keep(&mut self, _dice: &mut Dice, _now_ms: u64) -> bool {
        false
    }

    fn extent(&self) -> Extent;

    /// The log stops and is opened again. With a power cut this batch is being written. Asked of engines only that survive it.
    fn restart(&mut self, _stop: Stop, _writing: Option<Vec<Submission>>, _now_ms: u64, _dice: &mut Dice) -> Restarted {
        unreachable!("this engine does not survive it")
    }

    /// Is it away? Then what its hub would have to ask it waits until it is back.
    fn is_away(&self) -> bool {
        false
    }

    fn set_away(&mut self, _is_away: bool) {}

    /// Refuses the next question, or does not any more. Gives back how often it has refused one.
    fn refuse(&mut self, _refuses: bool) -> u64 {
        0
    }

    /// What is known of this engine alone: how much it keeps, for one.
    fn check(&self, _oracle: &Oracle, _now_ms: u64) {}
}

/// What an engine can know, as far as they differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knows {
    /// Its log is there again when the hub is started anew.
    pub(super) survives: bool,
    /// It can be away for a while, or refuse to say something. What is there stays as it is meanwhile.
    pub(super) goes_away: bool,
    /// What was deleted before it left the history is told as deleted, and is not counted among what has left.
    pub(super) deleted_apart: bool,
    /// An id that several entries have stands for the first of them until all have left; else only until one has.
    pub(super) ids_until_all_left: bool,
    /// How many are missing of all topics together.
    pub(super) number_of_all: bool,
    /// How many are missing of what a stream that is open has lost.
    pub(super) number_in_stream: bool,
    /// What comes after a gap, however far away that is.
    pub(super) all_of_the_way: bool,
    /// What is left of compacted topics comes before the log, and not in its place among what is left of others.
    pub(super) values_first: bool,
    /// Of which topics a value was that has left.
    pub(super) topics_of_values: bool,
    /// Where topics ended whose end has left, when it remembers nothing else of what has.
    pub(super) all_ends: bool,
    /// The first write after a start may pass by numbers, which name nothing.
    pub(super) passes_numbers: bool,
}

impl Knows {
    /// Of a log whose entries are kept below its tail.
    pub(super) const BELOW: Self = Self {
        survives: true,
        goes_away: false,
        deleted_apart: false,
        ids_until_all_left: false,
        number_of_all: false,
        number_in_stream: false,
        all_of_the_way: false,
        values_first: false,
        topics_of_values: false,
        all_ends: true,
        passes_numbers: false,
    };
}

/// What of an engine's settings matters to its readers.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) epoch: Epoch,
    /// Nothing known of what is gone is ever forgotten: a gap is announced only if something is missing.
    pub(super) remembers_all: bool,
    /// Topics of which the newest entry of each key stays.
    pub(super) compact: Vec<&'static str>,
}

/// Where a batch stands in the log.
#[derive(Debug, Clone)]
pub(super) struct Appended {
    pub(super) first: u64,
    pub(super) ids: Vec<String>,
    /// Of the topics that are kept for as long as each other, to which it was written.
    pub(super) class: usize,
    /// It was there before.
    pub(super) replayed: bool,
}

/// How far the log reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) head: u64,
    /// The first number that is in memory.
    pub(super) front: u64,
    /// Of each class the first number that is in the history.
    pub(super) history: Vec<u64>,
    /// Of each class the first number that streams which are open may read: there may be less in the history.
    pub(super) reach: Vec<u64>,
}

/// How a log stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Clean,
    Kill,
    PowerCut,
}

/// What became of the batch that was being written.
#[derive(Debug, Default)]
pub(super) struct Restarted {
    pub(super) found: Option<Appended>,
    pub(super) is_acknowledged: bool,
    /// The last of the numbers that it passed by before it was written; it is a place as others are.
    pub(super) passed: Option<u64>,
}
