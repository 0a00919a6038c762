//! The log on disk: what is below the tail (`below`), who appends (`appender`), and how a tail is made when the hub starts (`tail`).
//!
//! `record` and `segment` are the bytes, `index` says what is where in a segment, `store` is all of them with what has to be
//! known beside them. A `Writer` appends, driven by the thread of `committer`. They see files through `volume`, of which `directory` is the real one and `simulated` one that loses power.
//!
//! `examine` looks at a log that no hub has, or that is damaged, with `walk`, which goes on behind damage; `repair` makes what is
//! left one that opens; `export` and `import` have it as lines, `unfinished` marks what is not all there.

mod appender;
mod below;
mod chain;
mod checked_file;
mod committer;
mod damage;
mod directory;
mod examine;
mod export;
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
