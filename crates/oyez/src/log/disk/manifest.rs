//! The manifest of a log on disk.

use serde::{Deserialize, Serialize};

use super::checked_file::{damaged_file, read_file};
use super::damage::FORMAT;
use super::volume::Volume;
use crate::Error;

/// The file `store`: the epoch, the reserved numbers, and after a clean stop the ends of all chains.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) epoch: String,
    pub(crate) ceiling: u64,
    /// When that was written, in milliseconds since 1970; 0 if unknown.
    #[serde(default)]
    pub(crate) saved_ms: u64,
    pub(crate) skips: Vec<(u64, u64)>,
    pub(crate) clean: Option<Clean>,
    /// Whether there ever was a private entry.
    #[serde(default)]
    pub(crate) private: bool,
}

/// The ends of all chains at a clean stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Clean {
    pub(crate) head: u64,
    pub(crate) ends: Vec<ChainEnd>,
}

/// The end of a chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChainEnd {
    pub(crate) chain: u8,
    pub(crate) generation: u64,
    pub(crate) end: u32,
    pub(crate) last: u64,
}

/// The contents of the file, if it exists.
pub(super) fn read_manifest(volume: &dyn Volume, names: &[String]) -> Result<Option<Manifest>, Error> {
    let manifest = read_file::<Manifest>(volume, names, MANIFEST)?;
    match &manifest {
        None if names.iter().any(|name| name.ends_with(".segment")) => Err(damaged_file(MANIFEST)),
        Some(manifest) if manifest.format != FORMAT => {
            let format = manifest.format;
            Err(Error::invalid(format!(
                "this history was written by a newer version (format {format}, this one knows {FORMAT}); run that version or use another directory"
            )))
        }
        _ => Ok(manifest),
    }
}

/// The name of the file.
pub(super) const MANIFEST: &str = "store";
