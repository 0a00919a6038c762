//! What a URL of a hub says of its topics.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::failure::Failure;
use crate::web_address::shown;

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
        let mut parsed =
            Url::parse(url).map_err(|error| Failure::usage(format!("not a URL: {:?}: {error}", shown(url))))?;
        let Some((base, topic)) = split(parsed.path()) else {
            let message =
                format!("--lines needs a URL such as http://HOST/events/TOPIC; the path here is {:?}", parsed.path());
            return Err(Failure::usage(message));
        };
        let topic = percent_decode_str(topic)
            .decode_utf8()
            .map_err(|_| Failure::usage(format!("the topic is not UTF-8: {topic:?}")))?;
        let topic = if topic.is_empty() { "events".to_owned() } else { topic.into_owned() };
        let base = base.to_owned();
        parsed.set_path(&base);
        Ok(Self { url: parsed.into(), topic })
    }
}

/// The topics of a subscription that have not ended yet, as far as its URL says them all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unended(Option<BTreeSet<String>>);

impl Unended {
    /// The topics of `url`: after its first path segment `events`, and of each `topic` of its query. Where one may be a pattern, or
    /// the path is of something else than a hub, nobody knows what the stream has.
    pub(crate) fn of(url: &Url) -> Self {
        let named = || {
            let (_, topic) = split(url.path())?;
            let of_path = percent_decode_str(topic).decode_utf8().ok().filter(|topic| !topic.is_empty());
            let of_query = url.query_pairs().filter(|(name, _)| name == "topic").map(|(_, topic)| topic);
            let topics: BTreeSet<String> = of_path.into_iter().chain(of_query).map(String::from).collect();
            (!topics.is_empty() && !topics.iter().any(|topic| topic.contains('*'))).then_some(topics)
        };
        Self(named())
    }

    /// Was this end, whose data it is, that of the last one?
    pub(crate) fn was_last(&mut self, data: &str) -> bool {
        let Some(topics) = &mut self.0 else { return false };
        let ended: Option<serde_json::Value> = serde_json::from_str(data).ok();
        let topic = ended.as_ref().and_then(|ended| ended.get("topic")).and_then(serde_json::Value::as_str);
        topic.is_some_and(|topic| topics.remove(topic)) && topics.is_empty()
    }
}

/// A path up to its first segment `events`, and what follows that.
fn split(path: &str) -> Option<(&str, &str)> {
    let end = path.split_inclusive('/').scan(0, |end, segment| {
        *end += segment.len();
        Some((*end, segment.trim_end_matches('/')))
    });
    let (end, _) = end.into_iter().find(|(_, segment)| *segment == "events")?;
    let (base, topic) = path.split_at(end);
    Some((base.trim_end_matches('/'), topic))
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

    #[track_caller]
    fn check_ends(url: &str, ends: &[&str], expected: bool) {
        let mut unended = Unended::of(&Url::parse(url).unwrap());
        let data = |topic: &&str| serde_json::json!({ "topic": topic }).to_string();
        let ended: Vec<bool> = ends.iter().map(|topic| unended.was_last(&data(topic))).collect();
        let (last, before) = ended.split_last().unwrap();
        assert!(*last == expected && !before.contains(&true), "{url} {ends:?}");
    }

    #[test]
    fn a_stream_has_ended_when_each_topic_that_its_url_names_has() {
        check_ends("http://h/events/a", &["a"], true);
        check_ends("http://h/events/a?since=earliest", &["b"], false);
        check_ends("http://h/hub/events/a/b%20c", &["a/b c"], true);
        check_ends("http://h/events?topic=a&topic=b", &["a"], false);
        check_ends("http://h/events?topic=a&topic=b", &["a", "a"], false);
        check_ends("http://h/events?topic=a&topic=b+c", &["a", "b c"], true);
        check_ends("http://h/events/a?topic=b&topic=b", &["b", "a"], true);
        check_ends("http://h/events/a?topic=b*", &["b", "a"], false);
        check_ends("http://h/events/*", &["*"], false);
        // the broadcast does not end, and of other servers nothing is known
        check_ends("http://h/events", &["events"], false);
        check_ends("http://h/news?topic=a", &["a"], false);
        let mut unended = Unended::of(&Url::parse("http://h/events/a").unwrap());
        for odd in ["", "a", "{}", "{\"topic\":1}", "[\"a\"]"] {
            assert!(!unended.was_last(odd), "{odd}");
        }
    }
}
