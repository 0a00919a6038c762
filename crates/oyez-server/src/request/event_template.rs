//! All of an event but its data.

use std::time::Duration;

use oyez::{Event, EventId, EventType, Publish, Topic};

use crate::problem::Problem;
use crate::units;

/// All of an event but its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventTemplate {
    pub(crate) event_type: Option<EventType>,
    pub(crate) id: Option<EventId>,
    pub(crate) retry: Option<Duration>,
    /// The event is the new value of this.
    pub(crate) key: Option<String>,
    /// The event may be read for so long.
    pub(crate) ttl: Option<Duration>,
}

impl EventTemplate {
    /// The event with this data, published to `topic`.
    pub(crate) fn publish(mut self, topic: Topic, data: String) -> Result<Publish, Problem> {
        let (key, ttl) = (self.key.take(), self.ttl.take());
        let mut publish = Publish::new(topic, self.with_data(data));
        if let Some(key) = key {
            publish = publish.key(key);
        }
        expire(publish, ttl)
    }

    fn with_data(self, data: String) -> Event {
        let mut event = Event::data(data);
        if let Some(event_type) = self.event_type {
            event = event.with_type(event_type);
        }
        if let Some(id) = self.id {
            event = event.with_id(id);
        }
        if let Some(retry) = self.retry {
            event = event.retry(retry);
        }
        event
    }
}

/// How long an event may be read.
pub(crate) fn ttl(text: &str) -> Result<Duration, Problem> {
    let ttl = units::duration(text)
        .ok_or_else(|| Problem::invalid(format!("ttl={text:?} is not a duration such as 90s or 10m")))?;
    if ttl.is_zero() {
        return Err(Problem::invalid(format!("ttl={text:?} is less than a millisecond; nobody could read the event")));
    }
    Ok(ttl)
}

/// The publish, to be read for so long if that is said.
pub(crate) fn expire(publish: Publish, ttl: Option<Duration>) -> Result<Publish, Problem> {
    let publish = match ttl {
        Some(ttl) => publish.ttl(ttl),
        None => publish,
    };
    publish.checked().map_err(Problem::refused)
}
