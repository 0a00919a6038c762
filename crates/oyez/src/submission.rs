//! An event on its way into the log, proven.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oyez_proto::{Event, EventId, EventType};
use smallvec::{SmallVec, smallvec};

use crate::extras::Extras;
use crate::limits::{EVENT_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX, KEY_BYTES_MAX, Limits, RECONNECTION_TIME_MAX, at_most};
use crate::position::{EARLIEST, is_shaped_like_a_position};
use crate::topic::check_text;
use crate::{Error, Topic};

/// One event and the topics it is published to: what a [`Publish`](crate::Publish) comes to.
#[derive(Clone)]
pub(crate) struct Submission {
    pub(crate) topics: SmallVec<[Topic; 1]>,
    pub(crate) event: Event,
    pub(crate) payload: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) private: bool,
    /// Apart, because few have any: a batch is moved more than once.
    pub(crate) extras: Option<Box<Extras>>,
}

impl Submission {
    /// `event` to `topic`.
    pub(crate) fn new(topic: Topic, event: Event) -> Self {
        Self { topics: smallvec![topic], event, payload: None, private: false, extras: None }
    }

    /// The same event to one topic more. An end is that of one topic, and stays so.
    #[must_use]
    pub(crate) fn topic(mut self, topic: Topic) -> Self {
        if !self.topics.contains(&topic) && !self.is_end() {
            self.topics.push(topic);
        }
        self
    }

    #[must_use]
    pub(crate) fn private(mut self) -> Self {
        self.private = true;
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Result<Self, Error> {
        check_text("key", key, KEY_BYTES_MAX)?;
        self.extras_mut().key = Some(key.into());
        Ok(self)
    }

    pub(crate) fn ttl(mut self, time: Duration) -> Result<Self, Error> {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return Err(Error::invalid(format!("ttl {time:?} is less than a millisecond, so nobody could read it")));
        }
        self.extras_mut().ttl_ms = Some(ms);
        Ok(self)
    }

    pub(crate) fn end(topic: Topic) -> Self {
        let data = serde_json::json!({ "topic": &*topic }).to_string();
        let event = Event::data(data).with_type(EventType::new(END).expect("a type of ours is one"));
        let mut end = Self::new(topic, event);
        end.extras_mut().end = true;
        end
    }

    pub(crate) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    pub(crate) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.extras().is_some_and(|extras| extras.end)
    }

    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Error> {
        at_most("topics", self.topics.len(), limits.publish_topics_max)?;
        at_most("bytes of data", self.event.data_str().len(), limits.data_bytes_max)?;
        if let Some(event_type) = self.event.event_type() {
            at_most("bytes of event type", event_type.len(), EVENT_TYPE_BYTES_MAX)?;
            if event_type.starts_with(RESERVED) && !self.is_end() {
                return Err(Error::invalid(format!("event type {event_type:?} is reserved for the hub: oyez.*")));
            }
        }
        if let Some(id) = self.event.event_id() {
            check_publisher_id(id)?;
        }
        if let Some(time) = self.event.reconnection_time().filter(|time| *time > RECONNECTION_TIME_MAX) {
            return Err(Error::invalid(format!(
                "retry {} ms is more than {} ms, an hour: readers would stay away for so long",
                time.as_millis(),
                RECONNECTION_TIME_MAX.as_millis()
            )));
        }
        Ok(())
    }
}

fn check_publisher_id(id: &EventId) -> Result<(), Error> {
    at_most("bytes of event id", id.len(), EVENT_ID_BYTES_MAX)?;
    if id.is_empty() {
        return Err(Error::invalid("event id is empty; leave it out and the hub gives one"));
    }
    if !id.comes_back() {
        // one that another server gave: it was decoded
        return Err(Error::invalid(format!("event id {:?} holds what cannot come back in a Last-Event-ID", &**id)));
    }
    if &**id == EARLIEST {
        return Err(Error::invalid("event id \"earliest\" is reserved: it means the start of the history"));
    }
    if is_shaped_like_a_position(id) {
        return Err(Error::invalid(format!("event id {id:?} has the shape of the hub's own ids, EPOCH:SEQUENCE")));
    }
    Ok(())
}

impl fmt::Debug for Submission {
    /// Without the data: it belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// The type of an end.
const END: &str = "oyez.end";
/// Types that begin so are the hub's own.
const RESERVED: &str = "oyez.";

#[cfg(test)]
mod tests {
    use oyez_proto::{Decoder, Item};

    use super::*;

    fn check(event: Event) -> Result<(), String> {
        Submission::new(Topic::new("a").unwrap(), event).check(&Limits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_of_another_server_that_cannot_come_back_is_refused() {
        let decoded = |stream: &str| {
            let (mut decoder, mut bytes) = (Decoder::new(), stream.as_bytes());
            let Some(Item::Event(event)) = decoder.next(&mut bytes).unwrap() else { panic!("{stream:?} is an event") };
            check(event)
        };
        assert_eq!(decoded("id: a b\ndata: x\n\n"), Ok(()));
        for id in ["é", "a\u{1b}", "a\t", " a"] {
            let refused = decoded(&format!("id: {id}\ndata: x\n\n")).expect_err(id);
            assert!(refused.contains("cannot come back"), "{refused}");
        }
    }

    #[test]
    fn a_reconnection_time_keeps_nobody_away_for_good() {
        let after = |seconds| check(Event::data("x").retry(Duration::from_secs(seconds)));
        assert_eq!(after(3_600), Ok(()));
        assert!(after(3_601).unwrap_err().contains("an hour") && after(u64::MAX).is_err());
    }
}
