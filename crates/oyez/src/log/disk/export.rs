//! The log as lines of JSON, from which an import restores it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use oyez_proto::Event;
use serde::{Deserialize, Serialize};

use super::damage::unreadable;
use super::examine::{Examination, FoundSegment};
use super::segment::{RecordPage, SegmentHead, Span};
use super::values::entries;
use crate::extras::Extras;
use crate::json_line::rfc3339;
use crate::limits::disk::SCAN_BYTES;
use crate::log::entry::Entry;
use crate::log::gone::Gone;
use crate::log::read::PAGE_BELOW;
use crate::matcher::{Matcher, Matchers};
use crate::once::Once;
use crate::position::{Epoch, Position};
use crate::submission::Submission;
use crate::{Error, ErrorKind, Topic};

/// One entry. Absent parts are left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The id that readers see: the publisher's own, or the position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) event_type: Option<String>,
    pub(crate) data: String,
    pub(crate) topics: Vec<String>,
    pub(crate) time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) end: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) private: bool,
    /// Deletes its topic; the newest entry of the topic on disk had this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) once: Option<OnceLine>,
}

/// The idempotency key of the batch that begins here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnceLine {
    pub(crate) key: String,
    pub(crate) hash: String,
    pub(crate) count: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Line {
    /// An end or deletion whose entry was dropped, as an entry of this time.
    fn of_a_gone(sequence: u64, counts: &Counts, epoch: Epoch, time_ms: u64) -> Self {
        let position = Position { epoch, sequence };
        let (publish, deletes) = match counts {
            Counts::End(topic) => (Submission::end(topic.clone()), None),
            Counts::Deletion(topic, last) => (Submission::new(topic.clone(), Event::data("")), Some(*last)),
        };
        Self {
            id: Some(position.to_string()),
            event_type: publish.event.event_type().map(str::to_owned),
            data: publish.event.data_str().to_owned(),
            topics: publish.topics.iter().map(ToString::to_string).collect(),
            time: rfc3339(time_ms),
            position: Some(position.to_string()),
            retry: None,
            key: None,
            ttl: None,
            end: publish.is_end(),
            private: false,
            deletes,
            once: None,
        }
    }

    fn of(entry: &Entry, epoch: Epoch) -> Self {
        let event = entry.event();
        // every extra must be here, or an import would lose it
        let Extras { key, ttl_ms, end, deletes, once } = entry.extras().cloned().unwrap_or_default();
        Self {
            id: Some(entry.event_id(epoch).to_string()),
            event_type: event.event_type().map(str::to_owned),
            topics: entry.topics.iter().map(ToString::to_string).collect(),
            time: rfc3339(entry.time_ms),
            position: Some(Position { epoch, sequence: entry.sequence }.to_string()),
            retry: event.reconnection_time().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            data: event.into_data(),
            key: key.map(String::from),
            ttl: ttl_ms,
            end,
            private: entry.private,
            deletes,
            once: once.as_ref().map(OnceLine::of),
        }
    }
}

impl OnceLine {
    fn of(once: &Once) -> Self {
        let (key, hash, count) = once.as_parts();
        Self { key: key.to_owned(), hash: format!("{hash:032x}"), count }
    }

    /// The `Once` that it was made from, if it is valid.
    pub(crate) fn once(&self) -> Option<Once> {
        Some(Once::of_parts(&self.key, u128::from_str_radix(&self.hash, 16).ok()?, self.count))
    }
}

/// Writes a line for each whole entry with a topic that `matcher` selects, in order. Returns the number of lines. Ends and
/// deletions that were dropped but still count are included, each at its position.
pub(crate) fn export(
    found: &Examination,
    epoch: Epoch,
    matcher: Option<&Matcher>,
    out: &mut dyn Write,
) -> Result<u64, Error> {
    let mut chains: Vec<ChainReader<'_>> = found.chains.iter().map(|chain| ChainReader::new(chain, epoch)).collect();
    chains.push(ChainReader::of_values(found, epoch)?);
    let mut gone = Outlived::of(found, epoch, matcher);
    let (mut written, mut last) = (0, 0);
    loop {
        let mut next: Option<(usize, u64)> = None;
        for (at, chain) in chains.iter_mut().enumerate() {
            if let Some(sequence) = chain.peek()? {
                if next.is_none_or(|(_, least)| sequence < least) {
                    next = Some((at, sequence));
                }
            }
        }
        let entry = next.and_then(|(at, _)| chains.get_mut(at)).and_then(ChainReader::next);
        let Some(entry) = entry else { return Ok(written + gone.write(u64::MAX, u64::MAX, out)?) };
        written += gone.write(entry.sequence, entry.time_ms, out)?;
        // a value may also still be in its segment
        let is_new = std::mem::replace(&mut last, entry.sequence) < entry.sequence;
        if is_new && matcher.is_none_or(|matcher| entry.topics.iter().any(|topic| matcher.matches(topic))) {
            write_line(&Line::of(&entry, epoch), out)?;
            written += 1;
        }
    }
}

fn write_line(line: &Line, out: &mut dyn Write) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec(line).map_err(|error| unwritten(error.into()))?;
    bytes.push(b'\n');
    out.write_all(&bytes).map_err(unwritten)
}

/// The lasting effect of a dropped entry.
enum Counts {
    End(Topic),
    /// Hides the entries of its topic up to this number.
    Deletion(Topic, u64),
}

/// Ends and deletions whose entries were dropped, in log order.
struct Outlived {
    left: VecDeque<(u64, Counts)>,
    epoch: Epoch,
    /// The time of the last dropped entry.
    last_ms: u64,
}

impl Outlived {
    fn of(found: &Examination, epoch: Epoch, matcher: Option<&Matcher>) -> Self {
        let Some(gone) = found.gone.read() else { return Self { left: VecDeque::new(), epoch, last_ms: 0 } };
        let ends = gone.ends.iter().map(|(at, topic)| (*at, Counts::End(Topic::known(topic))));
        let deletions = gone.deletions.iter().map(|deletion| {
            let (topic, at, last) = deletion.parts();
            (at, Counts::Deletion(topic, last))
        });
        let mut left: Vec<(u64, Counts)> = ends.chain(deletions).collect();
        left.retain(|(_, Counts::End(topic) | Counts::Deletion(topic, _))| {
            matcher.is_none_or(|matcher| matcher.matches(topic))
        });
        left.sort_unstable_by_key(|(at, _)| *at);
        Self { left: left.into(), epoch, last_ms: gone.newest_ms() }
    }

    /// Writes those before `sequence`. Their times are no longer known. They get a time that is not after the last dropped entry
    /// and not after the entry that follows.
    fn write(&mut self, sequence: u64, time_ms: u64, out: &mut dyn Write) -> Result<u64, Error> {
        let time_ms = time_ms.min(self.last_ms);
        let mut written = 0;
        while self.left.front().is_some_and(|(at, _)| *at < sequence) {
            let Some((at, counts)) = self.left.pop_front() else { break };
            write_line(&Line::of_a_gone(at, &counts, self.epoch, time_ms), out)?;
            written += 1;
        }
        Ok(written)
    }
}

/// The entries of one chain, a page at a time.
struct ChainReader<'a> {
    chain: u8,
    segments: &'a [FoundSegment],
    epoch: Epoch,
    all: Matchers,
    /// The segment, its whole part, and the offset in that part.
    at: (usize, usize, u32),
    page: VecDeque<Arc<Entry>>,
}

impl<'a> ChainReader<'a> {
    fn new(chain: &'a super::examine::FoundChain, epoch: Epoch) -> Self {
        let (segments, all, page) = (&chain.segments[..], Matchers::default(), VecDeque::new());
        Self { chain: chain.id, segments, epoch, all, at: (0, 0, 0), page }
    }

    /// Values that have outlived their segments.
    fn of_values(found: &Examination, epoch: Epoch) -> Result<Self, Error> {
        let values = found.values.as_ref().map(|values| entries(&values.records, epoch)).transpose();
        let through = found.gone.read().map_or(u64::MAX, Gone::through);
        let values = values.map_err(unreadable)?.unwrap_or_default().into_iter();
        let page = values.filter(|entry| entry.sequence <= through).collect();
        Ok(Self { chain: 0, segments: &[], epoch, all: Matchers::default(), at: (0, 0, 0), page })
    }

    /// The number of the next entry.
    fn peek(&mut self) -> Result<Option<u64>, Error> {
        while self.page.is_empty() && self.at.0 < self.segments.len() {
            self.read()?;
        }
        Ok(self.page.front().map(|entry| entry.sequence))
    }

    fn next(&mut self) -> Option<Arc<Entry>> {
        self.page.pop_front()
    }

    fn read(&mut self) -> Result<(), Error> {
        let (segment, part, offset) = self.at;
        let Some(found) = self.segments.get(segment) else { return Ok(()) };
        let Some((head, whole)) = found.head_for(self.chain).zip(found.walked.whole.get(part)) else {
            self.at = (segment + 1, 0, 0);
            return Ok(());
        };
        let mut page = RecordPage::new(self.epoch, &self.all, 0, PAGE_BELOW);
        let mut span = Span::new(head, &*found.file, whole.end);
        let mut at = offset.max(whole.start);
        while at < whole.end && !page.is_full() {
            let record = span.record(at, SCAN_BYTES.min(PAGE_BELOW.bytes), head.salt);
            let record = record.map_err(|_| changed(&head, at))?;
            page.push(&record).map_err(|_| changed(&head, at))?;
            at += record.head.len;
        }
        self.at = if at < whole.end { (segment, part, at) } else { (segment, part + 1, 0) };
        self.page = page.finish().into();
        Ok(())
    }
}

/// A running hub dropped the segment meanwhile, or a newer version has written it.
fn changed(head: &SegmentHead, at: u32) -> Error {
    let name = head.name();
    Error::new(ErrorKind::Internal, format!("{name}, byte {at}: it can no longer be read; start the export again"))
}

fn unwritten(error: io::Error) -> Error {
    Error::storage(format!("the export cannot be written: {error}"), error)
}
