//! What the log asks of a file system: little, so that a simulated one can stand in for it.

use std::io;
use std::sync::Arc;

use crate::limits::disk::FILE_BYTES_MAX;

/// The directory that a log lives in.
pub(crate) trait Volume: Send + Sync + 'static {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) when there is no descriptor left: nothing was done, and it works again when
    /// there are some.
    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>>;

    /// A new file of so many bytes, all of them zero, whose room is taken. Its name and its bytes are durable after the
    /// next [`sync`](Volume::sync) and [`VolumeFile::sync`].
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>>;

    /// Puts a file in the place of another, if there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    fn sync(&self) -> io::Result<()>;

    /// Is it still where it was opened? Whoever looks there finds something else otherwise, or nothing.
    fn look_where_it_is(&self) -> io::Result<()> {
        Ok(())
    }

    /// Lets another process have the directory: nothing is written to it any more.
    fn release(&self) {}
}

/// One file. Reading behind its end is an error.
pub(crate) trait VolumeFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable. After an error nobody knows what is.
    fn sync(&self) -> io::Result<()>;
}

/// Reads all of a file under a checksum. None is longer than [`FILE_BYTES_MAX`]: of one that is, only so much is read, and the
/// checksum says that it is damaged.
pub(crate) fn read_all(file: &dyn VolumeFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).unwrap_or(FILE_BYTES_MAX).min(FILE_BYTES_MAX);
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts `bytes` in the place of the file `name`: behind it there is the new content or the old one, whatever happens.
pub(crate) fn replace(volume: &dyn Volume, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let file = volume.create(&new, bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    volume.rename(&new, name)?;
    volume.sync()
}
