//! What must be true of every transcript, by the plainest reading of the log.

use std::collections::HashMap;

use oyez_proto::Event;
use serde_json::Value;

use super::publisher::Published;
use super::reader::{Start, Transcript, event, id, is_event};

/// Every entry that was ever published, in order. The first has the number 1.
pub(super) struct Log {
    entries: Vec<Entry>,
    epoch: String,
    own_ids: HashMap<String, u64>,
}

struct Entry {
    id: String,
    topics: Vec<String>,
    frame: Vec<u8>,
}

/// Why a hole was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Expired,
    Unknown,
    Epoch,
    Policy,
}

impl Log {
    /// The log as two complete replays have it.
    pub(super) fn of_replay(sse: &[u8], ndjson: &[u8]) -> Self {
        let blocks = std::str::from_utf8(sse).unwrap().split_inclusive("\n\n");
        let frames = blocks.map(str::as_bytes).filter(|block| is_event(block));
        let lines = std::str::from_utf8(ndjson).unwrap().lines().filter(|line| !line.is_empty());
        let entries = frames.zip(lines).map(|(frame, line)| {
            let line: Value = serde_json::from_str(line).unwrap();
            let (text, event) = (|name: &str| line[name].as_str().unwrap().to_owned(), event(frame));
            // a reader sees every line end as LF; NDJSON has them as they were published
            let data = text("data").replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!((id(frame).unwrap(), event.data_str()), (text("id"), &*data), "two replays, one log");
            let topics = line["topics"].as_array().unwrap().iter().map(|topic| topic.as_str().unwrap().to_owned());
            Entry { id: text("id"), topics: topics.collect(), frame: frame.to_vec() }
        });
        let log = Self::new(entries.collect());
        let lines = ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(log.len(), lines, "two replays, one log");
        log
    }

    /// The log that follows from what the hub has acknowledged.
    pub(super) fn of_acknowledged<'a>(published: impl Iterator<Item = &'a Published>) -> Self {
        let mut entries: Vec<_> = published
            .flat_map(|published| published.ids.iter().zip(&published.events))
            .map(|(id, sent)| Entry { id: id.clone(), topics: sent.topics.clone(), frame: sent.frame(id) })
            .collect();
        entries.sort_by_key(|entry| position(&entry.id).expect("an id of the hub's").1);
        Self::new(entries)
    }

    fn new(entries: Vec<Entry>) -> Self {
        let positions = entries.iter().filter_map(|entry| position(&entry.id));
        let epoch = positions.map(|(epoch, _)| epoch).next().expect("an id of the hub's").to_owned();
        let mut own_ids = HashMap::new();
        for (entry, sequence) in entries.iter().zip(1..) {
            if position(&entry.id).is_none() {
                assert_eq!(own_ids.insert(entry.id.clone(), sequence), None, "{} is there twice", entry.id);
            } else {
                assert_eq!(entry.id, format!("{epoch}:{sequence}"), "the numbers follow each other without a hole");
            }
        }
        Self { entries, epoch, own_ids }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Topics and frame of an entry.
    pub(super) fn entry(&self, sequence: u64) -> (&[String], &[u8]) {
        let entry = self.at(sequence).expect("an entry");
        (&entry.topics, &entry.frame)
    }

    /// The number that an id stands for, or why the hub cannot know.
    pub(super) fn find(&self, id: &str) -> Result<u64, Reason> {
        match position(id) {
            Some((epoch, _)) if epoch != self.epoch => Err(Reason::Epoch),
            Some((_, sequence)) if sequence > self.len() as u64 => Err(Reason::Unknown),
            Some((_, sequence)) => Ok(sequence),
            None => self.own_ids.get(id).copied().ok_or(Reason::Unknown),
        }
    }

    fn at(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(sequence).unwrap().checked_sub(1)?)
    }

    /// The numbers after `after` that a subscriber of `matchers` is to get.
    fn matching<'a>(&'a self, matchers: &'a [&str], after: u64) -> impl Iterator<Item = u64> {
        let is_match =
            |entry: &Entry| entry.topics.iter().any(|topic| matchers.iter().any(|matcher| selects(matcher, topic)));
        (after + 1..=self.len() as u64).filter(move |sequence| self.at(*sequence).is_some_and(is_match))
    }
}

fn position(id: &str) -> Option<(&str, u64)> {
    let (epoch, sequence) = id.split_once(':')?;
    Some((epoch, sequence.parse().ok()?))
}

/// The rule of patterns, read aloud.
fn selects(matcher: &str, topic: &str) -> bool {
    fn run(matcher: &str, topic: &str) -> bool {
        let Some((literal, behind)) = matcher.split_once('*') else { return matcher == topic };
        let Some(rest) = topic.strip_prefix(literal) else { return false };
        let reach = rest.find('/').unwrap_or(rest.len());
        (0..=reach).filter(|end| rest.is_char_boundary(*end)).any(|end| run(behind, &rest[end..]))
    }
    matcher == "*" || run(matcher, topic)
}

impl Transcript {
    /// Panics unless the connection was told exactly its part of the log. Returns the holes that it was told of.
    #[track_caller]
    pub(super) fn check(&self, log: &Log) -> Vec<Reason> {
        let Some((opening, blocks)) = self.blocks.split_first() else { return Vec::new() };
        let mut check = Check { log, transcript: self, cursor: 0, owes_gap: false, gaps: Vec::new() };
        check.open(opening);
        for block in blocks {
            let has_line = |expected: &[u8]| block.split(|byte| *byte == b'\n').any(|line| line == expected);
            match is_event(block) {
                true if has_line(b"event: oyez.gap") => check.gap(block, &event(block)),
                true => check.event(block),
                false => check.keep_alive(block),
            }
        }
        if self.complete {
            assert_eq!(check.next(), None, "the end is missing, {}", check.place());
            assert!(!check.owes_gap, "a hole was not told, {}", check.place());
        }
        check.gaps
    }
}

/// A transcript, read up to some block.
struct Check<'a> {
    log: &'a Log,
    transcript: &'a Transcript,
    /// Everything up to here has been told, does not concern the reader, or is in a hole that was told.
    cursor: u64,
    /// The stream opened without an id: a hole is to be told before anything else.
    owes_gap: bool,
    gaps: Vec<Reason>,
}

impl Check<'_> {
    fn open(&mut self, block: &[u8]) {
        assert!(!is_event(block) && block.starts_with(b"retry: "), "it does not open with {block:?}");
        let begins = id(block).map(|id| self.sequence(&id));
        match &self.transcript.start {
            Start::Live => self.cursor = begins.expect("a live stream says where it begins"),
            Start::Behind(asked) => self.cursor = self.log.find(asked).unwrap_or_default(),
        }
        let Some(begins) = begins else {
            self.owes_gap = true;
            return;
        };
        assert!(begins >= self.cursor, "it begins before, {}", self.place());
        assert_eq!(self.missed_until(begins), 0, "it begins at {begins}, behind what was not told, {}", self.place());
        if let Start::Behind(asked) = &self.transcript.start {
            assert!(self.log.find(asked).is_ok(), "nobody knows this id, and no hole is told, {}", self.place());
        }
        self.cursor = begins;
    }

    fn event(&mut self, block: &[u8]) {
        assert!(!self.owes_gap, "a hole was not told, {}", self.place());
        let expected = self.next().unwrap_or_else(|| panic!("{:?} is too much, {}", text(block), self.place()));
        let (_, frame) = self.log.entry(expected);
        assert!(block == frame, "{:?}, not {:?}, {}", text(block), text(frame), self.place());
        self.cursor = expected;
    }

    /// An id without data says that nothing up to it is still to come.
    fn keep_alive(&mut self, block: &[u8]) {
        let Some(id) = id(block) else {
            assert_eq!(block, b":\n");
            return;
        };
        let passed = self.sequence(&id);
        assert!(!self.owes_gap && passed > self.cursor, "{id} is told for nothing, {}", self.place());
        assert_eq!(self.missed_until(passed), 0, "{id} passes what was not told, {}", self.place());
        self.cursor = passed;
    }

    fn gap(&mut self, block: &[u8], event: &Event) {
        let place = self.place();
        let data: Value = serde_json::from_str(event.data_str()).unwrap();
        let requested = data["requested"].as_str().unwrap();
        let reason = match data["reason"].as_str().unwrap() {
            "expired" => Reason::Expired,
            "unknown" => Reason::Unknown,
            "epoch" => Reason::Epoch,
            "policy" => Reason::Policy,
            other => panic!("reason {other}, {place}"),
        };
        if std::mem::take(&mut self.owes_gap) {
            let Start::Behind(asked) = &self.transcript.start else { panic!("{data} on a live stream") };
            let expected = self.log.find(asked).err().unwrap_or(Reason::Expired);
            assert_eq!((requested, reason), (asked.as_str(), expected), "{place}");
        } else {
            let fell_behind = self.sequence(requested);
            assert_eq!((reason, self.missed_until(fell_behind)), (Reason::Policy, 0), "{data}, {place}");
            assert!(fell_behind >= self.cursor, "{data}, {place}");
            self.cursor = fell_behind;
        }
        let ends = self.sequence(&id(block).expect("the id of a gap"));
        let missed = self.missed_until(ends);
        if matches!(reason, Reason::Expired | Reason::Policy) {
            assert!(missed > 0, "a hole that is none: {data}, {place}");
            let counted = data["missed"].as_u64();
            assert!(counted.is_none_or(|counted| counted == missed), "{missed} are missed, not {data}, {place}");
            assert!(
                counted.is_some() || self.transcript.matchers != ["*"],
                "who reads all can be told: {data}, {place}"
            );
        } else {
            assert!(data["missed"].is_null(), "{data}, {place}");
        }
        self.cursor = ends;
        if let Some(oldest) = data["oldest"].as_str() {
            assert_eq!(
                Ok(oldest),
                self.next().map(|next| &*self.log.at(next).unwrap().id).ok_or(()),
                "{data}, {place}"
            );
        }
        self.gaps.push(reason);
    }

    fn sequence(&self, id: &str) -> u64 {
        self.log.find(id).unwrap_or_else(|reason| panic!("the hub says {id}: {reason:?}, {}", self.place()))
    }

    fn next(&self) -> Option<u64> {
        self.log.matching(self.transcript.matchers, self.cursor).next()
    }

    fn missed_until(&self, sequence: u64) -> u64 {
        let matching = self.log.matching(self.transcript.matchers, self.cursor);
        matching.take_while(|found| *found <= sequence).count() as u64
    }

    fn place(&self) -> String {
        let Transcript { matchers, start, blocks, .. } = self.transcript;
        format!("after {} on a stream of {matchers:?} from {start:?} with {} blocks", self.cursor, blocks.len())
    }
}

fn text(block: &[u8]) -> String {
    String::from_utf8_lossy(block).chars().take(200).collect()
}
