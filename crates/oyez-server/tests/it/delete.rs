//! `DELETE /events/{topic…}`.

use crate::harness::{Hosted, head};

async fn data(server: &Hosted, target: &str, headers: &[&str]) -> Vec<String> {
    let answer = server.get(target, headers).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.body().lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

async fn delete(server: &Hosted, target: &str) -> String {
    server.ask(head("DELETE", target, &[])).await.id()
}

#[tokio::test]
async fn a_deleted_topic_is_empty_and_goes_on() {
    let server = Hosted::start().await;
    let mut live = server.connect().await;
    live.send(head("GET", "/events/a/b", &[])).await;
    live.read_until("id: ").await;
    let before = server.post("/events/other", &[], "0").await.id();
    server.post("/events/a/b", &[], "1").await.id();
    let json = r#"{"topics":["a/b","other"],"data":"of two topics"}"#;
    server.post("/events", &["Content-Type: application/json"], json).await.id();
    live.read_until("of two topics\n\n").await;

    let place = delete(&server, "/events/a%2Fb").await;
    assert!(place.ends_with(":4"), "{place}");
    assert_eq!(data(&server, "/events/a/b?poll=1", &[]).await, [""; 0]);
    assert_eq!(data(&server, "/events/other?poll=1", &[]).await, ["0", "of two topics"]);
    server.post("/events/a/b", &[], "2").await.id();
    assert!(!live.read_until("data: 2\n\n").await.contains("oyez.gap"), "it has had everything");

    let resumed = server.get("/events/a/b?poll=1", &[&format!("Last-Event-ID: {before}")]).await.body();
    let gap = format!("event: oyez.gap\nid: {place}\ndata: {{\"reason\":\"deleted\",\"requested\":\"{before}\",");
    assert!(resumed.contains(&gap) && resumed.ends_with("data: 2\n\n"), "{resumed}");
    assert_eq!(data(&server, "/events/a/b?poll=1", &[&format!("Last-Event-ID: {place}")]).await, ["2"]);
    let answer = server.get(&format!("/events/a/b?poll=1&on_gap=fail&since={before}"), &[]).await;
    assert!(answer.status() == 410 && answer.detail().contains("deleted"), "{answer:?}");
}

#[tokio::test]
async fn what_nobody_has_published_to_can_be_deleted_and_what_has_ended_begins_anew() {
    let server = Hosted::start().await;
    delete(&server, "/events/never").await;
    server.post("/events/job?end", &[], "done").await;
    assert_eq!(server.post("/events/job", &[], "more").await.status(), 409);
    delete(&server, "/events/job").await;
    server.post("/events/job", &[], "again").await.id();
    assert_eq!(data(&server, "/events/job?poll=1", &[]).await, ["again"]);
}
