//! What few events have beside their fields.

use crate::once::Once;

/// What few events have beside their fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    /// Of several events with one key the newest is the one that counts.
    pub(crate) key: Option<Box<str>>,
    /// How long it may be read, in milliseconds.
    pub(crate) ttl_ms: Option<u64>,
    /// It is the last one of its topic.
    pub(crate) end: bool,
    /// It hides all that its topic had before, and no reader is ever sent it.
    /// The number is that of its newest entry on disk, as far as was known then.
    pub(crate) deletes: Option<u64>,
    /// It is the first of a batch that is published once.
    pub(crate) once: Option<Once>,
}

/// What an entry means for those after it: some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u32);

impl Mark {
    /// It counts as long as it is in the history: a value, or the hub's word about its topic.
    pub(crate) const LASTING: Self = Self(1);
    /// It counts while its idempotency key is known.
    pub(crate) const ONCE: Self = Self(2);
    /// It has a time after which it is hidden.
    pub(crate) const EXPIRING: Self = Self(4);

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is it one of those?
    pub(crate) fn is_any_of(self, marks: Self) -> bool {
        self.0 & marks.0 != 0
    }
}

impl Extras {
    /// What it means for others.
    pub(crate) fn mark(&self) -> Mark {
        let marks = [
            (Mark::LASTING, self.key.is_some() || self.end || self.deletes.is_some()),
            (Mark::ONCE, self.once.is_some()),
            (Mark::EXPIRING, self.ttl_ms.is_some()),
        ];
        marks.into_iter().filter(|(_, has)| *has).fold(Mark(0), |all, (mark, _)| all.or(mark))
    }

    /// Memory that it takes, near enough.
    pub(crate) fn cost(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.len());
        size_of::<Self>() + key + self.once.as_ref().map_or(0, Once::cost) + ALLOCATION_BYTES
    }

    /// On disk an extra is a tag and its value; a tag, once given, keeps its meaning for ever.
    pub(crate) fn write(&self, mut push: impl FnMut(u8, &[u8])) {
        if let Some(key) = &self.key {
            push(1, key.as_bytes());
        }
        if let Some(ttl_ms) = self.ttl_ms {
            push(2, &ttl_ms.to_le_bytes());
        }
        if self.end {
            push(3, &[]);
        }
        if let Some(once) = &self.once {
            push(4, &once.to_bytes());
        }
        if let Some(last) = self.deletes {
            push(5, &last.to_le_bytes());
        }
    }

    /// Takes over one that was written; `None` if it is not known here.
    pub(crate) fn read(&mut self, tag: u8, value: &[u8]) -> Option<()> {
        match tag {
            1 => self.key = Some(std::str::from_utf8(value).ok()?.into()),
            2 => self.ttl_ms = Some(u64::from_le_bytes(value.try_into().ok()?)),
            3 => self.end = true,
            4 => self.once = Some(Once::from_bytes(value)?),
            5 => self.deletes = Some(u64::from_le_bytes(value.try_into().ok()?)),
            _ => return None,
        }
        Some(())
    }
}

/// An allocation's header and rounding.
const ALLOCATION_BYTES: usize = 24;
