//! The bounds of this crate, each with its reason; those of `bench` are its own.

use std::time::Duration;

/// The longest line that `oyez pub --lines` sends.
// What the hub takes as the data of one event; of more it would refuse the whole batch.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Lines of the log that wait to be written.
// A burst of them is written in a moment; more wait only when whoever reads is stuck. The longest line has a path of 8 KiB, so
// they stay below 8 MiB, and usually at 100 KiB.
pub(crate) const LOG_LINES_WAITING_MAX: usize = 1_024;

/// How long the end of the process waits for the log to be written.
// A terminal or a file takes it at once. A pipe that is not read by then is not read at all.
pub(crate) const LOG_FLUSH_TIME: Duration = Duration::from_secs(1);

/// How long the service manager may take to take a message.
// It takes one at once, unless its queue is full of those of other services. The hub goes on serving meanwhile.
pub(crate) const NOTIFY_TIME: Duration = Duration::from_secs(5);
