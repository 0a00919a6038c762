//! Topics that are deleted.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{ErrorKind, Event, EventId, Hub, OnGap, Publish, Reason, Retention, Sse, StreamItem, Topic};
use tokio::net::TcpSocket;

use crate::web::{Client, Server, within};

async fn publish(hub: &Hub, topics: &[&str], data: &str) -> EventId {
    let topic = |name: &str| Topic::new(name).unwrap();
    let publish = Publish::new(topic(topics[0]), Event::data(data));
    let publish = topics[1..].iter().fold(publish, |publish, name| publish.also(topic(name)));
    hub.publish_batch(vec![publish]).await.unwrap().remove(0)
}

async fn text(sse: Sse) -> String {
    let bytes = within("the end", sse.into_http().into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn data(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[tokio::test]
async fn what_was_published_is_hidden_at_once_and_the_topic_goes_on() {
    let hub = Hub::<Event>::new();
    let first = publish(&hub, &["a"], "1").await;
    publish(&hub, &["a", "b"], "2").await;
    publish(&hub, &["b"], "3").await;
    let place = hub.delete("a").await.unwrap();
    assert!(place.ends_with(":4"), "{place}");
    publish(&hub, &["a"], "5").await;
    for (matcher, expected) in [("a", vec!["5"]), ("b", vec!["2", "3"]), ("*", vec!["2", "3", "5"])] {
        let subscribe = || hub.subscribe_pattern(matcher);
        assert_eq!(data(&text(subscribe().earliest().poll().into_response()).await), expected, "{matcher}");
        assert_eq!(data(&text(subscribe().last(9).poll().into_response()).await), expected, "{matcher}");
    }
    // who comes back from before is told, once
    let resume = |id: &EventId| hub.subscribe("a").since_id(id).poll();
    let got = text(resume(&first).into_response()).await;
    assert_eq!(data(&got).len(), 2, "{got}");
    let gap = format!(r#"{{"reason":"deleted","requested":"{first}","oldest":"{}","missed":1}}"#, position(&first, 5));
    assert!(got.contains(&format!("event: oyez.gap\nid: {place}\ndata: {gap}\n\n")), "{got}");
    assert_eq!(data(&text(resume(&place).into_response()).await), ["5"]);
    let refused = resume(&first).on_gap(OnGap::Fail).try_into_response().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Gone);
    assert!(refused.to_string().contains("deleted"), "{refused}");

    assert_eq!(hub.delete("a*").await.unwrap_err().kind(), ErrorKind::Invalid);
    hub.delete("nobody/has/published/to/it").await.unwrap();
    assert_eq!(hub.stats().published, 4);
}

/// The id of another place of the same log.
fn position(id: &EventId, sequence: u64) -> String {
    format!("{}:{sequence}", id.split_once(':').unwrap().0)
}

#[tokio::test]
async fn a_stream_that_has_not_read_what_was_deleted_is_told_where_that_was() {
    let hub = Hub::<Event>::new();
    let mut behind = hub.subscribe_pattern("*").into_stream().unwrap();
    let mut live = hub.subscribe_pattern("*").into_stream().unwrap();
    for (topic, number) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        publish(&hub, &[topic], number).await;
        assert_eq!(within("live", live.next()).await.unwrap().event().unwrap().value.data_str(), number);
    }
    hub.delete("b").await.unwrap();
    publish(&hub, &["b"], "5").await;
    assert_eq!(
        within("live", live.next()).await.unwrap().event().unwrap().value.data_str(),
        "5",
        "it has missed nothing"
    );

    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "5") {
        seen.push(match within("what is left", behind.next()).await.unwrap() {
            StreamItem::Gap(gap) => gap.reason.to_string(),
            item => item.event().unwrap().value.data_str().to_owned(),
        });
    }
    assert_eq!(seen, ["1", "3", "deleted", "5"]);
    assert_eq!(hub.stats().gaps, 1);
}

#[tokio::test]
async fn values_and_the_end_of_a_topic_are_deleted_with_it() {
    let hub: Hub = Hub::builder().history(Retention::none()).compact("a".parse().unwrap()).build();
    let first = publish(&hub, &["other"], "0").await;
    publish(&hub, &["a"], "1").await;
    for n in 0..1_100 {
        publish(&hub, &["other"], &n.to_string()).await;
    }
    assert_eq!(hub.stats().latest_values, 1);
    hub.delete("a").await.unwrap();
    assert_eq!(hub.stats().latest_values, 0);
    assert_eq!(data(&text(hub.subscribe("a").snapshot().poll().into_response()).await), [""; 0]);
    let got = text(hub.subscribe("a").since_id(&first).poll().into_response()).await;
    assert!(got.contains(r#""reason":"deleted""#), "{got}");

    let hub = Hub::<Event>::new();
    publish(&hub, &["a"], "1").await;
    hub.end("a").await.unwrap();
    assert_eq!(hub.publish("a", Event::data("2")).await.unwrap_err().kind(), ErrorKind::Conflict);
    hub.delete("a").await.unwrap();
    let mut stream = hub.subscribe("a").into_stream().unwrap();
    publish(&hub, &["a"], "3").await;
    assert_eq!(within("live again", stream.next()).await.unwrap().event().unwrap().value.data_str(), "3");
}

#[tokio::test]
async fn a_reader_whose_socket_is_full_gets_nothing_of_what_was_deleted_meanwhile() {
    async fn stream(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").into_response()
    }
    const EVENTS: usize = 200;
    let hub: Hub = Hub::new();
    let server = Server::start(Router::new().route("/", get(stream)).with_state(hub.clone())).await;
    // a small window, so that little is enough to fill it
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut reader = Client::new(socket.connect(server.address).await.unwrap());
    reader.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    reader.read_to("retry: ").await;
    let payload = "x".repeat(64 << 10);
    for number in 0..EVENTS {
        hub.publish("a", Event::data(format!("{payload} end {number}"))).await.unwrap();
    }
    hub.delete("a").await.unwrap();
    hub.publish("a", Event::data("behind it")).await.unwrap();
    let got = reader.read_to("data: behind it\n\n").await;
    let gap = got.find("event: oyez.gap").expect("it is told");
    assert!(got[gap..].contains(r#""reason":"deleted""#) && !got[gap..].contains(" end "), "{}", &got[gap..]);
    let sent = got.matches(" end ").count();
    assert!(sent < EVENTS, "the socket took everything: the test shows nothing");
}

#[tokio::test]
async fn a_deleted_topic_is_told_as_such_until_nobody_knows_of_it() {
    let hub: Hub = Hub::builder().history(Retention::last(10)).build();
    let first = publish(&hub, &["a"], "1").await;
    publish(&hub, &["a"], "2").await;
    hub.delete("a").await.unwrap();
    for n in 0..1_100 {
        publish(&hub, &["b"], &n.to_string()).await;
    }
    let mut stream = hub.subscribe("a").since_id(&first).into_stream().unwrap();
    publish(&hub, &["a"], "3").await;
    let Some(StreamItem::Gap(gap)) = within("a gap", stream.next()).await else { panic!("no gap") };
    assert_eq!((gap.reason, gap.missed), (Reason::Deleted, Some(1)));
}

#[cfg(unix)]
#[tokio::test]
async fn on_disk_a_deletion_is_there_after_a_restart_and_values_as_well() {
    let directory = crate::directory::Directory::new("deletion");
    let open = || {
        let builder = Hub::<Event>::builder().compact("kept".parse().unwrap());
        builder.open(oyez::Storage::new(&directory.0)).unwrap()
    };
    let hub = open();
    let before = publish(&hub, &["b"], "0").await;
    let first = publish(&hub, &["a"], "1").await;
    let last = publish(&hub, &["a"], "2").await;
    publish(&hub, &["a", "b"], "of both").await;
    publish(&hub, &["b"], "3").await;
    let value = |data: &str| Publish::new(Topic::new("kept").unwrap(), Event::data(data)).key("k");
    hub.publish_batch(vec![value("old"), value("new")]).await.unwrap();
    let check = async |hub: &Hub| {
        for (matcher, expected) in [("a", vec!["5"]), ("b", vec!["0", "of both", "3"])] {
            let got = text(hub.subscribe_pattern(matcher).earliest().poll().into_response()).await;
            assert_eq!(data(&got), expected, "{matcher}");
        }
        for id in [&before, &first, &last] {
            let got = text(hub.subscribe("a").since_id(id).poll().into_response()).await;
            assert_eq!(got.matches(r#""reason":"deleted""#).count(), 1, "{got}");
            assert!(got.ends_with("data: 5\n\n"), "{got}");
            let refused = hub.subscribe("a").since_id(id).on_gap(OnGap::Fail).try_into_response();
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Gone);
        }
        let got = text(hub.subscribe("kept").snapshot().poll().into_response()).await;
        assert_eq!(data(&got), ["new"]);
    };
    let place = hub.delete("a").await.unwrap();
    let again = publish(&hub, &["a"], "5").await;
    check(&hub).await;
    hub.close().await;
    drop(hub);

    let hub = open();
    check(&hub).await;
    for id in [&place, &again] {
        let got = text(hub.subscribe("a").since_id(id).poll().into_response()).await;
        assert!(!got.contains("oyez.gap"), "{got}");
    }
    // what a start has to find out on the disk
    hub.delete("b").await.unwrap();
    assert_eq!(data(&text(hub.subscribe("b").earliest().poll().into_response()).await), [""; 0]);
    assert_eq!(data(&text(hub.subscribe("a").earliest().poll().into_response()).await), ["5"]);
    let got = text(hub.subscribe("b").since_id(&before).poll().into_response()).await;
    assert_eq!(got.matches(r#""reason":"deleted""#).count(), 1, "{got}");
    let got = text(hub.subscribe("b").since_id(&again).poll().into_response()).await;
    assert!(!got.contains("oyez.gap"), "{got}");
}
