//! Where the lines of `oyez pub --lines` go.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::failure::Failure;

/// A topic, and the URL that takes batches for it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) topic: String,
}

impl Target {
    /// Splits `url` after its first path segment `events`; what follows is the topic, or the topic `events` if
    /// nothing follows.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        let mut parsed = Url::parse(url).map_err(|error| Failure::usage(format!("not a URL: {url:?}: {error}")))?;
        let segments: Vec<String> = parsed.path().split('/').map(str::to_owned).collect();
        let Some(events) = segments.iter().position(|segment| segment == "events") else {
            let message = format!("--lines wants a URL whose path has a segment \"events\", not {:?}", parsed.path());
            return Err(Failure::usage(message));
        };
        let (base, topic) = segments.split_at(events + 1);
        let topic = topic.join("/");
        let topic = percent_decode_str(&topic)
            .decode_utf8()
            .map_err(|_| Failure::usage(format!("the topic is not UTF-8: {topic:?}")))?;
        let topic = if topic.is_empty() { "events".to_owned() } else { topic.into_owned() };
        parsed.set_path(&base.join("/"));
        Ok(Self { url: parsed.into(), topic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_target(url: &str, expected_url: &str, expected_topic: &str) {
        let target = Target::of(url).unwrap();
        assert_eq!((target.url.as_str(), target.topic.as_str()), (expected_url, expected_topic));
    }

    #[test]
    fn a_url_is_split_after_its_first_segment_events() {
        check_target("http://h/events/log", "http://h/events", "log");
        check_target("http://h/events/a/b%20%2F%C3%A4?x=1", "http://h/events?x=1", "a/b /ä");
        check_target("http://h/under/events/events/x", "http://h/under/events", "events/x");
        check_target("http://h/events", "http://h/events", "events");
        check_target("http://h/events/", "http://h/events", "events");
        check_target("http://h/events/a//b/", "http://h/events", "a//b/");
        for bad in ["http://h/", "http://h/eventsx/a", "http://h/?events", "http://h/events/%ff"] {
            assert!(Target::of(bad).is_err(), "{bad}");
        }
    }
}
