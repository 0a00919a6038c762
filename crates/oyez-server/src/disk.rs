//! What the system says of the directory of the history.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of a directory and its disk; nothing where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// What the files of the directory take.
    pub(crate) bytes: Option<u64>,
    /// What is free for this process.
    pub(crate) free_bytes: Option<u64>,
}

impl Disk {
    /// Asks the system, which may wait for the disk.
    pub(crate) fn of(directory: &Path) -> Self {
        Self { bytes: taken(directory), free_bytes: free(directory) }
    }
}

fn taken(directory: &Path) -> Option<u64> {
    let files = fs::read_dir(directory).ok()?;
    // one that goes meanwhile takes nothing
    let blocks = files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.blocks());
    Some(blocks.sum::<u64>().saturating_mul(BLOCK_BYTES))
}

fn free(directory: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(directory).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

/// Of `st_blocks`, whatever the file system has. Source: inode(7).
const BLOCK_BYTES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_takes_what_its_files_take() {
        let directory = std::env::temp_dir().join(format!("oyez-disk-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let before = Disk::of(&directory);
        let file = fs::File::create(directory.join("file")).unwrap();
        std::io::Write::write_all(&mut &file, &[1; 100_000]).unwrap();
        file.sync_all().unwrap();
        let after = Disk::of(&directory);
        assert!(after.bytes.unwrap() >= before.bytes.unwrap() + 100_000, "{before:?} {after:?}");
        assert!(after.free_bytes.is_some_and(|free| free > 0));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(Disk::of(&directory), Disk::default());
    }
}
