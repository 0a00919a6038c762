//! Repairs a damaged log from everything that decodes, so that it opens again.
//!
//! Entries keep their numbers. Damaged files are copied aside first, and each file is replaced as a whole. So an interrupted repair
//! loses nothing and can be run again. Meanwhile a mark keeps hubs away. If entries may be lost, the epoch changes first.

use std::io;

use super::checked_file::save;
use super::damage::{FORMAT, unreadable, unwritable};
use super::examine::{Examination, FoundIndex, FoundSegment, Known};
use super::manifest::{MANIFEST, Manifest};
use super::record;
use super::segment::{Before, START, SegmentHead, index_name};
use super::store::DROPPED;
use super::unfinished::Unfinished;
use super::values::{self, VALUES};
use super::volume::{Volume, VolumeFile};
use super::walk::each_record;
use crate::Error;
use crate::limits::disk::{FILE_BYTES_MAX, SCAN_BYTES, WRITE_BYTES_MAX};
use crate::log::gone::DroppedRun;
use crate::log::gone::{DroppedSegment, Gone, GoneBounds};
use crate::position::Epoch;

/// The steps of a repair.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    /// Damaged files, which are kept as copies.
    pub(crate) damaged: Vec<String>,
    /// Runs of numbers whose events may be lost.
    pub(crate) lost: Vec<(u64, u64)>,
    /// Entries after this number are lost as well; how many is unknown.
    pub(crate) lost_after: Option<u64>,
    /// The number of bytes that had contents and do not decode.
    pub(crate) lost_bytes: u64,
    /// The number of kept entries.
    pub(crate) entries: u64,
    /// Whether entries may be lost, so that a new epoch is drawn.
    pub(crate) changes_epoch: bool,
    /// Whether an earlier repair was interrupted.
    pub(crate) goes_on: bool,
    /// For each chain, the generation up to which its segments are lost.
    gone: Vec<(u8, Before)>,
    /// The highest number that may be lost, and the time of the first entry after it.
    lost_through: Option<(u64, Option<u64>)>,
    /// The next number.
    next: u64,
}

#[derive(Debug)]
enum Step {
    /// Copies a file aside.
    Keep(String),
    /// Rewrites the segment.
    Write {
        chain: u8,
        generation: u64,
        head: SegmentHead,
    },
    Remove(String),
}

/// What a repair gets from outside: a new epoch, in case it needs one, and the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn {
    pub(crate) epoch: Epoch,
    pub(crate) now_ms: u64,
}

impl Plan {
    /// Plans the repair of the findings.
    pub(crate) fn new(found: &Examination) -> Result<Self, Error> {
        match found.unfinished {
            Some(unfinished @ Unfinished::Import) => return Err(Error::invalid(unfinished.in_words())),
            None if found.is_empty() => return Err(Error::invalid("there is no history here")),
            Some(Unfinished::Repair) | None => {}
        }
        let mut plan = Self {
            lost: found.lost.clone(),
            lost_after: found.lost_after,
            changes_epoch: found.perhaps_lost || !found.lost.is_empty(),
            goes_on: found.unfinished.is_some(),
            ..Self::default()
        };
        plan.keep_files(found);
        for chain in &found.chains {
            let gone = found.gone.read().map_or(0, |gone| gone.through_generation(chain.id));
            plan.join(chain.id, &chain.segments, gone);
        }
        let last = found.lost.last().map(|(_, last)| *last);
        let manifest = found.manifest.read();
        let given = manifest.and_then(|manifest| manifest.clean.as_ref()).map_or(0, |clean| clean.head);
        plan.next = found.last().max(last.or(found.lost_after).unwrap_or(0)).max(given) + 1;
        if plan.changes_epoch {
            // entries lost with unknown numbers were at least not after all others
            let through = last.unwrap_or(plan.next - 1);
            let after = found.segments().map(|(_, segment)| segment.walked.contents);
            let after = after.filter(|contents| contents.last > through).map(|contents| contents.last_ms).min();
            plan.lost_through = Some((through, after));
        }
        Ok(plan)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && !self.changes_epoch && !self.goes_on
    }

    fn keep_files(&mut self, found: &Examination) {
        for (name, is_damaged) in [
            (MANIFEST, matches!(found.manifest, Known::Damaged)),
            (DROPPED, matches!(found.gone, Known::Damaged)),
            (VALUES, found.values.as_ref().is_some_and(|values| values.damaged_at.is_some())),
        ] {
            if is_damaged {
                self.keep(name);
            }
        }
    }

    fn keep(&mut self, name: &str) {
        self.damaged.push(name.to_owned());
        self.steps.push(Step::Keep(name.to_owned()));
    }

    /// Links the segments with decodable entries into a chain again.
    fn join(&mut self, chain: u8, segments: &[FoundSegment], gone: u64) {
        let mut before: Option<Before> = None;
        let mut steps = Vec::new();
        for segment in segments {
            let FoundSegment { name, generation, walked, .. } = segment;
            self.entries += u64::from(walked.contents.entries);
            self.lost_bytes +=
                walked.holes.iter().map(|hole| u64::from(hole.bytes.end - hole.bytes.start)).sum::<u64>();
            if segment.is_damaged {
                self.keep(name);
            }
            let index = index_name(chain, *generation);
            let head = segment.head_for(chain).filter(|_| !segment.is_damaged || walked.contents.entries > 0);
            let Some(head) = head else {
                self.lost_bytes += if segment.salt.is_none() { u64::from(segment.len) } else { 0 };
                steps.extend(Some(Step::Remove(index)).filter(|_| segment.index != FoundIndex::Missing));
                steps.push(Step::Remove(name.clone()));
                continue;
            };
            let due = match before {
                Some(before) => SegmentHead { before, ..head },
                None if segment.head.is_none() => {
                    SegmentHead { before: Before { generation: gone, ..Before::default() }, ..head }
                }
                None => head,
            };
            if before.is_none() && due.before.generation > gone {
                self.gone.push((chain, due.before));
            }
            let end = if segment.is_damaged { end_of(segment) } else { walked.contents.end };
            if segment.is_damaged || due != head {
                steps.extend(Some(Step::Remove(index)).filter(|_| segment.index != FoundIndex::Missing));
                steps.push(Step::Write { chain, generation: *generation, head: due });
            } else if segment.index == FoundIndex::Damaged {
                steps.push(Step::Remove(index));
            }
            let last = walked.contents.last.max(due.before.last);
            before = Some(Before { generation: *generation, end, last });
        }
        self.steps.extend(steps);
    }

    /// Index files that disagree with their segments.
    pub(crate) fn remove_indexes(&mut self, found: &Examination) {
        for finding in found.findings.iter().filter(|finding| finding.file.ends_with(".index")) {
            let is_removed = |step: &Step| matches!(step, Step::Remove(name) if *name == finding.file);
            if !self.steps.iter().any(is_removed) {
                self.steps.push(Step::Remove(finding.file.clone()));
            }
        }
    }

    /// Carries out the repair. After it the log opens.
    pub(crate) fn carry_out(&self, volume: &dyn Volume, found: &Examination, drawn: Drawn) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        Unfinished::Repair.begin(volume).map_err(unwritable)?;
        for step in &self.steps {
            if let Step::Keep(name) = step {
                keep(volume, name).map_err(unwritable)?;
            }
        }
        if self.changes_epoch {
            self.change_epoch(volume, found, drawn).map_err(unwritable)?;
        }
        if let Some(values) = found.values.as_ref().filter(|values| values.damaged_at.is_some()) {
            values::put(volume, &values.records).map_err(unwritable)?;
        }
        for step in &self.steps {
            match step {
                Step::Keep(_) => {}
                Step::Remove(name) => remove(volume, name).map_err(unwritable)?,
                Step::Write { chain, generation, head } => {
                    let segment =
                        found.segments().find(|(id, segment)| (id, &segment.generation) == (chain, generation));
                    if let Some((_, segment)) = segment {
                        write(volume, segment, *head)?;
                    }
                }
            }
        }
        Unfinished::finish(volume).map_err(unwritable)
    }

    /// From here on no earlier id names anything.
    fn change_epoch(&self, volume: &dyn Volume, found: &Examination, drawn: Drawn) -> io::Result<()> {
        let saved = found.gone.read().map(Gone::saved);
        let bounds = GoneBounds::default();
        let mut gone = saved.map_or_else(|| Gone::new(bounds), |saved| Gone::from_saved(saved, bounds));
        for (chain, Before { generation, last, .. }) in &self.gone {
            let leaving = DroppedSegment {
                chain: *chain,
                generation: *generation,
                through: *last,
                last_ms: 0,
                entries: DroppedRun::default(),
            };
            gone.add(&leaving, std::iter::empty());
        }
        if let Some((last, after_ms)) = self.lost_through {
            gone.has_lost(last, after_ms.unwrap_or(drawn.now_ms));
        }
        save(volume, DROPPED, &gone.saved())?;
        let manifest = Manifest {
            format: FORMAT,
            epoch: drawn.epoch.to_string(),
            ceiling: self.next,
            saved_ms: drawn.now_ms,
            skips: Vec::new(),
            clean: None,
            private: found.manifest.read().is_none_or(|manifest| manifest.private),
        };
        save(volume, MANIFEST, &manifest)
    }
}

/// The end of a segment when it is rewritten without its holes.
fn end_of(segment: &FoundSegment) -> u32 {
    START + segment.walked.whole.iter().map(|whole| whole.end - whole.start).sum::<u32>()
}

/// Writes the whole batches of a segment into a new file, and replaces the segment with it.
fn write(volume: &dyn Volume, segment: &FoundSegment, head: SegmentHead) -> Result<(), Error> {
    let end = end_of(segment);
    let len = segment.len.max(end);
    let name = format!("{}.new", segment.name);
    let file = volume.create(&name, len.into()).map_err(unwritable)?;
    file.write_at(0, &head.to_bytes()).map_err(unwritable)?;
    let mut out = Vec::new();
    let (mut at, mut batch, mut failed) = (START, START, None);
    let read = SegmentHead { before: Before::default(), ..head };
    let walked = each_record(&*segment.file, read, &segment.walked, |offset, record| {
        let len = record.head.len as usize;
        let mut bytes = vec![0; len];
        if let Err(error) = segment.file.read_at(offset.into(), &mut bytes) {
            failed = Some(unreadable(error));
            return Ok(());
        }
        // the contents are durable before the file gets its name
        record::push_moved(&mut out, &bytes, batch, head.salt);
        let place = at + out.len() as u32;
        if record.head.place.rest == 0 {
            batch = place;
            if out.len() >= WRITE_BYTES_MAX {
                failed = failed.take().or_else(|| file.write_at(at.into(), &out).err().map(unwritable));
                at = place;
                out.clear();
            }
        }
        Ok(())
    });
    walked.map_err(super::examine::fatal)?;
    failed = failed.or_else(|| file.write_at(at.into(), &out).err().map(unwritable));
    if let Some(error) = failed {
        return Err(error);
    }
    file.sync().and_then(|()| volume.rename(&name, &segment.name)).and_then(|()| volume.sync()).map_err(unwritable)
}

/// Copies a damaged file aside.
fn keep(volume: &dyn Volume, name: &str) -> io::Result<()> {
    let names = volume.list()?;
    let aside = (1..).map(|number| match number {
        1 => format!("damaged-{name}"),
        _ => format!("damaged-{number}-{name}"),
    });
    let Some(aside) = aside.into_iter().find(|aside| !names.contains(aside)) else { return Ok(()) };
    let new = format!("{aside}.new");
    let from = volume.open(name)?;
    // no file of a history is longer; a longer one could fill the disk
    let len = from.len()?.min(FILE_BYTES_MAX as u64);
    copy(&*from, &*volume.create(&new, len)?, len)?;
    volume.rename(&new, &aside)?;
    volume.sync()
}

/// Copies the first `len` bytes.
fn copy(from: &dyn VolumeFile, to: &dyn VolumeFile, len: u64) -> io::Result<()> {
    let mut piece = vec![0; SCAN_BYTES.min(usize::try_from(len).unwrap_or(SCAN_BYTES))];
    let mut at = 0;
    while at < len {
        let part = piece.len().min(usize::try_from(len - at).unwrap_or(usize::MAX));
        let part = &mut piece[..part];
        from.read_at(at, part)?;
        to.write_at(at, part)?;
        at += part.len() as u64;
    }
    to.sync()
}

fn remove(volume: &dyn Volume, name: &str) -> io::Result<()> {
    match volume.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| volume.sync()),
    }
}
