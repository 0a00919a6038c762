//! The Oyez hub over HTTP, as a library: configuration, routes, limits, metrics, page. The command `oyez serve` is a thin
//! layer over it.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use oyez_server::{Server, Settings};
//!
//! let server = Server::bind(Settings::default().resolve()?).await?;
//! println!("listening on http://{}", server.address()?);
//! server.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
// a print panics where nobody reads
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(unix))]
compile_error!("oyez-server is for Unix: its signals, its limit of open files and its history on disk are");

mod app;
mod bodies;
mod body;
mod caller;
mod config;
mod controls;
mod cors;
mod demo;
mod descriptors;
mod disk;
mod door;
mod figures;
mod guard;
mod history;
mod limits;
mod metrics;
mod page;
mod places;
mod problem;
mod process;
mod request;
mod retry;
mod rights;
mod routes;
mod server;
mod settings;
mod stats;
mod units;
mod visit;

pub use config::Config;
/// The history of a hub that is not running, for programs that know no other part of the library.
pub use oyez::{Error as HistoryError, ErrorKind as HistoryErrorKind, Inspection, Matcher, Repair, StoredLog};
pub use server::{Server, ServerError};
pub use settings::{
    ClassSettings, ConfigError, Kind, LogFormat, NOT_YET, SETTINGS, Setting, Settings, Text, Unsaid,
    settings_reference, similar_variable,
};

// so that the examples of the README are tested
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
