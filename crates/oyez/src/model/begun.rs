//! What a stream has to say first, and the gap that is due.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use oyez_proto::Event;

use super::engine::Engine;
use super::turn::begin;
use crate::ErrorKind;
use crate::gap::{Gap, Reason};
use crate::output::Output;
use crate::subscribe::Subscribe;

/// How far a stream has come with its beginning.
pub(super) enum Begun {
    /// It is to say where it begins, unless a gap is due.
    Open(Option<Due>),
    /// The same, without a place: it is a snapshot that has something to tell.
    Snapshot,
    Said,
}

/// A gap that has to be, or at least may be, announced.
pub(super) struct Due {
    pub(super) reason: Reason,
    pub(super) must: bool,
    pub(super) requested: String,
    /// How many are missing, where that means anything.
    pub(super) missed: Option<u64>,
    /// The number can be known.
    pub(super) countable: bool,
    /// The first entry that matches and can be read.
    pub(super) first: Option<u64>,
    pub(super) head: u64,
}

impl Due {
    /// Where the gap ends.
    pub(super) fn end(&self) -> u64 {
        self.first.map_or(self.head, |first| first - 1)
    }

    /// Is the number that the gap tells the right one? True when it tells one.
    pub(super) fn check_number(&self, gap: &Gap, is_filtered: bool) -> bool {
        match (gap.missed, self.missed) {
            (Some(_), _) if is_filtered => panic!("nobody knows what the filter would have said"),
            (Some(told), Some(missed)) => assert_eq!(told, missed, "{gap:?}"),
            (Some(told), None) => panic!("{told} missed, says who?"),
            (None, missed) => assert!(!self.countable || is_filtered || missed.is_none(), "{missed:?} could be told"),
        }
        gap.missed.is_some()
    }

    /// Does it end before the entry that comes next, and name that? `oldest` is its id as the reader may know it.
    pub(super) fn check_place(&self, gap: &Gap, oldest: Option<&str>) {
        assert_eq!(gap.position.sequence, self.end(), "{gap:?}");
        assert_eq!(gap.oldest.as_deref(), oldest);
    }
}

/// Whoever has the gap's id resumes without a word, if nothing else leaves the history meanwhile.
pub(super) fn is_told_once(gap: &Gap, matchers: &[&'static str], engine: &impl Engine, now: Instant) {
    let subscribe = Subscribe::<Event>::new(Arc::clone(engine.core())).since_id(&gap.position.to_string());
    let subscribe = matchers.iter().fold(subscribe, |subscribe, matcher| subscribe.and_pattern(*matcher));
    let clock = &engine.core().log.clock;
    let now_ms = clock.ms();
    clock.set(1); // nothing gets old
    let begun = begin(engine, subscribe, now, 1);
    clock.set(now_ms);
    let mut again = match begun {
        Ok(Err(error)) if error.kind() == ErrorKind::Ended => return,
        Ok(begun) => begun.unwrap(),
        Err(_) => return, // who could say so is away
    };
    let mut out = Vec::new();
    again.poll(now, Waker::noop(), &mut out);
    assert!(matches!(out[..], [Output::Open { cursor: Some(_), .. }]), "the gap is told twice");
}
