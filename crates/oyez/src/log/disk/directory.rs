//! A real directory as the volume of a log.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::volume::{Volume, VolumeFile};
use crate::sync::Mutex;
use crate::{Error, ErrorKind};

/// A directory that this process alone may write to, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    directory: File,
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// Opens `path`, which is made if it is not there, and locks it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not this user's alone, [`ErrorKind::Unavailable`] when another process has it,
    /// [`ErrorKind::Internal`] when the system says no.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let failed = |what: &str, error: io::Error| Error::storage(format!("{name}: {what}: {error}"), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed("cannot be made", error))?;
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY).bits() as i32;
        let directory = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let directory = directory.map_err(|error| failed("cannot be opened", error))?;
        let about = directory.metadata().map_err(|error| failed("cannot be looked at", error))?;
        let own = rustix::process::geteuid().as_raw();
        if about.uid() != own {
            let owner = about.uid();
            return Err(Error::invalid(format!(
                "{name} belongs to user {owner}, and this process is user {own}: run it as {owner} or chown {own} {name}"
            )));
        }
        if about.mode() & 0o022 != 0 {
            let mode = about.mode() & 0o777;
            return Err(Error::invalid(format!(
                "{name} may be written to by others (mode {mode:o}); say chmod 700 {name}"
            )));
        }
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), directory, lock: Mutex::new(Some(lock)) })
    }
}

/// How files are opened: no links are followed, and new ones are for this user alone.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
    options.read(true).write(true).mode(0o600).custom_flags(flags);
    options
}

/// Takes the lock file, and writes into it who has it.
fn lock(path: &Path) -> Result<File, Error> {
    let name = path.display();
    let opened = options().create(true).truncate(false).open(path.join("lock"));
    let mut file = opened.map_err(|error| Error::storage(format!("{name}/lock cannot be opened: {error}"), error))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = holder.trim();
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("{name} is in use by process {holder}; stop it or take another directory"),
        ));
    }
    let written = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    written.map_err(|error| Error::storage(format!("{name}/lock cannot be written: {error}"), error))?;
    Ok(file)
}

impl Volume for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        Ok(Arc::new(DirectoryFile(options().open(self.path.join(name))?)))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>> {
        let path = self.path.join(name);
        let file = options().create(true).truncate(true).open(&path)?;
        // real zeros: a file whose blocks were only promised writes its metadata at each sync, and may run out of room
        // when nobody expects it
        let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
        let mut at = 0;
        while at < len {
            let part = &zeros[..zeros.len().min(usize::try_from(len - at).unwrap_or(ZEROS))];
            if let Err(error) = file.write_all_at(part, at) {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
            at += part.len() as u64;
        }
        Ok(Arc::new(DirectoryFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn release(&self) {
        self.lock.lock().take();
    }
}

struct DirectoryFile(File);

impl VolumeFile for DirectoryFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|about| about.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Zeros written at a time.
const ZEROS: usize = 1 << 20;
