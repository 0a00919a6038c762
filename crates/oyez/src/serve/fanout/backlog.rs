//! What a reader has not taken yet.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::limits::serve::PIECES_MAX;

/// Bytes in pieces. Most streams have none most of the time, and then no room for them either.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "a pointer in place of 32 bytes, in each of a hundred thousand streams")]
pub(crate) struct Backlog(Option<Box<VecDeque<Bytes>>>);

impl Backlog {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.0.get_or_insert_default().push_back(piece);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pieces().map(Bytes::len).sum()
    }

    fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().flat_map(|pieces| pieces.iter())
    }

    /// As many pieces as one write takes.
    pub(crate) fn slices(&self) -> Slices<'_> {
        self.pieces().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect()
    }

    /// Drops the first `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        let Some(pieces) = &mut self.0 else { return };
        while let Some(piece) = pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            pieces.pop_front();
        }
        self.0 = None;
    }
}

pub(crate) type Slices<'a> = SmallVec<[IoSlice<'a>; PIECES_MAX]>;
