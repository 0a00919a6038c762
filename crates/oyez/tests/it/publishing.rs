//! What publishers type, and what becomes of it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use http::StatusCode;
use http_body_util::BodyExt;
use oyez::{
    Connection, Error, ErrorKind, Event, EventReader, Hub, Json, JsonPayload, LastEventId, Limits, Publish, Retention,
    Sse, StreamItem, Topic,
};
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::web::within;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Placed(u32),
    Cancelled,
}

impl JsonPayload for Change {
    fn event_type(&self) -> Option<&str> {
        match self {
            Self::Placed(_) => Some("placed"),
            Self::Cancelled => None,
        }
    }
}

async fn body_of(response: Sse) -> String {
    let body = within("the body ends", response.into_http().into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn topics_and_values_are_what_people_type() {
    let hub = Hub::<Event>::new();
    let (name, topic) = (String::from("a"), Topic::new("a").unwrap());
    hub.publish("a", "1").await.unwrap();
    hub.publish(&name, String::from("2")).await.unwrap();
    hub.publish(name.as_str(), String::from("3")).await.unwrap();
    hub.publish(&topic, Cow::Borrowed("4")).await.unwrap();
    hub.publish(topic.clone(), Event::data("5")).await.unwrap();
    hub.try_publish(name, "6").unwrap();
    let text = body_of(hub.subscribe(&topic).earliest().poll().into_response()).await;
    for data in 1..=6 {
        assert!(text.contains(&format!("data: {data}\n")), "{text}");
    }

    let texts = Hub::<String>::new();
    texts.publish("a", "1").await.unwrap();
    let maps = Hub::<Json<Vec<u32>>>::new();
    maps.publish("a", vec![1, 2]).await.unwrap();
    maps.publish("a", Json(vec![3])).await.unwrap();
    let text = body_of(maps.subscribe("a").earliest().poll().into_response()).await;
    assert!(text.contains("data: [1,2]\n") && text.contains("data: [3]\n"), "{text}");
}

#[tokio::test]
async fn all_of_an_event_is_said_with_its_publish() {
    let hub = Hub::<Change>::new();
    let minute = Duration::from_secs(60);
    hub.publish("orders/7", Change::Placed(7)).also("orders").key("7").ttl(minute).await.unwrap();
    hub.publish("orders/7", Change::Placed(8)).event("again").id("order-8").retry(minute).await.unwrap();
    hub.publish("orders/7", Change::Cancelled).await.unwrap();
    let text = body_of(hub.subscribe("orders/7").earliest().poll().into_response()).await;
    for part in [
        "event: placed\ndata: {\"placed\":7}\n",
        "id: order-8\nevent: again\nretry: 60000\ndata: {\"placed\":8}\n",
        "data: \"cancelled\"\n",
    ] {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(lines(part).iter().all(|line| lines(&text).contains(line)), "{part:?} in {text:?}");
    }
    let text = body_of(hub.subscribe("orders").snapshot().poll().into_response()).await;
    assert_eq!(text.matches("data: ").count(), 1, "{text}");
}

#[tokio::test]
async fn what_is_wrong_is_told_when_it_is_published_and_nothing_is() {
    let hub = Hub::<Event>::new();
    let refused = [
        (hub.publish("a*", "x").await, "a*"),
        (hub.publish("", "x").await, "topic is empty"),
        (hub.publish("a", "x").also("b\n").await, "b\\n"),
        (hub.publish("a", "x").event("two\nlines").await, "two\\nlines"),
        (hub.publish("a", "x").event("oyez.gap").await, "reserved"),
        (hub.publish("a", "x").id("é").await, "é"),
        (hub.publish("a", "x").key("").await, "key is empty"),
        (hub.publish("a", "x").ttl(Duration::ZERO).await, "millisecond"),
        (hub.publish("a", "x").once("").await, "idempotency key"),
        (hub.publish("a", "x").key("").now(), "key is empty"),
        (hub.end("a*").await, "a*"),
        (hub.delete("a*").await, "a*"),
    ];
    for (result, part) in refused {
        let error = result.expect_err(part);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(part), "{error} names {part}");
    }
    let batch = vec![Publish::new("a", "1"), Publish::new("a", "2").key("")];
    let error = hub.publish_batch(batch).await.unwrap_err();
    assert_eq!(error.to_string(), "event 2 of the batch: key is empty");
    assert_eq!(hub.stats().published, 0);
}

#[tokio::test]
async fn a_publish_that_is_named_is_published_once() {
    let hub = Hub::<Event>::new();
    let first = hub.publish("a", "paid").once("order-7").await.unwrap();
    assert_eq!(hub.publish("a", "paid").once("order-7").await.unwrap(), first);
    assert_eq!(hub.publish("a", "other").once("order-7").await.unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(hub.stats().published, 1);
}

#[tokio::test]
async fn a_publish_that_is_detached_is_read_in_its_order_whatever_the_history_is() {
    let directory = Directory::new("detached");
    for hub in [Hub::<Event>::new(), directory.open()] {
        let mut stream = hub.subscribe("a").into_stream().unwrap();
        for number in 0..100 {
            hub.publish("a", number.to_string()).detach().unwrap();
        }
        for number in 0..100 {
            let event = within("an event", stream.next()).await.and_then(StreamItem::event).unwrap();
            assert_eq!(event.value.data_str(), number.to_string());
        }
        assert_eq!(hub.publish("a*", "x").detach().unwrap_err().kind(), ErrorKind::Invalid);
        hub.end("a").await.unwrap();
        hub.close().await;
    }
    let hub = directory.open();
    assert_eq!(hub.try_publish("b", "x").unwrap_err().kind(), ErrorKind::Invalid, "durable takes time");
}

#[tokio::test]
async fn a_name_from_outside_opens_one_topic_only() {
    let hub = Hub::<Event>::new();
    for room in ["*", "a*", "7/*"] {
        let error = hub.subscribe(format!("rooms/{room}")).try_into_response().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = hub.subscribe("rooms/1").and(format!("rooms/{room}")).try_into_response().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(hub.subscribe_pattern(format!("rooms/{room}")).try_into_response().is_ok());
    }
    let none = hub.subscribe_all(Vec::<String>::new()).try_into_response().unwrap_err();
    assert_eq!((none.kind(), none.to_string().contains("at least one")), (ErrorKind::Invalid, true));

    hub.publish("rooms/1", "x").also("rooms/2").await.unwrap();
    hub.publish("rooms/3", "y").await.unwrap();
    let rooms = [1, 2].map(|room| format!("rooms/{room}"));
    let text = body_of(hub.subscribe_all(rooms).earliest().poll().into_response()).await;
    assert_eq!(text.matches("data: ").count(), 1, "{text}");
}

#[tokio::test]
async fn an_error_is_a_response_with_its_status_and_its_words() {
    use axum::response::IntoResponse;
    async fn handler(hub: &Hub, topic: &str) -> Result<Sse, Error> {
        hub.publish(topic, "x").await?;
        Ok(hub.subscribe(topic).into_response())
    }
    let hub = Hub::<Event>::builder().limits(Limits::default().subscribers_max(1).data_bytes_max(100)).build();
    let open = handler(&hub, "a").await.into_response();
    assert_eq!(open.status(), StatusCode::OK);
    let refused = handler(&hub, "a*").await.into_response();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("a*"), "{body:?}");
    // the subscription itself is a response as well
    let full = IntoResponse::into_response(hub.subscribe("a"));
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_streams_of_a_user_end_and_no_others() {
    let hub = Hub::<Event>::new();
    let mut anns =
        [hub.subscribe("a").user("ann").into_stream().unwrap(), hub.subscribe("b").user("ann").into_stream().unwrap()];
    let mut bob = hub.subscribe("a").user("bob").into_stream().unwrap();
    for stream in anns.iter_mut().chain([&mut bob]) {
        // a stream is listed when it is read first
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *stream).poll_next(cx)));
        assert!(polled.await.is_pending());
    }
    assert_eq!(hub.disconnect_user("nobody"), 0);
    assert_eq!(hub.disconnect_user("ann"), 2);
    for stream in &mut anns {
        assert!(within("the end", stream.next()).await.is_none());
    }
    hub.publish("a", "x").await.unwrap();
    assert!(within("an event", bob.next()).await.is_some());
    assert_eq!(hub.streams(9).iter().map(|stream| stream.user.as_deref()).collect::<Vec<_>>(), [Some("bob")]);
    assert_eq!(hub.stats().ended.dropped, 2);
}

#[tokio::test]
async fn a_stream_ends_when_its_time_is_over_and_none_begins_after_it() {
    let hub = Hub::<Event>::new();
    let soon = SystemTime::now() + Duration::from_secs(1);
    let mut stream = hub.subscribe("a").expires_at(soon).into_stream().unwrap();
    assert!(within("the end", stream.next()).await.is_none());
    assert!(SystemTime::now() <= soon + Duration::from_secs(30));
    let late = SystemTime::now() - Duration::from_secs(1);
    assert_eq!(hub.subscribe("a").expires_at(late).try_into_response().unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(hub.stats().ended.expired, 1);
}

async fn items(hub: &Hub, topic: &str) -> Vec<String> {
    let mut stream = hub.subscribe(topic).earliest().into_stream().unwrap();
    let mut items = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        items.push(match item {
            StreamItem::Event(event) => {
                format!("{} {}", event.value.event_type().unwrap_or("message"), event.value.data_str())
            }
            StreamItem::End(topic) => format!("end of {topic}"),
            other => panic!("{other:?}"),
        });
    }
    items
}

#[tokio::test]
async fn a_writer_that_is_lost_says_so_and_ends_its_topic() {
    let directory = Directory::new("writer");
    for hub in [Hub::<Event>::new(), directory.open()] {
        let writer = hub.writer("answers/1").unwrap();
        writer.publish("All is").await.unwrap();
        writer.publish("well").event("token").await.unwrap();
        writer.end().await.unwrap();
        assert_eq!(items(&hub, "answers/1").await, ["message All is", "token well", "end of answers/1"]);

        let writer = hub.writer("answers/2").unwrap();
        let task = tokio::spawn(async move {
            writer.publish("All is").await.unwrap();
            panic!("as planned");
        });
        assert!(task.await.is_err());
        let failed = r#"failed {"reason":"the writer stopped before the end"}"#;
        assert_eq!(items(&hub, "answers/2").await, ["message All is", failed, "end of answers/2"]);

        drop(hub.writer("answers/3").unwrap().otherwise("never mind"));
        assert_eq!(items(&hub, "answers/3").await, ["message never mind", "end of answers/3"]);
        // somebody else has ended it: there is nothing to say
        let writer = hub.writer("answers/3").unwrap();
        assert_eq!(writer.end().await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(items(&hub, "answers/3").await.len(), 2);
        assert_eq!(hub.writer("a*").unwrap_err().kind(), ErrorKind::Invalid);
        hub.close().await;
    }
}

/// A stream of these items.
struct Items<T>(std::vec::IntoIter<T>);

impl<T> Unpin for Items<T> {}

impl<T> Stream for Items<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn a_stream_of_ones_own_becomes_a_response() {
    let good: Vec<Result<&str, Infallible>> = vec![Ok("1"), Ok("2")];
    assert!(body_of(Sse::from_stream(Items(good.into_iter()))).await.ends_with("data: 1\n\ndata: 2\n\n"));
    let bad = vec![Ok(Event::data("1")), Err("no more"), Ok(Event::data("2"))];
    assert!(body_of(Sse::from_stream(Items(bad.into_iter()))).await.ends_with("data: 1\n\n"));

    // it is dropped when its reader has gone
    struct Endless(Option<tokio::sync::oneshot::Sender<()>>);
    impl Stream for Endless {
        type Item = Result<String, Infallible>;
        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Pending
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            let _ = self.0.take().expect("it is dropped once").send(());
        }
    }
    let (dropped, is_dropped) = tokio::sync::oneshot::channel();
    let (connection, response) = Connection::open();
    let task = tokio::spawn(connection.forward(Endless(Some(dropped))));
    drop(response);
    within("it is dropped", is_dropped).await.unwrap();
    assert_eq!(task.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn events_of_a_body_are_read_as_they_come() {
    let hub = Hub::<Event>::builder().history(Retention::last(10)).build();
    let first = hub.publish("a", "1").event("x").await.unwrap();
    let body = hub.subscribe("a").earliest().into_response().into_http().into_body();
    let mut events = EventReader::new(body);
    let event = within("an event", events.next()).await.unwrap().unwrap();
    assert_eq!((event.data_str(), event.event_type()), ("1", Some("x")));
    assert_eq!(events.last_event_id(), Some(&first));
    hub.publish("a", "2").await.unwrap();
    assert_eq!(within("an event", events.next()).await.unwrap().unwrap().data_str(), "2");
    hub.drain(Duration::ZERO).await;
    assert_eq!(within("the end", events.next()).await.unwrap(), None);
    let closed = hub.subscribe("a").resume(LastEventId::none()).try_into_response().unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}
