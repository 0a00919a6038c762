//! cargo run -p oyez-examples --bin axum_hub
//!
//! Orders as they come, in an axum app: who may read what, a filter, resume, figures for Prometheus, a clean stop.
//!
//! ```text
//! curl -N -H 'Authorization: Bearer berlin' localhost:3000/orders/eu?over=100
//! curl --json '{"total": 250}' localhost:3000/orders/eu
//! curl localhost:3000/metrics
//! ```

use std::time::Duration;

use axum::extract::{Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
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
    #[serde(default)]
    over: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut limits = Limits::default();
    limits.subscribers_max = 10_000;
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

/// `/orders/eu` is one region, `/orders/*` all that the caller may read.
async fn subscribe(
    State(hub): State<Hub<Order>>,
    Path(region): Path<String>,
    Query(wanted): Query<Wanted>,
    resume: LastEventId,
    headers: HeaderMap,
) -> Sse {
    hub.subscribe(&format!("orders/{region}"))
        .resume(resume)
        .access(Reader::of(&headers))
        .filter(move |order: &Order| order.total > wanted.over)
        .into_response()
}

/// Answers with the event's id.
async fn publish(
    State(hub): State<Hub<Order>>,
    Path(region): Path<String>,
    Json(order): Json<Order>,
) -> Result<String, (StatusCode, String)> {
    let id = hub.publish(&format!("orders/{region}"), order).await;
    id.map(|id| id.to_string()).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// What one caller may read. It is asked for every event, replayed or live, so that `*` shows nobody too much.
struct Reader {
    regions: &'static [&'static str],
}

impl Reader {
    /// Check a real token here.
    fn of(headers: &HeaderMap) -> Self {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let regions: &[_] = match token {
            Some("berlin") => &["orders/eu"],
            Some("headquarters") => &["orders/eu", "orders/us"],
            _ => &[],
        };
        Self { regions }
    }
}

impl Access for Reader {
    fn may_subscribe(&self, matcher: &Matcher) -> bool {
        !self.regions.is_empty() && matcher.exact().is_none_or(|topic| self.may_read(std::slice::from_ref(topic)))
    }

    fn may_read(&self, topics: &[Topic]) -> bool {
        topics.iter().any(|topic| self.regions.contains(&&**topic))
    }
}

async fn metrics(State(hub): State<Hub<Order>>) -> String {
    let stats = hub.stats();
    let counter = |name: &str, value: u64| format!("# TYPE oyez_{name} counter\noyez_{name}_total {value}\n");
    let gauge = |name: &str, value: u64| format!("# TYPE oyez_{name} gauge\noyez_{name} {value}\n");
    gauge("subscribers", stats.subscribers)
        + &counter("published", stats.published)
        + &counter("delivered", stats.delivered)
        + &counter("refused", stats.refused)
        + &gauge("history_entries", stats.history_entries)
        + &gauge("history_bytes", stats.history_bytes)
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
