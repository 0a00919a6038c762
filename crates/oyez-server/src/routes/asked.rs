//! What a request asks of a route.

use std::borrow::Cow;

use axum::body::Body;
use http::HeaderMap;
use http::request::Parts;
use oyez::{BodyTimeout, LastEventId, Topic};

use crate::caller::Caller;
use crate::problem::Problem;
use crate::request::{Query, default_topic};
use crate::visit::Visit;

/// A request that has found its route, and that its caller may send.
pub(super) struct Asked<'a> {
    pub(super) caller: Caller,
    /// What stands in the path where the route has its braces.
    pub(super) part: &'a str,
    /// The topic that the route names, if it names one.
    pub(super) topic: Option<Cow<'a, str>>,
    pub(super) query: Query<'a>,
    pub(super) head: &'a Parts,
    pub(super) body: Body,
}

impl Asked<'_> {
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The topic to publish to; where none is named, the plain broadcast.
    pub(super) fn topic(&self) -> Result<Topic, Problem> {
        self.topic.as_deref().map_or_else(|| Ok(default_topic()), |topic| Topic::new(topic).map_err(Problem::refused))
    }

    /// The reader, where a stream is asked for.
    pub(super) fn reader(&self) -> LastEventId {
        LastEventId::from_request(&self.head.uri, &self.head.headers)
    }

    /// The request as the log is to tell it, if it is.
    pub(super) fn visit(&self) -> Option<&Visit> {
        self.head.extensions.get()
    }

    /// How long the listener waits for the body.
    pub(super) fn body_timeout(&self) -> Option<&BodyTimeout> {
        self.head.extensions.get()
    }
}
