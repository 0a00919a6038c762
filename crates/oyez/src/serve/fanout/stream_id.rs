//! The name of a stream on its thread.

/// The place of a stream on the thread. Half as large as `usize`: there are fewer than descriptors.
pub(crate) type StreamKey = u32;

/// A stream of the thread. The place is used again, its round is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId {
    pub(crate) key: StreamKey,
    pub(crate) round: u32,
}
