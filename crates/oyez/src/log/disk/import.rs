//! A new log made from the lines of an export.

use std::io::{BufRead, Read as _};
use std::sync::Arc;
use std::time::Duration;

use oyez_proto::Event;

use super::chain::Class;
use super::checked_file::{read_file, save};
use super::damage::unwritable;
use super::export::Line;
use super::manifest::{MANIFEST, Manifest};
use super::store::{DROPPED, Settings, Store, read_gone};
use super::unfinished::{MARK, Unfinished};
use super::values::VALUES;
use super::volume::Volume;
use super::writer::{Durability, Unwritten, Writer};
use crate::limits::disk::{
    COMMIT_EVENTS_MAX, IMPORT_LINE_BYTES_MAX, NUMBER_MAX, NUMBERS_PER_MS, RESERVED_NUMBERS, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
};
use crate::limits::{DROPPED_SUMMARY_BYTES, Limits};
use crate::log::appender::OnDrop;
use crate::log::draft::Draft;
use crate::log::gone::GoneBounds;
use crate::log::{Departure, Remains, Retention};
use crate::matcher::Matchers;
use crate::position::{Epoch, Position};
use crate::submission::Submission;
use crate::{Error, ErrorKind, Topic};

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// The number of entries.
    pub entries: u64,
    /// The epoch of their positions.
    pub epoch: Epoch,
}

/// Makes a history from `input` in a volume without one. Without `keep_ids` the entries get new numbers in `epoch`.
pub(crate) fn import(
    volume: &Arc<dyn Volume>,
    input: &mut dyn BufRead,
    keep_ids: bool,
    epoch: Epoch,
) -> Result<Imported, Error> {
    clear(&**volume)?;
    Unfinished::Import.begin(&**volume).map_err(unwritable)?;
    let mut lines = Lines { input, number: 0 };
    let first = lines.next()?;
    let epoch = match &first {
        Some(line) if keep_ids => lines.position(line)?.epoch,
        _ => epoch,
    };
    let settings = Settings {
        classes: vec![Class { topics: None, retention: Retention::default().bytes(usize::MAX) }],
        summary_bytes: DROPPED_SUMMARY_BYTES,
        segment_bytes: (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        epoch,
        compact: Matchers::default(),
        numbers_per_ms: NUMBERS_PER_MS,
    };
    let store = Arc::new(Store::open(Arc::clone(volume), settings)?);
    let mut import = Import {
        writer: Writer::new(Arc::clone(&store), Durability::Flush),
        store,
        waiting: 0,
        hole: None,
        renumbered: Vec::new(),
    };
    let mut entries = 0;
    let mut next = first;
    while let Some(line) = next {
        let position = if keep_ids { Some(lines.position(&line)?) } else { None };
        if let Some(position) = position.filter(|position| position.epoch != epoch) {
            return Err(lines.wrong(&format!("position {position} is not of the epoch {epoch}, with which it began")));
        }
        let line = if keep_ids { line } else { import.renumber(line) };
        let (draft, time_ms) = lines.draft(line)?;
        import.push(draft, time_ms, position.map(|position| position.sequence)).map_err(|error| lines.at(&error))?;
        entries += 1;
        next = lines.next()?;
    }
    import.finish(keep_ids)?;
    Unfinished::finish(&**volume).map_err(unwritable)?;
    Ok(Imported { entries, epoch })
}

/// The volume must be empty, except for the files of an unfinished import.
fn clear(volume: &dyn Volume) -> Result<(), Error> {
    let names = volume.list().map_err(unwritable)?;
    let unfinished = Unfinished::find(volume).map_err(unwritable)?;
    for name in names.iter().filter(|name| ![MARK, LOCK].contains(&name.as_str())) {
        let is_ours = name.ends_with(".segment")
            || name.ends_with(".index")
            || name.ends_with(".new")
            || name.starts_with("spare-")
            || [MANIFEST, DROPPED, VALUES].contains(&name.as_str());
        if unfinished != Some(Unfinished::Import) || !is_ours {
            return Err(Error::invalid(format!(
                "the directory is not empty, there is {name:?}; an import makes a new history, in a directory of its own"
            )));
        }
        volume.remove(name).map_err(unwritable)?;
    }
    Ok(())
}

struct Import {
    writer: Writer,
    store: Arc<Store>,
    /// Events that are not yet written.
    waiting: usize,
    /// The last missing number, and the time of the entry after it.
    hole: Option<(u64, u64)>,
    /// Pairs of old and new numbers, wherever their difference changes.
    renumbered: Vec<(u64, u64)>,
}

impl Import {
    /// The line with the numbers that it mentions translated to new ones.
    fn renumber(&mut self, mut line: Line) -> Line {
        line.deletes = line.deletes.map(|last| {
            let run = self.renumbered.partition_point(|(old, _)| *old <= last).checked_sub(1);
            let (old, new) = run.and_then(|at| self.renumbered.get(at)).copied().unwrap_or((last, 0));
            self.writer.head().min(new + (last - old))
        });
        let position = line.position.as_deref().and_then(|position| Position::parse(position).ok());
        if let Some(Position { sequence: old, .. }) = position {
            let new = self.writer.head() + 1;
            let expected = self.renumbered.last().map(|(first, beside)| beside + old.saturating_sub(*first));
            if expected != Some(new) && self.renumbered.last().is_none_or(|(first, _)| *first < old) {
                self.renumbered.push((old, new));
            }
        }
        line
    }

    fn push(&mut self, draft: Draft, time_ms: u64, sequence: Option<u64>) -> Result<(), Error> {
        let batch = [draft];
        if let Some(sequence) = sequence {
            let head = self.writer.head();
            if sequence > NUMBER_MAX {
                return Err(Error::invalid(format!(
                    "number {sequence} is above {NUMBER_MAX}, and no log has that many"
                )));
            }
            if sequence <= head {
                return Err(Error::invalid(format!(
                    "number {sequence} does not follow {head}; the lines are out of order"
                )));
            }
            if sequence > head + 1 {
                self.hole = Some((sequence - 1, time_ms));
                self.write()?;
                self.writer.skip_to(sequence);
            }
        }
        if self.waiting >= COMMIT_EVENTS_MAX || !self.writer.make_room(&batch, time_ms).map_err(unwritten)? {
            self.write()?;
            self.writer.make_room(&batch, time_ms).map_err(unwritten)?;
        }
        self.writer.push(batch, time_ms);
        self.waiting += 1;
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        self.writer.write().map_err(unwritten)?;
        self.waiting = 0;
        if self.writer.has_news() {
            // nothing exceeds the retention here: this only makes the indexes of full segments
            self.store.keep(0, &NobodyReads).map_err(unwritable)?;
        }
        Ok(())
    }

    fn finish(&mut self, keep_ids: bool) -> Result<(), Error> {
        self.write()?;
        let volume = &*self.store.volume;
        if let Some((last, after_ms)) = self.hole {
            let names = volume.list().map_err(unwritable)?;
            let mut gone = read_gone(volume, &names, GoneBounds::default())?;
            gone.has_lost(last, after_ms);
            save(volume, DROPPED, &gone.saved()).map_err(unwritable)?;
        }
        let last = self.writer.head();
        if keep_ids {
            // the old hub may have given out more ids: the numbers that it had reserved are skipped
            self.writer.skip_to(last + RESERVED_NUMBERS + 1);
        }
        // and it may have given out more since the last of these lines
        self.writer.stop(if keep_ids { self.writer.newest_ms() } else { 0 }).map_err(unwritable)?;
        let names = volume.list().map_err(unwritable)?;
        if let Some(mut manifest) = read_file::<Manifest>(volume, &names, MANIFEST)?.filter(|_| keep_ids) {
            manifest.skips.push((last + 1, self.writer.head()));
            self.store.save(&manifest).map_err(unwritable)?;
        }
        Ok(())
    }
}

/// An import drops nothing.
struct NobodyReads;

impl OnDrop for NobodyReads {
    fn drop_below(&self, _: &Departure) -> Remains {
        Remains::default()
    }
}

/// The lines of an export.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Line>, Error> {
        loop {
            let mut line = Vec::new();
            let read = (&mut *self.input).take(IMPORT_LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
            self.number += 1;
            if read.map_err(|error| self.wrong(&format!("it cannot be read: {error}")))? == 0 {
                return Ok(None);
            }
            if line.len() as u64 > IMPORT_LINE_BYTES_MAX {
                return Err(self.wrong(&format!("it is longer than {IMPORT_LINE_BYTES_MAX} bytes")));
            }
            // empty lines are keep-alives of an NDJSON stream
            if line.trim_ascii().is_empty() {
                continue;
            }
            let parsed = serde_json::from_slice(&line);
            return parsed.map(Some).map_err(|error| self.wrong(&format!("it is not a line of an export: {error}")));
        }
    }

    fn position(&self, line: &Line) -> Result<Position, Error> {
        let Some(position) = &line.position else {
            return Err(self.wrong("it has no position, so its id cannot be kept"));
        };
        let position: Position = position.parse().map_err(|error| self.at(&error))?;
        if position.sequence == 0 {
            return Err(self.wrong("numbers begin with 1, and its position has 0"));
        }
        Ok(position)
    }

    fn draft(&self, line: Line) -> Result<(Draft, u64), Error> {
        let time: jiff::Timestamp = line
            .time
            .parse()
            .map_err(|error| self.wrong(&format!("time {:?} is not of RFC 3339: {error}", line.time)))?;
        let time_ms = u64::try_from(time.as_millisecond()).unwrap_or(0);
        publish_of(line).map(|publish| (Draft::new(publish), time_ms)).map_err(|error| self.at(&error))
    }

    fn at(&self, error: &Error) -> Error {
        if error.kind() == ErrorKind::Full { error.again() } else { self.wrong(&error.to_string()) }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("line {}: {what}", self.number))
    }
}

/// The publish of the line.
fn publish_of(line: Line) -> Result<Submission, Error> {
    let mut topics = line.topics.iter().map(|name| Topic::new(name)).collect::<Result<Vec<_>, _>>()?.into_iter();
    let first = topics.next().ok_or_else(|| Error::invalid("it has no topic"))?;
    let mut event = Event::data(line.data);
    if let Some(event_type) = line.event_type {
        event = event.event(event_type)?;
    }
    if let Some(retry) = line.retry {
        event = event.retry(Duration::from_millis(retry));
    }
    // the hub makes its own ids
    if let Some(id) = line.id.filter(|id| Position::parse(id).is_err()) {
        event = event.id(id)?;
    }
    let mut publish = topics.fold(Submission::new(first, event), Submission::topic);
    if let Some(key) = &line.key {
        publish = publish.key(key)?;
    }
    publish.private = line.private;
    let extras = publish.extras_mut();
    extras.ttl_ms = line.ttl;
    extras.end = line.end;
    extras.deletes = line.deletes;
    if let Some(once) = line.once {
        let once = once.once().ok_or_else(|| Error::invalid(format!("hash {:?} is not hexadecimal", once.hash)))?;
        extras.once = Some(once);
    }
    // an event that one hub accepted is accepted by another, whatever its limits are
    let limits = Limits { data_bytes_max: usize::MAX, publish_topics_max: u16::MAX.into(), ..Limits::default() };
    publish.check(&limits)?;
    Ok(publish)
}

fn unwritten(unwritten: Unwritten) -> Error {
    match unwritten {
        Unwritten::Full(error) | Unwritten::Failed(error) => unwritable(error),
    }
}

const LOCK: &str = "lock";
