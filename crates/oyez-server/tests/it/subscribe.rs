//! Streams, and where they begin and end.

use crate::harness::{Caller, Hosted, head};

async fn publish(server: &Hosted, topic: &str, number: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 1..=number {
        ids.push(server.post(&format!("/events/{topic}"), &[], n.to_string()).await.id());
    }
    ids
}

fn data(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[tokio::test]
async fn parameters_choose_where_a_stream_begins_and_ends() {
    let server = Hosted::start().await;
    let ids = publish(&server, "a", 5).await;
    publish(&server, "b", 1).await;
    let encoded = ids[1].replace(':', "%3A");
    for (query, expected) in [
        ("", &["1", "2", "3", "4", "5"][..]),
        ("&since=earliest", &["1", "2", "3", "4", "5"]),
        ("&last=2", &["4", "5"]),
        ("&last=0", &[]),
        ("&limit=3", &["1", "2", "3"]),
        ("&since=1h", &["1", "2", "3", "4", "5"]),
        ("&since=0s", &[]),
        ("&since=2020-01-01T00:00:00Z", &["1", "2", "3", "4", "5"]),
        (&format!("&since={encoded}"), &["3", "4", "5"]),
        (&format!("&last=1&last_event_id={encoded}"), &["3", "4", "5"]),
        (&format!("&since=earliest&lastEventID={encoded}"), &["3", "4", "5"]),
        (&format!("&since=earliest&lastEventId={encoded}"), &["3", "4", "5"]),
        (&format!("&snapshot=1&Last-Event-ID={encoded}"), &["3", "4", "5"]),
        (&format!("&lastEventId=other&lastEventId={encoded}"), &["3", "4", "5"]),
        (&format!("&until={encoded}"), &["1", "2"]),
        ("&until=2020-01-01T00:00:00Z", &[]),
        ("&until=9999-12-31T23:59:59Z", &["1", "2", "3", "4", "5"]),
        ("&since=2020-01-01", &["1", "2", "3", "4", "5"]),
        ("&since=1700000000", &["1", "2", "3", "4", "5"]),
        ("&since=1w", &["1", "2", "3", "4", "5"]),
        ("&since=now", &[]),
        ("&since=all", &["1", "2", "3", "4", "5"]),
        ("&since=latest", &["5"]),
        ("&since=none", &[]),
        ("&_=1700000000&t=1&ts=2&cb=3", &["1", "2", "3", "4", "5"]),
    ] {
        let answer = server.get(&format!("/events/a?poll=1{query}"), &[]).await;
        assert_eq!(answer.status(), 200, "{query}: {answer:?}");
        assert_eq!(data(&answer.body()), expected, "{query}");
    }
    let header = format!("Last-Event-ID: {}", ids[3]);
    let answer = server.get(&format!("/events/a?poll=1&since=earliest&last_event_id={encoded}"), &[&header]).await;
    assert_eq!(data(&answer.body()), ["5"], "the header beats all");
    for topics in ["topic=b&topic=*", "topics=b&topics=*", "topic[]=b&topic[]=*", "topic%5B0%5D=b&topic%5B1%5D=*"] {
        let answer = server.get(&format!("/events?{topics}&poll=1&last=2"), &[]).await;
        assert_eq!(data(&answer.body()), ["5", "1"], "{topics}");
    }
}

#[tokio::test]
async fn a_stream_opens_with_its_place_at_once_and_then_tells_what_comes() {
    let server = Hosted::start().await;
    let ids = publish(&server, "a", 2).await;
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/a", &["Accept: text/event-stream"])).await;
    let opened = reader.read_until(&format!("id: {}\n\n", ids[1])).await;
    for line in
        ["content-type: text/event-stream;charset=utf-8\r\n", "oyez: 1\r\n", "x-accel-buffering: no\r\n", "retry: "]
    {
        assert!(opened.contains(line), "{line:?} in {opened}");
    }
    assert!(opened.contains("cache-control: no-store, no-transform\r\n"), "{opened}");
    server.post("/events/a", &[], "live").await;
    reader.read_until("data: live\n\n").await;
}

#[tokio::test]
async fn lines_are_asked_for_by_any_of_their_names() {
    let server = Hosted::start().await;
    for name in ["application/x-ndjson", "application/ndjson", "application/jsonl", "text/html, application/x-ndjson"] {
        let answer = server.get("/events/a?poll=1", &[&format!("Accept: {name}")]).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{name}");
    }
    for name in ["*/*", "text/event-stream", "text/event-stream, application/x-ndjson", "application/json"] {
        let answer = server.get("/events/a?poll=1", &[&format!("Accept: {name}")]).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream;charset=utf-8"), "{name}");
    }
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive_and_says_what_it_has_passed() {
    let server = Hosted::with(|settings| settings.keep_alive = Some("50ms".to_owned())).await;
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/a", &[])).await;
    reader.read_until("\r\n2\r\n:\n\r\n").await;
    let passed = publish(&server, "b", 3).await;
    reader.read_until(&format!("id: {}\n\n", passed[2])).await;
    reader.read_until("\r\n:\n\r\n").await;
}

#[tokio::test]
async fn a_resume_that_cannot_be_complete_is_announced_or_refused() {
    let server = Hosted::with(|settings| settings.keep_events = Some(oyez_server::Text::Number(2))).await;
    let ids = publish(&server, "a", 5).await;
    for (id, reason, missed) in [
        (ids[0].as_str(), "expired", "2"),
        ("zzzzzzz1:1", "epoch", "null"),
        ("made-up", "unknown", "null"),
        (&"x".repeat(200), "unknown", "null"),
    ] {
        let header = format!("Last-Event-ID: {id}");
        let body = server.get("/events/a?poll=1", &[&header]).await.body();
        let gap = format!(
            "event: oyez.gap\nid: {}\ndata: {{\"reason\":\"{reason}\",\"requested\":\"{id}\",\"oldest\":\"{}\",\"missed\":{missed}}}\n\n",
            ids[2], ids[3]
        );
        assert!(body.contains(&gap), "{id}: {body}");
        assert!(body.ends_with(&format!("data: 4\n\nid: {}\ndata: 5\n\n", ids[4])), "{id}: {body}");
        let refused = server.get("/events/a?poll=1&on_gap=fail", &[&header]).await;
        assert_eq!(refused.status(), 410, "{refused:?}");
        assert!(refused.detail().contains(reason), "{refused:?}");
    }
    let told = format!("Last-Event-ID: {}", ids[2]);
    assert!(!server.get("/events/a?poll=1", &[&told]).await.body().contains("oyez.gap"), "a gap is told once");
    let other = format!("Last-Event-ID: {}", ids[0]);
    assert!(!server.get("/events/b?poll=1", &[&other]).await.body().contains("oyez.gap"), "nothing of b is missing");
}

#[tokio::test]
async fn a_head_request_has_the_head_and_no_stream() {
    let server = Hosted::start().await;
    let answer = server.ask(head("HEAD", "/events/a", &[])).await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/event-stream;charset=utf-8")));
    assert_eq!(answer.body(), "");
    assert_eq!(server.hub.stats().subscribers, 0);
    let answer = server.ask(head("OPTIONS", "/events/a", &[])).await;
    assert_eq!((answer.status(), answer.header("allow")), (204, Some("GET, HEAD, OPTIONS, POST, PUT, DELETE")));
}

#[tokio::test]
async fn other_origins_may_read_only_where_cors_says_so() {
    let closed = Hosted::start().await;
    let answer = closed.get("/events/a?poll=1", &["Origin: https://app.example.com"]).await;
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (200, None));

    let origin = || Some(vec!["https://app.example.com".to_owned()]);
    let listed = Hosted::with(|settings| settings.cors = origin()).await;
    let answer = listed.get("/events/a?poll=1", &["Origin: https://app.example.com"]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    for foreign in ["https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"] {
        let answer = listed.get("/events/a?poll=1", &[&format!("Origin: {foreign}")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{foreign}");
    }
    // the colon of an id makes browsers ask before they reconnect: the answer holds for two hours
    let preflight = [
        "Origin: https://app.example.com",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Headers: last-event-id",
    ];
    let answer = listed.ask(head("OPTIONS", "/events/a", &preflight)).await;
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("last-event-id"), "{answer:?}");

    let named = Hosted::with(|settings| settings.cors = Some(vec!["https://*.example.com".to_owned()])).await;
    for (origin, allowed) in [("https://app.example.com", true), ("https://a.b.example.com", false)] {
        let answer = named.get("/events/a?poll=1", &[&format!("Origin: {origin}")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin).filter(|_| allowed));
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("origin")), "{answer:?}");
    }

    let any = Hosted::with(|settings| settings.cors = Some(vec!["*".to_owned()])).await;
    let answer = any.get("/events/a?poll=1", &["Origin: https://anyone.example"]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn an_address_behind_a_proxy_has_so_many_streams() {
    let server = Hosted::with(|settings| settings.streams_per_address = Some(oyez_server::Text::Number(2))).await;
    let forwarded = "X-Forwarded-For: 10.0.0.1";
    let mut readers: Vec<Caller> = Vec::new();
    for _ in 0..2 {
        let mut reader = server.connect().await;
        reader.send(head("GET", "/events/a", &[forwarded])).await;
        reader.read_until("id: ").await;
        readers.push(reader);
    }
    let refused = server.get("/events/a", &[forwarded]).await;
    assert_eq!(refused.status(), 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some() && refused.detail().contains("2 open streams"), "{refused:?}");
    let browser = [forwarded, "Accept: text/event-stream", "Sec-Fetch-Mode: cors"];
    let polite = server.get("/events/a", &browser).await;
    assert_eq!(polite.status(), 200);
    assert!(polite.body().starts_with("retry: ") && polite.body().ends_with("\n\n"), "{polite:?}");
    assert_eq!(server.get("/events/a?poll=1", &[]).await.status(), 200, "a caller on this machine is not counted");

    readers.pop();
    let hub = server.hub.clone();
    while hub.stats().subscribers > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get("/events/a?poll=1", &[forwarded]).await.status(), 200, "the place came back");
}

#[tokio::test]
async fn a_drain_ends_streams_between_two_frames_and_tells_the_watcher() {
    let mut server = Hosted::with(|settings| settings.drain = Some("5s".to_owned())).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = server.connect().await;
        reader.send(head("GET", "/events/a", &[])).await;
        reader.read_until("id: ").await;
        readers.push(reader);
    }
    let mut admin = Caller::connect(server.admin).await;
    admin.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    admin.read_until("ready\n").await;
    server.stop();
    for reader in &mut readers {
        assert!(reader.answer().await.0.ends_with("0\r\n\r\n"), "a complete response");
    }
    server.stopped().await;
}
