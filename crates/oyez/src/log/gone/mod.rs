//! The one owner of what is known of entries that are gone.

#[expect(clippy::module_inception, reason = "it owns `Gone`, and the module is that with all its parts")]
mod gone;
mod ids;
mod recent;
mod run;
mod topics;

pub(crate) use gone::{DroppedSegment, Gone, GoneBounds, Saved};
pub(crate) use run::{After, DroppedRun, Missed};
pub(crate) use topics::Dropped;
