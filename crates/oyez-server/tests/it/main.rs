//! The server over real sockets, as its callers meet it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bad_input;
mod bare;
mod control;
mod delete;
mod envelope;
mod finite;
mod harness;
mod latest;
mod metrics;
mod once;
mod publish;
mod stats;
mod subscribe;
