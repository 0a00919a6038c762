//! A real directory as the volume of a log.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, Dir, FlockOperation, Mode, OFlags, access, flock, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::volume::{Volume, VolumeFile};
use crate::sync::Mutex;
use crate::{Error, ErrorKind};

/// A directory that only this process may write to, while this value lives. It is held by its descriptor: if the path is renamed or
/// removed meanwhile, files are still made and found in this directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    directory: File,
    /// The file with the owner's process id.
    holder: Mutex<Option<File>>,
}

impl Directory {
    /// Opens and locks `path`. Makes the directory if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is not private to this user, [`ErrorKind::Unavailable`] if another process uses it,
    /// [`ErrorKind::Internal`] if a system call fails.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let failed = |what: &str, error: io::Error| Error::storage(format!("{name}: {what}: {error}"), error);
        refuse_other_than_directory(path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed("cannot be made", error))?;
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY).bits() as i32;
        let directory = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let directory = directory.map_err(|error| match std::fs::metadata(path) {
            // its owner may be the reason
            Ok(about) => refuse_others(path, &about).err().unwrap_or_else(|| failed("cannot be opened", error)),
            Err(_) => failed("cannot be opened", error),
        })?;
        let about = directory.metadata().map_err(|error| failed("cannot be looked at", error))?;
        refuse_others(path, &about)?;
        access(path, Access::WRITE_OK).map_err(|error| failed("cannot be written to", error.into()))?;
        let holder = lock(path, &directory)?;
        Ok(Self { path: path.to_owned(), directory, holder: Mutex::new(Some(holder)) })
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        open_at(&self.directory, name, flags).map_err(|error| named(name, error))
    }

    /// Whether `path` could be opened, as far as this can be checked without making or locking anything.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub(crate) fn check(path: &Path) -> Result<(), Error> {
        refuse_other_than_directory(path)?;
        // a missing directory is made in its nearest existing ancestor
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

/// The parent of a bare name is the working directory.
fn here(part: &Path) -> &Path {
    if part.as_os_str().is_empty() { Path::new(".") } else { part }
}

/// A file with this name must be a directory. It may also not exist.
fn refuse_other_than_directory(path: &Path) -> Result<(), Error> {
    let name = path.display();
    match std::fs::symlink_metadata(path) {
        // a link could be changed to point elsewhere
        Ok(about) if about.is_symlink() => Err(Error::invalid(match std::fs::canonicalize(path) {
            Ok(target) => {
                format!("{name} is a symbolic link; use the directory that it points to, {}", target.display())
            }
            Err(_) => format!("{name} is a broken symbolic link; use a directory"),
        })),
        Ok(about) if !about.is_dir() => Err(Error::invalid(format!("{name} is not a directory; use one"))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// It must be private to this user.
fn refuse_others(path: &Path, about: &Metadata) -> Result<(), Error> {
    refuse_mode(path, about.uid(), about.mode() & 0o7777, rustix::process::geteuid().as_raw())
}

fn refuse_mode(path: &Path, owner: u32, mode: u32, own: u32) -> Result<(), Error> {
    let name = path.display();
    if mode & STICKY != 0 {
        // a shared directory such as /tmp: using it would take it from all others
        return Err(Error::invalid(format!(
            "{name} is shared by several users (mode {mode:o}); use a directory inside it, such as {name}/oyez"
        )));
    }
    if owner != own {
        return Err(Error::invalid(format!(
            "{name} belongs to user {owner}, and this process is user {own}: run it as {owner} or chown {own} {name}"
        )));
    }
    if mode & 0o022 != 0 {
        return Err(Error::invalid(format!(
            "{name} can be written to by others (mode {mode:o}); run chmod 700 {name}"
        )));
    }
    // otherwise the first publish would fail
    if mode & 0o700 != 0o700 && own != ROOT {
        return Err(Error::invalid(format!(
            "{name} cannot be used by its owner (mode {mode:o}); run chmod 700 {name}"
        )));
    }
    Ok(())
}

/// Opens a file of the directory. Does not follow links. New files are private to this user.
fn open_at(directory: &File, name: &str, flags: OFlags) -> Result<File, Errno> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

/// Locks the directory, and writes the process id into the file `lock`. That file can be removed, but a directory with files in it
/// cannot. The file is locked as well, because some network file systems do not lock directories.
fn lock(path: &Path, directory: &File) -> Result<File, Error> {
    let name = path.display();
    let mut file = open_at(directory, LOCK, OFlags::CREATE)
        .map_err(io::Error::from)
        .map_err(|error| Error::storage(format!("{name}/{LOCK} cannot be opened: {error}"), error))?;
    if is_taken(directory) || is_taken(&file) {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = match holder.trim() {
            "" => "another process".to_owned(),
            id => format!("process {id}"),
        };
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("{name} is in use by {holder}; stop that or use another directory"),
        ));
    }
    let written = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    written.map_err(|error| Error::storage(format!("{name}/{LOCK} cannot be written: {error}"), error))?;
    Ok(file)
}

/// Takes the lock of a file or directory; true if another process has it.
fn is_taken(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
}

impl Volume for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = Dir::read_from(&self.directory)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_str().ok().map(str::to_owned)));
        let names = names.filter_map(Result::transpose);
        names.filter(|name| !matches!(name, Ok(name) if name == "." || name == "..")).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        Ok(Arc::new(DirectoryFile(self.open_file(name, OFlags::empty())?)))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>> {
        let file = self.open_file(name, OFlags::CREATE | OFlags::TRUNC)?;
        // real zeros: a file with merely reserved blocks writes metadata at each sync, and may run out of room later
        let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
        let mut at = 0;
        while at < len {
            let part = &zeros[..zeros.len().min(usize::try_from(len - at).unwrap_or(ZEROS))];
            if let Err(error) = file.write_all_at(part, at) {
                let _ = unlinkat(&self.directory, name, AtFlags::empty());
                return Err(io::Error::new(error.kind(), format!("{name}: {error}")));
            }
            at += part.len() as u64;
        }
        Ok(Arc::new(DirectoryFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        renameat(&self.directory, from, &self.directory, to).map_err(|error| named(to, error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        unlinkat(&self.directory, name, AtFlags::empty()).map_err(|error| named(name, error))
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn look_where_it_is(&self) -> io::Result<()> {
        let name = self.path.display();
        let gone = |what: &str| Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} {what}")));
        let own = self.directory.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (own.dev(), own.ino()) => Ok(()),
            Ok(_) => gone("is another directory now"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => gone("is not there any more"),
            Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
        }
    }

    fn release(&self) {
        let _ = flock(&self.directory, FlockOperation::Unlock);
        self.holder.lock().take();
    }
}

// without a name, because a reused file is renamed while it is open
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

/// Adds the name of the file to a system error. A lack of descriptors, of the process or of the system, is told apart from a
/// failing disk.
fn named(name: &str, error: Errno) -> io::Error {
    let kind = match error {
        Errno::MFILE | Errno::NFILE => io::ErrorKind::ResourceBusy,
        error => error.kind(),
    };
    io::Error::new(kind, format!("{name}: {}", io::Error::from(error)))
}

/// The file with the owner's process id.
const LOCK: &str = "lock";
/// Zeros written at a time.
const ZEROS: usize = 1 << 20;
const ROOT: u32 = 0; // no mode keeps root out
const STICKY: u32 = 0o1000; // many write there, and each may remove only its own files

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
        assert_eq!(refused("file"), format!("{at}/file is not a directory; use one"));
        let target = std::fs::canonicalize(place.join("directory")).unwrap();
        let target = target.display();
        assert_eq!(
            refused("link"),
            format!("{at}/link is a symbolic link; use the directory that it points to, {target}")
        );
        assert_eq!(refused("dangling"), format!("{at}/dangling is a broken symbolic link; use a directory"));
        assert!(refused("file/below").starts_with(&format!("{at}/file/below: cannot be made: ")));
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 4, "nothing was made");
        std::fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn the_lock_is_on_the_directory_itself_and_a_directory_that_was_moved_is_noticed() {
        let place = std::env::temp_dir().join(format!("oyez-locked-{}", std::process::id()));
        let (path, moved) = (place.join("history"), place.join("moved"));
        let directory = Directory::open(&path).unwrap();
        directory.look_where_it_is().unwrap();
        let in_use = || Directory::open(&path).unwrap_err().to_string();
        assert!(in_use().contains(&format!("is in use by process {}", std::process::id())));
        std::fs::remove_file(path.join("lock")).unwrap();
        assert!(in_use().contains("is in use by another process"));

        std::fs::rename(&path, &moved).unwrap();
        let noticed = |expected: &str| {
            let error = directory.look_where_it_is().unwrap_err().to_string();
            assert_eq!(error, format!("{} {expected}", path.display()));
        };
        noticed("is not there any more");
        let file = directory.create("file", 3).unwrap();
        file.write_at(0, b"abc").unwrap();
        assert_eq!(std::fs::read(moved.join("file")).unwrap(), b"abc", "it is written where the directory is");
        assert!(directory.list().unwrap().contains(&"file".to_owned()));
        let other = Directory::open(&path).unwrap();
        noticed("is another directory now");
        assert!(!other.list().unwrap().contains(&"file".to_owned()));
        directory.release();
        drop(Directory::open(&moved).unwrap());
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
        check(7, 0o770, 7, Some("d can be written to by others (mode 770); run chmod 700 d"));
        check(
            ROOT,
            0o1777,
            7,
            Some("d is shared by several users (mode 1777); use a directory inside it, such as d/oyez"),
        );
        check(7, 0o500, 7, Some("d cannot be used by its owner (mode 500); run chmod 700 d"));
    }
}
