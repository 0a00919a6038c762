//! `control=1` and `POST /control/{connection}`.

use serde_json::Value;

use crate::harness::{Caller, Hosted, head};

/// Opens a stream with control and tells its connection id and what it said.
async fn open(server: &Hosted, target: &str) -> (Caller, String, String) {
    let mut reader = server.connect().await;
    reader.send(head("GET", target, &[])).await;
    let mut said = reader.read_until("oyez.open").await;
    if !said[said.find("oyez.open").unwrap()..].contains('}') {
        said += &reader.read_until("}").await;
    }
    let start = said.find("{\"").unwrap();
    let id = said[start..].split(['"', '\\']).find(|part| part.len() == 32).expect("an id").to_owned();
    (reader, id, said)
}

#[tokio::test]
async fn a_stream_tells_its_id_once_and_is_dropped_by_it_at_a_frame_border() {
    let server = Hosted::start().await;
    let (mut reader, id, said) = open(&server, "/events/a?control=1").await;
    assert!(said.contains(&format!("\n\nevent: oyez.open\ndata: {{\"connection\":\"{id}\",\"stream\":")), "{said}");
    let number = server.get("/stats", &[]).await.json()["streams"][0]["stream"].clone();
    assert!(said.contains(&format!(",\"stream\":{number}}}\n\n")), "{number} in {said}");
    let (_other, other_id, _) = open(&server, "/events/a?control=1").await;
    assert_ne!(id, other_id);

    server.post("/events/a", &[], "before").await.id();
    // a drop does not wait for what the stream has not been sent yet
    let before = reader.read_until("before\n\n").await;
    let dropped = server.post(&format!("/control/{id}"), &[], r#"{"drop":true}"#).await;
    assert_eq!((dropped.status(), dropped.body().as_str()), (204, ""));
    let rest = before + &reader.answer().await.0;
    assert!(rest.ends_with("data: before\n\n\r\n0\r\n\r\n"), "{rest:?}");
    assert_eq!((server.hub.stats().ended.dropped, server.hub.stats().subscribers), (1, 1));

    let again = server.post(&format!("/control/{id}"), &[], r#"{"drop":true}"#).await;
    assert_eq!(again.status(), 404);
    assert!(again.detail().contains("control=1"), "{again:?}");
}

#[tokio::test]
async fn a_gap_comes_after_the_id_of_the_stream() {
    let server = Hosted::start().await;
    let answer = server.get("/events/a?control=1&poll=1&since=k0000000:1", &[]).await.body();
    let place = |part: &str| answer.find(part).unwrap_or_else(|| panic!("no {part:?} in {answer}"));
    assert!(place("event: oyez.open\n") < place("event: oyez.gap\n"), "{answer}");
    assert!(place("event: oyez.gap\n") < place("id: "), "a reader cut in between hears of the gap again: {answer}");
}

#[tokio::test]
async fn ndjson_tells_the_id_as_a_line() {
    let server = Hosted::start().await;
    let answer = server.get("/events/a?control=1&poll=1&format=ndjson", &[]).await.body();
    let line: Value = serde_json::from_str(answer.lines().next().unwrap()).unwrap();
    assert_eq!(line["type"], "oyez.open");
    let data: Value = serde_json::from_str(line["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["connection"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn without_control_nothing_is_said() {
    let server = Hosted::start().await;
    for query in ["", "&control=0"] {
        let answer = server.get(&format!("/events/a?poll=1{query}"), &[]).await;
        assert!(!answer.body().contains("oyez.open"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_changes_nothing_or_is_not_json_is_refused_and_the_stream_goes_on() {
    let server = Hosted::start().await;
    let (mut reader, id, _) = open(&server, "/events/a?control=1").await;
    let target = format!("/control/{id}");
    for (body, detail) in
        [("", "not a change"), ("{}", "changes nothing"), (r#"{"topics":["b"]}"#, "not in this build")]
    {
        let answer = server.post(&target, &[], body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.detail().contains(detail), "{body}: {answer:?}");
    }
    let foreign = server.post(&target, &["Origin: https://evil.example"], r#"{"drop":true}"#).await;
    assert_eq!(foreign.status(), 403);
    let get = server.get(&target, &[]).await;
    assert_eq!((get.status(), get.header("allow")), (405, Some("OPTIONS, POST")));
    server.post("/events/a", &[], "still here").await.id();
    reader.read_until("data: still here\n\n").await;
}
