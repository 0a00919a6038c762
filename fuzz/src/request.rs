//! Requests made of parts that the server knows, and of some that it does not.

use axum::body::Body;
use http::{HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::choices::Choices;

/// A request whose parts are each mostly right.
pub(crate) fn request(choices: &mut Choices<'_>) -> Option<Request<Body>> {
    let method = choices.pick(&["GET", "POST", "PUT", "POST", "HEAD", "OPTIONS", "DELETE", "PATCH", "x"]);
    let mut target =
        choices.pick(&["/events", "/events/", "/events/a", "/events/a/b%2Fc", "/", "/clock", "/stats"]).to_owned();
    if choices.next() > 200 {
        target.push_str(&percent_encode(choices.take(8), NON_ALPHANUMERIC).to_string());
    }
    for number in 0..choices.below(4) {
        let value = choices.join(VALUES, 2);
        let value = if choices.next() > 128 {
            percent_encode(&value, NON_ALPHANUMERIC).to_string()
        } else {
            String::from_utf8(value).ok()?
        };
        target.push_str(if number == 0 { "?" } else { "&" });
        target.push_str(choices.pick(PARAMETERS));
        target.push_str(if value.is_empty() { "" } else { "=" });
        target.push_str(&value);
    }
    let mut request = Request::builder().method(method).uri(target);
    if choices.next() < 250 {
        request = request.header("host", "localhost:8888");
    }
    for _ in 0..choices.below(4) {
        let (name, value) = (choices.pick(HEADERS), choices.join(VALUES, 2));
        request = request.header(name, HeaderValue::from_bytes(&value).ok()?);
    }
    let body = match choices.below(3) {
        0 => json(choices),
        1 => choices.join(&["line\n", "\r\n", "\n", "long ", "é"], 20),
        _ => choices.take(usize::MAX).to_vec(),
    };
    request.body(Body::from(body)).ok()
}

/// An object of a JSON publish, nearly right.
pub(crate) fn json(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut fields = Vec::new();
    if choices.next() < 240 {
        fields.push([br#""topics":"#.as_slice(), &choices.join(JSON_TOPICS, 1)].concat());
    }
    if choices.next() < 240 {
        fields.push([br#""data":"#.as_slice(), choices.pick(JSON_VALUES).as_bytes()].concat());
    }
    for _ in 0..choices.below(3) {
        fields.push([choices.pick(JSON_FIELDS).as_bytes(), choices.pick(JSON_VALUES).as_bytes()].concat());
    }
    let mut object = [b"{".as_slice(), &fields.join(&b","[..]), b"}"].concat();
    if choices.next() > 240 {
        object.extend_from_slice(choices.take(4));
    }
    object
}

const PARAMETERS: &[&str] = &[
    "topic",
    "since",
    "last",
    "until",
    "poll",
    "limit",
    "format",
    "on_gap",
    "event",
    "id",
    "retry",
    "lines",
    "key",
    "ttl",
    "end",
    "private",
    "snapshot",
    "envelope",
    "control",
    "last_event_id",
    "lastEventID",
    "lastEventId",
    "Last-Event-ID",
    "authorization",
    "x",
    "",
];

const VALUES: &[&str] = &[
    "",
    "1",
    "0",
    "true",
    "a",
    "a/*",
    "*",
    "10m",
    "1h",
    "99999999999999999999",
    "-1",
    "2026-11-20T10:00:00Z",
    "earliest",
    "k4f9zq71:7",
    ":",
    "ndjson",
    "sse",
    "fail",
    "announce",
    "oyez.gap",
    "%",
    "%0A",
    "%ff",
    "é",
    "+",
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
    "https://evil.example",
    "null",
    "gzip",
    "identity",
    "cross-site",
];

const HEADERS: &[&str] = &[
    "content-type",
    "accept",
    "last-event-id",
    "event-type",
    "event-id",
    "idempotency-key",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "content-encoding",
    "content-length",
    "authorization",
    "x-forwarded-for",
    "forwarded",
    "host",
    "access-control-request-method",
];

const JSON_TOPICS: &[&str] = &[
    r#""a""#,
    r#"["a","b"]"#,
    r#"["a","a"]"#,
    "[]",
    r#""""#,
    r#""*""#,
    "1",
    "null",
    r#"["a",1]"#,
    r#""\u00e9\n""#,
    r#""\ud800""#,
];

const JSON_FIELDS: &[&str] = &[
    r#""event":"#,
    r#""id":"#,
    r#""retry":"#,
    r#""private":"#,
    r#""key":"#,
    r#""ttl":"#,
    r#""data":"#,
    r#""topics":"#,
    r#""x":"#,
];

const JSON_VALUES: &[&str] = &[
    r#""x""#,
    r#""""#,
    "1",
    "-1",
    "1.50",
    "1e30",
    "null",
    "true",
    "false",
    "[ 1 , 2 ]",
    r#"{ "a" : "b \" c" }"#,
    r#""a\nb""#,
    r#""\u0000""#,
    r#""oyez.gap""#,
    r#""k4f9zq71:7""#,
    "18446744073709551616",
    "{",
    r#""\ud800""#,
    r#"{"data":"\\"}"#,
];
