//! Whatever comes: a clear answer, nothing published, nobody else disturbed.

use crate::harness::{Answer, Caller, Hosted, head};

#[track_caller]
fn check(answer: &Answer, what: &str, status: u16, part: &str) {
    assert_eq!(answer.status(), status, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}: {answer:?}");
    assert!(answer.detail().contains(part), "{what}: {:?} does not name {part:?}", answer.detail());
}

#[tokio::test]
async fn subscribing_wrongly_names_what_is_wrong() {
    let server = Hosted::start().await;
    for (target, part) in [
        ("/events?topic=", "topic is empty"),
        ("/events/a%00b", "control character"),
        ("/events/a%ffb", "a%ffb"),
        ("/events/a%0ab", "control character"),
        ("/events?topic=%ff", "%ff"),
        ("/events/a?since=", "since"),
        ("/events/a?since=yesterday", "since=\"yesterday\" is not a time"),
        ("/events/a?since=10", "without a unit"),
        ("/events/a?since=10min", "units"),
        ("/events/a?since=2026-08-01T09:30:00+01:00", "%2B"),
        ("/events/a?until=2026-13-01", "not a date"),
        ("/events/a?until=latest", "latest"),
        ("/events/a?limt=1", "unknown parameter \"limt\"; known are topic, since, last, "),
        ("/events/a?filter=secret", "unknown parameter \"filter\""),
        ("/events?Topic=a", "unknown parameter \"Topic\""),
        ("/events/a?event=x", "unknown parameter \"event\""),
        ("/events/a?%ff=secret", "%ff"),
        ("/events/a?alive=15s", "alive is not in this build yet"),
        ("/events?topics=", "topic is empty"),
        ("/events?topic[]=a&topic[]=", "topic is empty"),
        ("/stats?row=1", "unknown parameter \"row\"; known are rows"),
        ("/stats?rows=x", "rows=\"x\""),
        ("/events/a?since=1m&since=2m", "since"),
        ("/events/a?since=1m&last=2", "exclude"),
        ("/events/a?last=-1", "last=\"-1\""),
        ("/events/a?last=many", "many"),
        ("/events/a?limit=1.5", "limit=\"1.5\""),
        ("/events/a?limit=99999999999999999999", "99999999999999999999"),
        ("/events/a?poll=maybe", "maybe"),
        ("/events/a?format=xml", "xml"),
        ("/events/a?on_gap=panic", "panic"),
        ("/events/a?until=nonsense", "nonsense"),
        ("/events/a?snapshot=yes", "snapshot=\"yes\""),
        ("/events/a?snapshot=1&since=1m", "exclude"),
        ("/events/a?snapshot&last=2", "exclude"),
        ("/events/a?envelope=2", "envelope=\"2\""),
        ("/events/a?control=yes", "control=\"yes\""),
        ("/events/a?authorization=secret", "authorization"),
        ("/events/a?access_token=secret", "access_token"),
    ] {
        let answer = server.get(target, &[]).await;
        check(&answer, target, 400, part);
        assert!(!answer.body().contains("secret"), "{answer:?}");
    }
    let long = format!("/events/{}", "x".repeat(1_025));
    check(&server.get(&long, &[]).await, "long topic", 400, "1025 bytes");
    let many: String = (0..101).map(|n| format!("topic=t{n}&")).collect();
    check(&server.get(&format!("/events?{many}"), &[]).await, "many topics", 400, "101 matchers");
    let target = format!("/events/a?x={}", "y".repeat(9_000));
    check(&server.get(&target, &[]).await, "long target", 414, "target");
    check(&server.get("/nowhere", &[]).await, "no route", 404, "/nowhere");
    check(&server.get("/.well-known/mercure?topic=a", &[]).await, "not yet", 404, "Mercure");
    check(&server.get("/metrics", &[]).await, "admin on the public listener", 404, "/metrics");
    check(&server.get("/clock", &[]).await, "no demo", 404, "/clock");
    let demo = Hosted::with(|settings| settings.demo = Some(true)).await;
    for target in ["/clock?limt=1", "/stock?limt=1"] {
        check(&demo.get(target, &[]).await, target, 400, "limt");
    }
    assert_eq!(server.hub.stats().subscribers, 0);
}

#[tokio::test]
async fn publishing_wrongly_names_what_is_wrong_and_publishes_nothing() {
    let server = Hosted::start().await;
    let mut reader = server.connect().await;
    reader.send(head("GET", "/events/*?topic=*", &[])).await;
    reader.read_until("id: ").await;

    const JSON: &str = "Content-Type: application/json";
    const NDJSON: &str = "Content-Type: application/x-ndjson; charset=utf-8";
    const OBJECT: &[u8] = br#"{"topics":"a","data":"x"}"#;
    // target, headers, body; status, what the answer names
    type Row = (&'static str, &'static [&'static str], &'static [u8], u16, &'static str);
    let rows: &[Row] = &[
        ("/events/a*", &[], b"x", 400, "a*"),
        ("/events/a%0d", &[], b"x", 400, "control character"),
        ("/events/a?evnt=secret", &[], b"x", 400, "unknown parameter \"evnt\"; known are event, id, "),
        ("/events?topic=a", &[], b"x", 400, "/events/TOPIC"),
        ("/events?topics=a", &[], b"x", 400, "/events/TOPIC"),
        ("/events/a?_=1", &[], b"x", 400, "_"),
        ("/events/a?event=oyez.gap", &[], b"x", 400, "oyez.gap"),
        ("/events/a?event=", &[], b"x", 400, "event type is empty"),
        ("/events/a?event=a%0Ab", &[], b"x", 400, "a\\nb"),
        ("/events/a?event=x", &["Event-Type: y"], b"x", 400, "contradict"),
        ("/events/a?id=", &[], b"x", 400, "event id is empty"),
        ("/events/a?id=a%00", &[], b"x", 400, "\"a\\0\" cannot come back"),
        ("/events/a?id=a%01b", &[], b"x", 400, "byte 1"),
        ("/events/a?id=a%7F", &[], b"x", 400, "cannot come back"),
        ("/events/a?id=%1B[2J", &[], b"x", 400, "cannot come back"),
        ("/events/a?id=a%09b", &[], b"x", 400, "cannot come back"),
        ("/events/a?id=+a", &[], b"x", 400, "\" a\" cannot come back"),
        ("/events/a?id=%C3%A9", &[], b"x", 400, "\"é\" cannot come back"),
        ("/events/a", &["Event-Id: a\tb"], b"x", 400, "cannot come back"),
        ("/events/a", &["Event-Id: é"], b"x", 400, "id=…"),
        ("/events/a", &["Event-Type: é"], b"x", 400, "event=…"),
        ("/events", &[JSON], "{\"topics\":\"a\",\"data\":\"\",\"id\":\"新\"}".as_bytes(), 400, "cannot come back"),
        ("/events/a?retry=3600001", &[], b"x", 400, "an hour"),
        ("/events/a?retry=18446744073709551615", &[], b"x", 400, "an hour"),
        ("/events", &[JSON], br#"{"topics":"a","data":"","retry":18446744073709551615}"#, 400, "an hour"),
        ("/events/a?id=k4f9zq71:7", &[], b"x", 400, "k4f9zq71:7"),
        ("/events/a?id=earliest", &[], b"x", 400, "earliest"),
        ("/events/a?retry=3s", &[], b"x", 400, "retry=\"3s\""),
        ("/events/a?retry=-1", &[], b"x", 400, "-1"),
        ("/events/a?private", &[], b"x", 400, "private"),
        ("/events/a?key=", &[], b"x", 400, "key is empty"),
        ("/events/a?key=a%0Ab", &[], b"x", 400, "key \"a\\nb\""),
        ("/events/a?key=a&key=b", &[], b"x", 400, "key is given more than once"),
        ("/events/a?lines&key=", &[], b"x\n", 400, "key is empty"),
        ("/events/a?ttl=5", &[], b"x", 400, "ttl=\"5\""),
        ("/events/a?ttl=-1s", &[], b"x", 400, "ttl=\"-1s\""),
        ("/events/a?ttl=", &[], b"x", 400, "ttl=\"\""),
        ("/events/a?ttl=0s", &[], b"x", 400, "millisecond"),
        ("/events/a?end&ttl=0s", &[], b"x", 400, "millisecond"),
        ("/events/a?lines&end&ttl=0s", &[], b"x\n", 400, "millisecond"),
        ("/events/a?lines&end&ttl=soon", &[], b"x\n", 400, "soon"),
        ("/events/a?end=maybe", &[], b"x", 400, "end=\"maybe\""),
        ("/events/clock?end", &[], b"x", 400, "clock"),
        ("/events/stock?end", &[], b"x", 400, "stock"),
        ("/events/events?end", &[], b"x", 400, "events"),
        ("/events?end", &[], b"x", 400, "events"),
        ("/events/events?lines&end", &[], b"x\n", 400, "events"),
        ("/events/a?end&event=done", &[], b"", 400, "last event"),
        ("/events?end", &[JSON], br#"{"topics":"a","data":""}"#, 400, "end"),
        ("/events", &[JSON], br#"{"topics":"a","data":"","end":true}"#, 400, "end"),
        ("/events/a?lines&id=x", &[], b"x\n", 400, "id"),
        ("/events/a", &["Idempotency-Key: "], b"x", 400, "idempotency key \"\""),
        ("/events/a", &["Idempotency-Key: a\tb"], b"x", 400, "a\\tb"),
        ("/events/a", &["Idempotency-Key: é"], b"x", 400, "é"),
        ("/events/a", &["Idempotency-Key: a", "Idempotency-Key: b"], b"x", 400, "more than once"),
        ("/events/a?lines", &["Idempotency-Key: k"], b"x\n", 400, "NDJSON"),
        ("/events", &[JSON, "Idempotency-Key: é"], br#"{"topics":"a","data":""}"#, 400, "é"),
        ("/events/a", &["Authorization: Bearer x"], b"x", 400, "Authorization"),
        ("/events/a", &["Content-Encoding: gzip"], b"x", 415, "gzip"),
        ("/events/a", &["X-Forwarded-For: 10.0.0.1"], b"x", 403, "proxy"),
        ("/events/a", &["Forwarded: for=10.0.0.1"], b"x", 403, "proxy"),
        ("/events/a", &["Via: 1.1 proxy"], b"x", 403, "proxy"),
        ("/events/a", &["Origin: https://evil.example"], b"x", 403, "evil.example"),
        ("/events/a", &["Origin: null"], b"x", 403, "null"),
        ("/events/a", &["Sec-Fetch-Site: same-site"], b"x", 403, "same-site"),
        ("/events/a", &[], b"\xff\xfe", 415, "base64"),
        ("/events", &[JSON], b"{", 400, "JSON"),
        ("/events", &[JSON], b"\xff", 415, "base64"),
        ("/events", &[JSON], br#"{"topics":"a"}"#, 400, "data"),
        ("/events?event=x", &[JSON], br#"{"topics":"a","data":""}"#, 400, "event"),
        ("/events", &[JSON, "Event-Id: x"], br#"{"topics":"a","data":""}"#, 400, "event-id"),
        ("/events", &[JSON], br#"{"topics":"a","data":"","private":true}"#, 400, "private"),
        ("/events", &[JSON], br#"{"topics":"a","data":"","key":"\u0000"}"#, 400, "key \"\\0\""),
        ("/events?key=k", &[JSON], br#"{"topics":"a","data":""}"#, 400, "key"),
        ("/events", &[NDJSON], b"", 400, "empty"),
        ("/events", &[NDJSON], b"{\"topics\":\"a\",\"data\":\"\"}\n{\"topics\":\"*\",\"data\":\"\"}\n", 400, "line 2"),
        (
            "/events",
            &[NDJSON],
            b"{\"topics\":\"a\",\"data\":\"\"}\n{\"topics\":\"a\",\"data\":\"\",\"event\":\"oyez.x\"}\n",
            400,
            "event 2 of the batch",
        ),
        ("/events", &[NDJSON], b"[1]\n", 400, "line 1"),
        ("/events", &["Content-Type: application/cloudevents+json"], OBJECT, 415, "application/cloudevents+json"),
        ("/events", &["Content-Type: application/json-seq"], OBJECT, 415, "application/json"),
        ("/events", &["Content-Type: application/cloudevents+json"], b"not even JSON", 415, "/events/TOPIC"),
        ("/events", &["Content-Type: application/x-www-form-urlencoded"], OBJECT, 415, "application/json"),
        ("/events", &["Content-Type: text/plain;charset=UTF-8"], OBJECT, 415, "application/json"),
        ("/events", &[], OBJECT, 415, "application/json"),
        ("/events", &[], b"\n {\"data\":{},\"topics\":\"a\"}\n{\"data\":1}\n", 415, "application/x-ndjson"),
        ("/events/", &[], b"\xef\xbb\xbf{\"topic\":\"a\",\"data\":1}", 415, "topics"),
        ("/events", &["Content-Type: multipart/form-data; boundary=x"], b"--x--", 415, "multipart"),
        ("/events/a", &["Content-Type: multipart/form-data; boundary=x"], b"--x--", 415, "multipart"),
        ("/events/a?lines", &["Content-Type: Multipart/Form-Data"], b"--x--\n", 415, "multipart"),
    ];
    for (target, headers, body, status, part) in rows {
        let answer = server.post(target, headers, body).await;
        check(&answer, &format!("{target} {headers:?} {}", String::from_utf8_lossy(body)), *status, part);
        assert!(!answer.body().contains("secret"), "{answer:?}");
    }
    let long_id = format!("/events/a?id={}", "x".repeat(129));
    check(&server.post(&long_id, &[], "x").await, "long id", 400, "129 bytes");
    let long_key = format!("/events/a?key={}", "x".repeat(257));
    check(&server.post(&long_key, &[], "x").await, "long key", 400, "257 bytes");
    let long_type = format!("/events/a?event={}", "x".repeat(257));
    check(&server.post(&long_type, &[], "x").await, "long type", 400, "257 bytes");
    check(&server.post("/events/a", &[], vec![b'x'; (1 << 20) + 1]).await, "large body", 413, "1048576");
    let topics: Vec<String> = (0..101).map(|n| format!("\"t{n}\"")).collect();
    let many = format!("{{\"topics\":[{}],\"data\":\"\"}}", topics.join(","));
    check(&server.post("/events", &[JSON], many).await, "many topics", 400, "101 topics");
    let batch = "{\"topics\":\"a\",\"data\":\"\"}\n".repeat(1_001);
    check(&server.post("/events", &[NDJSON], batch).await, "large batch", 400, "more than 1000 events");

    // in Latin-1, as some callers write it
    let latin =
        [head("POST", "/events/a", &["Content-Length: 1", "Event-Type: \u{1}"]).into_bytes(), b"x".to_vec()].concat();
    let latin: Vec<u8> = latin.into_iter().map(|byte| if byte == 1 { 0xe9 } else { byte }).collect();
    check(&server.ask(latin).await, "Latin-1", 400, "event=…");

    for method in ["PATCH", "QUERY", "TRACE", "FOO"] {
        let answer = server.ask(head(method, "/events/a", &["Content-Length: 0"])).await;
        check(&answer, method, 405, method);
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS, POST, PUT, DELETE"), "{method}");
    }
    for (target, headers, status, part) in [
        ("/events/a*", &[][..], 400, "a*"),
        ("/events/a?key=k", &[], 400, "key"),
        ("/events/a?access_token=x", &[], 400, "access_token"),
        ("/events/a", &["Authorization: Bearer x"], 400, "Authorization"),
        ("/events/a", &["Origin: https://evil.example"], 403, "evil.example"),
        ("/events/a", &["X-Forwarded-For: 10.0.0.1"], 403, "proxy"),
        ("/events", &[], 405, "DELETE"),
        ("/events/", &[], 405, "DELETE"),
        ("/", &[], 405, "DELETE"),
    ] {
        check(&server.ask(head("DELETE", target, headers)).await, target, status, part);
    }
    check(&server.ask(head("PUT", "/events", &["Content-Length: 0"])).await, "PUT /events", 405, "PUT");
    let elsewhere = server.ask(head("POST", "/", &["Content-Length: 0"])).await;
    check(
        &elsewhere,
        "POST /",
        405,
        "POST is not allowed here; allowed: GET, HEAD, OPTIONS; publish and subscribe at /events/TOPIC",
    );

    assert_eq!(server.hub.stats().published, 0, "nothing was published");
    let id = server.post("/events/good", &[], "still here").await.id();
    let seen = reader.read_until("still here").await;
    assert!(seen.contains(&format!("id: {id}\n")) && id.ends_with(":1"), "the reader was not disturbed: {seen}");
}

#[tokio::test]
async fn what_is_not_http_is_answered_and_closed() {
    let server = Hosted::start().await;
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET /events HTTP/1.1\r\n\r\n", 400),
        ("GET /events HTTP/1.0\r\n\r\n", 400),
        ("GET /events HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /events HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        ("GET http://evil.example/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 421),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\nx", 400),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nx", 400),
        (
            "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            501,
        ),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, Chunked\r\n\r\n0\r\n\r\n", 501),
        (
            "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        ("GET /events/a?poll=1 HTTP/1.1\nHost: localhost\n\n", 400),
        ("GET /events/a?poll=1 HTTP/1.1\r\nHost: localhost\n\r\n", 400),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nA:\r\n b\r\n\r\n", 400),
        ("GET /events HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    ] {
        let mut caller = server.connect().await;
        caller.send(request).await;
        caller.finish().await;
        assert_eq!(caller.answer().await.status(), status, "{request:?}");
    }
    // after a good one, and cut anywhere
    for wrong in [
        "POST /events/a HTTP/1.1\nHost: localhost\n\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ] {
        for cut in [0, 1, wrong.len() / 2, wrong.len() - 1] {
            let mut caller = server.connect().await;
            caller.send(format!("GET /events/a?poll=1 HTTP/1.1\r\nHost: localhost\r\n\r\n{}", &wrong[..cut])).await;
            let first = caller.read_until("0\r\n\r\n").await;
            caller.send(&wrong[cut..]).await;
            let all = first + &caller.answer().await.0;
            assert!(all.starts_with("HTTP/1.1 200") && all.contains("HTTP/1.1 400"), "{wrong:?} cut at {cut}: {all}");
            assert_eq!(all.matches("HTTP/1.1").count(), 2, "{wrong:?} cut at {cut}: {all}");
        }
    }
    let large = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(server.ask(large).await.status(), 431);
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn what_reads_no_parameter_takes_any() {
    let server = Hosted::start().await;
    for target in ["/?a=%ff", "/?access_token=x", "/?since=1m&since=2m"] {
        assert_eq!(server.get(target, &[]).await.status(), 200, "{target}");
    }
    for target in ["/healthz?a=%ff", "/readyz?since=", "/metrics?name[]=x"] {
        let mut caller = Caller::connect(server.admin).await;
        caller.send(head("GET", target, &[])).await;
        assert_eq!(caller.answer().await.status(), 200, "{target}");
    }
    assert_eq!(server.post("/control/1?a=%ff", &[], r#"{"drop":true}"#).await.status(), 404);
}

#[tokio::test]
async fn who_watches_needs_no_host_and_is_told_what_there_is() {
    let server = Hosted::start().await;
    for (request, status) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("OPTIONS /healthz HTTP/1.0\r\n\r\n", 204),
        ("GET /readyz HTTP/1.0\r\nHost:\r\n\r\n", 200),
        ("GET /metrics HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421),
        ("POST /healthz HTTP/1.0\r\nOrigin: http://\r\n\r\n", 403),
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 421),
    ] {
        let mut caller = Caller::connect(server.admin).await;
        caller.send(request).await;
        assert_eq!(caller.answer().await.status(), status, "{request:?}");
    }
    let mut caller = Caller::connect(server.admin).await;
    caller.send(head("GET", "/health", &[])).await;
    check(&caller.answer().await, "/health", 404, "the admin listener, with /healthz, /readyz and /metrics");
}

#[tokio::test]
async fn a_body_that_ends_early_publishes_nothing() {
    let server = Hosted::start().await;
    for request in [
        head("POST", "/events/a", &["Content-Length: 10"]) + "half",
        head("POST", "/events/a", &["Transfer-Encoding: chunked"]) + "4\r\nhalf\r\n",
        head("POST", "/events/a", &["Transfer-Encoding: chunked"]) + "zz\r\n",
    ] {
        let mut caller = server.connect().await;
        caller.send(&request).await;
        caller.finish().await;
        let answer = caller.answer().await;
        assert!([0, 400].contains(&answer.status()), "{request:?}: {answer:?}");
    }
    let id = server.post("/events/a", &[], "whole").await.id();
    assert!(id.ends_with(":1"), "{id}");
}

#[tokio::test]
async fn an_announced_body_that_is_too_large_is_refused_before_it_comes() {
    let server = Hosted::start().await;
    let answer = server.ask(head("POST", "/events/a", &["Content-Length: 1073741824"])).await;
    check(&answer, "a gigabyte announced", 413, "1048576");
}

#[tokio::test]
async fn who_sends_too_much_reads_why() {
    let server = Hosted::start().await;
    let megabytes = vec![b'x'; 8 << 20];
    for (target, framing, first, part) in [
        ("/events/a", "Content-Length: 1073741824", "", "1048576"),
        ("/events/a", "Transfer-Encoding: chunked", "1000000\r\n", "1048576"),
        ("/events/a?lines", "Transfer-Encoding: chunked", "1000000\r\none\ntwo\n", "2 lines before were published"),
        ("/events/a*", "Transfer-Encoding: chunked", "1000000\r\n", "a*"),
    ] {
        let mut caller = server.connect().await;
        caller.send(head("POST", target, &[framing]) + first).await;
        caller.send(&megabytes).await;
        let answer = caller.answer().await;
        assert!(
            [400, 413].contains(&answer.status()) && answer.detail().contains(part),
            "{target} {framing}: {answer:?}"
        );
    }
}

/// Nobody waits for anybody here: the first refusal of all comes by itself, because large bodies share a bound.
#[tokio::test]
async fn unfinished_bodies_share_a_bound_and_small_publishes_are_beyond_it() {
    let server = Hosted::start().await;
    let megabytes = vec![b' '; 7 << 20];
    let mut senders = tokio::task::JoinSet::new();
    // 12 batches of 7 of 8 MiB; the bound is 64
    for _ in 0..12 {
        let (address, megabytes) = (server.address, megabytes.clone());
        senders.spawn(async move {
            loop {
                let mut caller = Caller::connect(address).await;
                let framing = ["Content-Length: 8388608", "Content-Type: application/x-ndjson"];
                caller.send(head("POST", "/events", &framing)).await;
                caller.send(&megabytes).await;
                let answer = caller.answer().await;
                // who holds its place is cut after a while
                if answer.status() != 408 {
                    return answer;
                }
            }
        });
    }
    for _ in 0..3 {
        let refused = senders.join_next().await.unwrap().unwrap();
        assert_eq!(refused.status(), 503, "{refused:?}");
        assert!(refused.header("retry-after").is_some() && refused.detail().contains("67108864"), "{refused:?}");
    }
    assert_eq!(server.post("/events/a", &[], "small").await.status(), 200);
    senders.shutdown().await;
    // what they held is free when the hub has seen that they are gone
    let batch = format!("{}{}", "\n".repeat(7 << 20), r#"{"topics":"a","data":"x"}"#);
    let publish = || server.post("/events", &["Content-Type: application/x-ndjson"], &batch);
    while publish().await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lines_say_how_far_they_came() {
    let server = Hosted::start().await;
    let answer = server.post("/events/log?lines", &[], b"one\ntwo\n\xff\nfour\n").await;
    check(&answer, "not UTF-8", 415, "line 3");
    assert!(answer.detail().contains("2 lines before were published"), "{}", answer.detail());
    let mut long = b"one\n".to_vec();
    long.resize((1 << 20) + 10, b'x');
    check(&server.post("/events/log?lines", &[], long).await, "long line", 413, "line 2");
    assert_eq!(server.hub.stats().published, 3);
}

#[tokio::test]
async fn a_public_url_turns_publishing_off() {
    let server = Hosted::with(|settings| settings.public_urls = Some(vec!["https://hub.example.com".to_owned()])).await;
    check(&server.post("/events/a", &[], "x").await, "publish", 403, "public_urls");
    let request = "GET /events/a?poll=1 HTTP/1.1\r\nHost: hub.example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(server.ask(request).await.status(), 200);
}
