//! A disk that loses power. An unsynced write survives whole, in part, or not at all.
//!
//! Each file and the directory have a live image, which the program sees, and a durable image. A sync copies the live image to the
//! durable one. A power cut keeps the durable images. The dice decide about later changes: each write survives whole, in some of
//! its sectors, or not at all; of the changes to names, a first part survives.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::volume::{Volume, VolumeFile};

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes to names since the last sync of the directory.
    changes: Vec<Change>,
    contents: Vec<Content>,
    /// The number of changes so far.
    steps: u64,
    /// From this step on every change fails.
    cut_at: Option<u64>,
    /// This step fails with this error and changes nothing.
    fail_at: Option<(u64, io::ErrorKind)>,
    /// The size of the disk in bytes.
    room: Option<usize>,
}

#[derive(Clone)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// The random numbers that decide what survives.
pub(crate) trait Dice {
    fn below(&mut self, end: u64) -> u64;
}

impl SimulatedDisk {
    /// Every change fails from this step on.
    pub(crate) fn cut_power_at(&self, step: u64) {
        self.state().cut_at = Some(step);
    }

    /// This step fails.
    pub(crate) fn fail_at(&self, step: u64, error: io::ErrorKind) {
        self.state().fail_at = Some((step, error));
    }

    /// Sets the room for all files together, in bytes.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.state().room = room;
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// The disk after the process was killed, with the machine still running.
    pub(crate) fn after_a_kill(&self) -> Self {
        let state = self.state();
        let contents = state.contents.iter().map(|content| Content::of(content.live.clone())).collect();
        Self::of(state.names.clone(), contents)
    }

    /// The disk after a power cut.
    pub(crate) fn after_a_power_cut(&self, dice: &mut dyn Dice) -> Self {
        let state = self.state();
        let mut names = state.durable_names.clone();
        let kept = dice.below(state.changes.len() as u64 + 1) as usize;
        state.changes.iter().take(kept).for_each(|change| change.apply(&mut names));
        let contents = state.contents.iter().map(|content| Content::of(content.survives(dice))).collect();
        Self::of(names, contents)
    }

    fn of(names: BTreeMap<String, usize>, contents: Vec<Content>) -> Self {
        let state = State { durable_names: names.clone(), names, contents, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// All bytes of a file, for a test to change.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let at = *state.names.get(name).expect("the file is there");
        let content = &mut state.contents[at];
        change(&mut content.live);
        content.durable.clone_from(&content.live);
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.contents[*state.names.get(name).expect("the file is there")].live.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A step that changes the disk.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.cut_at.is_some_and(|cut| self.steps > cut) {
            return Err(io::Error::other("the power is off"));
        }
        match self.fail_at {
            Some((step, error)) if step == self.steps => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn used(&self) -> usize {
        self.names.values().map(|at| self.contents[*at].live.len()).sum()
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, at) => {
                names.insert(name.clone(), *at);
            }
            Self::Rename(from, to) => {
                if let Some(at) = names.remove(from) {
                    names.insert(to.clone(), at);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), live: bytes, unsynced: Vec::new() }
    }

    fn survives(&self, dice: &mut dyn Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (at, written) in &self.unsynced {
            bytes.resize(bytes.len().max(at + written.len()), 0);
            match dice.below(3) {
                0 => {}
                1 => bytes[*at..at + written.len()].copy_from_slice(written),
                _ => {
                    // each sector is written whole, in any order
                    let mut start = 0;
                    while start < written.len() {
                        let end = written.len().min((at + start) / SECTOR * SECTOR + SECTOR - at);
                        if dice.below(2) == 0 {
                            bytes[at + start..at + end].copy_from_slice(&written[start..end]);
                        }
                        start = end;
                    }
                }
            }
        }
        bytes
    }
}

impl Volume for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VolumeFile>> {
        let at = self.state().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), at }))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn VolumeFile>> {
        let mut state = self.state();
        state.step()?;
        let len = len as usize;
        if state.room.is_some_and(|room| state.used() + len > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at = state.contents.len();
        let zeros = vec![0; len];
        state.contents.push(Content { live: zeros.clone(), durable: Vec::new(), unsynced: vec![(0, zeros)] });
        state.change(Change::Create(name.to_owned(), at));
        drop(state);
        Ok(Arc::new(SimulatedFile { disk: self.clone(), at }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    at: usize,
}

impl VolumeFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[self.at].live.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let bytes = state.contents[self.at].live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let content = &mut state.contents[self.at];
        let offset = offset as usize;
        let len = content.live.len().max(offset + bytes.len());
        content.live.resize(len, 0);
        content.live[offset..offset + bytes.len()].copy_from_slice(bytes);
        content.unsynced.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let content = &mut state.contents[self.at];
        content.durable.clone_from(&content.live);
        content.unsynced.clear();
        Ok(())
    }
}

const SECTOR: usize = 512;
