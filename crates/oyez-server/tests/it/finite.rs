//! Topics that end.

use crate::harness::{Caller, Hosted, head};

async fn chunk(caller: &mut Caller, text: &str) {
    caller.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
}

#[tokio::test]
async fn an_ended_topic_is_read_to_its_end_and_then_there_is_nothing() {
    let server = Hosted::start().await;
    let first = server.post("/events/answer", &[], "Hello").await.id();
    let answer = server.post("/events/answer?end&event=token", &[], "world").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let (last, end) = (answer.json()["id"].clone(), answer.json()["end"].clone());
    let (last, end) = (last.as_str().unwrap(), end.as_str().unwrap());
    server.post("/events/other", &[], "x").await.id();

    // without an id from its start, as a whole response, whoever writes it
    for (target, headers) in [
        ("/events/answer", &[][..]),
        ("/events/answer?poll=1", &[]),
        ("/events/answer?since=earliest", &[]),
        ("/events?topic=answer", &["X-Forwarded-For: 10.0.0.1"]),
    ] {
        let body = server.get(target, headers).await.body();
        let expected = format!(
            "id: {first}\ndata: Hello\n\nid: {last}\nevent: token\ndata: world\n\n\
             id: {end}\nevent: oyez.end\ndata: {{\"topic\":\"answer\"}}\n\n"
        );
        assert!(body.ends_with(&expected), "{target}: {body}");
    }
    let resumed = server.get("/events/answer", &[&format!("Last-Event-ID: {first}")]).await.body();
    assert!(!resumed.contains("Hello") && resumed.contains("world") && resumed.contains("oyez.end"), "{resumed}");
    let lines = server.get("/events/answer?format=ndjson&last=1", &[]).await.body();
    assert!(lines.contains(r#""type":"oyez.end","data":"{\"topic\":\"answer\"}","topics":["answer"]"#), "{lines}");

    // who has the end, or more
    let head_id = server.hub.position().to_string();
    for id in [end, &*head_id] {
        let header = format!("Last-Event-ID: {id}");
        let browser = [&*header, "Accept: text/event-stream", "Sec-Fetch-Mode: cors"];
        for (target, headers) in [("/events/answer", &[&*header][..]), ("/events/answer?poll=1", &browser)] {
            let answer = server.get(target, headers).await;
            assert_eq!((answer.status(), &*answer.body()), (204, ""), "{answer:?}");
            assert_eq!((answer.header("content-type"), answer.header("cache-control")), (None, Some("no-store")));
        }
    }
    assert_eq!(server.get(&format!("/events/answer?since={end}"), &[]).await.status(), 204);
    assert_eq!(server.hub.stats().refused, 0, "nobody was refused");

    for target in ["/events/answer", "/events/answer?end", "/events/answer?lines"] {
        let answer = server.post(target, &[], "more\n").await;
        assert_eq!(answer.status(), 409, "{answer:?}");
        assert!(answer.detail().contains("\"answer\""), "{answer:?}");
    }
    let json = r#"{"topics":["other","answer"],"data":"more"}"#;
    assert_eq!(server.post("/events", &["Content-Type: application/json"], json).await.status(), 409);
    assert_eq!(server.hub.stats().published, 4);
}

#[tokio::test]
async fn open_streams_end_after_the_end_of_their_last_topic() {
    let server = Hosted::start().await;
    let mut readers = Vec::new();
    for (target, ends) in [
        ("/events/a", true),
        ("/events/a?format=ndjson", true),
        ("/events/a?envelope=1", true),
        ("/events?topic=a&topic=b", true),
        ("/events/a*", false),
        ("/events?topic=a&topic=c", false),
    ] {
        let mut reader = server.connect().await;
        reader.send(head("GET", target, &[])).await;
        reader.read_until("\r\n\r\n").await;
        readers.push((target, ends, reader));
    }
    let hub = server.hub.clone();
    while hub.stats().subscribers < 6 {
        tokio::task::yield_now().await;
    }
    server.post("/events/b?end", &[], "").await.id();
    server.post("/events/a?end", &[], "last").await.id();
    server.post("/events/a2", &[], "goes on").await.id();
    server.post("/events/c", &[], "goes on").await.id();
    for (target, ends, reader) in &mut readers {
        if *ends {
            let body = reader.answer().await.0;
            assert!(
                body.contains("last") && body.contains("oyez.end") && body.ends_with("0\r\n\r\n"),
                "{target}: {body}"
            );
        } else {
            let body = reader.read_until("goes on").await;
            assert!(body.contains("oyez.end"), "{target}: {body}");
        }
    }
    while hub.stats().subscribers > 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hub.stats().ended.complete, 4);
}

#[tokio::test]
async fn lines_end_the_topic_only_when_their_publisher_did() {
    let server = Hosted::start().await;
    let mut writer = server.connect().await;
    writer.send(head("PUT", "/events/log?lines&end", &["Transfer-Encoding: chunked"])).await;
    chunk(&mut writer, "one\ntwo\n").await;
    writer.send("0\r\n\r\n").await;
    let answer = writer.answer().await.json();
    assert_eq!(answer["accepted"], 2);
    let (last, end) = (answer["last"].as_str().unwrap(), answer["end"].as_str().unwrap());
    assert!(last.ends_with(":2") && end.ends_with(":3"), "{answer}");
    assert_eq!(server.get("/events/log", &[&format!("Last-Event-ID: {end}")]).await.status(), 204);

    // one that dies leaves a topic that goes on
    let mut writer = server.connect().await;
    writer.send(head("PUT", "/events/cut?lines&end", &["Transfer-Encoding: chunked"])).await;
    chunk(&mut writer, "one\n").await;
    let hub = server.hub.clone();
    while hub.stats().published < 4 {
        tokio::task::yield_now().await;
    }
    writer.finish().await;
    writer.answer().await;
    assert_eq!(hub.stats().published, 4, "no end");
    server.post("/events/cut", &[], "two").await.id();
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/cut?since=earliest", &[])).await;
    reader.read_until("data: two\n\n").await;
}

#[tokio::test]
async fn an_end_sent_again_under_its_key_is_answered_as_the_first_time() {
    let server = Hosted::start().await;
    let key = ["Idempotency-Key: the-end"];
    let first = server.post("/events/a?end", &key, "last").await;
    let again = server.post("/events/a?end", &key, "last").await;
    assert_eq!((again.status(), again.body()), (200, first.body()));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(server.post("/events/a?end", &key, "").await.status(), 422);
}

#[tokio::test]
async fn an_end_that_has_left_the_history_is_gone_but_not_for_those_who_have_it() {
    let server = Hosted::with(|settings| settings.keep_events = Some(oyez_server::Text::Number(2))).await;
    let first = server.post("/events/a", &[], "1").await.id();
    let end = server.post("/events/a?end", &[], "").await.id();
    for _ in 0..2 {
        server.post("/events/other", &[], "x").await.id();
    }
    for (target, headers) in [
        ("/events/a", &[][..]),
        ("/events/a?last=5", &[]),
        ("/events/a?since=earliest", &[]),
        ("/events/a", &[&*format!("Last-Event-ID: {first}")]),
        ("/events/a", &["Last-Event-ID: k0000000:1"]),
    ] {
        let answer = server.get(target, headers).await;
        assert_eq!(answer.status(), 410, "{target} {headers:?} {answer:?}");
        assert!(answer.detail().contains("end"), "{answer:?}");
    }
    assert_eq!(server.get("/events/a", &[&format!("Last-Event-ID: {end}")]).await.status(), 204);
    assert_eq!(server.post("/events/a", &[], "more").await.status(), 409);
}

/// Until what was published for a millisecond is hidden.
async fn until_hidden(server: &Hosted, target: &str, data: &str) {
    while server.get(target, &[]).await.body().contains(data) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_has_expired_is_hidden_and_whoever_resumes_past_it_is_told() {
    let server = Hosted::start().await;
    let json = "Content-Type: application/json";
    let first = server.post("/events/a?ttl=1h", &[], "kept for an hour").await.id();
    server.post("/events/a?ttl=1ms", &[], "short one").await.id();
    server.post("/events", &[json], r#"{"topics":["a","b"],"data":"short two","ttl":"1ms"}"#).await.id();
    let last = server.post("/events/a", &[], "kept").await.id();
    for target in ["/events/a?poll=1", "/events/*?poll=1", "/events/b?poll=1", "/events/a?poll=1&format=ndjson"] {
        until_hidden(&server, target, "short two").await;
        let body = server.get(target, &[]).await.body();
        assert!(!body.contains("oyez.gap") && !body.contains("short"), "whoever begins has missed nothing: {body}");
        assert_eq!(body.contains("kept for an hour"), !target.contains("/b"), "{body}");
    }
    let newest = server.get("/events/a?poll=1&last=2", &[]).await.body();
    assert!(newest.contains("kept for an hour"), "what is hidden does not count: {newest}");

    let resumed = server.get("/events/a?poll=1", &[&format!("Last-Event-ID: {first}")]).await.body();
    let gap = format!(r#"{{"reason":"expired","requested":"{first}","oldest":"{last}","missed":2}}"#);
    let epoch = first.split(':').next().unwrap();
    let told = format!("event: oyez.gap\nid: {epoch}:3\ndata: {gap}\n\nid: {last}\ndata: kept\n\n");
    assert!(resumed.ends_with(&told), "{resumed}");
    let again = server.get("/events/a?poll=1", &[&format!("Last-Event-ID: {epoch}:3")]).await.body();
    assert!(!again.contains("oyez.gap") && again.contains("kept"), "told once: {again}");

    // in the middle of an open stream as well
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/a", &[&format!("Last-Event-ID: {first}")])).await;
    let live = reader.read_until("data: kept\n\n").await;
    assert!(live.contains(&gap) && !live.contains("short"), "{live}");
    let mut line = server.connect().await;
    line.send(head("PUT", "/events/l?lines&ttl=1ms", &["Transfer-Encoding: chunked"])).await;
    chunk(&mut line, "short line\n").await;
    line.send("0\r\n\r\n").await;
    assert_eq!(line.answer().await.json()["accepted"], 1);
    until_hidden(&server, "/events/l?poll=1", "short line").await;
}

#[tokio::test]
async fn an_ended_topic_can_be_read_for_so_long_after_its_end() {
    let server = Hosted::start().await;
    let first = server.post("/events/a", &[], "1").await.id();
    server.post("/events/a?end&ttl=1h", &[], "").await.id();
    assert!(server.get("/events/a", &[]).await.body().contains("oyez.end"), "it is there for an hour");

    server.post("/events/b", &[], "of b").await.id();
    let end = server.post("/events/b?end&ttl=1ms", &[], "last of b").await.json()["end"].as_str().unwrap().to_owned();
    while server.get("/events/b", &[]).await.status() == 200 {
        tokio::task::yield_now().await;
    }
    let gone = server.get("/events/b", &[]).await;
    assert!(gone.status() == 410 && gone.detail().contains("expired"), "{gone:?}");
    assert_eq!(server.get("/events/b", &[&format!("Last-Event-ID: {first}")]).await.status(), 410);
    assert_eq!(server.get("/events/b", &[&format!("Last-Event-ID: {end}")]).await.status(), 204);
    assert_eq!(server.post("/events/b", &[], "more").await.status(), 409);
    let all = server.get("/events/*?poll=1", &[]).await.body();
    assert!(!all.contains("of b") && all.contains("data: 1"), "{all}");
}
