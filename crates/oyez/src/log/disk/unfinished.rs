//! The mark of a directory in which a repair or an import is unfinished. No hub may serve it.

use std::io;

use super::volume::{Volume, read_all, replace};
use crate::Error;

/// The unfinished operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    Import,
    Repair,
}

impl Unfinished {
    /// The unfinished operation of this directory, if there is one.
    pub(crate) fn find(volume: &dyn Volume) -> io::Result<Option<Self>> {
        if !volume.list()?.iter().any(|name| name == MARK) {
            return Ok(None);
        }
        let mark = read_all(&*volume.open(MARK)?)?;
        Ok(Some(if mark == IMPORT { Self::Import } else { Self::Repair }))
    }

    /// Marks the directory. Durable when it returns.
    pub(crate) fn begin(self, volume: &dyn Volume) -> io::Result<()> {
        replace(volume, MARK, if self == Self::Import { IMPORT } else { REPAIR })
    }

    /// Makes everything durable, then removes the mark.
    pub(crate) fn finish(volume: &dyn Volume) -> io::Result<()> {
        volume.sync()?;
        volume.remove(MARK)?;
        volume.sync()
    }

    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) names the unfinished operation, and says what to do.
    pub(crate) fn refuse(volume: &dyn Volume) -> Result<(), Error> {
        match Self::find(volume) {
            Ok(None) => Ok(()),
            Ok(Some(unfinished)) => Err(Error::invalid(unfinished.in_words())),
            Err(error) => Err(Error::storage(format!("the history cannot be read: {error}"), error)),
        }
    }

    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Import => {
                "an import into this history was interrupted, so a part of it is missing; run `oyez log import DIR` again, or remove the directory"
            }
            Self::Repair => "a repair of this history was interrupted; finish it with `oyez log repair DIR --yes`",
        }
    }
}

pub(crate) const MARK: &str = "unfinished";
const IMPORT: &[u8] = b"import\n";
const REPAIR: &[u8] = b"repair\n";
