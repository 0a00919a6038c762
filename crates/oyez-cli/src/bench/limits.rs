//! The bounds of `oyez bench`, each with its reason.

use std::time::Duration;

/// Bytes of an answer's head. Servers send well under 4 KiB; a head that does not end is no head.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;

/// Bytes of an answer to a publish. The ids of a batch of [`BATCH_MAX`] are 30 KB.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes of what a server said that an error message shows.
pub(crate) const SHOWN_BYTES_MAX: usize = 80;

/// Connections being opened at once: the listen backlog that servers commonly have, so that none is dropped and waits
/// a second for its second SYN.
pub(crate) const OPENING_MAX: usize = 128;

/// Descriptors kept back for everything but subscribers: publishers, the runtime, standard streams.
pub(crate) const DESCRIPTORS_RESERVED: usize = 64;

/// Connections from one local address. Linux gives out 28,232 ports, and other programs want some.
pub(crate) const PORTS_PER_ADDRESS: usize = 20_000;

/// Local addresses that connections to loopback may come from, 127.0.0.1 and on.
pub(crate) const LOCAL_ADDRESSES_MAX: usize = 250;

/// Connections that publish; each has a thread.
pub(crate) const PUBLISHERS_MAX: usize = 32;

/// Events of one batch, as `oyez serve` takes them.
pub(crate) const BATCH_MAX: usize = 1_000;

/// Bytes of one event: what hubs take, and the payload's head must fit into.
pub(crate) const SIZE_MAX: usize = 1 << 20;

/// Topics: their lanes have six hexadecimal digits in the payload.
pub(crate) const TOPICS_MAX: usize = 1 << 23;

/// Topics that one subscriber reads: the request that names them is to fit into what servers take, 64 KiB at the most.
pub(crate) const TOPICS_EACH_MAX: usize = 1_000;

/// Holes that one subscriber's check remembers; what fell into older ones counts as lost for good. A server that loses
/// every second event fills this with two thousand.
pub(crate) const HOLES_MAX: usize = 1_024;

/// One read of a socket. All subscribers share the buffer, so it may be large enough for many events.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// What a reader that will stop lets the kernel hold for it; the kernel doubles it.
pub(crate) const STOPPED_RECEIVE_BYTES: u32 = 4 << 10;

/// How often a wait looks whether it is over. What is measured ends with the last byte, not with the wait.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// How often a publisher at full speed looks whether it may go on.
pub(crate) const ROOM_LOOK: Duration = Duration::from_micros(200);

/// Without a delivery for so long, events in flight are taken for lost, and a publisher at full speed goes on.
pub(crate) const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// How long a subscriber may need for its first event before another is published: its server may have sent the head
/// before it subscribed.
pub(crate) const WARM_PATIENCE: Duration = Duration::from_millis(500);

/// After connections were closed the server is still busy with that.
pub(crate) const AFTERMATH: Duration = Duration::from_millis(200);
