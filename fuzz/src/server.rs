//! Requests of every kind against the server's own router, without sockets: never a panic, only documented answers, and
//! nothing published that was not acknowledged.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bolero::check;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use oyez::{Event, Hub};
use oyez_server::{Server, Settings, Text};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::choices::Choices;
use crate::request::{json, request};

/// Method, path, query, headers and body, each mostly right.
#[test]
fn any_request() {
    let world = World::start();
    check!().for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let Some(request) = request(&mut choices) else { return };
        world.check(request);
    });
}

/// The target and the body are the input itself.
#[test]
fn any_bytes() {
    let world = World::start();
    check!().for_each(|input: &[u8]| {
        let (target, body) = input.split_at(input.len().min(16));
        for method in [Method::GET, Method::POST] {
            let target = [b"/events/".as_slice(), target].concat();
            let Ok(uri) = Uri::from_maybe_shared(target) else { return };
            let request = Request::builder().method(method).uri(uri).header("host", "localhost");
            world.check(request.body(Body::from(body.to_vec())).expect("a request"));
        }
    });
}

/// What a batch of JSON publishes is what its lines say.
#[test]
fn any_json() {
    let world = World::start();
    check!().for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let batch = choices.next() & 1 == 1;
        let lines = if batch { choices.below(6) } else { 1 };
        let body: Vec<Vec<u8>> = (0..lines).map(|_| json(&mut choices)).collect();
        let body = body.join(&b"\n"[..]);
        let content_type = if batch { "application/x-ndjson" } else { "application/json" };
        let request = Request::post("/events").header("host", "localhost").header("content-type", content_type);
        let published = world.check(request.body(Body::from(body.clone())).expect("a request"));
        if published > 0 {
            let text = String::from_utf8(body).expect("what was published is text");
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let expected: Vec<_> = lines.map(|line| data(&serde_json::from_str(line).expect("JSON"))).collect();
            let found = world.newest(published);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                match expected {
                    Data::Text(text) => assert_eq!(*found, text),
                    Data::Json(value) => assert_eq!(serde_json::from_str::<Value>(found).expect("JSON"), value),
                }
            }
        }
    });
}

enum Data {
    Text(String),
    Json(Value),
}

fn data(line: &Value) -> Data {
    match &line["data"] {
        Value::String(text) => Data::Text(text.clone()),
        other => Data::Json(other.clone()),
    }
}

struct World {
    runtime: Runtime,
    router: Router,
    hub: Hub<Event>,
}

impl World {
    /// No request breaks it: a panic in a handler ends the target.
    fn start() -> AssertUnwindSafe<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut settings = Settings::default();
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.admin = Some("127.0.0.1:0".to_owned());
        settings.keep_bytes = Some(Text::Number(1 << 20));
        settings.cors = Some(vec!["*".to_owned()]);
        let config = settings.resolve().expect("a good configuration");
        let server = runtime.block_on(Server::bind(config)).expect("free ports");
        let router = server.app().expect("an address");
        AssertUnwindSafe(Self { runtime, router, hub: server.hub() })
    }

    /// Asserts what holds for every answer. Returns how many events the request has published.
    fn check(&self, mut request: Request<Body>) -> u64 {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let before = self.hub.stats().published;
        let (status, content_type, body) = self.runtime.block_on(self.answer(request));
        let published = self.hub.stats().published - before;
        let what = || format!("{method} {uri}: {status} {body:?}");

        assert!(DOCUMENTED.contains(&status.as_u16()), "{}", what());
        assert_eq!(self.hub.stats().subscribers, 0, "a stream outlives its body: {}", what());
        if status.is_success() {
            let publishes = [Method::POST, Method::PUT].contains(&method);
            let acknowledged = if publishes { acknowledged(&body) } else { 0 };
            assert_eq!(published, acknowledged, "{}", what());
            if method == Method::GET && content_type.starts_with("text/event-stream") {
                assert!(body.starts_with("retry: "), "{}", what());
            }
        } else {
            assert_eq!(content_type, "application/problem+json", "{}", what());
            if method == Method::HEAD {
                assert_eq!((&*body, published), ("", 0), "{}", what());
                return 0;
            }
            let problem: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {}", what()));
            assert_eq!(problem["status"], status.as_u16(), "{}", what());
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(!detail.is_empty(), "{}", what());
            // live lines are published as they come, and a refusal says how many were
            let told = detail.contains(&format!("{published} lines before were published"));
            assert!(published == 0 || told, "{published} published, but {}", what());
        }
        published
    }

    /// Status, content type, and as much of the body as is there at once.
    async fn answer(&self, request: Request<Body>) -> (StatusCode, String, String) {
        let Ok(response) = self.router.clone().oneshot(request).await;
        let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().expect("text"));
        let (status, content_type) = (response.status(), content_type.to_owned());
        let mut body = response.into_body();
        let mut read = Vec::new();
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::ZERO, body.frame()).await {
            let frame = frame.expect("a body without faults");
            read.extend_from_slice(frame.data_ref().expect("no trailers"));
        }
        (status, content_type, String::from_utf8(read).expect("every answer is text"))
    }

    fn newest(&self, number: u64) -> Vec<String> {
        let number = usize::try_from(number).expect("a small number");
        let mut stream = self.hub.subscribe_pattern("*").last(number).poll().into_stream().expect("a stream");
        let mut found = Vec::new();
        self.runtime.block_on(async {
            while let Some(item) = stream.next().await {
                found.extend(item.event().map(|delivery| delivery.value.data_str().to_owned()));
            }
        });
        found
    }
}

/// How many events an answer says it has published.
fn acknowledged(body: &str) -> u64 {
    let answer: Value = serde_json::from_str(body).expect("an acknowledgement is JSON");
    // without a last event the end's id is both
    let end = u64::from(answer["end"].is_string() && answer["end"] != answer["id"]);
    let events = match (&answer["id"], &answer["ids"], &answer["accepted"]) {
        (Value::String(_), ..) => 1,
        (_, Value::Array(ids), _) => ids.len() as u64,
        (.., accepted) => accepted.as_u64().expect("a number"),
    };
    events + end
}

/// Every status that the documentation names.
const DOCUMENTED: &[u16] = &[200, 204, 400, 403, 404, 405, 408, 409, 410, 413, 414, 415, 421, 422, 503];
