//! The values of compacted topics whose segments were dropped: one file, replaced as a whole when a segment is dropped.

use std::io;
use std::sync::Arc;

use super::record::{self, Fields, Head, Parts, Place, Record};
use super::segment::RecordPage;
use super::volume::{Volume, read_all, replace};
use crate::log::Retained;
use crate::log::entry::Entry;
use crate::matcher::Matchers;
use crate::position::Epoch;

/// Replaces the stored values.
pub(crate) fn save(volume: &dyn Volume, values: &[Arc<Entry>]) -> io::Result<()> {
    if values.is_empty() && !volume.list()?.iter().any(|name| name == VALUES) {
        return Ok(());
    }
    let mut records = Vec::new();
    for entry in values {
        let fields = entry.frame().fields();
        let parts = Parts {
            topics: &entry.topics,
            publisher_id: entry.publisher_id.as_ref(),
            private: entry.private,
            extras: entry.extras(),
            fields: &fields,
        };
        let place = Place { sequence: entry.sequence, time_ms: entry.time_ms, synced: 0, rest: 0 };
        record::write(&mut records, parts, place, 0);
    }
    put(volume, &records)
}

/// The values, in log order.
pub(crate) fn read(volume: &dyn Volume, epoch: Epoch) -> io::Result<Vec<Arc<Entry>>> {
    match find(volume)? {
        None => Ok(Vec::new()),
        Some(found) if found.damaged_at.is_none() => entries(&found.records, epoch),
        Some(_) => Err(damaged()),
    }
}

/// The contents of the file, whole or damaged.
pub(super) struct FoundValues {
    /// The whole records.
    pub(super) records: Vec<u8>,
    /// The offset of the first damaged record.
    pub(super) damaged_at: Option<u64>,
}

/// The contents of the file, if it exists.
pub(super) fn find(volume: &dyn Volume) -> io::Result<Option<FoundValues>> {
    if !volume.list()?.iter().any(|name| name == VALUES) {
        return Ok(None);
    }
    let bytes = read_all(&*volume.open(VALUES)?)?;
    let (head, records) = bytes.split_at_checked(HEAD_BYTES).unwrap_or((&bytes, &[]));
    let (magic, crc) = head.split_at_checked(MAGIC.len()).unwrap_or_default();
    if magic == MAGIC && Fields(crc).u32() == Some(crc32c::crc32c(records)) {
        return Ok(Some(FoundValues { records: records.to_vec(), damaged_at: None }));
    }
    let (mut whole, mut at, mut damaged_at) = (Vec::new(), 0, None);
    // a damaged record is skipped by its length only, because data may look like a record
    while let Some(head) = records.get(at..).and_then(Head::read) {
        let end = records.len().min(at + head.len as usize);
        match records.get(at..end) {
            Some(record) if Record::read(record, 0).is_ok() => whole.extend_from_slice(record),
            _ => damaged_at = damaged_at.or(Some((HEAD_BYTES + at) as u64)),
        }
        at = end;
    }
    if at < records.len() {
        damaged_at = damaged_at.or(Some((HEAD_BYTES + at) as u64));
    }
    Ok(Some(FoundValues { records: whole, damaged_at: damaged_at.or(Some(0)) }))
}

/// Replaces the stored records.
pub(super) fn put(volume: &dyn Volume, records: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crc32c::crc32c(records).to_le_bytes());
    bytes.extend_from_slice(records);
    replace(volume, VALUES, &bytes)
}

/// The entries of these records.
pub(super) fn entries(mut records: &[u8], epoch: Epoch) -> io::Result<Vec<Arc<Entry>>> {
    let all = Matchers::default();
    let mut values = Vec::new();
    while !records.is_empty() {
        let record = Record::read(records, 0).map_err(|_| damaged())?;
        // each has bytes of its own, so that a replaced one frees its memory
        let mut page = RecordPage::new(epoch, &all, 0, Retained { entries: 1, bytes: 0 });
        page.push(&record).map_err(|_| damaged())?;
        values.extend(page.finish());
        records = records.get(record.head.len as usize..).unwrap_or_default();
    }
    Ok(values)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{VALUES} is damaged: its checksum is wrong"))
}

pub(crate) const VALUES: &str = "values";
const MAGIC: &[u8] = b"oyezval\n";
const HEAD_BYTES: usize = 12;
