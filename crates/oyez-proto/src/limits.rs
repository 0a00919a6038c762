//! The bounds of this crate, each with its reason.

use std::time::Duration;

/// The bytes of one event that a [`Decoder`](crate::Decoder) holds back unless told otherwise: 16 MiB.
// A server that never ends its line costs its reader this much and no more. The largest events seen in the field
// (images in base64, whole documents of a language model) stay below 10 MB.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest wait that a stream or an answer may ask for, by `retry` or `Retry-After`: an hour.
// Longer than any restart; a mistake there, which may be one digit too many, is over by itself in this time. Without a ceiling
// one event keeps all readers of a topic away for ever.
pub(crate) const WAIT_ASKED_MAX: Duration = Duration::from_secs(60 * 60);

/// How many redirects in a row an [`EventSource`](crate::EventSource) follows.
// The Fetch Standard allows 20; a chain that long is a mistake, and each hop costs a connection.
pub(crate) const REDIRECTS_MAX: u32 = 5;

/// What the buffer for ids, types and comments may keep allocated from one line to the next.
// Ids and types are far shorter, so it is allocated once per stream; a long comment gives its memory back.
pub(crate) const VALUE_BYTES_KEPT: usize = 4 * 1024;
