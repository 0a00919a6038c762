//! Keys, snapshots and topics that are compacted.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{
    ErrorKind, Event, EventId, Hub, LastEventId, Publish, Reason, Retention, SlowPolicy, Sse, StreamItem, Topic,
};

use crate::web::{Server, within};

async fn set(hub: &Hub, topic: &str, key: &str, data: impl ToString) -> EventId {
    let mut publish = Publish::new(Topic::new(topic).unwrap(), Event::data(data.to_string()));
    if !key.is_empty() {
        publish = publish.key(key);
    }
    hub.publish_batch(vec![publish]).await.unwrap().remove(0)
}

async fn text(sse: Sse) -> String {
    let bytes = within("the end", sse.into_http().into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn data(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

/// Keeps nothing but the values of `compact`.
fn forgetful(compact: &str) -> Hub {
    Hub::builder().history(Retention::none()).compact(compact.parse().unwrap()).build()
}

/// So much that what was there before has left the memory, open streams' share included.
async fn push_out(hub: &Hub) {
    for n in 0..1_100 {
        hub.publish("other", Event::data(n.to_string())).await.unwrap();
    }
}

#[test]
fn a_key_is_text_of_bounded_length() {
    let key = |key: &str| Publish::<Event>::new("a", "").key(key).checked().map(|_| ());
    assert!(key("k").is_ok() && key(&"k".repeat(256)).is_ok() && key("a/*:é").is_ok());
    for (bad, part) in [("", "key is empty"), (&*"k".repeat(257), "257 bytes"), ("a\nb", r#""a\nb""#)] {
        let error = key(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_snapshot_has_the_newest_of_each_key_in_the_order_of_the_log_under_its_own_id() {
    let hub = Hub::<Event>::new();
    set(&hub, "a", "one", 1).await;
    let two = set(&hub, "a", "two", 2).await;
    set(&hub, "a", "", "no key").await;
    let other = set(&hub, "b", "one", 3).await;
    set(&hub, "c", "one", "not asked for").await;
    let one = set(&hub, "a", "one", 4).await;
    let retry = Duration::from_secs(1);
    let subscribe = || hub.subscribe("a").and("b").snapshot().retry(retry);
    let values = format!("id: {two}\ndata: 2\n\nid: {other}\ndata: 3\n\nid: {one}\ndata: 4\n\n");
    // a reader that is cut before the first value has no id, and so asks for the snapshot again
    assert_eq!(text(subscribe().poll().into_response()).await, format!("retry: 1000\n\n{values}"));
    assert_eq!(data(&text(hub.subscribe_pattern("*").snapshot().poll().limit(2).into_response()).await), ["2", "3"]);

    let head = set(&hub, "c", "one", 5).await;
    let mut body = subscribe().into_response().into_http().into_body();
    for expected in ["retry: 1000\n\n".to_owned(), format!("{values}id: {head}\n\n")] {
        let piece = within("a piece", body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, expected, "it ends with its place");
    }
    let resumed = subscribe().resume(LastEventId::new(two.to_string())).poll().into_response();
    assert_eq!(data(&text(resumed).await), ["no key", "3", "4"], "an id beats the snapshot");
    let empty = text(hub.subscribe("d").snapshot().poll().retry(retry).into_response()).await;
    assert_eq!(empty, format!("retry: 1000\nid: {head}\n\n"));
}

#[tokio::test]
async fn values_of_compacted_topics_outlive_the_history_and_those_of_others_do_not() {
    let hub = forgetful("kept/*");
    let first = set(&hub, "kept/a", "one", 1).await;
    set(&hub, "kept/a", "one", 2).await;
    set(&hub, "kept/a", "", "the topic's").await;
    set(&hub, "kept/b", "", "replaced").await;
    set(&hub, "kept/b", "", 3).await;
    set(&hub, "lost", "one", 4).await;
    push_out(&hub).await;
    assert_eq!(hub.stats().latest_values, 3);
    for matcher in ["*", "kept/*"] {
        let got = text(hub.subscribe_pattern(matcher).snapshot().poll().into_response()).await;
        assert_eq!(data(&got), ["2", "the topic's", "3"], "{matcher}");
    }
    let got = text(hub.subscribe("kept/a").and("lost").snapshot().poll().into_response()).await;
    assert_eq!(data(&got), ["2", "the topic's"]);
    // a resume gets what was not replaced, and has missed nothing
    let resumed = text(hub.subscribe_pattern("kept/*").since_id(&first).poll().into_response()).await;
    assert_eq!(data(&resumed), ["2", "the topic's", "3"]);
    assert!(resumed.contains(&format!("id: {first}\n\n")) && !resumed.contains("oyez.gap"), "{resumed}");
    // of a topic that is not compacted it has
    let resumed = text(hub.subscribe("kept/a").and("lost").since_id(&first).poll().into_response()).await;
    assert!(resumed.contains(r#""reason":"expired""#), "{resumed}");
    assert_eq!(data(&resumed)[1..], ["2", "the topic's"], "{resumed}");
}

#[tokio::test]
async fn a_reader_that_has_fallen_behind_gets_the_values_it_has_not_read() {
    let hub = forgetful("kept");
    let mut stream = hub.subscribe("kept").into_stream().unwrap();
    set(&hub, "kept", "one", 0).await;
    assert!(within("open", stream.next()).await.is_some());
    for n in 1..3_000 {
        set(&hub, "kept", if n % 2 == 0 { "even" } else { "odd" }, n).await;
    }
    set(&hub, "kept", "one", 5_000).await;
    push_out(&hub).await;
    for expected in ["2998", "2999", "5000"] {
        let item = within("a value", stream.next()).await.unwrap();
        assert_eq!(item.event().expect("nothing is missing").value.data_str(), expected);
    }
    set(&hub, "kept", "one", 5_001).await;
    assert_eq!(within("live", stream.next()).await.unwrap().event().unwrap().value.data_str(), "5001");
}

#[tokio::test]
async fn latest_keeps_the_newest_of_each_key_where_entries_have_keys() {
    let hub = Hub::<Event>::builder().history(Retention::none()).build();
    let mut stream = hub.subscribe("a").slow(SlowPolicy::Latest).into_stream().unwrap();
    set(&hub, "a", "one", 0).await;
    assert!(within("open", stream.next()).await.is_some());
    for n in 0..3_000 {
        set(&hub, "a", if n % 2 == 0 { "even" } else { "odd" }, n).await;
    }
    let Some(StreamItem::Gap(gap)) = stream.next().await else { panic!("no gap") };
    assert_eq!(gap.reason, Reason::Policy);
    for expected in ["2998", "2999"] {
        assert_eq!(stream.next().await.unwrap().event().unwrap().value.data_str(), expected);
    }
}

/// Snapshots that begin while values are replaced, read in this process and from sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_and_live_are_seamless_while_values_are_replaced() {
    const KEYS: usize = 300;
    const ROUNDS: usize = 20;
    async fn stream(State(hub): State<Hub>) -> Sse {
        hub.subscribe_pattern("*").snapshot().into_response()
    }
    let hub: Hub = forgetful("*");
    let server = Server::start(Router::new().route("/", get(stream)).with_state(hub.clone())).await;
    for key in 0..KEYS {
        set(&hub, "a", &key.to_string(), format!("{key} 0")).await;
    }
    let publisher = tokio::spawn({
        let hub = hub.clone();
        async move {
            for round in 1..=ROUNDS {
                for key in 0..KEYS {
                    set(&hub, "a", &key.to_string(), format!("{key} {round}")).await;
                }
                tokio::task::yield_now().await;
            }
            set(&hub, "a", "end", "end").await;
        }
    });
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(hub.subscribe_pattern("*").snapshot().into_stream().unwrap());
    }
    let mut seen: Vec<Vec<String>> = Vec::new();
    for _ in 0..5 {
        let read = server.get("/").await.read_to("data: end\n\n").await;
        seen.push(data(&read).into_iter().map(str::to_owned).collect());
    }
    for mut stream in streams {
        let (mut events, mut last) = (Vec::new(), 0);
        while events.last().is_none_or(|event| event != "end") {
            let event = within("the end", stream.next()).await.unwrap().event().expect("no gap");
            assert!(event.position.sequence > last, "in order, each once");
            last = event.position.sequence;
            events.push(event.value.data_str().to_owned());
        }
        seen.push(events);
    }
    publisher.await.unwrap();
    for events in seen {
        let mut rounds: HashMap<&str, usize> = HashMap::new();
        for event in &events[..events.len() - 1] {
            let (key, round) = event.split_once(' ').unwrap();
            let round: usize = round.parse().unwrap();
            if let Some(before) = rounds.insert(key, round) {
                assert!(round > before, "{key}: {round} behind {before}");
            }
        }
        assert_eq!(rounds.len(), KEYS);
        assert!(rounds.values().all(|round| *round == ROUNDS), "{rounds:?}");
    }
}
