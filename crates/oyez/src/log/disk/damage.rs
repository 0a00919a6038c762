//! What is wrong with a history, and how that is said.

use std::io;

use crate::Error;

/// Why a file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{name} is damaged at byte {offset}: {what}")]
    At { name: String, offset: u64, what: &'static str },
    #[error("{name} was written by a newer version (format {format}, this one knows {FORMAT})")]
    Newer { name: String, format: u32 },
}

/// A history that is not what it should be is not served: nobody could say what is missing.
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

/// What this version writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;
