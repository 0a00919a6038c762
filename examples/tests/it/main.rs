//! Every example does what its user expects.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod answer;
mod axum_hub;
mod chat;
mod clock;
mod example;
mod log_tail;
mod progress;
mod sensors;
mod stock;
