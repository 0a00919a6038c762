//! Events to be published together.

use bytes::Bytes;
use oyez_proto::Event;
use serde::Serialize;

/// Events for one or several topics that are published as one: all of them or none, in this order.
///
/// ```
/// use oyez_client::{Batch, Event};
///
/// let mut batch = Batch::new();
/// batch.push("news", &Event::data("one"));
/// batch.push("news/local", &Event::data("two").event("greeting")?);
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), oyez_proto::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    lines: Vec<u8>,
    len: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event for `topic`. The hub decides what is a topic.
    pub fn push(&mut self, topic: &str, event: &Event) {
        let line = Line {
            topics: topic,
            data: event.data_str(),
            event: event.event_type(),
            id: event.event_id().map(|id| &**id),
            retry: event.reconnection_time().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        };
        serde_json::to_writer(&mut self.lines, &line).expect("strings and numbers are JSON, and memory takes them");
        self.lines.push(b'\n');
        self.len += 1;
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes the batch has on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn into_body(self) -> Bytes {
        self.lines.into()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    topics: &'a str,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_line_per_event_with_what_it_has() {
        let mut batch = Batch::new();
        batch.push("a/b", &Event::data("x\n\"y\""));
        batch.push("ä", &Event::data("").event("t").unwrap().id("1").unwrap().retry(Duration::from_secs(1)));
        let expected = "{\"topics\":\"a/b\",\"data\":\"x\\n\\\"y\\\"\"}\n\
                        {\"topics\":\"ä\",\"data\":\"\",\"event\":\"t\",\"id\":\"1\",\"retry\":1000}\n";
        assert_eq!(batch.bytes(), expected.len());
        assert_eq!(batch.into_body(), expected);
    }
}
