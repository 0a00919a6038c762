//! Damage of a history, and its messages.

use std::io;

use crate::Error;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{name} is damaged at byte {offset}: {what}")]
    At { name: String, offset: u64, what: &'static str },
    #[error("{name} was written by a newer version (format {format}, this one knows {FORMAT})")]
    Newer { name: String, format: u32 },
}

/// A damaged history is not served, because nobody could say what is missing.
pub(super) fn refused(damage: Damage) -> Error {
    match damage {
        Damage::Io(error) => unreadable(error),
        newer @ Damage::Newer { .. } => Error::invalid(format!("{newer}; run that version or use another directory")),
        damage @ Damage::At { .. } => {
            Error::storage(damage.to_string(), io::Error::new(io::ErrorKind::InvalidData, damage.to_string()))
        }
    }
}

pub(crate) fn unreadable(error: io::Error) -> Error {
    Error::storage(format!("the history cannot be read: {error}"), error)
}

pub(super) fn unwritable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::full(format!("no room for the history: {error}; make room on the disk and do it again"))
        }
        _ => Error::storage(format!("the history cannot be written: {error}"), error),
    }
}

/// The format that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;
