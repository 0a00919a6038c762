//! The summary of dropped entries, with one owner.

#[expect(clippy::module_inception, reason = "it owns `Gone`, and the module is that with all its parts")]
mod gone;
mod ids;
mod recent;
mod run;
mod topics;

pub(crate) use gone::{DroppedSegment, Gone, GoneBounds, Saved};
pub(crate) use run::{After, DroppedRun, Missed};
pub(crate) use topics::Dropped;
