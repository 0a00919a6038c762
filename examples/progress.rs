//! cargo run -p oyez-examples --bin progress
//!
//! The progress of a job: a topic that has an end. Reload the page at http://127.0.0.1:3000/ in the middle, open it twice,
//! or follow with curl: the job goes on, and each reader gets all of it.
//!
//! ```text
//! curl -i --json '{"pages": 20}' localhost:3000/jobs
//! curl -N localhost:3000/jobs/1
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use oyez::{Error, Event, Hub, LastEventId, Retention, Sse};
use serde::Deserialize;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<Event>::builder().history(Retention::last(10_000)).build();
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/jobs", post(start))
        .route("/jobs/{job}", get(follow))
        .with_state(Jobs { hub, started: Arc::default() });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

#[derive(Clone)]
struct Jobs {
    hub: Hub,
    started: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Order {
    pages: u32,
}

/// Answers at once with the place where the job can be followed.
async fn start(State(jobs): State<Jobs>, Json(order): Json<Order>) -> Response {
    if !(1..=1_000).contains(&order.pages) {
        return (StatusCode::UNPROCESSABLE_ENTITY, "a report has 1 to 1000 pages").into_response();
    }
    let job = jobs.started.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(work(jobs.hub, job, order.pages));
    (StatusCode::ACCEPTED, [(header::LOCATION, format!("/jobs/{job}"))]).into_response()
}

/// The job knows nothing of readers: there may be none or many. One that fails in the middle drops its writer, which says
/// so and ends the topic.
async fn work(hub: Hub, job: u64, pages: u32) -> Result<(), Error> {
    let writer = hub.writer(format!("jobs/{job}"))?;
    for page in 0..pages {
        writer.publish((100 * page / pages).to_string()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    writer.publish(format!("{pages} pages")).event("done").await?;
    writer.end().await?;
    Ok(())
}

/// From the start for a page that is new, after the last id for an `EventSource` that was cut off. To one that comes back after
/// the end this answers 204: stay away.
async fn follow(State(jobs): State<Jobs>, Path(job): Path<u64>, resume: LastEventId) -> Result<Sse, StatusCode> {
    if !(1..=jobs.started.load(Ordering::Relaxed)).contains(&job) {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(jobs.hub.subscribe(format!("jobs/{job}")).earliest().resume(resume).into_response())
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Progress</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
button { font: inherit; }
progress { width: 100%; }
</style>
<h1>Report</h1>
<button id="start">Write a report</button>
<p><progress id="bar" max="100" value="0" aria-label="progress"></progress> <output id="result"></output></p>
<script>
// the address keeps the job: a reload goes on with it
if (location.hash) follow(location.hash.slice(1));
start.onclick = async () => {
  const body = JSON.stringify({ pages: 50 });
  const answer = await fetch("/jobs", { method: "POST", headers: { "content-type": "application/json" }, body });
  location.hash = answer.headers.get("location");
  follow(location.hash.slice(1));
};
function follow(job) {
  start.disabled = true;
  const source = new EventSource(job);
  source.onmessage = ({ data }) => { bar.value = data; result.value = `${data} %`; };
  source.addEventListener("done", ({ data }) => {
    source.close();
    bar.value = 100;
    result.value = data;
    start.disabled = false;
  });
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return; // it reconnects
    result.value = "there is no such job";
    start.disabled = false;
  };
}
</script>
"#;
