//! Topics that end, and the streams that end with them.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{ErrorKind, Event, Hub, JsonPayload, LastEventId, Publish, Retention, SlowPolicy, Sse, StreamItem, Topic};
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;

use crate::web::{Client, Server, within};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    total: u32,
}

impl JsonPayload for Order {}

#[tokio::test]
async fn a_stream_of_values_ends_with_its_topics_whatever_its_filter() {
    let hub = Hub::<Order>::new();
    let mut stream = hub.subscribe("orders").and("more").filter(|order| order.total > 100).into_stream().unwrap();
    hub.publish("orders", Order { total: 101 }).await.unwrap();
    hub.end("orders").await.unwrap();
    hub.publish("more", Order { total: 1 }).await.unwrap();
    let end = hub.end("more").await.unwrap();
    let mut seen = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        seen.push(match item {
            StreamItem::Event(order) => order.value.total.to_string(),
            StreamItem::End(topic) => topic.to_string(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["101", "orders", "more"]);

    for id in [&*end, &hub.position().to_string()] {
        let again = || hub.subscribe("orders").and("more").resume(LastEventId::new(id));
        assert_eq!(again().into_stream().err().map(|error| error.kind()), Some(ErrorKind::Ended));
        let response = again().into_response().into_http();
        assert_eq!(response.status(), 204);
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(hub.stats().refused, 0);
    let mut open = hub.subscribe("orders").and("open").into_stream().unwrap();
    hub.publish("open", Order { total: 5 }).await.unwrap();
    assert_eq!(within("it is live", open.next()).await.and_then(StreamItem::event).unwrap().value.total, 5);
}

#[tokio::test]
async fn nothing_is_appended_behind_an_end_and_a_batch_is_all_or_nothing() {
    let hub = Hub::<Event>::new();
    let topic = |name| Topic::new(name).unwrap();
    let event = |name| Publish::new(topic(name), Event::data("x"));
    let kind = |result: Result<Vec<_>, oyez::Error>| result.map_err(|error| error.kind());
    let beyond = vec![event("b"), Publish::end(topic("a")), event("b").also(topic("a"))];
    assert_eq!(kind(hub.publish_batch(beyond).await), Err(ErrorKind::Conflict));
    let twice = vec![Publish::end(topic("a")), Publish::end(topic("a"))];
    assert_eq!(kind(hub.publish_batch(twice).await), Err(ErrorKind::Conflict));
    assert_eq!(hub.stats().published, 0);

    let together = vec![event("a"), Publish::end(topic("a")), event("b")];
    assert_eq!(hub.publish_batch(together).await.unwrap().len(), 3);
    let error = hub.end("a").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("\"a\""), "{error}");
    assert_eq!(kind(hub.publish_batch(vec![event("b"), event("a")]).await), Err(ErrorKind::Conflict));
    assert_eq!(hub.stats().published, 3);
}

#[tokio::test]
async fn a_reader_that_has_lost_the_end_itself_ends_behind_the_gap() {
    let hub = Hub::<Event>::builder().history(Retention::none()).build();
    let mut stream = hub.subscribe("a").slow(SlowPolicy::Skip).into_stream().unwrap();
    hub.end("a").await.unwrap();
    for _ in 0..5_000 {
        hub.publish("b", Event::data("x")).await.unwrap();
    }
    let item = within("an item", stream.next()).await;
    assert!(matches!(item, Some(StreamItem::Gap(_))), "{item:?}");
    assert!(within("the end", stream.next()).await.is_none());
}

/// Of a topic that is compacted nothing is missed that has left, so there is no gap to end behind.
#[tokio::test]
async fn a_reader_of_a_compacted_topic_whose_end_has_left_ends_behind_its_value() {
    let hub = Hub::<Event>::builder().history(Retention::none()).compact("a".parse().unwrap()).build();
    let mut stream = hub.subscribe("a").into_stream().unwrap();
    hub.publish("a", Event::data("value")).await.unwrap();
    hub.end("a").await.unwrap();
    for _ in 0..5_000 {
        hub.publish("b", Event::data("x")).await.unwrap();
    }
    let item = within("the value", stream.next()).await.and_then(StreamItem::event).unwrap();
    assert_eq!(item.value.data_str(), "value");
    assert!(within("the end", stream.next()).await.is_none());
}

#[tokio::test]
async fn a_snapshot_of_a_topic_that_has_ended_is_its_values_and_its_end() {
    let hub = Hub::<Event>::new();
    for (key, data) in [("k", "old"), ("l", "kept"), ("k", "new")] {
        let publish = Publish::new(Topic::new("a").unwrap(), Event::data(data)).key(key);
        hub.publish_batch(vec![publish]).await.unwrap();
    }
    hub.end("a").await.unwrap();
    hub.publish("b", Event::data("x")).await.unwrap();
    let mut stream = hub.subscribe("a").snapshot().into_stream().unwrap();
    let mut seen = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        match item {
            StreamItem::Event(delivery) => seen.push(delivery.value.data_str().to_owned()),
            StreamItem::End(topic) => seen.push(format!("end of {topic}")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["kept", "new", "end of a"]);
}

/// Whoever subscribes while the topic ends either reads the end or comes behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_begins_while_its_topic_ends_ends_too() {
    let hub = Hub::<Event>::new();
    for n in 0..500 {
        let (ender, name) = (hub.clone(), format!("t{n}"));
        let topic = name.clone();
        let end = tokio::spawn(async move { ender.end(&topic).await.unwrap() });
        let mut stream = hub.subscribe(&name).into_stream().unwrap();
        let item = within("the end", stream.next()).await;
        assert!(matches!(item, Some(StreamItem::End(_))), "{item:?}");
        assert!(within("the end of the stream", stream.next()).await.is_none());
        end.await.unwrap();
    }
}

fn app(hub: &Hub) -> Router {
    async fn stream(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        hub.subscribe("a").earliest().resume(resume).keep_alive(Duration::ZERO).into_response()
    }
    async fn even(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").earliest().filter(|event: &Event| event.data_str().len() % 2 == 0).into_response()
    }
    Router::new().route("/", get(stream)).route("/even", get(even)).with_state(hub.clone())
}

/// Readers at the tail, far behind, slow, with a filter, and those who come when all is over.
#[tokio::test]
async fn every_reader_gets_what_is_left_and_a_complete_response() {
    const EVENTS: usize = 4_000;
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let data = |n: usize| format!("{n} {}", "x".repeat(1_000 + n % 300));
    let mut readers = Vec::new();
    for n in 0..EVENTS {
        if n % 400 == 0 {
            for path in ["/", "/even"] {
                readers.push(server.get(path).await);
            }
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(16 << 10).unwrap();
            let mut slow = Client::new(socket.connect(server.address).await.unwrap());
            slow.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            readers.push(slow);
        }
        hub.publish("a", Event::data(data(n))).await.unwrap();
    }
    hub.end("a").await.unwrap();
    hub.publish("b", Event::data("goes on")).await.unwrap();
    for path in ["/", "/even"] {
        readers.push(server.get(path).await);
    }
    for (number, reader) in readers.into_iter().enumerate() {
        let text = reader.read_to_end().await;
        let tail = &text[text.len().saturating_sub(200)..];
        assert!(text.ends_with("event: oyez.end\ndata: {\"topic\":\"a\"}\n\n\r\n0\r\n\r\n"), "{number}: {tail:?}");
        assert_eq!(text.matches("oyez.end").count(), 1, "{number}");
        let found = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| !line.starts_with('{'));
        let filtered = text.lines().filter(|line| line.starts_with("data: ")).count() < EVENTS;
        let expected = (0..EVENTS).map(data).filter(|data| !filtered || data.len() % 2 == 0);
        assert!(found.eq(expected), "{number}");
    }
    let left = async {
        while hub.stats().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("all have left", left).await;
    assert_eq!(hub.stats().ended.complete, 32);
}
