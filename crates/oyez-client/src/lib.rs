//! Server-Sent Events for those who read and publish them: an EventSource that resumes and backs off, and a
//! publisher.
//!
//! ```no_run
//! use oyez_client::{EventSource, Item};
//!
//! # async fn run() -> Result<(), oyez_client::Error> {
//! let mut source = EventSource::new("http://127.0.0.1:8888/events/news")?;
//! while let Some(item) = source.next().await {
//!     match item? {
//!         Item::Event { event, last_event_id } => println!("{last_event_id:?} {}", event.data_str()),
//!         Item::Disconnected { error, wait } => eprintln!("{error}, next attempt in {wait:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A server that wants a credential gets it by [`EventSourceBuilder::header`], or by [`EventSourceBuilder::headers_with`] where it has to
//! be fetched anew. Without the feature `reqwest`, on unless left out, there is no HTTP library in the tree: bring your own, as a
//! [`Connect`].
//!
//! The rules are those of [`oyez_proto::EventSource`]; this crate gives them sockets, time and randomness. It speaks
//! to any server that sends `text/event-stream`; it knows nothing of the hub but what stands on the wire.

#![cfg_attr(docsrs, feature(doc_cfg))]
// a print panics where nobody reads
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod batch;
mod builder;
mod connect;
mod connector;
mod cookies;
mod error;
mod headers;
#[cfg(feature = "reqwest")]
mod http_connect;
mod idempotency;
mod item;
mod limits;
mod problem;
mod publisher;
mod random;
mod request;
mod retry_after;
mod source;

pub use batch::Batch;
pub use builder::EventSourceBuilder;
pub use connect::{BoxError, Chunks, Connect, ConnectError, Connecting};
pub use error::{Error, ErrorKind};
pub use headers::HeadersFor;
#[cfg(feature = "reqwest")]
pub use http_connect::HttpConnect;
pub use idempotency::{IdempotencyKey, IdempotencyKeys};
pub use item::{Gap, Item};
pub use oyez_proto::{Event, EventId, EventType, Format};
pub use publisher::{Publisher, PublisherBuilder};
pub use source::EventSource;

// so that the examples of the README are tested
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
