//! A read-only view of the directory of a log. A hub may use the directory meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::volume::{Volume, VolumeFile};

/// A directory that is only read.
#[derive(Debug)]
pub(crate) struct View(PathBuf);

impl View {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether a process uses it.
    pub(crate) fn is_in_use(&self) -> bool {
        // a hub locks the directory, and a file in it for file systems that do not lock directories
        [self.0.clone(), self.0.join("lock")].iter().any(|path| {
            // a shared lock, only for this moment: several views may look at once
            options().open(path).is_ok_and(|file| flock(file, FlockOperation::NonBlockingLockShared).is_err())
        })
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32);
    options
}

impl Volume for View {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.0)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        Ok(Arc::new(ViewFile(options().open(self.0.join(name))?)))
    }

    fn create(&self, _: &str, _: u64) -> io::Result<Arc<dyn VolumeFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

struct ViewFile(File);

impl VolumeFile for ViewFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|about| about.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
