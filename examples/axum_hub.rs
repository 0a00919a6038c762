//! cargo run -p oyez-examples --bin axum_hub
//!
//! Orders as they come, in an axum app: who may read and write what, a filter, replay, resume, figures for Prometheus, a
//! clean stop.
//!
//! ```text
//! curl -N -H 'Authorization: Bearer berlin' 'localhost:3000/orders/eu?over=100&last=5'
//! curl -N -H 'Authorization: Bearer headquarters' 'localhost:3000/orders/*'
//! curl -H 'Authorization: Bearer berlin' --json '{"total": 250}' localhost:3000/orders/eu
//! curl localhost:3000/metrics
//! ```

use std::time::Duration;

use axum::extract::{Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use oyez::{Access, Hub, JsonPayload, LastEventId, Limits, Matcher, Retention, Sse, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    total: u32,
}

impl JsonPayload for Order {}

#[derive(Deserialize)]
struct Wanted {
    /// Only orders with more than this.
    #[serde(default)]
    over: u32,
    /// Begins with so many that were there before.
    #[serde(default)]
    last: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default().subscribers_max(10_000);
    let hub = Hub::<Order>::builder().history(Retention::last(10_000)).limits(limits).build();
    let app = Router::new()
        .route("/orders/{region}", get(subscribe).post(publish))
        .route("/metrics", get(metrics))
        .with_state(hub);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // in place of `axum::serve`: open streams end between two events, and their readers come back with their last id
    oyez::serve(listener, app).with_graceful_shutdown(stop()).drain(Duration::from_secs(20)).await?;
    Ok(())
}

/// `/orders/eu` is one region, `/orders/*` all that the caller may read: a pattern is asked for by name.
async fn subscribe(
    State(hub): State<Hub<Order>>,
    Path(region): Path<String>,
    Query(wanted): Query<Wanted>,
    resume: LastEventId,
    headers: HeaderMap,
) -> Sse {
    hub.subscribe_pattern(format!("orders/{region}"))
        .last(wanted.last)
        .resume(resume) // beats `last`: an EventSource comes back with the same query
        .access(Caller::of(&headers))
        .filter(move |order: &Order| order.total > wanted.over)
        .into_response()
}

/// Answers with the event's id.
async fn publish(
    State(hub): State<Hub<Order>>,
    Path(region): Path<String>,
    headers: HeaderMap,
    Json(order): Json<Order>,
) -> Result<String, Response> {
    let topic = format!("orders/{region}");
    if !Caller::of(&headers).may(&topic) {
        return Err((StatusCode::FORBIDDEN, format!("not allowed to publish to {topic}")).into_response());
    }
    // an error of the hub is a response with the status of its kind
    let id = hub.publish(topic, order).await.map_err(IntoResponse::into_response)?;
    Ok(id.to_string())
}

/// What one caller may read and write. It is asked for every event, replayed or live, so that `*` shows nobody too much.
struct Caller {
    topics: &'static [&'static str],
}

impl Caller {
    /// Check a real token here.
    fn of(headers: &HeaderMap) -> Self {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let topics: &[_] = match token {
            Some("berlin") => &["orders/eu"],
            Some("headquarters") => &["orders/eu", "orders/us"],
            _ => &[],
        };
        Self { topics }
    }

    fn may(&self, topic: &str) -> bool {
        self.topics.contains(&topic)
    }
}

impl Access for Caller {
    fn may_subscribe(&self, matcher: &Matcher) -> bool {
        !self.topics.is_empty() && matcher.exact().is_none_or(|topic| self.may(topic))
    }

    fn may_read(&self, topics: &[Topic]) -> bool {
        topics.iter().any(|topic| self.may(topic))
    }
}

/// The text format of Prometheus. Topics and ids are never labels: there is no bound to them.
async fn metrics(State(hub): State<Hub<Order>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], hub.stats().to_prometheus())
}

/// Ctrl-C, or what systemd, Docker and Kubernetes send.
async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be awaited");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
