//! Serves any axum or tower app, in place of `axum::serve`: with timeouts, and with a drain that open streams do not block.

mod acceptor;
mod app;
mod body;
mod connection;
mod drain;
mod fanout;
mod half_heads;
mod handover;
mod patience;
mod requests;
mod server;
mod socket;
mod timeouts;
mod traffic;
mod transport;

pub use app::App;
pub use body::BodyTimeout;
pub use server::{Serve, serve};
pub use traffic::Traffic;
