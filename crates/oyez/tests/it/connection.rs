//! A stream for one request, without a hub.

use http_body_util::BodyExt;
use oyez::{Connection, ErrorKind, Event, StreamControl};

use crate::web::within;

async fn text(response: oyez::Sse) -> String {
    let body = within("the stream ends", response.into_http().into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn events_data_json_and_comments_come_in_order() {
    let (connection, response) = Connection::open();
    connection.send(Event::data("1").event("count").unwrap().id("a").unwrap()).await.unwrap();
    connection.send("two\nlines").await.unwrap();
    connection.send_json(&serde_json::json!({ "three": 3 })).await.unwrap();
    connection.comment("four\ndata: no").await.unwrap();
    connection.close();
    let expected = concat!(
        "event: count\nid: a\ndata: 1\n\n",
        "data: two\ndata: lines\n\n",
        "data: {\"three\":3}\n\n",
        ": four\n: data: no\n\n"
    );
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn closing_twice_is_closing_once_and_sending_fails_then() {
    let (connection, response) = Connection::open();
    connection.close();
    connection.close();
    within("closed", connection.closed()).await;
    assert_eq!(connection.send("late").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(connection.send_json(&1).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(connection.comment("late").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn dropping_the_connection_ends_the_stream_behind_what_was_sent() {
    let (connection, response) = Connection::open();
    connection.send("last").await.unwrap();
    drop(connection);
    assert_eq!(text(response).await, "data: last\n\n");
}

#[tokio::test]
async fn a_reader_that_goes_is_noticed() {
    let (connection, response) = Connection::open();
    drop(response);
    within("closed", connection.closed()).await;
    assert_eq!(connection.send("x").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn sending_waits_for_a_slow_reader_until_it_goes() {
    let (connection, response) = Connection::open();
    let sent = tokio::spawn(async move {
        let mut sent = 0;
        while connection.send("x").await.is_ok() {
            sent += 1;
        }
        sent
    });
    let mut body = response.into_http().into_body();
    // the first frame may be the comment that opens the stream
    while within("a frame", body.frame()).await.unwrap().unwrap().into_data().unwrap() != "data: x\n\n" {}
    drop(body);
    let sent: u32 = within("the sender gives up", sent).await.unwrap();
    assert!((1..=32).contains(&sent), "{sent} frames were taken for a reader that took one");
}

#[tokio::test]
async fn a_drain_sends_what_was_taken_and_refuses_the_rest() {
    let (connection, response) = Connection::open();
    connection.send("taken").await.unwrap();
    let response = response.into_http();
    response.extensions().get::<StreamControl>().unwrap().end_at(std::time::Instant::now());
    let body = within("the stream ends", response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "data: taken\n\n");
    within("closed", connection.closed()).await;
    assert!(connection.send("late").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_opens_at_once_and_is_kept_alive() {
    let (connection, response) = Connection::open();
    let mut body = response.into_http().into_body();
    for _ in 0..3 {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), ":\n");
    }
    drop(connection);
}
