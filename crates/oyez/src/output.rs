//! What a stream says, and what its driver does next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::gap::Gap;
use crate::log::{Entry, Snapshot};
use crate::stats::Reader;

/// What a stream says next, in order. How it looks in bytes is [`format`](crate::format)'s business.
pub(crate) enum Output {
    /// The stream begins, here unless a gap follows that says where, and its reader is to come back after this time.
    Open {
        cursor: Option<u64>,
        retry: Duration,
        /// The data of an `oyez.open`.
        said: Option<String>,
    },
    Entry(Arc<Entry>),
    Gap(Gap),
    /// Nothing has been said for a while. With a cursor: what is unsaid up to here did not concern the reader.
    KeepAlive(Option<u64>),
    /// The first line of the first event of a strict reader: it is to come back after so many milliseconds.
    Retry(u32),
}

/// What the driver of a stream does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something is to be sent; then poll again.
    Deliver,
    /// The turn's share of work is done without a result: poll again, but let others go first.
    Yield,
    /// Poll when woken, or at this time.
    Wait(Option<Instant>),
    /// Nothing will come any more.
    End,
}

/// What a stream says and settles at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// What the resume has missed.
    pub(crate) gap: Option<Gap>,
    /// Values that come before the log is read.
    pub(crate) values: Option<Snapshot>,
    /// Of topics that were deleted up to here the stream says nothing.
    pub(crate) deletions_known: u64,
    /// They are all that there is: the stream goes on at the head, and begins anew if it is cut before it has told one.
    pub(crate) is_snapshot: bool,
    /// It does not resume: nothing of what it begins with can be missed.
    pub(crate) replaying: bool,
    pub(crate) retry: Duration,
    pub(crate) life: Option<Duration>,
    /// The data of an `oyez.open`.
    pub(crate) said: Option<String>,
    pub(crate) reader: Reader,
}
