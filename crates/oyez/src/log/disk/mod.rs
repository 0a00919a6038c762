//! The log on disk: what lies below the tail ([`below`]), who makes entries durable ([`appender`]), and how a tail is made when the hub
//! starts ([`tail`]).
//!
//! `record` and `segment` are the bytes, `index` says what is where in a segment (in memory for the one that is written to, a file of
//! which only what is asked for is read for the others), `chain` is the segments of a class, `store` all classes with what has to be
//! known beside them, `manifest` what the log says of itself. A `Writer` appends, driven by the thread of `committer`: what is published
//! while it syncs is written next, as one, then shown, then answered, and only then what is old leaves memory. `keeper` makes index
//! files and room, and drops segments. They see files through `volume`, of which `directory` is the real one and `simulated` one that
//! loses power.
//!
//! What outlives its segment: of each class the summary of what is gone, where topics ended, which deletions hide something that a
//! longer class still holds, and publishers' ids that must not stand for a later event (`log/gone`, the file `dropped`), and the values
//! of compacted topics (`values`). Before a segment goes the tail says what is to be kept ([`OnDrop`](super::OnDrop)), that is written,
//! and only then the segment is dropped.
//!
//! What is damaged before something that was written when it was durable is refused; a write that was cut off is cut. Each record says
//! up to where its segment was durable, each segment where the one before ended, and the manifest after a clean stop where the last one
//! does. Numbers are reserved on disk before they are given out, and after an unclean stop the reserved ones are skipped: none names two
//! events. The directory may also be a copy that was put back. So the first write after a start passes by as many numbers as can have been
//! given out since some were reserved last, by the clock (`NUMBERS_PER_MS`).
//!
//! A log without a hub: `examine` reads a directory as it is, also beside a hub (`view` takes no lock), and goes on where a start refuses.
//! `walk` finds what decodes of a segment in front of damage and behind it, batches whole; `repair` makes of that a log that opens, each
//! file replaced as a whole and the epoch first. `export` and `import` are lines. `unfinished` marks a directory that is not all there,
//! and a start refuses it.

mod appender;
mod below;
mod chain;
mod checked_file;
mod committer;
mod damage;
mod directory;
mod examine;
mod export;
mod failure;
mod import;
mod index;
mod keeper;
mod manifest;
mod record;
mod repair;
mod segment;
#[cfg(test)]
mod simulated;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod unfinished;
mod values;
mod view;
mod volume;
mod walk;
mod writer;

pub(crate) use appender::DiskAppender;
pub(crate) use below::OnDisk;
pub(crate) use chain::Class;
pub(crate) use damage::FORMAT;
pub(crate) use directory::Directory;
pub use examine::Finding;
pub(crate) use examine::{Depth, Examination, FoundIndex, FoundSegment, examine};
pub(crate) use export::export;
pub use import::Imported;
pub(crate) use import::import;
pub(crate) use repair::{Drawn, Plan};
#[cfg(test)]
pub(crate) use simulated::{Dice as DiskDice, SimulatedDisk};
pub(crate) use store::{Settings, Store};
pub(crate) use tail::tail_of;
pub(crate) use unfinished::Unfinished;
pub(crate) use view::View;
pub(crate) use volume::Volume;
pub use writer::Durability;
pub(crate) use writer::Writer;
