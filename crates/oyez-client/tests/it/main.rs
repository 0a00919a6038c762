//! `oyez-client` against servers that do what they are told.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod publisher;
mod script;
mod source;
mod time;
