//! The file system interface of the log. It is small, so that a simulated disk can implement it.

use std::io;
use std::sync::Arc;

use crate::limits::disk::FILE_BYTES_MAX;

/// The directory that a log lives in.
pub(crate) trait Volume: Send + Sync + 'static {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if there is no descriptor left. Nothing was done, and it works again when
    /// there are some.
    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>>;

    /// Makes a file of `len` zero bytes, with its room allocated. Its name and its bytes are durable after the next
    /// [`sync`](Volume::sync) and [`VolumeFile::sync`].
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>>;

    /// Renames a file, and replaces another one if there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    fn sync(&self) -> io::Result<()>;

    /// Checks that the path still leads to this directory.
    fn look_where_it_is(&self) -> io::Result<()> {
        Ok(())
    }

    /// Releases the directory for another process. Nothing more is written to it.
    fn release(&self) {}
}

/// One file. Reading past its end is an error.
pub(crate) trait VolumeFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the written bytes durable. After an error it is unknown which of them are durable.
    fn sync(&self) -> io::Result<()>;
}

/// Reads all of a file that has a checksum. Such a file is never longer than [`FILE_BYTES_MAX`]. Of a longer one only so much is
/// read, and the checksum then shows the damage.
pub(crate) fn read_all(file: &dyn VolumeFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).unwrap_or(FILE_BYTES_MAX).min(FILE_BYTES_MAX);
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Replaces the contents of the file `name` with `bytes`. Whatever happens, the file has either the new or the old contents.
pub(crate) fn replace(volume: &dyn Volume, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let file = volume.create(&new, bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    volume.rename(&new, name)?;
    volume.sync()
}
