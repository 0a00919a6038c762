//! A stream, and what its reader knows.

use std::fmt;

use super::begun::Begun;
use super::deletions::Known;
use super::start::Start;
use super::wish::Wish;
use crate::subscriber::Subscriber;

pub(super) struct Reader {
    /// None when its hub has stopped.
    pub(super) subscriber: Option<Subscriber>,
    pub(super) wish: Wish,
    /// The reader has everything that matches up to here.
    pub(super) has: u64,
    /// What had left by then it knows of.
    pub(super) knows: u64,
    /// How often something had left when it began: that is nothing it may read.
    pub(super) began: u64,
    pub(super) deletions: Known,
    pub(super) values: Option<Values>,
    /// Its page was read when something had left so often.
    pub(super) page_of: Option<u64>,
    /// The last entry that it wants.
    pub(super) until: Option<u64>,
    pub(super) sent: u64,
    /// It has been told the end of all its topics, which may have been deleted since.
    pub(super) has_end: bool,
    /// Something that it asked for was refused.
    pub(super) may_break: bool,
    pub(super) last_id: Option<String>,
    pub(super) begun: Begun,
}

/// What a stream asks for that begins.
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) start: Start,
    /// The last id that its reader was told before.
    pub(super) last_id: Option<String>,
    /// Something that it asked the engine for was refused.
    pub(super) may_break: bool,
}

/// What a stream gets before it reads the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    /// Up to here it gets values only.
    pub(super) upto: u64,
    /// Of those that had left by then it knows.
    pub(super) knows: u64,
}

impl Reader {
    /// Its hub stops. True when it has a place to come back to.
    pub(super) fn stop(&mut self) -> bool {
        self.subscriber.take().is_some() && self.last_id.is_some()
    }

    /// Does it wait for a page?
    pub(super) fn is_fetching(&self) -> bool {
        self.subscriber.as_ref().is_some_and(Subscriber::is_fetching)
    }

    /// Has it got as many as it wants?
    pub(super) fn is_full(&self) -> bool {
        self.wish.limit.is_some_and(|limit| self.sent >= limit)
    }
}

/// What a failure says of it.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish, has, knows, values, page_of, until, last_id, .. } = self;
        write!(f, "a reader of {:?} that has {has}, knows what had left by {knows}", wish.matchers)?;
        write!(f, " (values up to {values:?}, page of {page_of:?}, until {until:?}, last id {last_id:?})")
    }
}
