//! A real directory as the volume of a log.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, FlockOperation, OFlags, access, flock};

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
        refuse_other_than_directory(path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed("cannot be made", error))?;
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY).bits() as i32;
        let directory = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let directory = directory.map_err(|error| match std::fs::metadata(path) {
            // whose it is may be why
            Ok(about) => refuse_others(path, &about).err().unwrap_or_else(|| failed("cannot be opened", error)),
            Err(_) => failed("cannot be opened", error),
        })?;
        let about = directory.metadata().map_err(|error| failed("cannot be looked at", error))?;
        refuse_others(path, &about)?;
        access(path, Access::WRITE_OK).map_err(|error| failed("cannot be written to", error.into()))?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), directory, lock: Mutex::new(Some(lock)) })
    }

    /// Whether `path` could be opened, as far as can be told without making or locking anything.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub(crate) fn check(path: &Path) -> Result<(), Error> {
        refuse_other_than_directory(path)?;
        // where it is not there, it is made in the first directory above it that is
        let there = path.ancestors().find(|part| std::fs::symlink_metadata(here(part)).is_ok()).map_or(path, here);
        let failed = |error: io::Error| {
            let what = if there == path { "cannot be written to" } else { "cannot be made" };
            Error::storage(format!("{}: {what}: {}: {error}", path.display(), there.display()), error)
        };
        let about = std::fs::metadata(there).map_err(failed)?;
        if there == path {
            refuse_others(path, &about)?;
        } else if !about.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| failed(error.into()))
    }
}

/// The directory above a name without one is this one.
fn here(part: &Path) -> &Path {
    if part.as_os_str().is_empty() { Path::new(".") } else { part }
}

/// What has this name must be a directory. It may also not be there.
fn refuse_other_than_directory(path: &Path) -> Result<(), Error> {
    let name = path.display();
    match std::fs::symlink_metadata(path) {
        // a link could be made to lead elsewhere
        Ok(about) if about.is_symlink() => Err(Error::invalid(match std::fs::canonicalize(path) {
            Ok(target) => {
                format!("{name} is a symbolic link; name the directory that it leads to, {}", target.display())
            }
            Err(_) => format!("{name} is a symbolic link that leads nowhere; name a directory"),
        })),
        Ok(about) if !about.is_dir() => Err(Error::invalid(format!("{name} is not a directory; name one"))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// It must be this user's alone.
fn refuse_others(path: &Path, about: &Metadata) -> Result<(), Error> {
    refuse_mode(path, about.uid(), about.mode() & 0o7777, rustix::process::geteuid().as_raw())
}

fn refuse_mode(path: &Path, owner: u32, mode: u32, own: u32) -> Result<(), Error> {
    let name = path.display();
    if mode & STICKY != 0 {
        // as /tmp has it: whoever took it for themselves would take it from all others
        return Err(Error::invalid(format!(
            "{name} is shared by several users (mode {mode:o}); name a directory of its own, such as {name}/oyez"
        )));
    }
    if owner != own {
        return Err(Error::invalid(format!(
            "{name} belongs to user {owner}, and this process is user {own}: run it as {owner} or chown {own} {name}"
        )));
    }
    if mode & 0o022 != 0 {
        return Err(Error::invalid(format!(
            "{name} may be written to by others (mode {mode:o}); say chmod 700 {name}"
        )));
    }
    // the first publish would find out
    if mode & 0o700 != 0o700 && own != ROOT {
        return Err(Error::invalid(format!(
            "{name} is not for its owner to use (mode {mode:o}); say chmod 700 {name}"
        )));
    }
    Ok(())
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
        let file = options().open(self.path.join(name)).map_err(|error| named(name, &error))?;
        Ok(Arc::new(DirectoryFile(file)))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>> {
        let path = self.path.join(name);
        let file = options().create(true).truncate(true).open(&path).map_err(|error| named(name, &error))?;
        // real zeros: a file whose blocks were only promised writes its metadata at each sync, and may run out of room
        // when nobody expects it
        let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
        let mut at = 0;
        while at < len {
            let part = &zeros[..zeros.len().min(usize::try_from(len - at).unwrap_or(ZEROS))];
            if let Err(error) = file.write_all_at(part, at) {
                let _ = std::fs::remove_file(&path);
                return Err(named(name, &error));
            }
            at += part.len() as u64;
        }
        Ok(Arc::new(DirectoryFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to)).map_err(|error| named(to, &error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name)).map_err(|error| named(name, &error))
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn release(&self) {
        self.lock.lock().take();
    }
}

// without its name: a file that is used again for another segment is renamed while it is open
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

/// The same error with the name of the file that it is about, which the system does not say.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Zeros written at a time.
const ZEROS: usize = 1 << 20;
const ROOT: u32 = 0; // whom no mode keeps away
const STICKY: u32 = 0o1000; // many write there, and each may remove only what is theirs

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_directory_of_this_user_is_refused_by_name() {
        let place = std::env::temp_dir().join(format!("oyez-directory-{}", std::process::id()));
        std::fs::create_dir_all(place.join("directory")).unwrap();
        std::fs::write(place.join("file"), "").unwrap();
        for (target, link) in [("directory", "link"), ("nowhere", "dangling")] {
            std::os::unix::fs::symlink(target, place.join(link)).unwrap();
        }
        let refused = |name: &str| Directory::open(&place.join(name)).unwrap_err().to_string();
        let at = place.display();
        assert_eq!(refused("file"), format!("{at}/file is not a directory; name one"));
        let target = std::fs::canonicalize(place.join("directory")).unwrap();
        let target = target.display();
        assert_eq!(
            refused("link"),
            format!("{at}/link is a symbolic link; name the directory that it leads to, {target}")
        );
        assert_eq!(
            refused("dangling"),
            format!("{at}/dangling is a symbolic link that leads nowhere; name a directory")
        );
        assert!(refused("file/below").starts_with(&format!("{at}/file/below: cannot be made: ")));
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 4, "nothing was made");
        std::fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_directory_of_others_or_one_that_cannot_be_used_is_refused_with_what_mends_it() {
        let check = |owner, mode, own, expected: Option<&str>| {
            let refused = refuse_mode(Path::new("d"), owner, mode, own).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected);
        };
        check(7, 0o700, 7, None);
        check(7, 0o755, 7, None);
        check(ROOT, 0o500, ROOT, None);
        check(8, 0o700, 7, Some("d belongs to user 8, and this process is user 7: run it as 8 or chown 7 d"));
        check(7, 0o770, 7, Some("d may be written to by others (mode 770); say chmod 700 d"));
        check(
            ROOT,
            0o1777,
            7,
            Some("d is shared by several users (mode 1777); name a directory of its own, such as d/oyez"),
        );
        check(7, 0o500, 7, Some("d is not for its owner to use (mode 500); say chmod 700 d"));
    }
}
