//! The log on disk: the storage below the tail ([`below`]), the interface that makes entries durable ([`appender`]), and the tail
//! that is made when the hub starts ([`tail`]).
//!
//! The parts:
//!
//! - `record`, `segment`: the bytes on disk.
//! - `index`: what is where in a segment. It is in memory for the segment that is written to. For the others it is a file, of which
//!   only the wanted parts are read.
//! - `chain`: the segments of one class.
//! - `store`: all classes, and the facts about the whole log.
//! - `manifest`: the file in which the log describes itself.
//! - `writer`: appends. The thread of `committer` drives it. Batches that arrive during a sync are written next, together. Then
//!   they are made visible, then acknowledged, and only then old entries leave memory.
//! - `keeper`: makes index files and files for new segments, and drops old segments.
//! - `volume`: the interface to files. `directory` is the real one, `simulated` one that loses power.
//!
//! These survive a dropped segment: the loss summary of each class, the ended topics, the deletions that still hide entries of a
//! longer-lived class, the publishers' ids that must not stand for a later event (all in `log/gone`, the file `dropped`), and the
//! values of compacted topics (`values`). Before a segment is dropped, the tail says what must be kept ([`OnDrop`](super::OnDrop)).
//! That is written first.
//!
//! Damage before a later durable record is refused; a torn final write is truncated. To tell them apart, each record says up to
//! where its segment was durable, each segment says where the previous one ended, and after a clean stop the manifest says where
//! the last one ends.
//!
//! No sequence number names two events. Numbers are reserved on disk before they are given out, and after an unclean stop the
//! reserved ones are skipped. The directory may also be a restored copy. So the first write after a start skips as many numbers as
//! can have been given out since the last reservation, by the clock (`NUMBERS_PER_MS`).
//!
//! Without a hub: `examine` reads a directory as it is, also while a hub runs (`view` takes no lock), and continues where a start
//! would refuse. `walk` salvages whole batches before and after damage. `repair` makes a log of them that opens again: it replaces
//! each file as a whole, and the epoch first. `export` and `import` use lines of JSON. `unfinished` marks an incomplete directory,
//! which a start refuses.

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
mod syncs;
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
