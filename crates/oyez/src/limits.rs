//! Every bound of the library, with its default and its reason. Queues and tables take their sizes from here.

use std::time::Duration;

use crate::Error;

/// The bounds of a [`Hub`](crate::Hub): [`Limits::default`], and what you set.
///
/// ```
/// let limits = oyez::Limits::default().subscribers_max(2).data_bytes_max(64 << 10);
/// assert_eq!(limits.subscribers_max, 2);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Subscribers at once, over all topics. Further ones are refused with
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable). 100,000: what one process with raised descriptor
    /// limits serves.
    pub subscribers_max: usize,
    /// Bytes of one event's data. 1 MiB, as Mercure hubs have it; a larger payload belongs behind a link.
    pub data_bytes_max: usize,
    /// Topics of one publish. 100: an event for more is a broadcast, which a pattern expresses better.
    pub publish_topics_max: usize,
    /// Matchers of one subscription. 100: each costs an index place for the life of the stream.
    pub matchers_max: usize,
    /// Matchers of one [`Grant`](crate::Grant). 1,000, as Mercure tokens may have: a grant is kept for the life of its stream,
    /// and asked for each private entry.
    pub grant_matchers_max: usize,
    /// Events of one atomic batch. 1,000: a batch is appended under one lock.
    pub batch_events_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscribers_max: 100_000,
            data_bytes_max: 1 << 20,
            publish_topics_max: 100,
            matchers_max: 100,
            grant_matchers_max: 1_000,
            batch_events_max: 1_000,
        }
    }
}

impl Limits {
    /// Sets [`subscribers_max`](field@Self::subscribers_max).
    #[must_use]
    pub fn subscribers_max(mut self, max: usize) -> Self {
        self.subscribers_max = max;
        self
    }

    /// Sets [`data_bytes_max`](field@Self::data_bytes_max).
    #[must_use]
    pub fn data_bytes_max(mut self, max: usize) -> Self {
        self.data_bytes_max = max;
        self
    }

    /// Sets [`publish_topics_max`](field@Self::publish_topics_max).
    #[must_use]
    pub fn publish_topics_max(mut self, max: usize) -> Self {
        self.publish_topics_max = max;
        self
    }

    /// Sets [`matchers_max`](field@Self::matchers_max).
    #[must_use]
    pub fn matchers_max(mut self, max: usize) -> Self {
        self.matchers_max = max;
        self
    }

    /// Sets [`grant_matchers_max`](field@Self::grant_matchers_max).
    #[must_use]
    pub fn grant_matchers_max(mut self, max: usize) -> Self {
        self.grant_matchers_max = max;
        self
    }

    /// Sets [`batch_events_max`](field@Self::batch_events_max).
    #[must_use]
    pub fn batch_events_max(mut self, max: usize) -> Self {
        self.batch_events_max = max;
        self
    }
}

/// Bytes of a topic name. 1,024: names are kept in memory for as long as an entry or a subscriber uses them.
pub(crate) const TOPIC_BYTES_MAX: usize = 1_024;

/// Bytes of a `*` pattern. 4,096: longer than any topic it could match usefully, short enough to match in microseconds.
pub(crate) const PATTERN_BYTES_MAX: usize = 4_096;

/// Topics and patterns named of one stream to those who look at streams. Ten: a line of a table.
pub(crate) const STATS_TOPICS: usize = 10;

/// Bytes of an id that a publisher chose or a subscriber sends. 128: beyond it a browser's cross-origin reconnection
/// needs a preflight, and the id index is counted per entry.
pub(crate) const EVENT_ID_BYTES_MAX: usize = 128;

/// How long an idempotency key stands for its publish. Ten minutes: a publisher that has not been answered by then has told
/// somebody.
pub(crate) const ONCE_WINDOW: Duration = Duration::from_secs(600);
/// From where on the time of day was set, and did not just go on. Five seconds: what keeps it right step by step moves it by less,
/// and an age that is five seconds out is right.
pub(crate) const CLOCK_LEAP_LEAST: Duration = Duration::from_secs(5);
/// How many leaps ahead are known apart; the oldest beyond that count as one.
pub(crate) const CLOCK_LEAPS: usize = 16;
/// Bytes of an idempotency key. 128: a few UUIDs.
pub(crate) const ONCE_KEY_BYTES_MAX: usize = 128;
/// Bytes of the name of the publisher whose key it is. 256: a subject of a token.
pub(crate) const ONCE_SCOPE_BYTES_MAX: usize = 256;
/// Idempotency keys that are remembered at once, and bytes of them with what is kept beside: more than a thousand publishes a
/// second for the whole window, or 400 with UUIDs. Beyond that the oldest go first, and the window is shorter.
pub(crate) const ONCE_KEYS: usize = 1_000_000;
/// See [`ONCE_KEYS`]; whichever is reached first.
pub(crate) const ONCE_BYTES: usize = 64 << 20;

/// Bytes of an event type. 256: a name, not a payload.
pub(crate) const EVENT_TYPE_BYTES_MAX: usize = 256;

/// Bytes of history by default, index and topic names counted.
pub(crate) const HISTORY_BYTES: usize = 64 << 20;

/// What streams that are already open may still read of entries that have left the history: without it a hub that
/// keeps one event would cut its subscribers off at each burst of two.
pub(crate) const SLACK_ENTRIES: usize = 1_024;
/// See [`SLACK_ENTRIES`]; whichever is reached first.
pub(crate) const SLACK_BYTES: usize = 4 << 20;

/// Bytes (names and bookkeeping) of the summary of topics whose entries are all gone, of each class; a small history keeps less.
/// With less than this a resume is known to be complete; beyond it the answer is "may be incomplete".
pub(crate) const DROPPED_SUMMARY_BYTES: usize = 1 << 20;

/// Publishers' ids of which a log knows that their entries have left it: a hash for each 4 KiB of its history, at least
/// [`LEFT_IDS_MIN`] and at most so many. With all of them 5 MiB of memory, and of a file that is written when a segment is dropped.
pub(crate) const LEFT_IDS_MAX: usize = 262_144;
/// See [`LEFT_IDS_MAX`]: what a small segment's drop may well write.
pub(crate) const LEFT_IDS_MIN: usize = 4_096;
/// See [`LEFT_IDS_MAX`].
pub(crate) const LEFT_ID_BYTES: usize = 4 << 10;

/// Deletions of topics that a log knows of, to say why a resume from before is incomplete: at most 5 MB with the longest
/// names. Of older ones only the place is known, and every reader from before it is told.
pub(crate) const DELETIONS_KEPT: usize = 4_096;

/// Bytes of the names of deleted topics while a history on disk holds something from before; with more, deletions of further topics
/// are refused. 32 MiB, half of what a history in memory takes: some 190,000 names. It cannot be forgotten what is hidden.
pub(crate) const DELETED_NAMES_BYTES_MAX: usize = 32 << 20;

/// Values (the newest entry of each topic and key) that a log keeps, whatever becomes of its history.
pub(crate) const LATEST_VALUES: usize = 1_000_000;
/// Bytes of their table and of those values that only it still holds: as much as the history has by default.
pub(crate) const LATEST_BYTES: usize = 64 << 20;

/// Bytes of the key of a keyed event. 256: a name such as a row's, which is kept for as long as its value.
pub(crate) const KEY_BYTES_MAX: usize = 256;

/// Refuses more of something than `max`, in words.
pub(crate) fn at_most(what: &str, number: usize, max: usize) -> Result<(), Error> {
    if number <= max {
        return Ok(());
    }
    Err(Error::invalid(format!("{number} {what}, at most {max} are allowed")))
}

/// Entries that one turn of a subscriber takes: bounds the work per wake-up and the memory of a stalled reader.
pub(crate) const PAGE_ENTRIES: usize = 64;
/// Frame bytes after which a page is full. At most one event more is taken.
pub(crate) const PAGE_BYTES: usize = 32 << 10;
/// Reads and waits in one turn of a subscriber: more than one, because a turn that ends in a wait has to look once more.
pub(crate) const TURN_ROUNDS: usize = 8;
/// Entries that a shard takes from the log at a time, so that it holds the log's lock shortly.
pub(crate) const FOLLOW_ENTRIES: usize = 256;
/// Entries that one step of a search looks at when a pattern skips most of them.
pub(crate) const SCAN_ENTRIES: usize = 1_024;
/// Bytes of topics and patterns that one step of a search compares: about a tenth of a millisecond, however many patterns there
/// are and however long.
pub(crate) const STEP_WORK: usize = 64 << 10;
/// Steps in which one search looks for the next entry that matches, before its stream says how far that was: a few milliseconds.
pub(crate) const SEARCH_STEPS: usize = 64;
/// The priority of the threads that search (`nice`), lower than the others': a publish that wakes a thread is not to wait for the
/// end of a search's share of time, which is some milliseconds.
#[cfg(target_os = "linux")]
pub(crate) const SEARCH_NICENESS: i32 = 10;
/// Entries of the tail that a search takes with it, to look at them when the log is not locked.
pub(crate) const SEARCH_ENTRIES: usize = 64;
/// Threads that search for readers with a lag: half the processors, at most this many. Live readers come first.
pub(crate) const SEARCH_THREADS_MAX: usize = 4;

/// Entries and bytes of a page that is read from below the tail for one stream.
pub(crate) const PAGE_ENTRIES_BELOW: usize = 512;
/// See [`PAGE_ENTRIES_BELOW`].
pub(crate) const PAGE_BYTES_BELOW: usize = 64 << 10;
/// Pages in which the first entry after a gap is looked for below the tail, while its reader waits.
pub(crate) const GAP_STEPS: usize = 8;
/// Looks for the last so many entries that are not hidden, each at four times as many as the one before: then at 4,096 times as many
/// as are wanted, while a reader waits.
pub(crate) const LAST_STEPS: usize = 7;

/// Topics, times the matchers of a subscription, that are looked at to find out whether a resume by patterns has missed
/// something. With more the answer is that it may have: the log is held meanwhile.
pub(crate) const MISSED_CHECKS: usize = 65_536;

/// Entries that left last whose topics are kept, so that a reader who was just passed by some of them is told what it has missed
/// without a look at all topics. At some hundred events a second it is a few seconds. Tests lose less, and need both ways.
pub(crate) const RECENTLY_LOST: usize = if cfg!(test) { 8 } else { 1_024 };

/// Topics that are asked what they have lost while the log is held, for a reader by patterns who was passed by more than that. 16,384:
/// half a millisecond. With more topics than that none is asked, and the answer is that it may have missed something.
pub(crate) const MISSED_WALK: usize = 16_384;

/// Patterns that are tried one by one: with so few, that is cheaper than to look up what was found out before.
pub(crate) const PATTERNS_UNREMEMBERED: usize = 4;

/// Topics for which an index remembers the patterns that select them, twice: those asked for lately and those before. With
/// [`REMEMBERED_TOPIC_BYTES_MAX`] about two MiB at most.
pub(crate) const REMEMBERED_TOPICS: usize = 4_096;
/// Bytes of a topic that is remembered; few are longer, and those are tried one by one.
pub(crate) const REMEMBERED_TOPIC_BYTES_MAX: usize = 128;

/// Readable sets of grants after which those that nobody has any more are looked for, or twice as many as were left the last
/// time: then the table is never more than twice what is in use, and the looking costs each set next to nothing.
pub(crate) const READABLE_SETS_SWEPT: usize = 64;

/// How long before its grant expires a stream ends. A quarter of a second: a timer of the fan-out thread may come an eighth
/// late, and nothing is to be sent after that time.
pub(crate) const EXPIRY_LEAD: Duration = Duration::from_millis(250);

/// Lines of `application/x-ndjson` that are kept for other readers at the tail, and bytes of the longest one: 1 MiB.
pub(crate) const LINES_KEPT: usize = 64;
/// See [`LINES_KEPT`].
pub(crate) const LINE_BYTES_KEPT: usize = 16 << 10;

/// Bytes of a frame from where on readers that need it at the same time share one copy, however it is made. 64 KiB: half of what a
/// stopped reader may hold.
pub(crate) const LARGE_BYTES: usize = 64 << 10;
/// So many such frames are known at once, a reference of 40 bytes each.
pub(crate) const LARGE_KNOWN: usize = 4_096;

/// Frames larger than this are handed on as they are; smaller ones that wait together are copied into one buffer,
/// which is cheaper than one chunk and one system call's vector each.
pub(crate) const GATHER_BYTES: usize = 16 << 10;

/// Keep-alive: what the HTML Standard suggests against proxies that drop idle connections; two fit into the
/// shortest idle limit in the field (30 s).
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Reconnection time that a stream opens with: a random one in this range, so that the readers of a server that
/// went away come back spread out.
pub(crate) const RETRY_MS: std::ops::RangeInclusive<u64> = 2_000..=5_000;

/// The longest reconnection time that a publisher may give the readers of its topic. An hour: it stays in force for each of them until it is set
/// again, and beyond that a mistake keeps them away for good.
pub(crate) const RECONNECTION_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Events that a [`Connection`](crate::Connection) holds for a reader that does not take them yet; then `send` waits.
pub(crate) const CONNECTION_QUEUE_FRAMES: usize = 16;

/// Keys that a [`Limiter`](crate::Limiter) remembers at once. A key is a few dozen bytes: some MiB at most.
pub(crate) const LIMITER_KEYS_MAX: usize = 65_536;

/// The least time between two looks for keys that can be forgotten: each passes all of them.
pub(crate) const LIMITER_SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Streams per second that a drain may end however short its window: 10,000 leave in the default 20 s.
pub(crate) const DRAIN_STREAMS_PER_SECOND: u32 = 500;

/// Bounds of the log on disk.
#[cfg(all(unix, feature = "disk"))]
pub(crate) mod disk {
    use std::time::Duration;

    /// Bytes of the newest entries that are held in memory as well, index and topic names counted: live readers and those
    /// who come back after a short while ask no disk.
    pub(crate) const TAIL_BYTES: usize = 32 << 20;

    /// What is kept by default.
    pub(crate) const HISTORY_BYTES: usize = 1 << 30;
    /// See [`HISTORY_BYTES`].
    pub(crate) const HISTORY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Bytes of a segment: the first is the smallest, so that a small history takes little room, and each of the next twice
    /// the last. What is dropped is dropped by segments, so the largest is a sixteenth of what is kept.
    pub(crate) const SEGMENT_BYTES_MIN: usize = 1 << 20;
    /// See [`SEGMENT_BYTES_MIN`]. A start looks through one segment at most.
    pub(crate) const SEGMENT_BYTES_MAX: usize = 64 << 20;
    /// See [`SEGMENT_BYTES_MIN`].
    pub(crate) const SEGMENTS_OF_HISTORY: usize = 16;

    /// Events that are made durable together, within [`WRITE_BYTES_MAX`]. 8,000: eight publishers with batches of 1,000 share a
    /// sync, and the first of them waits a few milliseconds for the last to be encoded.
    pub(crate) const COMMIT_EVENTS_MAX: usize = 8_000;
    /// Bytes that are written together, but for a batch that is larger by itself.
    pub(crate) const WRITE_BYTES_MAX: usize = 1 << 20;
    /// Bytes of publishes that wait for the disk; further ones are refused.
    pub(crate) const QUEUE_BYTES_MAX: usize = 64 << 20;

    /// Numbers that are reserved at a time: so many are skipped at most after a crash, and reserving costs three syncs.
    pub(crate) const RESERVED_NUMBERS: u64 = 65_536;
    /// The first write after a start passes by so many numbers for each millisecond since the last one was reserved. A copy of the
    /// directory that is put back later then gives out none that the directory itself gave out meanwhile. 4,096: three times as
    /// many events as one log has been seen to take.
    pub(crate) const NUMBERS_PER_MS: u64 = 4_096;
    /// And so many at most: what 34 years come to. A clock that is wrong by more is not to use up the numbers.
    pub(crate) const NUMBERS_PASSED_MAX: u64 = 1 << 52;
    /// No number is larger. 2^62: ids are compared and counted up in 64 bits, and a thousand wrong clocks leave room.
    pub(crate) const NUMBER_MAX: u64 = 1 << 62;
    /// Runs of numbers that were passed by, at a crash or a start, and are remembered; ids of older ones have long left any history.
    pub(crate) const SKIPS_KEPT: usize = 1_024;

    /// Of so many records the index knows the place of one: the others are found by walking from it.
    pub(crate) const SAMPLED_RECORDS: u32 = 32;

    /// Bytes read ahead where entries lie close together.
    pub(crate) const SPAN_BYTES: usize = 64 << 10;
    /// Bytes read at once where they lie further apart than that.
    pub(crate) const SPARSE_BYTES: usize = 4 << 10;
    /// Bytes that one read for a pattern looks through at most, and that a check reads at a time.
    pub(crate) const SCAN_BYTES: usize = 1 << 20;

    /// Bytes of a file that is read as a whole: what is known of the history, and values. 256 MiB: four times what the values take. A
    /// longer one is damaged, and whoever looks at it is not to run out of memory.
    pub(crate) const FILE_BYTES_MAX: usize = 256 << 20;

    /// Bytes of one line that is imported. 256 MiB: more than any event that a hub takes, and it is held in memory.
    pub(crate) const IMPORT_LINE_BYTES_MAX: u64 = 256 << 20;

    /// How long nothing is published before what is left over is done, and how often what is old is looked for.
    pub(crate) const IDLE: Duration = Duration::from_secs(1);

    /// How long publishes are refused at once when the disk is full, before it is asked again.
    pub(crate) const FULL_PAUSE: Duration = Duration::from_secs(1);
    /// While the disk stays full this is said so often: each refused publish is counted, and would fill the log as well.
    pub(crate) const FULL_TOLD: Duration = Duration::from_secs(60);
}

/// Bounds of [`oyez::serve`](crate::serve()).
#[cfg(feature = "serve")]
pub(crate) mod serve {
    use std::time::Duration;

    /// Connections at once; further ones wait in the kernel's queue. 100,000: with the memory of an idle connection
    /// that is about a gigabyte.
    pub(crate) const CONNECTIONS_MAX: usize = 100_000;

    /// From the connection to the end of its first request's head, and from the first byte of a later one to its end. 10 s: long for any reader, short for a slowloris.
    pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

    /// Without a request between two on one connection. 75 s: above the 60 s that proxies in front reuse connections
    /// for, so that it is they who close first.
    pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

    /// Without a byte of a request's body.
    pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

    /// After an answer that came before the end of its request's body: how long the rest is read on and dropped, at a silence and in
    /// all. As nginx has it: a client that is slow to look for an answer finds it.
    pub(crate) const LINGER_SILENCE: Duration = Duration::from_secs(5);
    /// See [`LINGER_SILENCE`].
    pub(crate) const LINGER: Duration = Duration::from_secs(30);
    /// The same in a drain, which has other things to wait for: a few times around the world.
    pub(crate) const LINGER_DRAINING: Duration = Duration::from_secs(1);

    /// Without a byte taken while there are some to take: the one rule for stalled readers. The kernel gives up on a peer
    /// that acknowledges nothing after the same time.
    pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

    /// How often in that time it is looked whether a reader whose socket was full takes something. Six: every five seconds, 20 µs
    /// each, and whoever takes nothing is cut after 30 to 40 s.
    pub(crate) const PATIENCE_LOOKS: u32 = 6;

    /// More bytes than the kernel holds unsent of one stream; it is searched for how many there are up to that.
    #[cfg(target_os = "linux")]
    pub(crate) const UNSENT_BYTES_MAX: u32 = 1 << 20;

    /// Bytes of a request's head, and header fields in it.
    pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
    pub(crate) const HEAD_FIELDS_MAX: usize = 100;

    /// Bytes that connections hold of heads that have not come whole, all together; beyond it the oldest of them are closed. 16 MiB: some
    /// 7,000 that are as short as most.
    pub(crate) const HALF_HEADS_BYTES_MAX: usize = 16 << 20;
    /// What such a connection costs beside those bytes.
    pub(crate) const HALF_HEAD_COST: usize = 2 << 10;
    /// The least time between two lines in the log about it.
    pub(crate) const HALF_HEADS_LOG_PAUSE: Duration = Duration::from_secs(60);

    /// Bytes that a reader that takes little or nothing may hold in this process. What it has not taken of a larger event is given back
    /// when it is looked at ([`PATIENCE_LOOKS`]), and read again from the log when its socket takes more.
    pub(crate) const WAITING_BYTES_MAX: usize = 256 << 10;

    /// Bytes that hyper may hold for one connection in either direction.
    pub(crate) const BUFFER_BYTES: usize = 64 << 10;

    /// Bytes read from a socket at a time, on the stack: hyper's own buffer is filled by unsafe code only, which this
    /// crate does without.
    pub(crate) const READ_BYTES: usize = 8 << 10;

    /// Unsent bytes in the kernel above which a socket does not ask for more: what waits is then in the log, where it
    /// is shared, and not in the socket's buffer.
    pub(crate) const NOT_SENT_BYTES: u32 = 32 << 10;

    /// The kernel's send buffer; it doubles this.
    pub(crate) const SEND_BUFFER_BYTES: usize = 128 << 10;

    /// How long accepting rests after an error such as too many open files: streams go on meanwhile.
    pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

    /// The least time between two lines in the log about such errors.
    pub(crate) const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(5);

    /// What a longer timeout is taken for: for ever, in numbers that clocks can add.
    pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

    /// Readers visited before the fan-out thread looks again for publishes, sockets and times.
    pub(crate) const SLICE_VISITS: usize = 128;

    /// How long the fan-out thread visits readers before it looks again, however few they were: a visit that has to look through
    /// the tail takes as long as many others.
    pub(crate) const SLICE_TIME: Duration = Duration::from_millis(2);

    /// Of so many visits in a row that write what is made for all one looks at the clock.
    pub(crate) const TIMED_VISITS: usize = 16;

    /// What one write to a reader takes at most: a reader with a large lag catches up in few system calls, and none holds the
    /// others up.
    pub(crate) const RUN_BYTES: usize = 64 << 10;
    /// See [`RUN_BYTES`].
    pub(crate) const RUN_ENTRIES: usize = 512;

    /// Entries of a turn that a group holds for its readers at the tail, so that they need not be looked for in the log. With
    /// 10,000 groups that all have so many, 5 MB of references.
    pub(crate) const FRESH_ENTRIES: usize = 64;

    /// Runs of a group that hold private entries, one for each set of them that a reader may have. Eight: readers whose rights
    /// are those of a few roles share them; where each has its own, more would help nobody. Half a MiB in each of the groups whose
    /// turn it is.
    pub(crate) const RUNS_APART: usize = 8;

    /// Times further away than this are rounded up to [`TIMES_GRAIN`]: then thousands of keep-alives are a few wake-ups a
    /// second. Nearer ones are exact.
    pub(crate) const TIMES_EXACT: Duration = Duration::from_secs(2);
    /// See [`TIMES_EXACT`].
    pub(crate) const TIMES_GRAIN: Duration = Duration::from_millis(128);

    /// Writes to one reader in one visit.
    pub(crate) const VISIT_RUNS: usize = 4;

    /// Readiness of sockets taken from the kernel at a time.
    pub(crate) const READY_SOCKETS: usize = 256;

    /// Bytes that a reader may send after its request; they mean nothing, so a reader that goes on sending is cut.
    pub(crate) const DISCARDED_BYTES_MAX: usize = 4 << 10;

    /// How long a stream that has ended waits for its reader to close as well.
    pub(crate) const CLOSING: Duration = Duration::from_secs(2);

    /// Pieces given to one vectored write.
    pub(crate) const PIECES_MAX: usize = 16;

    /// The part of a drain's window that is kept for the last streams to leave in, but at most a second.
    pub(crate) const DRAIN_LEAVE: u32 = 10;

    /// How long a drain may take.
    pub(crate) const DRAIN: Duration = Duration::from_secs(20);
}
