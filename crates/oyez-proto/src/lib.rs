//! Server-Sent Events exactly as the HTML Standard has them, without I/O, clock or randomness.
//!
//! - [`Event`] is what a publisher makes and a decoder yields. Its type makes injection unrepresentable.
//! - [`Event::encode`] writes a frame into the caller's buffer; [`encode_comment`] and [`encode_cursor`] write the
//!   blocks that dispatch nothing.
//! - [`Decoder`] reads a stream of bytes, cut anywhere, as [`Item`]s.
//! - [`EventSource`] says when to connect, wait, deliver and stop; [`Backoff`] says how long to wait.
//!
//! ```
//! use oyez_proto::Event;
//!
//! let event = Event::data("line 1\nline 2").event("greeting")?.id("msg-1")?;
//! let mut frame = Vec::new();
//! event.encode(&mut frame);
//! assert_eq!(frame, b"event: greeting\nid: msg-1\ndata: line 1\ndata: line 2\n\n");
//! # Ok::<(), oyez_proto::Error>(())
//! ```
//!
//! Source: HTML Standard, section 9.2, "Server-sent events".

#![cfg_attr(docsrs, feature(doc_cfg))]
// a print panics where nobody reads
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod action;
mod backoff;
mod base64;
mod decode;
mod encode;
mod error;
mod event;
mod head;
mod limits;
mod lines;
mod mime;
mod source;
mod text;
mod utf8;

pub use action::{Action, Attempt, Cause, Delivery, Redirect, Stop};
pub use backoff::Backoff;
pub use decode::{Decoder, Item};
pub use encode::{encode_comment, encode_cursor};
pub use error::{Error, ErrorKind};
pub use event::Event;
pub use head::{Format, Head};
pub use limits::EVENT_BYTES_MAX;
pub use source::EventSource;
pub use text::{EventId, EventType};

// so that the examples of the README are tested
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
