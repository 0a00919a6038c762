//! `oyez-client` against servers that do what they are told.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(feature = "reqwest")]
mod publisher;
mod say;
#[cfg(feature = "reqwest")]
mod script;
#[cfg(feature = "reqwest")]
mod source;
mod time;
