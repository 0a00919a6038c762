//! The binary `oyez` as its users see it: arguments and input in, lines and a status out, against a server that does
//! what it is told.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod bench;
mod command;
mod decode;
mod log;
mod manual;
mod publish;
mod resume;
#[path = "../../../oyez-client/tests/it/script.rs"]
mod script;
mod serve;
mod sub;
mod usage;
