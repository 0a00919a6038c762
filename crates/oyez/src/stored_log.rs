//! A history on disk without a hub: what is in it, whether it is whole, and how to move or mend it.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::json_line::rfc3339;
use crate::log::disk::{
    Depth, Directory, Drawn, Examination, FORMAT, FoundIndex, Plan, Unfinished, View, Volume, examine, export, import,
};
use crate::matcher::Matcher;
use crate::position::{Epoch, Position};
use crate::{Error, ErrorKind, clock};

pub use crate::log::disk::{Finding, Imported};

/// The history in a directory, to be looked at; a hub may be running on it. What `oyez log` does.
///
/// ```no_run
/// use oyez::StoredLog;
/// let verification = StoredLog::open("history")?.verify(|_done, _of| ())?;
/// for finding in &verification.findings {
///     println!("{finding}");
/// }
/// # Ok::<(), oyez::Error>(())
/// ```
#[derive(Debug)]
pub struct StoredLog {
    directory: PathBuf,
    view: View,
}

/// What a history is, as [`StoredLog::inspect`] finds it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// A process has the directory.
    pub in_use: bool,
    /// The version of its bytes.
    pub format: u32,
    /// The epoch of its positions, if that can be read.
    pub epoch: Option<String>,
    /// The number of its newest entry; 0 if there is none.
    pub head: u64,
    /// Numbers below this one may have been given out.
    pub ceiling: Option<u64>,
    /// The last hub said where everything ends. After a crash, and while a hub writes, nobody has.
    pub clean: bool,
    /// Runs of numbers that were reserved and lost in crashes: the first of each and the last.
    pub lost_in_crashes: Vec<(u64, u64)>,
    /// What has been begun and has not come to its end, if anything, and what to do.
    pub unfinished: Option<&'static str>,
    /// The segments, by the class of topics that is kept alike.
    pub classes: Vec<StoredClass>,
    /// What is known of entries that are gone.
    pub dropped: DroppedSummary,
    /// What is wrong, as far as was looked.
    pub findings: Vec<Finding>,
}

/// The segments of topics that are kept alike.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoredClass {
    /// Its number; that of the rest is 0.
    pub class: u8,
    /// Oldest first.
    pub segments: Vec<SegmentSummary>,
}

/// One file of entries.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// Its name in the directory.
    pub file: String,
    /// Segments are numbered over all classes, in the order in which they were begun.
    pub generation: u64,
    /// Entries that are whole.
    pub entries: u64,
    /// The number of the first; 0 without one.
    pub first: u64,
    /// The number of the last; 0 without one.
    pub last: u64,
    /// When the first was published, in RFC 3339.
    pub first_time: Option<String>,
    /// When the last was.
    pub last_time: Option<String>,
    /// Bytes that are used.
    pub bytes: u64,
    /// Bytes of the file.
    pub capacity: u64,
    /// It has an index file. The segment that is written to has none.
    pub index: bool,
    /// A write was cut off at its end, by a crash; the next start takes that away.
    pub torn: bool,
}

/// What is known of entries that are gone.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DroppedSummary {
    /// Topics of which something is gone; with very many, the newest.
    pub topics: u64,
    /// Entries that are gone.
    pub entries: u64,
    /// The number of the last of them.
    pub through: u64,
}

/// What [`StoredLog::verify`] has found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verification {
    /// Entries that were read.
    pub entries: u64,
    /// Files that were read.
    pub segments: u64,
    /// Segments at whose end a write was cut off: no damage, and gone with the next start.
    pub torn: Vec<String>,
    /// What is wrong; nothing, if all is well.
    pub findings: Vec<Finding>,
}

/// What [`StoredLog::export`] has written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exported {
    /// How many lines.
    pub entries: u64,
    /// What is wrong with the history.
    pub findings: Vec<Finding>,
    /// Something is lost, or may be, and was not written.
    pub is_incomplete: bool,
}

impl StoredLog {
    /// The history in this directory.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no such directory.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        is_there(&directory)?;
        Ok(Self { view: View::new(&directory), directory })
    }

    /// Does a process have the directory?
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.view.is_in_use()
    }

    /// What is there. Of full segments their indexes are believed; [`verify`](Self::verify) looks closer.
    ///
    /// # Errors
    /// When there is no history, a newer version has written it, or the system says no. Damage is in what is given back.
    pub fn inspect(&self) -> Result<Inspection, Error> {
        let (in_use, found) = self.examine(Depth::Short, &mut |_, _| ())?;
        let manifest = found.manifest.read();
        let classes = found.chains.iter().map(|chain| StoredClass {
            class: chain.id,
            segments: chain.segments.iter().map(SegmentSummary::of).collect(),
        });
        Ok(Inspection {
            in_use,
            format: FORMAT,
            epoch: manifest.map(|manifest| manifest.epoch.clone()),
            head: found.last(),
            ceiling: manifest.map(|manifest| manifest.ceiling),
            clean: manifest.is_some_and(|manifest| manifest.clean.is_some()),
            lost_in_crashes: manifest.map(|manifest| manifest.skips.clone()).unwrap_or_default(),
            unfinished: found.unfinished.map(Unfinished::in_words),
            classes: classes.collect(),
            dropped: found.gone.read().map_or_else(DroppedSummary::default, |dropped| {
                let (entries, through) = dropped.entries();
                DroppedSummary { topics: dropped.topics() as u64, entries, through }
            }),
            findings: found.findings,
        })
    }

    /// Reads everything and checks it. `progress` is told how many bytes have been looked at, and of how many.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> Result<Verification, Error> {
        let (_, found) = self.examine(Depth::Full, &mut progress)?;
        let mut findings = found.findings.clone();
        if let Some(unfinished) = found.unfinished {
            findings.push(Finding::of_the_mark(unfinished));
        }
        let torn = found.segments().filter(|(_, segment)| segment.walked.torn).map(|(_, segment)| segment.name.clone());
        Ok(Verification {
            entries: found.segments().map(|(_, segment)| u64::from(segment.walked.contents.entries)).sum(),
            segments: found.segments().count() as u64,
            torn: torn.collect(),
            findings,
        })
    }

    /// Writes one line of JSON for each entry, in order, or for those alone of whose topics `matcher` selects one.
    /// [`import`](Self::import) makes a history of them again. What was acknowledged before is among them; of a damaged
    /// history, all that is whole.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect), when the epoch is not known, and what `out` says.
    pub fn export(&self, matcher: Option<&Matcher>, out: &mut dyn Write) -> Result<Exported, Error> {
        // an index that says that all is there is not believed: half an export would be written before that shows
        let (_, found) = self.examine(Depth::Records, &mut |_, _| ())?;
        let entries = export(&found, epoch_of(&found)?, matcher, out)?;
        let is_incomplete = found.perhaps_lost || !found.lost.is_empty();
        Ok(Exported { entries, findings: found.findings, is_incomplete })
    }

    /// Makes a new history of the lines of an export in `directory`, which is made, or is empty. Entries keep their times and
    /// their publishers' ids. Positions are new ones, unless `keep_ids`: then each entry has the one that its line names, and the
    /// hub that gave them must not go on with them.
    ///
    /// Until it has come to its end no hub opens the directory; what an interrupted import has left is replaced by another one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the line that is wrong, or the file that makes the directory not empty;
    /// [`ErrorKind::Unavailable`] when a process has the directory, [`ErrorKind::Full`] without room.
    pub fn import(directory: &Path, input: &mut dyn BufRead, keep_ids: bool) -> Result<Imported, Error> {
        let volume: Arc<dyn Volume> = Arc::new(Directory::open(directory)?);
        import(&volume, input, keep_ids, Epoch::draw(clock::wall_ns()))
    }

    /// Looks again while what it saw may have changed under its eyes.
    fn examine(&self, depth: Depth, progress: &mut dyn FnMut(u64, u64)) -> Result<(bool, Examination), Error> {
        let mut looks = 0;
        loop {
            let in_use = self.is_in_use();
            let found = examine(&self.view, depth, progress)?;
            looks += 1;
            if found.is_empty() {
                let name = self.directory.display();
                return Err(Error::invalid(format!("{name} holds no history")));
            }
            if found.findings.is_empty() || !in_use || looks == LOOKS {
                return Ok((in_use, found));
            }
        }
    }
}

impl Finding {
    fn of_the_mark(unfinished: Unfinished) -> Self {
        Self { file: "unfinished".to_owned(), byte: 0, what: unfinished.in_words().to_owned() }
    }
}

impl SegmentSummary {
    fn of(found: &crate::log::disk::FoundSegment) -> Self {
        let contents = found.walked.contents;
        let time = |ms| Some(rfc3339(ms)).filter(|_| contents.entries > 0);
        Self {
            file: found.name.clone(),
            generation: found.generation,
            entries: contents.entries.into(),
            first: contents.first,
            last: contents.last,
            first_time: time(contents.first_ms),
            last_time: time(contents.last_ms),
            bytes: contents.end.into(),
            capacity: found.len.into(),
            index: found.index != FoundIndex::Missing,
            torn: found.walked.torn,
        }
    }
}

/// A repair that has been thought through and not been done. The directory is this process's meanwhile.
pub struct Repair {
    volume: Directory,
    found: Examination,
    plan: Plan,
}

impl Repair {
    /// Looks at the history in `directory` for what has to be done. Changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when a process has the directory, [`ErrorKind::Invalid`] when there is no history or a newer
    /// version has written it.
    pub fn plan(directory: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Self, Error> {
        is_there(directory)?;
        let volume = Directory::open(directory)?;
        let found = examine(&volume, Depth::Full, &mut progress)?;
        let mut plan = Plan::new(&found)?;
        plan.remove_indexes(&found);
        Ok(Self { volume, found, plan })
    }

    /// Is there nothing to do?
    #[must_use]
    pub fn is_needless(&self) -> bool {
        self.plan.is_empty()
    }

    /// What is wrong.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.found.findings
    }

    /// Entries that are kept: all of whole batches that decode.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.plan.entries
    }

    /// Runs of numbers of which events are lost, as far as numbers are known; the first of each and the last. Not each number need have
    /// had an event.
    #[must_use]
    pub fn lost(&self) -> &[(u64, u64)] {
        &self.plan.lost
    }

    /// Events after this number are lost as well, and nobody knows how many: the segment that held them does not say, and neither
    /// does anything else.
    #[must_use]
    pub fn lost_behind(&self) -> Option<u64> {
        self.plan.lost_after
    }

    /// Bytes that do not decode.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        self.plan.lost_bytes
    }

    /// May something be lost? Then a new epoch is drawn, so that no id ever names two events.
    #[must_use]
    pub fn changes_epoch(&self) -> bool {
        self.plan.changes_epoch
    }

    /// The files that are damaged; they are kept beside, as `damaged-NAME`.
    #[must_use]
    pub fn damaged(&self) -> &[String] {
        &self.plan.damaged
    }

    /// Does it. If it is interrupted, no hub opens the directory until it has been done again.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] when there is no room for files beside the old ones, [`ErrorKind::Internal`] when the system says no.
    pub fn carry_out(&self) -> Result<(), Error> {
        let drawn = Drawn { epoch: Epoch::draw(clock::wall_ns()), now_ms: clock::wall_ms() };
        self.plan.carry_out(&self.volume, &self.found, drawn)
    }
}

impl std::fmt::Debug for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repair").field("plan", &self.plan).finish_non_exhaustive()
    }
}

fn is_there(directory: &Path) -> Result<(), Error> {
    if directory.is_dir() {
        return Ok(());
    }
    Err(Error::invalid(format!("{} is not a directory", directory.display())))
}

fn epoch_of(found: &Examination) -> Result<Epoch, Error> {
    let manifest = found.manifest.read();
    let position = manifest.and_then(|manifest| Position::parse(&format!("{}:0", manifest.epoch)).ok());
    let unknown =
        || Error::new(ErrorKind::Internal, "its epoch is not known: the file store is damaged; repair it first");
    position.map(|position| position.epoch).ok_or_else(unknown)
}

/// How often a history is looked at that seems damaged and that a hub is changing meanwhile.
const LOOKS: u32 = 3;
