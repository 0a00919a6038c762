//! The fan-out thread: it owns the sockets of streams that have left hyper, and brings each of them what its log has.
//!
//! Turns coalesce by themselves. Readers of a group are visited one after the other, and each visit writes all that lies
//! between its cursor and the head; new entries are looked for between slices of visits. So an idle hub writes each event
//! at once, and under load events gather as fast as sockets can be visited.

mod backlog;
#[expect(clippy::module_inception, reason = "it owns `Fanout`, and the module is the thread with all its parts")]
mod fanout;
mod framing;
mod fresh;
mod group;
mod group_name;
mod groups;
mod inbox;
#[cfg(test)]
mod model;
mod open_streams;
mod run;
mod runs;
mod schedule;
mod stream;
mod stream_id;
mod streams;
mod thread;
mod torn;
mod visits;

pub(crate) use fanout::Fanout;
pub(crate) use inbox::{Handed, Inbox};
