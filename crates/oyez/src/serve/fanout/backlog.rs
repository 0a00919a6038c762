//! What a reader has not taken yet.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::torn::{Part, Torn};
use crate::limits::serve::{PIECES_MAX, WAITING_BYTES_MAX};

/// Bytes in pieces. Most streams have none most of the time, and then no room for them either.
#[derive(Default)]
pub(crate) struct Backlog(Option<Box<Pieces>>);

#[derive(Default)]
struct Pieces {
    queue: VecDeque<Bytes>,
    end: End,
}

/// What is known of the last of it.
#[derive(Default)]
enum End {
    #[default]
    Nothing,
    /// These bytes the log has as well.
    InLog(Part),
    /// They were given back, and come after the others.
    Torn(Box<Torn>),
}

impl Backlog {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let pieces = self.0.get_or_insert_default();
        debug_assert!(!matches!(pieces.end, End::Torn(_)), "nothing overtakes what was given back");
        pieces.queue.push_back(piece);
        pieces.end = End::Nothing;
    }

    /// What was pushed last are these bytes, which the log has as well.
    pub(crate) fn ends_with(&mut self, part: Part) {
        if let Some(pieces) = &mut self.0 {
            pieces.end = End::InLog(part);
        }
    }

    /// Of more than a reader may hold gives back what the log has.
    pub(crate) fn give_back(&mut self) {
        let waiting = self.bytes();
        let Some(pieces) = self.0.as_mut().filter(|_| waiting > WAITING_BYTES_MAX) else { return };
        let End::InLog(Part { sequence, bytes }) = pieces.end else { return };
        let bytes = bytes.min(waiting);
        let mut left = bytes;
        while let Some(piece) = pieces.queue.pop_back() {
            if piece.len() > left {
                // a slice would hold all of it
                pieces.queue.push_back(Bytes::copy_from_slice(&piece[..piece.len() - left]));
                break;
            }
            left -= piece.len();
        }
        pieces.end = End::Torn(Box::new(Torn::new(Part { sequence, bytes })));
    }

    /// What was given back, and is to be read again.
    pub(crate) fn torn(&mut self) -> Option<&mut Torn> {
        match &mut self.0.as_mut()?.end {
            End::Torn(torn) => Some(torn),
            End::Nothing | End::InLog(_) => None,
        }
    }

    /// It was read again: these are its bytes.
    pub(crate) fn mend(&mut self, bytes: Bytes) {
        let Some(part) = self.torn().map(|torn| torn.part()) else { return };
        if let Some(pieces) = &mut self.0 {
            pieces.queue.push_back(bytes);
            pieces.end = End::InLog(part);
        }
    }

    /// Does nothing wait, and nothing that was given back either?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pieces().map(Bytes::len).sum()
    }

    fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().flat_map(|pieces| pieces.queue.iter())
    }

    /// As many pieces as one write takes.
    pub(crate) fn slices(&self) -> Slices<'_> {
        self.pieces().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect()
    }

    /// Drops the first `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        let Some(pieces) = &mut self.0 else { return };
        while let Some(piece) = pieces.queue.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            pieces.queue.pop_front();
        }
        self.0 = None;
    }
}

pub(crate) type Slices<'a> = SmallVec<[IoSlice<'a>; PIECES_MAX]>;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(backlog: &Backlog) -> Vec<u8> {
        backlog.pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    /// How much of which entry was given back.
    fn given_back(backlog: &mut Backlog) -> Option<Part> {
        backlog.give_back();
        backlog.torn().map(|torn| torn.part())
    }

    #[test]
    fn what_the_log_has_is_given_back_and_what_is_before_it_stays() {
        let large = Bytes::from(vec![b'x'; WAITING_BYTES_MAX]);
        let mut backlog = Backlog::default();
        for piece in [&b"before"[..], b"40000\r\n", &large, b"\r\n"] {
            backlog.push(Bytes::copy_from_slice(piece));
        }
        let part = Part { sequence: 7, bytes: large.len() + 9 };
        backlog.ends_with(part);
        backlog.advance(2);
        assert_eq!(given_back(&mut backlog), Some(part));
        assert_eq!(bytes(&backlog), b"fore");
        assert!(!backlog.is_empty());

        let mut backlog = Backlog::default();
        backlog.push([b"ab", &large[..]].concat().into());
        backlog.ends_with(Part { sequence: 8, bytes: large.len() });
        assert_eq!(given_back(&mut backlog), Some(Part { sequence: 8, bytes: large.len() }));
        assert_eq!(bytes(&backlog), b"ab");
        backlog.mend(large.clone());
        assert_eq!(bytes(&backlog), [b"ab", &large[..]].concat());
        assert!(backlog.torn().is_none());
        assert_eq!(given_back(&mut backlog), Some(Part { sequence: 8, bytes: large.len() }), "again");
    }

    #[test]
    fn of_what_was_begun_the_rest_is_given_back() {
        let mut backlog = Backlog::default();
        backlog.push(Bytes::from(vec![b'x'; 2 * WAITING_BYTES_MAX]));
        backlog.ends_with(Part { sequence: 7, bytes: 2 * WAITING_BYTES_MAX });
        backlog.advance(WAITING_BYTES_MAX - 5);
        assert_eq!(given_back(&mut backlog), Some(Part { sequence: 7, bytes: WAITING_BYTES_MAX + 5 }));
        assert_eq!((backlog.bytes(), backlog.is_empty()), (0, false));
    }

    #[test]
    fn little_is_kept_and_so_is_what_is_nowhere_else() {
        let mut backlog = Backlog::default();
        assert_eq!(given_back(&mut backlog), None);
        backlog.push(Bytes::from(vec![b'x'; WAITING_BYTES_MAX]));
        backlog.ends_with(Part { sequence: 7, bytes: WAITING_BYTES_MAX });
        assert_eq!(given_back(&mut backlog), None);
        backlog.push(Bytes::from_static(b"0\r\n\r\n"));
        assert_eq!(given_back(&mut backlog), None);
        assert_eq!(backlog.bytes(), WAITING_BYTES_MAX + 5);
    }
}
