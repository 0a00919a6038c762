//! The log on disk.
//!
//! `record` and `segment` are the bytes, `index` says what is where in a segment, `store` is all of them with what has to be
//! known beside them. A `Writer` appends, driven by the thread of `committer`; the threads of `readers` read. They see files through
//! `volume`, of which `directory` is the real one and `simulated` one that loses power.

mod committer;
mod directory;
mod history;
mod index;
mod keeper;
mod readers;
mod record;
mod segment;
#[cfg(test)]
mod simulated;
mod store;
#[cfg(test)]
mod tests;
mod values;
mod volume;
mod writer;

pub(crate) use committer::{Committer, Tail};
pub(crate) use directory::Directory;
pub(crate) use history::History;
pub(crate) use keeper::{Bell as KeeperBell, Keeper};
pub(crate) use readers::{Fetch, Wanted};
pub(crate) use store::{Class, Settings, Store, StoredPage, StoredRead, Witness};
pub use writer::Durability;
pub(crate) use writer::Writer;
