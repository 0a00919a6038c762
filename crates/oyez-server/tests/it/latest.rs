//! The newest value of each key, over HTTP.

use crate::harness::{Hosted, head};

async fn data(server: &Hosted, target: &str, headers: &[&str]) -> Vec<String> {
    let answer = server.get(target, headers).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.body().lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_snapshot_is_the_newest_of_each_key_and_then_live() {
    let server = Hosted::start().await;
    server.post("/events/rows?key=1", &[], "old").await.id();
    let two = server.post("/events/rows?key=b%20c", &[], "two").await.id();
    server.post("/events/rows", &[], "no key").await.id();
    let json = r#"{"topics":["rows","others"],"data":"one","key":"1"}"#;
    let one = server.post("/events", &["Content-Type: application/json"], json).await.id();

    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/rows?snapshot=1", &[])).await;
    let seen = reader.read_until("data: one\n\n").await;
    let first = seen.find(&format!("id: {two}\ndata: two\n\n")).expect("the value of b c");
    assert!(!seen[..first].contains("id: "), "no place before the first value: {seen}");
    assert!(seen[first..].contains(&format!("id: {one}\ndata: one\n\n")), "{seen}");
    let live = server.post("/events/rows?key=1", &[], "new").await.id();
    assert!(reader.read_until("data: new\n\n").await.contains(&format!("id: {live}\n")));

    assert_eq!(data(&server, "/events/rows?snapshot=1&poll=1", &[]).await, ["two", "new"]);
    assert_eq!(data(&server, "/events?topic=*&snapshot&poll", &[]).await, ["two", "one", "new"]);
    // a browser repeats its URL: what it has comes first
    let resumed = data(&server, "/events/rows?snapshot=1&poll=1", &[&format!("Last-Event-ID: {one}")]).await;
    assert_eq!(resumed, ["new"]);
}

#[tokio::test]
async fn compacted_topics_keep_their_values_when_the_history_forgets_them() {
    let server = Hosted::with(|settings| {
        settings.keep_events = Some("0".to_owned().into());
        settings.compact = Some(vec!["rows/*".to_owned(), "status".to_owned()]);
    })
    .await;
    let first = server.post("/events/rows/a?key=1", &[], "old").await.id();
    server.post("/events/rows/a?key=1", &[], "one").await.id();
    server.post("/events/status", &[], "starting").await.id();
    server.post("/events/status", &[], "ready").await.id();
    server.post("/events/other?key=1", &[], "gone").await.id();
    let noise = "{\"topics\":\"other\",\"data\":\"x\"}\n".repeat(600);
    for _ in 0..2 {
        server.post("/events", &["Content-Type: application/x-ndjson"], &noise).await;
    }
    assert_eq!(data(&server, "/events?topic=*&snapshot=1&poll=1", &[]).await, ["one", "ready"]);
    let target = format!("/events?topic=rows/a&topic=status&poll=1&since={first}");
    assert_eq!(data(&server, &target, &[]).await, ["one", "ready"], "and nothing is missed");
    assert_eq!(data(&server, "/events?topic=other&poll=1", &[]).await, [""; 0]);
    assert_eq!(server.hub.stats().latest_values, 2);
}
