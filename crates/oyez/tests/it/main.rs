//! The library as its users see it.
#![allow(clippy::unwrap_used)]

mod hub;
