//! `oyez bench`: load on a server of server-sent events, and what became of it.

mod args;
mod blocks;
mod board;
mod body;
mod check;
mod clock;
mod connection;
mod descriptors;
mod head;
mod histogram;
mod lanes;
mod limits;
mod payload;
mod plan;
mod process;
mod progress;
mod publisher;
mod report;
mod round;
mod rounds;
mod scenario;
mod schedule;
mod server;
mod spread;
mod stream;
mod subscribers;
mod template;

pub(crate) use args::Bench;
