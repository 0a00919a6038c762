//! The library as its users see it.
#![allow(clippy::unwrap_used)]

mod child;
mod connection;
mod hub;
mod memory;
mod serve;
mod slow;
mod typed;
mod web;
