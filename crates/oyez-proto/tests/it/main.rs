//! What this crate promises of whole streams: the standard's own reading, every way to cut the bytes, and back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod allocation;
mod bound;
mod chunks;
mod decode;
mod oracle;
mod parts;
mod round_trip;
mod wpt;
