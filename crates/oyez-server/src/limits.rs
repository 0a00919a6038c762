//! Every bound of the server that cannot be set, with its reason. Those that can be set are in `settings/table.rs`; what the
//! library bounds is in its own `limits.rs`.

use std::time::Duration;

/// Bytes of one event over HTTP. 1 MiB, as Mercure hubs have it.
pub(crate) const DATA_BYTES_MAX: usize = 1 << 20;

/// Bytes of a batch. 1 MiB of data grows in JSON, at worst sixfold; the batch is held whole, since it is atomic.
pub(crate) const BATCH_BYTES_MAX: usize = 8 << 20;

/// Events of a batch, or of the lines that are published together.
pub(crate) const BATCH_EVENTS_MAX: usize = 1_000;

/// Patterns of compacted topics. 100: each publish is compared with all of them.
pub(crate) const COMPACT_MAX: usize = 100;

/// Bytes of a request's target. 8 KiB: what proxies pass; longer lists of topics belong into patterns.
pub(crate) const URI_BYTES_MAX: usize = 8 << 10;

/// A body has this long, and beyond it must come at [`BODY_RATE`] at least. Live lines have no such bound.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(30);

/// Bytes per second that a body comes at: a dial-up line is faster, a slowloris is not.
pub(crate) const BODY_RATE: u32 = 1_024;

/// Over which time that is looked at. Ten seconds: a network that stumbles recovers in less, and who has sent much before is not to
/// hold it for an hour by a byte now and then.
pub(crate) const BODY_WINDOW: Duration = Duration::from_secs(10);

/// Bytes of all bodies that are held at once, read and not yet published. 64 MiB: eight of the largest batches. What is made of them
/// takes as much again, twice at worst.
pub(crate) const BODIES_BYTES_MAX: usize = 64 << 20;

/// Bytes of each body that do not count there: small publishes are never refused because of large ones.
pub(crate) const BODY_BYTES_FREE: usize = 16 << 10;

/// Silence of a live stream of lines: a log that is quiet for an hour is opened again.
pub(crate) const LINES_IDLE: Duration = Duration::from_secs(3_600);

/// Descriptors kept back for everything but connections: listeners, log, files.
pub(crate) const DESCRIPTORS_RESERVED: u64 = 256;

/// Connections at once, where the descriptors allow it.
pub(crate) const CONNECTIONS_MAX: usize = 100_000;

/// Fewer connections than this are no server: refuse to start rather than refuse everyone.
pub(crate) const CONNECTIONS_MIN: usize = 64;

/// Memory for the history.
pub(crate) const HISTORY_BYTES: usize = 64 << 20;

/// How long a browser may remember the answer to a preflight. Two hours: Chromium's maximum.
pub(crate) const PREFLIGHT_AGE: Duration = Duration::from_secs(7_200);

/// Seconds after which a refusal that passes by itself may be tried again, spread at random.
pub(crate) const RETRY_SECONDS: std::ops::RangeInclusive<u64> = 2..=5;

/// Bytes of a request that controls a stream: a few names of JSON.
pub(crate) const CONTROL_BYTES_MAX: usize = 64 << 10;

/// Streams listed by `/stats` unless asked otherwise: a screen or two.
pub(crate) const STATS_ROWS: usize = 100;

/// Streams listed at most: 200 bytes each, and the lock under which streams go to sleep is held meanwhile.
pub(crate) const STATS_ROWS_MAX: usize = 1_000;

/// Seconds remembered for the curves of the page: two minutes.
pub(crate) const STATS_SECONDS: usize = 120;

/// Characters of a topic's name in that list; a name may have a thousand.
pub(crate) const STATS_NAME_CHARS: usize = 200;

/// Bytes and age of a history on disk by default; see `oyez::Storage`.
pub(crate) const STORED_BYTES: usize = 1 << 30;
/// See [`STORED_BYTES`].
pub(crate) const STORED_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long publishers are asked to wait when the disk is full: room is looked for once a second.
pub(crate) const FULL_RETRY: Duration = Duration::from_secs(5);

/// From the failure of the disk to the end of the process: whoever watches readiness is to see it, and a supervisor starts
/// it again.
pub(crate) const FAILED_PAUSE: Duration = Duration::from_secs(1);
