//! A slow reader harms nobody, and is told what it missed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{Event, Gap, Hub, JsonPayload, Reason, Retention, SlowPolicy, Sse, SseBody, StreamItem};
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;

use crate::web::{Client, Server, until, within};

/// A hub that keeps next to nothing, also for streams that are open: 4 MiB or 1,024 entries.
fn short_memory() -> Hub {
    Hub::builder().history(Retention::last(1)).build()
}

async fn publish(hub: &Hub, topic: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        hub.publish(topic, Event::data(number.to_string())).await.unwrap();
    }
}

async fn piece(body: &mut SseBody) -> Option<String> {
    let frame = within("a frame", body.frame()).await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

async fn open(hub: &Hub, policy: SlowPolicy) -> SseBody {
    let mut body = hub.subscribe("a").and("b").slow(policy).into_response().into_http().into_body();
    assert!(piece(&mut body).await.unwrap().starts_with("retry: "));
    body
}

#[tokio::test]
async fn a_body_that_nobody_polls_holds_no_entry_and_delays_nobody() {
    let hub = Hub::<Value>::builder().history(Retention::last(1)).build();
    let mut parked = Vec::new();
    for policy in [SlowPolicy::Disconnect, SlowPolicy::Skip, SlowPolicy::Latest] {
        let mut body = hub.subscribe("a").slow(policy).into_response().into_http().into_body();
        within("the stream opens", body.frame()).await.unwrap().unwrap();
        parked.push(body);
    }
    let mut reader = hub.subscribe("a").into_stream().unwrap();
    let mut values = Vec::new();
    for number in 0..5_000 {
        let value = Arc::new(Value(number));
        values.push(Arc::downgrade(&value));
        hub.publish("a", value).await.unwrap();
        let got = within("the healthy reader's event", reader.next()).await.unwrap().event().unwrap();
        assert_eq!(got.value.0, number);
    }
    let alive = values.iter().filter(|value| value.strong_count() > 0).count();
    assert!(alive <= 1_100, "{alive} of 5,000 values are held");
    assert_eq!(hub.stats().subscribers, 4);
    drop(parked);
    assert_eq!(hub.stats().ended.left, 3);
}

/// A value that is kept beside its frame, so that one can see whether its entry is.
#[derive(Serialize, Deserialize)]
struct Value(u32);

impl JsonPayload for Value {}

#[tokio::test]
async fn disconnect_ends_the_stream_and_the_resume_is_told() {
    let hub = short_memory();
    let mut body = open(&hub, SlowPolicy::Disconnect).await;
    publish(&hub, "a", 0..1).await;
    let first = piece(&mut body).await.unwrap();
    let id = first.lines().next().unwrap().strip_prefix("id: ").unwrap().to_owned();
    publish(&hub, "a", 1..3_001).await;
    assert_eq!(piece(&mut body).await, None);
    assert_eq!(hub.stats().ended.behind, 1);

    let resumed = hub.subscribe("a").since_id(&id).poll().into_response();
    let text = resumed.into_http().into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains(r#""reason":"expired""#) && text.contains(r#""missed":2999"#), "{text}");
    assert!(text.ends_with("data: 3000\n\n"), "{text}");
}

#[tokio::test]
async fn skip_goes_on_with_the_oldest_that_is_left() {
    let hub = short_memory();
    let mut stream = hub.subscribe("a").slow(SlowPolicy::Skip).into_stream().unwrap();
    publish(&hub, "a", 0..1).await;
    assert_eq!(within("first", stream.next()).await.unwrap().event().unwrap().value.data_str(), "0");
    publish(&hub, "a", 1..3_001).await;
    let Some(StreamItem::Gap(Gap { reason: Reason::Policy, missed: Some(missed), .. })) = stream.next().await else {
        panic!("no gap")
    };
    let next = stream.next().await.unwrap().event().unwrap();
    assert_eq!(next.value.data_str(), (missed + 1).to_string());
    assert_eq!(hub.stats().gaps, 1);
}

#[tokio::test]
async fn latest_keeps_the_newest_of_each_topic_and_goes_on_live() {
    let hub = short_memory();
    let mut stream = hub.subscribe("a").and("b").slow(SlowPolicy::Latest).into_stream().unwrap();
    publish(&hub, "a", 0..1).await;
    assert_eq!(within("first", stream.next()).await.unwrap().event().unwrap().value.data_str(), "0");
    publish(&hub, "a", 1..3_001).await;
    publish(&hub, "b", 5_000..5_010).await;
    publish(&hub, "a", 3_001..3_002).await;
    let Some(StreamItem::Gap(gap)) = stream.next().await else { panic!("no gap") };
    assert_eq!((gap.reason, gap.missed), (Reason::Policy, None));
    for expected in ["5009", "3001"] {
        assert_eq!(stream.next().await.unwrap().event().unwrap().value.data_str(), expected);
    }
    publish(&hub, "a", 1..3).await;
    for expected in ["1", "2"] {
        assert_eq!(stream.next().await.unwrap().event().unwrap().value.data_str(), expected);
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_the_others_get_everything() {
    async fn stream(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").into_response()
    }
    let hub = Hub::new();
    let app = Router::new().route("/", get(stream)).with_state(hub.clone());
    let server = Server::start_with(app, |serve| serve.stall_timeout(Duration::from_millis(300))).await;
    let mut healthy = server.get("/").await;
    healthy.read_to("retry: ").await;
    // a small window, so that little is enough to fill it
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut stalled = Client::new(socket.connect(server.address).await.unwrap());
    stalled.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stalled.read_to("retry: ").await;

    let payload = "x".repeat(16 << 10);
    for number in 0..200 {
        hub.publish("a", Event::data(format!("{number} {payload} end {number}"))).await.unwrap();
        healthy.read_to(&format!(" end {number}\n\n")).await;
    }
    until("the stalled one is cut", || hub.stats().ended.stalled == 1).await;
    hub.publish("a", Event::data("and on")).await.unwrap();
    healthy.read_to("data: and on\n\n").await;
    assert_eq!(hub.stats().subscribers, 1);
}
