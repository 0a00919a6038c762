//! The values of compacted topics whose entries have left their segments: one file, replaced as a whole when a segment goes.

use std::io;
use std::sync::Arc;

use super::record::{self, Fields, Parts, Place, Record};
use super::segment::Page;
use super::volume::{Volume, read_all, replace};
use crate::log::Retained;
use crate::log::entry::Entry;
use crate::matcher::Matchers;
use crate::position::Epoch;

/// Puts these values in the place of those before.
pub(crate) fn save(volume: &dyn Volume, values: &[Arc<Entry>]) -> io::Result<()> {
    if values.is_empty() && !volume.list()?.iter().any(|name| name == VALUES) {
        return Ok(());
    }
    let mut records = Vec::new();
    for entry in values {
        let fields = entry.fields();
        let parts = Parts {
            topics: &entry.topics,
            publisher_id: entry.publisher_id.as_ref(),
            extras: entry.extras(),
            fields: &fields,
        };
        let place = Place { sequence: entry.sequence, time_ms: entry.time_ms, synced: 0, rest: 0 };
        record::write(&mut records, parts, place, 0);
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crc32c::crc32c(&records).to_le_bytes());
    bytes.extend_from_slice(&records);
    replace(volume, VALUES, &bytes)
}

/// The values, in the order of the log.
pub(crate) fn read(volume: &dyn Volume, epoch: Epoch) -> io::Result<Vec<Arc<Entry>>> {
    if !volume.list()?.iter().any(|name| name == VALUES) {
        return Ok(Vec::new());
    }
    let bytes = read_all(&*volume.open(VALUES)?)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{VALUES} is damaged: its checksum is wrong"));
    let (head, mut records) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(damaged)?;
    let (magic, crc) = head.split_at(MAGIC.len());
    if magic != MAGIC || Fields(crc).u32() != Some(crc32c::crc32c(records)) {
        return Err(damaged());
    }
    let all = Matchers::default();
    let mut values = Vec::new();
    while !records.is_empty() {
        let record = Record::read(records, 0).map_err(|_| damaged())?;
        // each has bytes of its own: one that is replaced is to free what it takes
        let mut page = Page::new(epoch, &all, 0, Retained { entries: 1, bytes: 0 });
        page.push(&record).map_err(|_| damaged())?;
        values.extend(page.finish());
        records = records.get(record.head.len as usize..).unwrap_or_default();
    }
    Ok(values)
}

pub(crate) const VALUES: &str = "values";
const MAGIC: &[u8] = b"oyezval\n";
const HEAD_BYTES: usize = 12;
