//! Hubs of a type, filters, access, bounds, streams inside the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_core::Stream;
use http_body_util::BodyExt;
use oyez::{
    Access, Error, ErrorKind, Event, EventStream, Format, Hub, JsonPayload, LastEventId, Limits, Matcher, OnGap,
    Payload, Publish, Reason, Retention, StreamItem, Topic,
};
use serde::{Deserialize, Serialize};

use crate::web::{until, within};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    total: u32,
}

impl JsonPayload for Order {}

/// Its 13 is not one to its readers.
#[derive(Debug, PartialEq)]
struct Number(u32);

impl Payload for Number {
    const KEPT: bool = false;

    fn encode(&self) -> Result<Event, Error> {
        Ok(Event::data(if self.0 == 13 { "no number".to_owned() } else { self.0.to_string() }))
    }

    fn decode(event: &Event) -> Result<Self, Error> {
        event.data_str().parse().map(Self).map_err(Error::payload)
    }
}

async fn next<T: Payload>(stream: &mut EventStream<T>) -> StreamItem<T> {
    within("an item", stream.next()).await.expect("the stream goes on")
}

async fn value<T: Payload>(stream: &mut EventStream<T>) -> Arc<T> {
    next(stream).await.event().expect("an event").value
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

#[tokio::test]
async fn a_filter_sees_the_value_itself_or_decodes_it() {
    let hub = Hub::<Order>::new();
    let mut stream = hub.subscribe("orders").filter(|order| order.total > 100).into_stream().unwrap();
    let kept = Arc::new(Order { total: 101 });
    hub.publish("orders", Order { total: 1 }).await.unwrap();
    hub.publish("orders", Arc::clone(&kept)).await.unwrap();
    assert!(Arc::ptr_eq(&value(&mut stream).await, &kept), "no copy and no decoding");

    let hub = Hub::<Number>::new();
    let mut stream = hub.subscribe("numbers").filter(|number| number.0 > 100).into_stream().unwrap();
    hub.publish_batch(vec![Publish::new("numbers", Number(2)), Publish::new("numbers", Number(102))]).await.unwrap();
    assert_eq!(*value(&mut stream).await, Number(102));
}

#[tokio::test]
async fn what_does_not_decode_is_a_gap_for_filters_and_bytes_for_others() {
    let hub = Hub::<Number>::new();
    let mut filtered = hub.subscribe("numbers").filter(|_| true).into_stream().unwrap();
    hub.publish("numbers", Number(13)).await.unwrap();
    hub.publish("numbers", Number(7)).await.unwrap();
    let StreamItem::Gap(gap) = next(&mut filtered).await else { panic!("no gap") };
    assert_eq!((gap.reason, gap.missed, gap.position.sequence), (Reason::Undecodable, None, 1));
    assert_eq!(value(&mut filtered).await.0, 7);
    let plain = hub.subscribe("numbers").earliest().poll().into_response().into_http().into_body();
    let text = plain.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("data: no number\n\n"));
}

#[tokio::test]
async fn a_panic_in_a_filter_ends_that_stream_only() {
    let hub = Hub::<String>::new();
    let mut bad = hub.subscribe("a").filter(|text| text != "boom" || panic!("as planned")).into_stream().unwrap();
    let mut good = hub.subscribe("a").into_stream().unwrap();
    for text in ["x", "boom", "y"] {
        hub.publish("a", text.to_owned()).await.unwrap();
    }
    assert_eq!(*value(&mut bad).await, "x");
    assert!(within("the end", bad.next()).await.is_none());
    for text in ["x", "boom", "y"] {
        assert_eq!(*value(&mut good).await, text);
    }
    assert_eq!((hub.stats().ended.panic, hub.stats().subscribers), (1, 1));
}

/// Only what is under a name.
struct Only(&'static str);

impl Access for Only {
    fn may_subscribe(&self, matcher: &Matcher) -> bool {
        matcher.exact().is_none_or(|topic| topic.starts_with(self.0))
    }
    fn may_read(&self, topics: &[Topic]) -> bool {
        topics.iter().any(|topic| topic.starts_with(self.0))
    }
}

#[tokio::test]
async fn access_is_asked_at_subscribe_and_for_every_entry_replayed_or_live() {
    let hub = Hub::<Event>::new();
    let refused = hub.subscribe("theirs/1").access(Only("mine/")).try_into_response().unwrap_err();
    assert_eq!((refused.kind(), hub.stats().refused), (ErrorKind::Denied, 1));
    for name in ["theirs/1", "mine/1"] {
        hub.publish(name, Event::data(name)).await.unwrap();
    }
    let mut stream = hub.subscribe_pattern("*").access(Only("mine/")).earliest().into_stream().unwrap();
    assert_eq!(value(&mut stream).await.data_str(), "mine/1");
    let shared = Publish::new(topic("theirs/1"), Event::data("shared")).also(topic("mine/2"));
    hub.publish("theirs/2", Event::data("x")).await.unwrap();
    hub.publish_batch(vec![shared]).await.unwrap();
    assert_eq!(value(&mut stream).await.data_str(), "shared");
}

#[tokio::test]
async fn a_gap_tells_nothing_of_entries_that_may_not_be_read() {
    let hub = Hub::<Event>::builder().history(Retention::last(2)).build();
    let start = hub.position();
    for number in 0..5 {
        hub.publish("theirs", Event::data("x").id(format!("secret-{number}")).unwrap()).await.unwrap();
    }
    let subscribe = || hub.subscribe_pattern("*").access(Only("mine")).since_id(&start.to_string());
    let mut stream = subscribe().into_stream().unwrap();
    let StreamItem::Gap(gap) = next(&mut stream).await else { panic!("no gap") };
    assert_eq!((gap.missed, gap.position.sequence), (None, 3));
    assert!(!gap.oldest.as_deref().unwrap().contains("secret"), "{gap:?}");
    let error = subscribe().on_gap(OnGap::Fail).try_into_response().unwrap_err();
    assert!(error.kind() == ErrorKind::Gone && !error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn the_place_under_the_maximum_is_free_again_when_its_stream_goes() {
    let mut limits = Limits::default();
    limits.subscribers_max = 2;
    let hub = Hub::<Event>::builder().limits(limits).build();
    let first = hub.subscribe("a").into_response();
    let _second = hub.subscribe("a").into_stream().unwrap();
    let refused = hub.subscribe("a").try_into_response().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    // a browser is told to come back, others get 503
    let response = hub.subscribe("a").into_response().into_http();
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (503, true));
    let headers = [("sec-fetch-mode", "cors"), ("accept", "text/event-stream")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
    let browser = LastEventId::from_request(&"/".parse().unwrap(), &headers);
    let response = hub.subscribe("a").resume(browser).into_response().into_http();
    assert_eq!(response.status().as_u16(), 200);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.starts_with(b"retry: ") && text.ends_with(b"\n\n"));
    drop(first);
    assert!(hub.subscribe("a").try_into_response().is_ok());
}

#[tokio::test]
async fn limits_are_named_when_they_are_passed() {
    let mut limits = Limits::default();
    limits.data_bytes_max = 3;
    limits.matchers_max = 1;
    limits.batch_events_max = 1;
    limits.publish_topics_max = 1;
    let hub = Hub::<Event>::builder().limits(limits).build();
    let publish = || Publish::new(topic("a"), Event::data("x"));
    let errors = [
        hub.publish("a", Event::data("four")).await.unwrap_err(),
        hub.publish("", Event::data("x")).await.unwrap_err(),
        hub.publish("a", Event::data("x").event("oyez.gap").unwrap()).await.unwrap_err(),
        hub.publish("a", Event::data("x").id("k4f9zq71:7").unwrap()).await.unwrap_err(),
        hub.publish("a", Event::data("x").id("earliest").unwrap()).await.unwrap_err(),
        hub.publish_batch(vec![publish(), publish()]).await.unwrap_err(),
        hub.publish_batch(vec![publish().also(topic("b"))]).await.unwrap_err(),
        hub.subscribe("a").and("b").try_into_response().unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(errors[0].to_string(), "4 bytes of data, at most 3 are allowed");
    assert_eq!(hub.stats().published, 0);
}

#[tokio::test]
async fn a_stream_that_is_cancelled_loses_nothing() {
    let hub = Hub::<String>::new();
    let mut stream = hub.subscribe("a").into_stream().unwrap();
    for number in 0..100 {
        // a wait that is given up at once, with nothing there and with something there
        let idle = tokio::time::timeout(Duration::ZERO, stream.next()).await;
        assert!(idle.is_err());
        hub.publish("a", number.to_string()).await.unwrap();
        assert_eq!(*value(&mut stream).await, number.to_string());
    }
    fn is_stream(_: &impl Stream<Item = StreamItem<String>>) {}
    is_stream(&stream);
}

#[tokio::test]
async fn a_busy_stream_lets_others_run() {
    let hub = Hub::<String>::builder().history(Retention::last(100_000)).build();
    for _ in 0..10_000 {
        hub.try_publish("a", "x".to_owned()).unwrap();
    }
    let turns = Arc::new(AtomicUsize::new(0));
    let other = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            other.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let mut stream = hub.subscribe("a").earliest().poll().into_stream().unwrap();
    while stream.next().await.is_some() {}
    assert!(turns.load(SeqCst) > 10, "{turns:?} turns beside 10,000 events");
    other.abort();
}

#[tokio::test]
async fn ndjson_has_topics_and_time() {
    let hub = Hub::<Event>::new();
    let id = hub.publish("a", Event::data("1\n2").retry(Duration::from_secs(1))).await.unwrap();
    let subscribe = hub.subscribe_pattern("*").earliest().poll().format(Format::Ndjson);
    let text = subscribe.into_response().into_http().into_body().collect().await.unwrap().to_bytes();
    let line: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    let expected = serde_json::json!({
        "id": &*id, "type": "message", "data": "1\n2", "topics": ["a"], "time": time, "retry": 1000
    });
    assert_eq!(line, expected);
}

#[tokio::test(start_paused = true)]
async fn keep_alives_tell_how_far_the_cursor_is() {
    let hub = Hub::<Event>::new();
    let mut body = hub.subscribe("quiet").into_response().into_http().into_body();
    let mut frame = async || {
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    assert!(frame().await.starts_with("retry: "));
    assert_eq!(frame().await, ":\n");
    let passed = hub.publish("busy", Event::data("x")).await.unwrap();
    assert_eq!(frame().await, format!("id: {passed}\n\n"));
    assert_eq!(frame().await, ":\n");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_life_or_its_time_is_over() {
    let hub = Hub::<String>::new();
    let mut stream = hub.subscribe("a").life(Duration::from_secs(5)).into_stream().unwrap();
    assert!(stream.next().await.is_none());
    assert_eq!(hub.stats().ended.life, 1);
    let until = std::time::SystemTime::now() + Duration::from_secs(60);
    let mut stream = hub.subscribe("a").until(until).into_stream().unwrap();
    assert!(stream.next().await.is_none());
    assert_eq!(hub.stats().ended.complete, 1);
    // "for ever" is no time that a clock could not add
    let mut stream = hub.subscribe("a").life(Duration::MAX).keep_alive(Duration::MAX).into_stream().unwrap();
    hub.publish("a", "x".to_owned()).await.unwrap();
    assert_eq!(*value(&mut stream).await, "x");
}

#[tokio::test]
async fn limit_and_until_end_a_stream_behind_what_was_asked_for() {
    let hub = Hub::<String>::new();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(hub.publish("a", number.to_string()).await.unwrap());
    }
    let all = async |mut stream: EventStream<String>| {
        let mut values = Vec::new();
        while let Some(item) = within("the end", stream.next()).await {
            values.push(item.event().unwrap().value.to_string());
        }
        values.concat()
    };
    assert_eq!(all(hub.subscribe("a").earliest().limit(2).into_stream().unwrap()).await, "01");
    assert_eq!(all(hub.subscribe("a").earliest().limit(5).into_stream().unwrap()).await, "01234");
    assert_eq!(all(hub.subscribe("a").earliest().limit(0).into_stream().unwrap()).await, "");
    assert_eq!(all(hub.subscribe("a").earliest().until_id(&ids[2]).into_stream().unwrap()).await, "012");
    assert_eq!(all(hub.subscribe("a").last(2).poll().into_stream().unwrap()).await, "34");
    assert_eq!(all(hub.subscribe("a").since_id(&ids[3]).poll().into_stream().unwrap()).await, "4");
    assert_eq!(
        all(hub.subscribe("a").resume(LastEventId::new("earliest")).poll().into_stream().unwrap()).await,
        "01234"
    );
    assert_eq!(all(hub.subscribe("a").poll().into_stream().unwrap()).await, "");
}

#[tokio::test]
async fn a_hub_that_drains_ends_every_stream_and_takes_nothing_more() {
    let hub = Hub::<String>::new();
    within("a drain without streams", hub.clone().drain(Duration::from_secs(60))).await;

    let hub = Hub::<String>::new();
    let mut open = hub.subscribe("a").into_stream().unwrap();
    hub.publish("a", "x".to_owned()).await.unwrap();
    assert_eq!(*value(&mut open).await, "x");
    // one whose place is taken but that nobody has read yet
    let mut fresh = hub.subscribe("a").into_stream().unwrap();
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Duration::from_secs(60)).await }
    });
    assert!(within("the open one ends", open.next()).await.is_none());
    assert!(within("the fresh one ends", fresh.next()).await.is_none());
    drop((open, fresh));
    within("the drain", draining).await.unwrap();
    assert_eq!(hub.stats().ended.drain, 2);
    assert_eq!(hub.try_publish("a", "x".to_owned()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.subscribe("a").try_into_response().unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn what_was_acknowledged_before_a_drain_goes_out_before_the_end() {
    let hub = Hub::<String>::new();
    let mut streams =
        [hub.subscribe("a").into_stream().unwrap(), hub.subscribe("a").filter(|_| true).into_stream().unwrap()];
    for stream in &mut streams {
        hub.publish("a", "first").await.unwrap();
        assert_eq!(*value(stream).await, "first");
    }
    hub.publish("a", "last").await.unwrap();
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Duration::ZERO).await }
    });
    until("it drains", || hub.subscribe("a").try_into_response().is_err()).await;
    for mut stream in streams {
        let mut last = None;
        while let Some(item) = within("the end", stream.next()).await {
            last = item.event().map(|event| event.value);
        }
        assert_eq!(last.as_deref().map(String::as_str), Some("last"));
    }
    draining.await.unwrap();
    assert_eq!(hub.stats().ended.drain, 2);
}
