//! `envelope=1`: data that tells topics and time.

use serde_json::{Value, json};

use crate::harness::Hosted;

fn events(body: &str) -> Vec<Value> {
    body.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn data_is_topics_time_and_data_and_all_else_is_as_without() {
    let server = Hosted::start().await;
    let data = "a \"quoted\" line\nand 你好\n";
    let first = server.post("/events/a%2Fb?event=greeting&retry=7", &[], data).await.id();
    let both = json!({ "topics": ["x", "y"], "data": { "n": 1 }, "id": "own" }).to_string();
    server.post("/events", &["Content-Type: application/json"], both).await.id();
    server.post("/events/x", &[], "").await.id();

    let answer = server.get("/events?topic=*&envelope=1&poll=1", &[]).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream;charset=utf-8"));
    let body = answer.body();
    assert!(body.contains(&format!("id: {first}\n")), "{body}");
    for line in ["event: greeting\n", "retry: 7\n", "id: own\n"] {
        assert_eq!(body.matches(line).count(), 1, "{line:?} in {body}");
    }
    let events = events(&body);
    let topics: Vec<_> = events.iter().map(|event| event["topics"].clone()).collect();
    assert_eq!(topics, [json!(["a/b"]), json!(["x", "y"]), json!(["x"])]);
    let texts: Vec<_> = events.iter().map(|event| event["data"].as_str().unwrap()).collect();
    assert_eq!(texts, [data, r#"{"n":1}"#, ""]);

    // the same topics and times as NDJSON tells, which has them with and without
    let lines = server.get("/events?topic=*&envelope=1&poll=1&format=ndjson", &[]).await.body();
    let lines: Vec<Value> = lines.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        assert_eq!((&line["topics"], &line["time"], &line["data"]), (&event["topics"], &event["time"], &event["data"]));
        assert!(event["time"].as_str().unwrap().ends_with('Z') && event.as_object().unwrap().len() == 3, "{event}");
    }
}

#[tokio::test]
async fn the_hubs_own_events_have_no_envelope() {
    let server = Hosted::start().await;
    let answer = server.get("/events/a?envelope=1&poll=1&since=k0000000:1", &[]).await;
    assert_eq!(events(&answer.body())[0]["reason"], "epoch");
}
