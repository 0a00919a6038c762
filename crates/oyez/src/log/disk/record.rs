//! An entry as the bytes of a segment.
//!
//! ```text
//! crc32c · length · sequence · time · synced · rest · topics · extras length · fields length     40 bytes
//! topics (length, name)…   extras (tag, length, value)…   fields of the frame, without id: and chunk head
//! ```
//! The checksum starts from the segment's salt, so bytes from an earlier use of the file never pass for a record. Numbers are
//! little endian.

use oyez_proto::EventId;
use smallvec::SmallVec;

use crate::Topic;
use crate::extras::Extras;
use crate::log::draft::Draft;

/// Bytes before the topics.
pub(crate) const HEAD_BYTES: usize = 40;

/// The place of a record: its numbers and its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    /// The segment was durable up to this offset when the record was written.
    pub(crate) synced: u32,
    /// The number of records of the same batch that follow. If one is missing, none counts.
    pub(crate) rest: u16,
}

/// The fixed part of a record, not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    crc: u32,
    pub(crate) len: u32,
    pub(crate) place: Place,
    topics: u16,
    extras_len: u32,
    fields_len: u32,
}

/// A record that was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) head: Head,
    topics: &'a [u8],
    extras: &'a [u8],
    pub(crate) fields: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotARecord {
    /// Zeros, bytes from an earlier use of the file, or a torn write.
    Other,
    /// Written by a newer version: the checksum is right, but the meaning is unknown.
    Newer,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..HEAD_BYTES)?);
        let head = Self {
            crc: fields.u32()?,
            len: fields.u32()?,
            place: Place {
                sequence: fields.u64()?,
                time_ms: fields.u64()?,
                synced: fields.u32()?,
                rest: fields.u16()?,
            },
            topics: fields.u16()?,
            extras_len: fields.u32()?,
            fields_len: fields.u32()?,
        };
        let parts = HEAD_BYTES as u64 + u64::from(head.extras_len) + u64::from(head.fields_len);
        (u64::from(head.len) >= parts && head.topics > 0 && head.place.sequence > 0).then_some(head)
    }
}

/// The first offset from `from` on at which a record may begin. A record does not begin with zeros, since no length is zero. A
/// start scans all unwritten room, so zeros are skipped in large steps.
pub(crate) fn may_begin(bytes: &[u8], from: usize) -> Option<usize> {
    let len_at = from + size_of::<u32>();
    let written = len_at + first_written(bytes.get(len_at..)?)?;
    let offset = from.max(written.saturating_sub(2 * size_of::<u32>() - 1));
    (offset + HEAD_BYTES <= bytes.len()).then_some(offset)
}

/// The offset of the first byte that is not zero.
fn first_written(bytes: &[u8]) -> Option<usize> {
    let zeros: usize =
        bytes.chunks(ZEROS.len()).map_while(|chunk| ZEROS.starts_with(chunk).then_some(chunk.len())).sum();
    Some(zeros + bytes.get(zeros..)?.iter().position(|byte| *byte != 0)?)
}

const ZEROS: [u8; 4096] = [0; 4096];

impl<'a> Record<'a> {
    /// Reads the record at the beginning of `bytes`, which may be longer.
    pub(crate) fn read(bytes: &'a [u8], salt: u64) -> Result<Self, NotARecord> {
        let head = Head::read(bytes).ok_or(NotARecord::Other)?;
        let bytes = bytes.get(..head.len as usize).ok_or(NotARecord::Other)?;
        let checked = bytes.get(size_of::<u32>()..).ok_or(NotARecord::Other)?;
        if checksum(salt, checked) != head.crc {
            return Err(NotARecord::Other);
        }
        let split = || {
            let (bytes, fields) = bytes.split_at_checked(bytes.len().checked_sub(head.fields_len as usize)?)?;
            let (bytes, extras) = bytes.split_at_checked(bytes.len().checked_sub(head.extras_len as usize)?)?;
            Some((bytes.get(HEAD_BYTES..)?, extras, fields))
        };
        let (topics, extras, fields) = split().ok_or(NotARecord::Newer)?;
        Ok(Self { head, topics, extras, fields })
    }

    /// The names of its topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &'a str> {
        let mut fields = Fields(self.topics);
        std::iter::from_fn(move || {
            let len = fields.u16()?;
            std::str::from_utf8(fields.take(len.into())?).ok()
        })
    }

    /// The extras, and the publisher's id.
    pub(crate) fn extras(&self) -> Result<(Option<Box<Extras>>, Option<EventId>), NotARecord> {
        if self.extras.is_empty() {
            return Ok((None, None));
        }
        let mut extras = Extras::default();
        let mut publisher_id = None;
        let mut fields = Fields(self.extras);
        while let Some(tag) = fields.u8() {
            let value = fields.u32().and_then(|len| fields.take(len as usize)).ok_or(NotARecord::Newer)?;
            if tag == PRIVATE {
                continue;
            }
            if tag == PUBLISHER_ID {
                let id = std::str::from_utf8(value).ok().and_then(|id| EventId::new(id).ok());
                publisher_id = Some(id.ok_or(NotARecord::Newer)?);
            } else {
                extras.read(tag, value).ok_or(NotARecord::Newer)?;
            }
        }
        Ok((Some(extras).filter(|extras| *extras != Extras::default()).map(Box::new), publisher_id))
    }

    /// Whether it is private.
    pub(crate) fn is_private(&self) -> bool {
        let mut fields = Fields(self.extras);
        std::iter::from_fn(|| {
            let tag = fields.u8()?;
            let len = fields.u32()?;
            fields.take(len as usize).map(|_| tag)
        })
        .any(|tag| tag == PRIVATE)
    }

    /// Its topics. Names that are the same as in the previous record are shared with it.
    pub(crate) fn shared_topics(&self, known: &mut SmallVec<[Topic; 1]>) -> SmallVec<[Topic; 1]> {
        let mut names = self.topics();
        let same = known.iter().all(|known| names.next() == Some(known)) && names.next().is_none();
        if !same || known.is_empty() {
            *known = self.topics().map(Topic::known).collect();
        }
        known.clone()
    }
}

/// The contents of a record, without its place.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) topics: &'a [Topic],
    pub(crate) publisher_id: Option<&'a EventId>,
    pub(crate) private: bool,
    pub(crate) extras: Option<&'a Extras>,
    pub(crate) fields: &'a [u8],
}

impl<'a> From<&'a Draft> for Parts<'a> {
    fn from(draft: &'a Draft) -> Self {
        Self {
            topics: draft.topics(),
            publisher_id: draft.publisher_id(),
            private: draft.is_private(),
            extras: draft.extras(),
            fields: draft.fields(),
        }
    }
}

/// Appends a record.
pub(crate) fn write<'a>(out: &mut Vec<u8>, parts: impl Into<Parts<'a>>, place: Place, salt: u64) {
    let Parts { topics, publisher_id, private, extras, fields: frame } = parts.into();
    let start = out.len();
    out.resize(start + HEAD_BYTES, 0);
    for topic in topics {
        out.extend_from_slice(&(topic.len() as u16).to_le_bytes());
        out.extend_from_slice(topic.as_bytes());
    }
    let extras_start = out.len();
    if let Some(id) = publisher_id {
        push_extra(out, PUBLISHER_ID, id.as_bytes());
    }
    if private {
        push_extra(out, PRIVATE, &[]);
    }
    if let Some(extras) = extras {
        extras.write(|tag, value| push_extra(out, tag, value));
    }
    let extras_len = out.len() - extras_start;
    out.extend_from_slice(frame);
    let len = out.len() - start;
    let mut head = [0; HEAD_BYTES];
    let mut fields = &mut head[4..];
    for part in [
        &(len as u32).to_le_bytes()[..],
        &place.sequence.to_le_bytes(),
        &place.time_ms.to_le_bytes(),
        &place.synced.to_le_bytes(),
        &place.rest.to_le_bytes(),
        &(topics.len() as u16).to_le_bytes(),
        &(extras_len as u32).to_le_bytes(),
        &(frame.len() as u32).to_le_bytes(),
    ] {
        let (place, rest) = fields.split_at_mut(part.len());
        place.copy_from_slice(part);
        fields = rest;
    }
    out[start..start + HEAD_BYTES].copy_from_slice(&head);
    let crc = checksum(salt, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a record to another segment with the same salt. The bytes of that segment before `synced` are durable.
pub(super) fn push_moved(out: &mut Vec<u8>, record: &[u8], synced: u32, salt: u64) {
    let start = out.len();
    out.extend_from_slice(record);
    out[start + SYNCED_AT..start + SYNCED_AT + 4].copy_from_slice(&synced.to_le_bytes());
    let crc = checksum(salt, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Whether the checksum of a damaged record would be right with this `rest`.
pub(super) fn has_rest(bytes: &[u8], rest: u16, salt: u64) -> bool {
    let Some(head) = Head::read(bytes) else { return false };
    let Some(mut checked) = bytes.get(..head.len as usize).map(<[u8]>::to_vec) else { return false };
    checked[REST_AT..REST_AT + 2].copy_from_slice(&rest.to_le_bytes());
    checksum(salt, &checked[4..]) == head.crc
}

/// The size of `draft` as a record.
pub(crate) fn len(draft: &Draft) -> usize {
    let topics: usize = draft.topics().iter().map(|topic| 2 + topic.len()).sum();
    let mut extras = draft.publisher_id().map_or(0, |id| EXTRA_HEAD_BYTES + id.len());
    if draft.is_private() {
        extras += EXTRA_HEAD_BYTES;
    }
    if let Some(known) = draft.extras() {
        known.write(|_, value| extras += EXTRA_HEAD_BYTES + value.len());
    }
    HEAD_BYTES + topics + extras + draft.fields().len()
}

fn push_extra(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

pub(crate) fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

/// Little-endian numbers, one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The tag of the publisher's id. [`Extras`] has the tags of the extras.
const PUBLISHER_ID: u8 = 0;
/// The tag of a private entry, without a value.
const PRIVATE: u8 = 255;
const EXTRA_HEAD_BYTES: usize = 5;
/// The offset of [`Place::synced`] in a record.
const SYNCED_AT: usize = 24;
/// The offset of [`Place::rest`] in a record.
const REST_AT: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &[usize], len: usize) {
        let mut bytes = vec![0; len];
        written.iter().for_each(|at| bytes[*at] = 1);
        let mut looked_at = Vec::new();
        while let Some(offset) = may_begin(&bytes, looked_at.last().map_or(0, |last| last + 1)) {
            looked_at.push(offset);
        }
        let has_length = |offset: &usize| bytes[offset + 4..offset + 8] != [0; 4];
        let wanted: Vec<_> = (0..(len + 1).saturating_sub(HEAD_BYTES)).filter(has_length).collect();
        assert!(wanted.iter().all(|offset| looked_at.contains(offset)), "{written:?} of {len}: {looked_at:?}");
        assert!(looked_at.len() <= 8 * written.len(), "{written:?} of {len}: {looked_at:?}");
    }

    #[test]
    fn a_look_through_room_passes_by_zeros_and_nothing_else() {
        check(&[], 10_000);
        check(&[], 39);
        check(&[0], 40);
        check(&[4], 40);
        check(&[7], 47);
        check(&[7], 39);
        for at in 0..200 {
            check(&[at], 200);
            check(&[4_000 + at, 4_030 + at, 12_288], 12_300);
        }
    }
}
