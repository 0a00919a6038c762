//! `GET /stats`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::harness::{Caller, Hosted, PATIENCE, head};

/// Asks until `accept` likes the answer.
async fn stats_when(server: &Hosted, accept: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let stats = server.get("/stats", &[]).await.json();
            if accept(&stats) {
                return stats;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the figures become what they should")
}

async fn open(server: &Hosted, target: &str) -> Caller {
    let mut reader = server.connect().await;
    reader.send(head("GET", target, &[])).await;
    reader.read_until("retry: ").await;
    reader
}

#[tokio::test]
async fn sums_are_those_of_the_hub_and_each_stream_has_a_row() {
    let server = Hosted::start().await;
    let mut reader = open(&server, "/events?topic=a&topic=b/*").await;
    let id = server.post("/events/a", &[], "1").await.id();
    server.post("/events/elsewhere", &[], "2").await.id();
    reader.read_until("data: 1\n\n").await;
    let stats = stats_when(&server, |stats| stats["streams"][0]["state"] == "live").await;
    for (name, value) in [("subscribers", 1), ("published", 2), ("delivered", 1), ("lag_max", 0), ("gaps", 0)] {
        assert_eq!(stats[name], value, "{name} in {stats}");
    }
    assert_eq!((&stats["history"]["entries"], &stats["history"]["topics"]), (&2.into(), &2.into()));
    assert_eq!(stats["history"]["oldest"], id.as_str());
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    let row = &stats["streams"][0];
    assert_eq!(row["topics"], serde_json::json!(["a", "b/*"]));
    assert_eq!((&row["delivered"], &row["lag"], &row["topics_total"]), (&1.into(), &0.into(), &2.into()));
    assert_eq!(row["position"], stats["history"]["head"], "what does not concern it is no lag");
    assert!(row["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{row}");
    drop(reader);
    let stats = stats_when(&server, |stats| stats["subscribers"] == 0).await;
    assert_eq!((&stats["ended"]["left"], stats["streams"].as_array().unwrap().len()), (&1.into(), 0));
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_the_first_row_and_its_lag_is_seen() {
    let server = Hosted::start().await;
    let _live = open(&server, "/events/quiet").await;
    let mut stopped = open(&server, "/events/busy").await;
    let _later = open(&server, "/events/quiet").await;
    let data = "x".repeat(64 << 10);
    // what the kernel takes for a reader that does not read is some MB at most
    for _ in 0..300 {
        server.hub.publish("busy", oyez::Event::data(data.as_str())).await.unwrap();
    }
    let stats = stats_when(&server, |stats| stats["streams"][0]["topics"][0] == "busy").await;
    let row = &stats["streams"][0];
    assert!(row["lag"].as_u64().unwrap() > 0 && row["state"] == "reading", "{row}");
    assert_eq!(stats["lag_max"], row["lag"]);
    let one = server.get("/stats?rows=1", &[]).await.json();
    assert_eq!(one["streams"].as_array().unwrap().len(), 1);
    assert_eq!(one["streams"][0]["stream"], row["stream"]);
    stopped.read_until("data: x").await;
}

#[tokio::test]
async fn callers_from_elsewhere_get_sums_only() {
    let server = Hosted::start().await;
    let _reader = open(&server, "/events/a").await;
    for (target, header) in
        [("/stats", "X-Forwarded-For: 10.0.0.1"), ("/stats?rows=5", "Via: 1.1 x"), ("/stats?rows=0", "A: b")]
    {
        let stats = server.get(target, &[header]).await.json();
        assert_eq!(stats["subscribers"], 1);
        for private in ["streams", "version"] {
            assert!(stats.get(private).is_none(), "{private} in {stats}");
        }
    }
}

#[tokio::test]
async fn as_an_event_stream_it_comes_at_once_and_every_second() {
    let server = Hosted::start().await;
    let mut watcher = server.connect().await;
    watcher.send(head("GET", "/stats", &["Accept: text/event-stream"])).await;
    let first = watcher.read_until("\n\n\r\n").await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    server.post("/events/a", &[], "x").await.id();
    let _reader = open(&server, "/events/b").await;
    let told = watcher.read_until("\"topics\":[\"b\"]").await;
    assert!(told.contains("\"published\":1"), "{told}");
    assert_eq!(server.hub.stats().subscribers, 1, "who watches is no subscriber");

    let mut totals = server.connect().await;
    totals.send(head("GET", "/stats?rows=0", &["Accept: text/event-stream"])).await;
    let told = totals.read_until("\"history\":").await;
    assert!(told.contains("\"subscribers\":1") && !told.contains("streams\":"), "{told}");
}

#[tokio::test]
async fn the_last_seconds_are_remembered() {
    let server = Hosted::start().await;
    server.post("/events/a", &[], "x").await.id();
    let stats = stats_when(&server, |stats| stats["recent"].as_array().is_some_and(|recent| recent.len() >= 2)).await;
    let recent = stats["recent"].as_array().unwrap();
    assert_eq!(recent.last().unwrap()["published"], 1);
    assert!(recent[0]["time"].as_str() < recent[1]["time"].as_str());
}

#[tokio::test]
async fn other_origins_get_nothing_even_with_cors() {
    let server = Hosted::with(|settings| settings.cors = Some(vec!["https://app.example.com".to_owned()])).await;
    let app = "Origin: https://app.example.com";
    assert_eq!(server.get("/events/a?poll=1", &[app]).await.header("access-control-allow-origin"), Some(&app[8..]));
    for headers in [&[app][..], &["Sec-Fetch-Site: cross-site"], &["Sec-Fetch-Site: same-site"]] {
        let answer = server.get("/stats", headers).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let own = server.get("/stats", &["Sec-Fetch-Site: same-origin"]).await;
    assert_eq!((own.status(), own.header("cross-origin-resource-policy")), (200, Some("same-origin")));
}

#[tokio::test]
async fn wrong_rows_are_refused_by_value() {
    let server = Hosted::start().await;
    for (query, detail) in
        [("rows=x", "rows=\"x\""), ("rows=1001", "rows=1001 is more than 1000"), ("rows=1&rows=2", "more than once")]
    {
        let answer = server.get(&format!("/stats?{query}"), &[]).await;
        assert_eq!(answer.status(), 400, "{query}");
        assert!(answer.detail().contains(detail), "{answer:?}");
    }
    assert_eq!(server.post("/stats", &[], "").await.header("allow"), Some("GET, HEAD, OPTIONS"));
}
