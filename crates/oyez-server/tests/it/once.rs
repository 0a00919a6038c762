//! A publish that is sent again under its key is not published again.

use crate::harness::{Answer, Hosted};

const JSON: &str = "Content-Type: application/json";
const NDJSON: &str = "Content-Type: application/x-ndjson";

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn a_publish_sent_again_is_answered_as_the_first_time() {
    let server = Hosted::start().await;
    let batch = "{\"topics\":\"a\",\"data\":\"1\"}\n{\"topics\":\"b\",\"data\":\"2\",\"id\":\"mine\"}\n";
    let rows: &[(&str, &[&str], &str)] = &[
        ("/events/a?event=t", &["Idempotency-Key: plain"], "x"),
        ("/events", &["Idempotency-Key: broadcast"], "x"),
        ("/events", &[JSON, "Idempotency-Key: object"], r#"{"topics":"a","data":"x","event":"t"}"#),
        ("/events", &[NDJSON, "Idempotency-Key: batch"], batch),
    ];
    for (target, headers, body) in rows {
        let first = server.post(target, headers, body).await;
        assert!(first.status() == 200 && !is_replayed(&first), "{first:?}");
        let published = server.hub.stats().published;
        // something in between, so that the ids are told and not made anew
        server.post("/events/other", &[], "x").await.id();
        for _ in 0..2 {
            let again = server.post(target, headers, body).await;
            assert!(again.status() == 200 && is_replayed(&again), "{again:?}");
            assert_eq!(again.body(), first.body());
        }
        assert_eq!(server.hub.stats().published, published + 1);
    }
}

#[tokio::test]
async fn the_same_events_are_the_same_publish_however_they_are_written() {
    let server = Hosted::start().await;
    let key = "Idempotency-Key: k";
    let id = server.post("/events/a?event=t", &[key], "{\"x\":1}").await.id();
    let again = server.post("/events/a", &[key, "Event-Type: t"], "{\"x\":1}").await;
    assert_eq!((again.id(), is_replayed(&again)), (id.clone(), true));
    let json = r#"{ "event": "t", "data": {"x": 1}, "topics": ["a"] }"#;
    assert_eq!(server.post("/events", &[JSON, key], json).await.id(), id);
    assert_eq!(server.hub.stats().published, 1);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let server = Hosted::start().await;
    let key = "Idempotency-Key: order-7";
    let id = server.post("/events/a", &[key], "x").await.id();
    for (target, body) in [("/events/a", "y"), ("/events/b", "x"), ("/events/a?event=t", "x"), ("/events/a?id=i", "x")]
    {
        let answer = server.post(target, &[key], body).await;
        assert_eq!(answer.status(), 422, "{answer:?}");
        assert!(answer.detail().contains("order-7"), "{answer:?}");
    }
    assert_eq!(server.post("/events/a", &[key], "x").await.id(), id);
    assert_eq!(server.hub.stats().published, 1);
    // what was refused has used no key up
    assert_eq!(server.post("/events/a?event=oyez.x", &["Idempotency-Key: new"], "x").await.status(), 400);
    assert!(!is_replayed(&server.post("/events/a", &["Idempotency-Key: new"], "x").await));
}

#[tokio::test]
async fn of_the_same_publish_at_the_same_time_one_is_published() {
    let server = Hosted::start().await;
    let mut callers = Vec::new();
    for _ in 0..32 {
        callers.push(server.connect().await);
    }
    let request = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: k\r\nContent-Length: 1\r\n\r\nx";
    for caller in &mut callers {
        caller.send(request).await;
    }
    let mut first = 0;
    for caller in &mut callers {
        let answer = caller.answer().await;
        assert!(answer.id().ends_with(":1"), "{answer:?}");
        first += u32::from(!is_replayed(&answer));
    }
    assert_eq!((first, server.hub.stats().published), (1, 1));
}
