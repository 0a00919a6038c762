//! Examines the directory of a log: its contents and its faults. Only reads, and continues where a start would refuse.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use smallvec::SmallVec;

use super::checked_file::read_file;
use super::damage::{Damage, unreadable};
use super::index::{Contents, FileIndex, Index, MemoryIndex, Noted, Sample};
use super::manifest::{MANIFEST, Manifest};
use super::segment::{Before, START, SegmentHead, index_name, own_topics, parse_name, segment_name};
use super::store::DROPPED;
use super::unfinished::Unfinished;
use super::values::{self, FoundValues, VALUES};
use super::volume::{Volume, VolumeFile, read_all};
use super::walk::{Expected, Numbers, Walked, each_record, walk};
use crate::extras::Extras;
use crate::log::gone::{Gone, GoneBounds, Saved};
use crate::{Error, ErrorKind};

/// A fault in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the file in the directory.
    pub file: String,
    /// The offset in it, in bytes.
    pub byte: u64,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, byte, what } = self;
        write!(f, "{file}, byte {byte}: {what}")
    }
}

/// How thorough an examination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Trusts the indexes of full segments.
    Short,
    /// Reads every record.
    Records,
    /// Reads every record, and compares every index with its segment.
    Full,
}

/// A file that is replaced as a whole.
#[derive(Debug)]
pub(crate) enum Known<T> {
    Missing,
    Damaged,
    Read(T),
}

impl<T> Known<T> {
    pub(crate) fn read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Missing | Self::Damaged => None,
        }
    }
}

/// The result of an examination.
pub(crate) struct Examination {
    pub(crate) unfinished: Option<Unfinished>,
    pub(crate) manifest: Known<Manifest>,
    pub(crate) gone: Known<Gone>,
    /// Values of dropped segments.
    pub(super) values: Option<FoundValues>,
    pub(crate) chains: Vec<FoundChain>,
    pub(crate) findings: Vec<Finding>,
    /// Runs of lost numbers whose events may have been acknowledged, without those lost in crashes.
    pub(crate) lost: Vec<(u64, u64)>,
    /// Whether entries with unknown numbers may be lost.
    pub(crate) perhaps_lost: bool,
    /// Entries after this number are lost; how many is unknown.
    pub(crate) lost_after: Option<u64>,
}

#[derive(Default)]
pub(crate) struct FoundChain {
    pub(crate) id: u8,
    pub(crate) segments: Vec<FoundSegment>,
}

pub(crate) struct FoundSegment {
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) file: Arc<dyn VolumeFile>,
    pub(crate) len: u32,
    /// Its head, if it can be read.
    pub(crate) head: Option<SegmentHead>,
    /// The salt of its checksums; without it nothing in the segment decodes.
    pub(crate) salt: Option<u64>,
    pub(crate) index: FoundIndex,
    /// Its end, if that is recorded.
    pub(crate) end: Option<Before>,
    pub(crate) walked: Walked,
    /// Whether it must be rewritten to be readable.
    pub(crate) is_damaged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundIndex {
    Missing,
    /// It has this salt and these contents.
    Read(u64, Contents),
    Damaged,
}

impl FoundSegment {
    /// A head with the right salt, to read with.
    pub(crate) fn head_for(&self, chain: u8) -> Option<SegmentHead> {
        let before = self.head.map_or_else(Before::default, |head| head.before);
        Some(SegmentHead { chain, generation: self.generation, salt: self.salt?, before })
    }
}

/// Examines everything. `progress` gets the number of examined bytes and the total.
pub(crate) fn examine(
    volume: &dyn Volume,
    depth: Depth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Examination, Error> {
    let names = volume.list().map_err(unreadable)?;
    let mut examination = Examination {
        unfinished: Unfinished::find(volume).map_err(unreadable)?,
        manifest: read_known::<Manifest>(volume, &names, MANIFEST)?,
        gone: match read_known::<Saved>(volume, &names, DROPPED)? {
            Known::Missing => Known::Missing,
            Known::Damaged => Known::Damaged,
            Known::Read(saved) => Known::Read(Gone::from_saved(saved, GoneBounds::default())),
        },
        values: values::find(volume).map_err(unreadable)?,
        chains: Vec::new(),
        findings: Vec::new(),
        lost: Vec::new(),
        perhaps_lost: false,
        lost_after: None,
    };
    examination.judge_files(&names);
    examination.open_chains(volume, &names)?;
    let total = examination.segments().map(|(_, segment)| u64::from(segment.len)).sum();
    let mut done = 0;
    for at in 0..examination.chains.len() {
        examination.walk_chain(at, depth, &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
        examination.judge_chain(at);
    }
    if depth == Depth::Full {
        examination.judge_indexes(volume)?;
    }
    examination.settle_lost()?;
    Ok(examination)
}

impl Examination {
    pub(crate) fn segments(&self) -> impl Iterator<Item = (u8, &FoundSegment)> {
        self.chains.iter().flat_map(|chain| chain.segments.iter().map(|segment| (chain.id, segment)))
    }

    /// The number of the newest entry.
    pub(crate) fn last(&self) -> u64 {
        self.segments().map(|(_, segment)| segment.walked.contents.last).max().unwrap_or(0)
    }

    /// Whether there is no log at all.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.manifest, Known::Missing)
            && matches!(self.gone, Known::Missing)
            && self.segments().next().is_none()
    }

    fn finds(&mut self, file: &str, byte: u64, what: impl Into<String>) {
        self.findings.push(Finding { file: file.to_owned(), byte, what: what.into() });
    }

    fn judge_files(&mut self, names: &[String]) {
        let has_segments = names.iter().any(|name| parse_name(name, ".segment").is_some());
        match self.manifest {
            Known::Missing if has_segments => self.finds(MANIFEST, 0, "it is missing"),
            Known::Damaged => self.finds(MANIFEST, 0, WRONG_CHECKSUM),
            Known::Missing | Known::Read(_) => {}
        }
        if matches!(self.gone, Known::Damaged) {
            self.finds(DROPPED, 0, WRONG_CHECKSUM);
        }
        if let Some(byte) = self.values.as_ref().and_then(|values| values.damaged_at) {
            self.finds(VALUES, byte, WRONG_CHECKSUM);
        }
        self.perhaps_lost = !self.findings.is_empty();
    }

    fn open_chains(&mut self, volume: &dyn Volume, names: &[String]) -> Result<(), Error> {
        let segments: BTreeSet<(u8, u64)> = names.iter().filter_map(|name| parse_name(name, ".segment")).collect();
        let ends = self.manifest.read().and_then(|manifest| manifest.clean.as_ref()).map(|clean| &clean.ends[..]);
        let ended = ends.unwrap_or_default().iter().map(|end| end.chain);
        let ids: BTreeSet<u8> = segments.iter().map(|(chain, _)| *chain).chain(ended).collect();
        for id in ids {
            let gone = self.gone.read().map_or(0, |dropped| dropped.through_generation(id));
            let mut chain = FoundChain { id, segments: Vec::new() };
            for (_, generation) in segments.iter().filter(|(chain, generation)| *chain == id && *generation > gone) {
                if let Some(segment) = self.open_segment(volume, id, *generation)? {
                    chain.segments.push(segment);
                }
            }
            self.chains.push(chain);
        }
        Ok(())
    }

    /// `None` if it was dropped since the names were read.
    fn open_segment(&mut self, volume: &dyn Volume, chain: u8, generation: u64) -> Result<Option<FoundSegment>, Error> {
        let name = segment_name(chain, generation);
        let file = match volume.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let len = u32::try_from(file.len().map_err(unreadable)?).unwrap_or(u32::MAX);
        let read = match SegmentHead::read(&name, &*file) {
            Ok(head) => Some(head),
            Err(Damage::At { offset, what, .. }) => {
                self.finds(&name, offset, format!("{what} is damaged"));
                None
            }
            Err(damage) => return Err(fatal(damage)),
        };
        let own = read.filter(|head| (head.chain, head.generation) == (chain, generation));
        if read.is_some() && own.is_none() {
            self.finds(&name, 0, "its head belongs to another segment");
        }
        let index = read_index(volume, &index_name(chain, generation), own.map(|head| head.salt))?;
        if index == FoundIndex::Damaged {
            self.finds(&index_name(chain, generation), 0, WRONG_INDEX);
        }
        let salt = match (read, index) {
            (Some(head), _) => Some(head.salt),
            (None, FoundIndex::Read(salt, _)) => Some(salt),
            (None, FoundIndex::Missing | FoundIndex::Damaged) => None,
        };
        let (end, walked, is_damaged) = (None, Walked::default(), own.is_none());
        Ok(Some(FoundSegment { name, generation, file, len, head: own, salt, index, end, walked, is_damaged }))
    }

    fn walk_chain(&mut self, at: usize, depth: Depth, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let Some(FoundChain { id, mut segments }) = self.chains.get_mut(at).map(std::mem::take) else { return Ok(()) };
        self.find_ends(id, &mut segments);
        let mut after = 0;
        let mut kept = Vec::with_capacity(segments.len());
        for mut segment in segments {
            if self.walk_segment(id, after, depth, &mut segment)? {
                after = after.max(segment.walked.contents.last);
                progress(u64::from(segment.len));
                kept.push(segment);
            }
        }
        if let Some(chain) = self.chains.get_mut(at) {
            *chain = FoundChain { id, segments: kept };
        }
        Ok(())
    }

    /// Finds where each segment ends: from the next segment, a clean stop, or its index.
    fn find_ends(&self, chain: u8, segments: &mut [FoundSegment]) {
        let mut next: Option<Before> = self.clean_end(chain);
        for segment in segments.iter_mut().rev() {
            let index = match segment.index {
                FoundIndex::Read(salt, Contents { end, last, .. }) if Some(salt) == segment.salt => {
                    Some(Before { generation: segment.generation, end, last })
                }
                FoundIndex::Read(..) | FoundIndex::Missing | FoundIndex::Damaged => None,
            };
            segment.end = next.filter(|next| next.generation == segment.generation).or(index);
            next = segment.head.map(|head| head.before);
        }
    }

    fn clean_end(&self, chain: u8) -> Option<Before> {
        let clean = self.manifest.read()?.clean.as_ref()?;
        let end = clean.ends.iter().find(|end| end.chain == chain)?;
        Some(Before { generation: end.generation, end: end.end, last: end.last })
    }

    /// False if it was dropped meanwhile.
    fn walk_segment(&mut self, chain: u8, after: u64, depth: Depth, segment: &mut FoundSegment) -> Result<bool, Error> {
        let Some(head) = segment.head_for(chain) else { return Ok(true) };
        if let (Depth::Short, Some(end), FoundIndex::Read(salt, contents)) = (depth, segment.end, segment.index) {
            if salt == head.salt && (contents.end, contents.last) == (end.end, end.last) && segment.len >= end.end {
                segment.walked.whole.push(START..contents.end);
                segment.walked.contents = contents;
                return Ok(true);
            }
        }
        let after = after.max(head.before.last);
        let walked = {
            let manifest = self.manifest.read();
            let numbers = Numbers {
                ceiling: manifest.filter(|manifest| manifest.ceiling > 0).map_or(u64::MAX, |manifest| manifest.ceiling),
                skips: manifest.map_or(&[], |manifest| &manifest.skips[..]),
            };
            walk(&*segment.file, head, Expected { after, end: segment.end, numbers })
        };
        // if a hub runs, its file may hold another segment by now
        if let Some(own) = segment.head {
            if SegmentHead::read(&segment.name, &*segment.file).ok() != Some(own) {
                return Ok(false);
            }
        }
        segment.walked = walked.map_err(|damage| name_it(damage, &segment.name))?;
        for at in 0..segment.walked.holes.len() {
            let hole = segment.walked.holes[at].clone();
            self.judge_hole(segment, &hole.bytes, hole.at);
            if hole.after + 1 < hole.before {
                self.lost.push((hole.after + 1, hole.before - 1));
            }
            segment.is_damaged = true;
        }
        Ok(true)
    }

    fn judge_hole(&mut self, segment: &FoundSegment, bytes: &Range<u32>, at: u32) {
        let what = if segment.len < bytes.end {
            format!("the file is too short: it should have {} bytes at least", bytes.end)
        } else {
            let number = bytes.end - bytes.start;
            format!("a record whose checksum is wrong; bytes {} to {}, {number}, are lost", bytes.start, bytes.end - 1)
        };
        self.finds(&segment.name, at.min(segment.len).into(), what);
    }

    /// Checks that the chain has no gap.
    fn judge_chain(&mut self, at: usize) {
        let Some(FoundChain { id, segments }) = self.chains.get(at) else { return };
        let id = *id;
        let gone = self.gone.read().map_or(0, |dropped| dropped.through_generation(id));
        let through = self.gone.read().map_or(0, |gone| gone.entries().1);
        let mut missing: Vec<(u64, Option<(u64, u64)>)> = Vec::new();
        let mut perhaps_lost = false;
        let mut before: Option<&FoundSegment> = None;
        let mut last = 0;
        for segment in segments {
            if let Some(head) = segment.head {
                let expected = before.map_or(gone, |before| before.generation);
                let is_missing = if before.is_some() {
                    head.before.generation != expected
                } else {
                    head.before.generation > expected
                };
                if is_missing {
                    let known = if before.is_some() { last } else { through };
                    perhaps_lost |= before.is_none();
                    missing.push((head.before.generation, Some((known + 1, head.before.last))));
                }
            }
            // a segment without a recorded end may have lost anything
            let is_last = segments.last().is_some_and(|last| last.generation == segment.generation);
            perhaps_lost |= segment.salt.is_none() || (segment.end.is_none() && !is_last);
            last = segment.walked.contents.last.max(last);
            before = Some(segment);
        }
        if let Some(clean) = self.clean_end(id).filter(|clean| clean.generation > gone) {
            if segments.last().is_none_or(|segment| segment.generation < clean.generation) {
                missing.push((clean.generation, Some((last.max(through) + 1, clean.last))));
            }
        }
        self.perhaps_lost |= perhaps_lost;
        for (generation, lost) in missing {
            self.finds(&segment_name(id, generation), 0, "the segment is missing");
            self.lost.extend(lost.filter(|(first, last)| first <= last));
        }
        for (first, last) in self.lost_with_heads(at) {
            match last {
                Some(last) => self.lost.extend(Some((first, last)).filter(|(first, last)| first <= last)),
                None => self.lost_after = self.lost_after.or(Some(first - 1)),
            }
        }
    }

    /// The numbers of segments of which nothing decodes: everything between their neighbours. For the last segment the end may be
    /// unknown.
    fn lost_with_heads(&self, at: usize) -> Vec<(u64, Option<u64>)> {
        let segments = self.chains.get(at).map_or(&[][..], |chain| &chain.segments);
        let ceiling = self.manifest.read().map(|manifest| manifest.ceiling.saturating_sub(1));
        let headless = segments.iter().enumerate().filter(|(_, segment)| segment.salt.is_none());
        let lost = headless.map(|(at, segment)| {
            let before = segments.iter().take(at).map(|segment| segment.walked.contents.last).max().unwrap_or(0);
            (before + 1, segment.end.map(|end| end.last).or(ceiling))
        });
        lost.collect()
    }

    fn judge_indexes(&mut self, volume: &dyn Volume) -> Result<(), Error> {
        let mut findings = Vec::new();
        for (chain, segment) in self.segments().filter(|(_, segment)| !segment.is_damaged) {
            let (FoundIndex::Read(..), Some(head)) = (segment.index, segment.head) else { continue };
            let name = index_name(chain, segment.generation);
            let stored = match volume.open(&name).and_then(|file| read_all(&*file)) {
                Ok(stored) => stored,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let made = index_of(segment, head)?.to_bytes();
            if made != stored {
                let byte = made.iter().zip(&stored).position(|(made, stored)| made != stored);
                let byte = byte.unwrap_or_else(|| made.len().min(stored.len())) as u64;
                findings.push(Finding { file: name, byte, what: "it disagrees with its segment".to_owned() });
            }
        }
        self.findings.extend(findings);
        Ok(())
    }

    /// Removes from the lost numbers those that are in other chains, and those lost in crashes.
    fn settle_lost(&mut self) -> Result<(), Error> {
        let mut lost = std::mem::take(&mut self.lost);
        lost.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (first, last) in lost {
            match merged.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        if let Some(manifest) = self.manifest.read() {
            manifest.skips.iter().for_each(|(first, last)| take_out(&mut merged, *first, *last));
        }
        for (chain, segment) in self.segments() {
            let Contents { first, last, .. } = segment.walked.contents;
            if !merged.iter().any(|run| run.0 <= last && first <= run.1) {
                continue;
            }
            let Some(head) = segment.head_for(chain) else { continue };
            let mut there: Vec<(u64, u64)> = Vec::new();
            let walked = each_record(&*segment.file, head, &segment.walked, |_, record| {
                let number = record.head.place.sequence;
                match there.last_mut() {
                    Some(run) if run.1 + 1 == number => run.1 = number,
                    _ => there.push((number, number)),
                }
                Ok(())
            });
            walked.map_err(fatal)?;
            there.into_iter().for_each(|(first, last)| take_out(&mut merged, first, last));
        }
        self.lost = merged;
        Ok(())
    }
}

/// The index that a segment should have.
fn index_of(segment: &FoundSegment, head: SegmentHead) -> Result<MemoryIndex, Error> {
    let mut index = MemoryIndex::new(head.salt, START);
    let mut topics = SmallVec::new();
    let made = each_record(&*segment.file, head, &segment.walked, |at, record| {
        let topics = record.shared_topics(&mut topics);
        let (extras, id) = record.extras()?;
        let place = record.head.place;
        index.note(&Noted {
            at: Sample { sequence: place.sequence, time_ms: place.time_ms, offset: at },
            len: record.head.len,
            topics: own_topics(&topics, extras.as_deref()),
            publisher_id: id.as_deref(),
            mark: extras.as_deref().map(Extras::mark),
        });
        Ok(())
    });
    made.map_err(|damage| name_it(damage, &segment.name))?;
    Ok(index)
}

fn read_index(volume: &dyn Volume, name: &str, salt: Option<u64>) -> Result<FoundIndex, Error> {
    let file = match volume.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FoundIndex::Missing),
        Err(error) => return Err(unreadable(error)),
    };
    let salt = match salt {
        Some(salt) => salt,
        None => match FileIndex::salt(&*file).map_err(unreadable)? {
            Some(salt) => salt,
            None => return Ok(FoundIndex::Damaged),
        },
    };
    let index = FileIndex::open(file, salt).map_err(unreadable)?;
    Ok(index.map_or(FoundIndex::Damaged, |index| FoundIndex::Read(salt, Index::File(index).contents())))
}

fn read_known<T: serde::de::DeserializeOwned>(
    volume: &dyn Volume,
    names: &[String],
    name: &str,
) -> Result<Known<T>, Error> {
    if !names.iter().any(|known| known == name) {
        return Ok(Known::Missing);
    }
    // a file that cannot be read at all does not count as damaged
    volume.open(name).and_then(|file| read_all(&*file)).map_err(unreadable)?;
    Ok(read_file(volume, names, name).ok().flatten().map_or(Known::Damaged, Known::Read))
}

/// Removes the numbers from `first` to `last` from the runs.
fn take_out(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    if !runs.iter().any(|run| run.0 <= last && first <= run.1) {
        return;
    }
    let left = runs.drain(..).flat_map(|run| {
        let before = Some((run.0, run.1.min(first.saturating_sub(1)))).filter(|_| run.0 < first);
        let after = Some((run.0.max(last.saturating_add(1)), run.1)).filter(|_| run.1 > last);
        before.into_iter().chain(after)
    });
    let left: Vec<_> = left.collect();
    *runs = left;
}

fn name_it(damage: Damage, name: &str) -> Error {
    fatal(match damage {
        Damage::Newer { format, .. } => Damage::Newer { name: name.to_owned(), format },
        Damage::Io(_) | Damage::At { .. } => damage,
    })
}

/// The error for damage that stops an examination.
pub(crate) fn fatal(damage: Damage) -> Error {
    match damage {
        Damage::Io(error) => unreadable(error),
        newer @ Damage::Newer { .. } => Error::invalid(format!("{newer}; run that version")),
        damage @ Damage::At { .. } => Error::new(ErrorKind::Internal, damage.to_string()),
    }
}

const WRONG_CHECKSUM: &str = "its checksum is wrong";
const WRONG_INDEX: &str = "its checksum is wrong, or it belongs to another segment";
