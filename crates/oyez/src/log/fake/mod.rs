//! A log over a server of the tests: the proof that the seam below the tail, and the one to who appends, are fit for an engine that is
//! somewhere else. [`server`] keeps entries of its own, answers late, is away for a while and refuses now and then.

mod appender;
mod below;
mod server;
mod tail;

pub(crate) use appender::ToServer;
pub(crate) use below::OnServer;
pub(crate) use server::Server;
pub(crate) use tail::tail_of;
