//! The library as its users see it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // tests may fail, and read the clock

mod bare;
mod child;
mod connection;
mod deletion;
mod directory;
mod finite;
mod grants;
mod handover;
mod hub;
mod latest;
mod memory;
mod publishing;
mod serve;
mod slow;
mod stored;
mod typed;
mod web;
