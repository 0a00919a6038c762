//! Server-Sent Events done completely: a hub with topics, resume without holes, backpressure and drain, for axum and
//! any framework on `http-body` 1.
//!
//! ```no_run
//! use axum::{Router, extract::State, routing::get};
//! use oyez::{Hub, LastEventId, Sse};
//!
//! async fn news(State(hub): State<Hub>, resume: LastEventId) -> Sse {
//!     hub.subscribe("news").last(1).resume(resume).into_response()
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let hub = Hub::new();
//!     let app = Router::new().route("/news", get(news)).with_state(hub.clone());
//!     hub.publish("news", "hello").await?;
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     oyez::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! Try it: `cargo add oyez axum`, `cargo add tokio -F full`, `cargo run`, then `curl -N http://127.0.0.1:3000/news`.
//!
//! The hub is an ordered log; a subscriber is a cursor into it and a matcher. Live delivery, replay after a reconnect and
//! a slow reader catching up are one read path, so there is no seam at which an event could be lost or doubled.
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | copy a program: rooms, tokens, answers that end, tests, … | the `cookbook` |
//! | publish, one event or a batch, typed or not | [`Hub::publish`], [`Publish`], [`JsonPayload`], [`Json`] |
//! | say where a stream begins and what it leaves out | [`Hub::subscribe`], [`Subscribe`], [`LastEventId`] |
//! | decide who may read what | [`Access`], [`Grant`], [`Publish::private`] |
//! | end streams: of a user, at a time, all of them | [`Hub::disconnect_user`], [`Subscribe::expires_at`], [`Hub::drain`] |
//! | write a topic that has an end | [`Hub::writer`], [`Hub::end`] |
//! | keep the history over a restart | [`HubBuilder::open`], [`Storage`] |
//! | bound memory and readers, and know what happens then | [`Retention`], [`Limits`], [`SlowPolicy`] |
//! | write to one reader without a hub | [`Connection`], [`Sse::from_stream`] |
//! | serve it, and stop without losing anything | [`serve`](serve()) |
//! | read events: in the process, in a test | [`EventStream`], [`EventReader`] |
//! | show figures | [`Hub::stats`], [`HubStats::to_prometheus`], [`Hub::streams`] |
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `axum` | [`Sse`], [`Subscribe`] and [`Error`] are responses of axum 0.8, [`LastEventId`] is an extractor | yes |
//! | `disk` | a history on disk: [`Storage`], [`StoredLog`]; on Unix | yes |
//! | `serve` | [`serve`](serve()) in place of `axum::serve`; on Unix; with it `axum` | yes |
//!
//! Without any of them the hub is in memory and gives `http` responses: `default-features = false`.
// a print panics where nobody reads
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    not(all(unix, feature = "disk")),
    expect(dead_code, unused_imports, reason = "only an engine that lasts uses what is made for it")
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod checks;
mod clock;
mod connection;
mod control;
mod core;
mod digits;
mod error;
mod event_reader;
mod extras;
mod feed;
mod figure;
mod format;
mod frame;
mod gap;
mod grant;
#[cfg(feature = "serve")]
mod handover;
mod hole;
mod hub;
mod hub_builder;
mod index;
#[cfg(all(test, shuttle))]
mod interleavings;
mod json_line;
mod last_event_id;
mod limiter;
mod limits;
mod live;
mod log;
mod matcher;
#[cfg(test)]
mod model;
mod once;
mod options;
mod output;
mod patterns;
mod position;
mod publish;
mod publishing;
mod pump;
mod random;
mod readable;
mod response;
mod seeker;
#[cfg(feature = "serve")]
mod serve;
mod shard;
#[cfg(any(feature = "serve", all(test, shuttle)))]
mod sleep_flag;
mod stats;
#[cfg(all(unix, feature = "disk"))]
mod storage;
#[cfg(all(unix, feature = "disk"))]
mod stored_log;
mod stream;
mod submission;
mod subscribe;
mod subscriber;
mod sync;
mod timer;
mod topic;
mod typed;
mod writer;

pub use oyez_proto::{Event, EventId, EventType};

pub use access::Access;
pub use connection::Connection;
pub use control::StreamControl;
pub use error::{Error, ErrorKind};
pub use event_reader::EventReader;
pub use figure::{Figure, FigureKind};
pub use format::Format;
pub use gap::{Gap, Reason};
pub use grant::Grant;
pub use hub::Hub;
pub use hub_builder::HubBuilder;
pub use last_event_id::LastEventId;
pub use limiter::{Limiter, TooMany};
pub use limits::Limits;
pub use log::{Published, Retention};
pub use matcher::Matcher;
pub use once::IdempotencyKey;
pub use options::{OnGap, SlowPolicy};
pub use position::{Epoch, Position};
pub use publish::Publish;
pub use publishing::{PublishFuture, Publishing};
pub use response::{Sse, SseBody};
#[cfg(feature = "serve")]
pub use serve::{App, BodyTimeout, Serve, Traffic, serve};

#[cfg(all(unix, feature = "disk"))]
pub use log::Durability;
#[cfg(all(unix, feature = "disk"))]
pub use storage::Storage;
#[cfg(all(unix, feature = "disk"))]
pub use stored_log::{
    DroppedSummary, Exported, Finding, Imported, Inspection, Repair, SegmentSummary, StoredClass, StoredLog,
    Verification,
};

pub use stats::{Ended, HubStats, StreamStats};
pub use stream::{Delivery, EventStream, StreamItem, Topics};
pub use subscribe::Subscribe;
pub use topic::Topic;
pub use typed::{IntoPayload, Json, JsonPayload, Payload};
pub use writer::Writer;

#[cfg(any(doc, all(doctest, feature = "serve", feature = "disk")))]
pub mod cookbook;

// so that the examples of the README are tested
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
