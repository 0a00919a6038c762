//! Publishes that are appended together, and the result.

use oyez_proto::{Event, EventId};
use smallvec::SmallVec;

use crate::Topic;
use crate::extras::Extras;
use crate::log::draft::Draft;
use crate::log::fingerprint::once_of;
use crate::once::{IdempotencyKey, Once};
use crate::position::{Epoch, Position};
use crate::submission::Submission;

/// Publishes that become entries together or not at all, in order and with no other entry in between. They are checked, and encoded
/// except for their positions.
pub(crate) struct Batch(pub(crate) SmallVec<[Draft; 1]>);

/// Whether a batch is to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    /// It was appended before; its first entry has this sequence number.
    Replayed {
        first: u64,
    },
}

/// The result of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The ids of its entries, in order.
    pub ids: Vec<EventId>,
    /// It had been published before, under the same key. Nothing was appended, and the ids are those of the first publish.
    pub replayed: bool,
}

impl Batch {
    /// With a key, the batch is published only once.
    pub(crate) fn new(mut batch: Vec<Submission>, key: Option<IdempotencyKey>) -> Self {
        if let Some(key) = key {
            let once = once_of(key, &batch);
            if let Some(first) = batch.first_mut() {
                first.extras_mut().once = Some(once);
            }
        }
        Self(batch.into_iter().map(Draft::new).collect())
    }

    /// The deletion of a topic; `last_on_disk` is its newest known entry on disk.
    pub(crate) fn deletion(topic: Topic, last_on_disk: u64) -> Self {
        let mut publish = Submission::new(topic, Event::data(""));
        publish.extras_mut().deletes = Some(last_on_disk);
        Self::new(vec![publish], None)
    }

    pub(crate) fn once(&self) -> Option<&Once> {
        self.0.first().and_then(Draft::extras).and_then(|extras: &Extras| extras.once.as_ref())
    }

    /// A topic that the batch appends to after its end. The end may be in the batch or before it.
    pub(crate) fn beyond_an_end(&self, has_ended: impl Fn(&Topic) -> bool) -> Option<&Topic> {
        let mut ended: SmallVec<[&Topic; 1]> = SmallVec::new();
        for draft in self.0.iter().filter(|draft| draft.extras().is_none_or(|extras| extras.deletes.is_none())) {
            let beyond = |topic: &&Topic| has_ended(topic) || ended.contains(topic);
            if let Some(topic) = draft.topics().iter().find(beyond) {
                return Some(topic);
            }
            if draft.extras().is_some_and(|extras| extras.end) {
                ended.extend(draft.topics());
            }
        }
        None
    }

    /// The topics that the batch ends.
    pub(crate) fn ended_topics(&self) -> SmallVec<[Topic; 1]> {
        let ends = self.0.iter().filter(|draft| draft.extras().is_some_and(|extras| extras.end));
        ends.filter_map(|draft| draft.topics().first().cloned()).collect()
    }

    /// Memory of the batch while it waits to be written, approximately.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|draft| draft.fields().len() + size_of::<Draft>()).sum()
    }

    /// The ids of its entries, if the first has this sequence number.
    pub(crate) fn event_ids(&self, epoch: Epoch, first: u64) -> Vec<EventId> {
        self.ids().at(epoch, first)
    }

    /// The ids of its entries, before the entries have positions.
    pub(crate) fn ids(&self) -> Ids {
        Ids(self.0.iter().map(|draft| draft.publisher_id().cloned()).collect())
    }
}

/// The ids that publishers gave the entries of a batch. The other entries get ids from their positions.
pub(crate) struct Ids(SmallVec<[Option<EventId>; 1]>);

impl Ids {
    /// All ids, if the first entry has this sequence number.
    pub(crate) fn at(self, epoch: Epoch, first: u64) -> Vec<EventId> {
        let id =
            |(sequence, own): (u64, Option<EventId>)| own.unwrap_or_else(|| Position { epoch, sequence }.event_id());
        (first..).zip(self.0).map(id).collect()
    }
}
