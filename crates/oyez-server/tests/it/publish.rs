//! Bodies become events.

use crate::harness::{Caller, Hosted, head};

async fn all(server: &Hosted) -> Vec<serde_json::Value> {
    let answer = server.get("/events/*?topic=*&poll=1&format=ndjson", &[]).await;
    answer.body().lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_body_is_the_data_whatever_its_type() {
    let server = Hosted::start().await;
    let id = server.post("/events/a/b%20c", &["Content-Type: application/json"], "{\"x\": 1}").await.id();
    server.post("/events/a?event=t&retry=500", &["Event-Id: my-id"], "line 1\r\nline 2").await.id();
    server.post("/events", &["Content-Type: application/x-www-form-urlencoded"], "a=1").await.id();
    server.post("/events/", &[], "").await.id();
    let events = all(&server).await;
    assert_eq!(events[0]["id"], id);
    assert_eq!(events[0]["data"], "{\"x\": 1}");
    assert_eq!(events[0]["topics"], serde_json::json!(["a/b c"]));
    assert_eq!(events[1]["data"], "line 1\nline 2");
    assert_eq!(
        (&events[1]["id"], &events[1]["type"], &events[1]["retry"]),
        (&"my-id".into(), &"t".into(), &500.into())
    );
    assert_eq!((&events[2]["data"], &events[2]["topics"][0]), (&"a=1".into(), &"events".into()));
    assert_eq!((&events[3]["data"], &events[3]["type"]), (&"".into(), &"message".into()));
    let time = events[0]["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn a_publisher_id_resumes_like_any_other() {
    let server = Hosted::start().await;
    server.post("/events/a?id=first", &[], "1").await;
    server.post("/events/a?id=second", &[], "2").await;
    let answer = server.get("/events/a?poll=1", &["Last-Event-ID: first"]).await;
    assert!(answer.body().ends_with("id: second\ndata: 2\n\n") && !answer.body().contains("oyez.gap"), "{answer:?}");
}

#[tokio::test]
async fn json_says_everything_in_the_body() {
    let server = Hosted::start().await;
    let body = r#"{"topics":["a","b"],"data":{"x": [1, 2]},"event":"t","id":"i","retry":9}"#;
    server.post("/events", &["Content-Type: application/json"], body).await.id();
    let events = all(&server).await;
    assert_eq!(events.len(), 1, "an event of two topics comes once");
    assert_eq!(events[0]["data"], r#"{"x":[1,2]}"#);
    assert_eq!(events[0]["topics"], serde_json::json!(["a", "b"]));
}

#[tokio::test]
async fn json_is_known_by_its_usual_names() {
    let server = Hosted::start().await;
    let object = r#"{"topic":"a","data":"object"}"#;
    for name in ["application/json", "text/json", "application/json; charset=utf-8"] {
        server.post("/events", &[&format!("Content-Type: {name}")], object).await.id();
    }
    for name in ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"] {
        let answer = server.post("/events", &[&format!("Content-Type: {name}")], format!("{object}\n{object}")).await;
        assert_eq!(answer.json()["ids"].as_array().unwrap().len(), 2, "{name}");
    }
    let events = all(&server).await;
    assert_eq!(events.len(), 3 + 8);
    assert!(events.iter().all(|event| event["topics"][0] == "a" && event["data"] == "object"));
    // where a topic is named, all of it is data, and so is an object of something else
    server.post("/events/b", &["Content-Type: application/cloudevents+json"], object).await.id();
    server.post("/events", &[], r#"{"x":1,"in":{"topics":1}}"#).await.id();
    server.post("/events", &[], "{topics: no JSON}").await.id();
    assert_eq!(all(&server).await[11]["data"], object);
}

#[tokio::test]
async fn a_batch_is_atomic_and_its_ids_are_in_order() {
    let server = Hosted::start().await;
    let body =
        "{\"topics\":\"a\",\"data\":\"1\"}\n\n{\"topics\":\"b\",\"data\":2}\r\n{\"topics\":\"a\",\"data\":\"3\"}";
    let answer = server.post("/events", &["Content-Type: application/x-ndjson"], body).await;
    let ids: Vec<_> =
        answer.json()["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let events = all(&server).await;
    assert_eq!(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), ids);
    assert_eq!(events.iter().map(|event| event["data"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn lines_are_published_as_they_come() {
    let server = Hosted::start().await;
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/log", &[])).await;
    reader.read_until("id: ").await;

    let mut writer = server.connect().await;
    writer.send(head("PUT", "/events/log?lines&event=line", &["Transfer-Encoding: chunked"])).await;
    send_chunk(&mut writer, "first\nsec").await;
    assert!(reader.read_until("first\n\n").await.contains("event: line\n"));
    send_chunk(&mut writer, "ond\r\n\nunterminated").await;
    reader.read_until("data: second\n\n").await;
    writer.send("0\r\n\r\n").await;
    let answer = writer.answer().await.json();
    assert_eq!(answer["accepted"], 4);
    assert!(answer["last"].as_str().unwrap().ends_with(":4"), "{answer}");
    assert_eq!(data(&server).await, ["first", "second", "", "unterminated"]);
}

async fn data(server: &Hosted) -> Vec<String> {
    all(server).await.iter().map(|event| event["data"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_rest_of_a_body_of_lines_is_a_line_at_its_proper_end_only() {
    let server = Hosted::start().await;
    for (body, accepted) in [("a\nb", 2), ("c", 1), ("d\r", 1), ("", 0), ("e\n", 1)] {
        let answer = server.post("/events/a?lines", &[], body).await.json();
        assert_eq!((&answer["accepted"], answer["last"].is_null()), (&accepted.into(), accepted == 0), "{body:?}");
    }
    assert_eq!(data(&server).await, ["a", "b", "c", "d", "e"]);
    let ended = server.post("/events/b?lines&end", &[], "f\ng").await.json();
    assert_eq!(ended["accepted"], 2);
    assert_eq!(data(&server).await[5..], ["f", "g", "{\"topic\":\"b\"}"]);

    // one that breaks off leaves half a line, which is no event
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let (hub, before) = (server.hub.clone(), server.hub.stats().published);
        let mut caller = server.connect().await;
        let chunk = if framing.starts_with("Content") { "h\nhalf" } else { "6\r\nh\nhalf\r\n" };
        caller.send(head("PUT", "/events/c?lines&end", &[framing]) + chunk).await;
        // the line is there, and then the caller goes
        while hub.stats().published == before {
            tokio::task::yield_now().await;
        }
        caller.finish().await;
        let answer = caller.answer().await;
        assert!([0, 400].contains(&answer.status()), "{answer:?}");
    }
    assert_eq!(data(&server).await[8..], ["h", "h"]);
    let bad = server.post("/events/d?lines", &[], b"i\n\xff").await;
    assert!(
        bad.status() == 415 && bad.detail().contains("line 2") && bad.detail().contains("1 lines before"),
        "{bad:?}"
    );
}

#[tokio::test]
async fn one_byte_order_mark_in_front_is_passed_over() {
    let server = Hosted::start().await;
    let object = "{\"topics\":\"a\",\"data\":\"x\"}";
    server.post("/events", &["Content-Type: application/json"], format!("\u{feff}{object}")).await.id();
    let batch =
        server.post("/events", &["Content-Type: application/x-ndjson"], format!("\u{feff}{object}\n{object}")).await;
    assert_eq!(batch.status(), 200, "{batch:?}");
    server.post("/events/a?lines", &[], "\u{feff}one\n\u{feff}two").await;
    server.post("/events/a?lines", &[], "\u{feff}\u{feff}").await;
    // a mark that comes in pieces, what begins like one, and what is too short to be one
    let mut writer = server.connect().await;
    writer.send(head("PUT", "/events/a?lines", &["Transfer-Encoding: chunked"])).await;
    for piece in [&b"\xef"[..], b"\xbb", b"\xbfin pieces\n"] {
        writer.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
    }
    writer.send("0\r\n\r\n").await;
    assert_eq!(writer.answer().await.status(), 200);
    assert_eq!(server.post("/events/a?lines", &[], b"\xef").await.status(), 415);
    // data is kept as it is
    server.post("/events/a", &[], "\u{feff}data").await.id();
    assert_eq!(data(&server).await, ["x", "x", "x", "one", "\u{feff}two", "\u{feff}", "in pieces", "\u{feff}data"]);
}

async fn send_chunk(caller: &mut Caller, text: &str) {
    caller.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
}

#[tokio::test]
async fn pipelined_publishes_are_answered_in_order() {
    let server = Hosted::start().await;
    let mut caller = server.connect().await;
    let mut requests = String::new();
    for n in 0..50 {
        let body = n.to_string();
        requests +=
            &format!("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }
    caller.send(requests + &head("GET", "/events/a?poll=1", &[])).await;
    let answer = caller.answer().await.0;
    let data: Vec<_> = answer.split("data: ").skip(1).map(|rest| rest.split('\n').next().unwrap().to_owned()).collect();
    assert_eq!(data, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_draining_hub_ends_live_lines_and_says_how_far_it_came() {
    let mut server = Hosted::with(|settings| settings.drain = Some("5s".to_owned())).await;
    let mut writer = server.connect().await;
    writer.send(head("PUT", "/events/log?lines", &["Transfer-Encoding: chunked"])).await;
    send_chunk(&mut writer, "one\ntwo\n").await;
    let hub = server.hub.clone();
    while hub.stats().published < 2 {
        tokio::task::yield_now().await;
    }
    server.stop();
    let answer = writer.answer().await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(answer.detail().contains("2 lines before were published"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    server.stopped().await;
}
