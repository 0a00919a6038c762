//! cargo run -p oyez-examples --bin sensors
//!
//! Binary readings as base64, and what that costs, measured: open http://127.0.0.1:3000/, or
//!
//! ```text
//! curl -N 'localhost:3000/sensors/*'
//! curl localhost:3000/sensors/vibration/overhead
//! curl localhost:3000/sensors/temperature/overhead
//! head -c 300 /dev/urandom | curl --data-binary @- -H 'Content-Type: application/octet-stream' localhost:3000/sensors/mine
//! ```

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, routing::get};
use oyez::{Error, Event, EventId, Hub, LastEventId, Retention, Sse};
use serde::Serialize;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<Event>::builder().history(Retention::last(1_000)).build();
    tokio::spawn(measure(hub.clone()));
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/sensors/{name}", get(subscribe).post(publish))
        .route("/sensors/{name}/overhead", get(overhead))
        .with_state(hub);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// `*` is all sensors: a pattern is asked for by name.
async fn subscribe(State(hub): State<Hub>, Path(name): Path<String>, resume: LastEventId) -> Sse {
    hub.subscribe_pattern(format!("sensors/{name}")).last(2).resume(resume).into_response()
}

/// Only a content type that forms cannot have: no other site's page can send it here unasked.
async fn publish(
    State(hub): State<Hub>,
    Path(name): Path<String>,
    headers: HeaderMap,
    reading: Bytes,
) -> Result<String, Response> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|is| is != "application/octet-stream") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/octet-stream").into_response());
    }
    let id = send(&hub, &name, &reading).await.map_err(IntoResponse::into_response)?;
    Ok(id.to_string())
}

/// The type of the event is the sensor's name, so that a page can tell them apart on one connection.
async fn send(hub: &Hub, name: &str, reading: &[u8]) -> Result<EventId, Error> {
    hub.publish(format!("sensors/{name}"), Event::base64(reading)).event(name).await
}

/// Bytes of the readings that are kept, and what they became.
#[derive(Serialize, Default)]
struct Overhead {
    readings: usize,
    raw_bytes: usize,
    base64_bytes: usize,
    /// As a reader gets them, with field names, ids and empty lines. HTTP's chunks add a few more.
    stream_bytes: usize,
    base64_percent: f64,
    stream_percent: f64,
}

/// Reads the stream as anybody would, up to now, and counts.
async fn overhead(State(hub): State<Hub>, Path(name): Path<String>) -> Result<Json<Overhead>, StatusCode> {
    let stream = hub.subscribe_pattern(format!("sensors/{name}")).earliest().poll().into_response();
    let body = to_bytes(stream.into_response().into_body(), usize::MAX).await;
    let stream = String::from_utf8(body.map(Vec::from).unwrap_or_default()).unwrap_or_default();
    let mut sum = Overhead::default();
    for block in stream.split_inclusive("\n\n") {
        // base64 has no line breaks, so a reading is one line; the block that opens a stream has none
        let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
        let reading = Event::data(data).decode_base64().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        sum.readings += 1;
        sum.raw_bytes += reading.len();
        sum.base64_bytes += data.len();
        sum.stream_bytes += block.len();
    }
    let percent = |bytes: usize| (bytes as f64 / sum.raw_bytes as f64 - 1.0) * 100.0;
    if sum.raw_bytes == 0 {
        return Err(StatusCode::NOT_FOUND);
    }
    (sum.base64_percent, sum.stream_percent) = (percent(sum.base64_bytes), percent(sum.stream_bytes));
    Ok(Json(sum))
}

/// Two sensors: 600 bytes at a time and 4 bytes at a time. What is sent in small pieces pays more for its frames.
async fn measure(hub: Hub) -> Result<(), Error> {
    for tick in 0_u32.. {
        let samples = (tick * 300..).take(300).map(|at| f64::from(at) / 40.0);
        let vibration = samples.map(|at| (8_000.0 * at.sin() + 2_000.0 * (7.3 * at).sin()) as i16);
        let vibration: Vec<u8> = vibration.flat_map(i16::to_le_bytes).collect();
        send(&hub, "vibration", &vibration).await?;
        let celsius = 20.0 + (f64::from(tick) / 20.0).sin() as f32;
        send(&hub, "temperature", &celsius.to_le_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sensors</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: 8rem; border-block: 1px solid #8884; }
polyline { fill: none; stroke: currentColor; vector-effect: non-scaling-stroke; }
output { font-variant-numeric: tabular-nums; }
</style>
<h1>Sensors</h1>
<svg viewBox="0 -10000 299 20000" preserveAspectRatio="none" aria-hidden="true"><polyline id="wave"/></svg>
<p>Temperature: <output id="celsius">–</output></p>
<p>Vibration: <output id="cost">–</output></p>
<script>
const view = base64 => new DataView(Uint8Array.from(atob(base64), letter => letter.charCodeAt(0)).buffer);
let raw = 0, text = 0;
const source = new EventSource("/sensors/*");
source.addEventListener("vibration", ({ data }) => {
  const reading = view(data);
  const samples = Array.from({ length: reading.byteLength / 2 }, (_, at) => reading.getInt16(2 * at, true));
  wave.setAttribute("points", samples.map((sample, at) => `${at},${-sample}`).join(" "));
  raw += reading.byteLength;
  text += data.length;
  cost.textContent = `${raw} bytes came as ${text} characters, ${((text / raw - 1) * 100).toFixed(1)} % more`;
});
source.addEventListener("temperature", ({ data }) => {
  celsius.textContent = `${view(data).getFloat32(0, true).toFixed(2)} °C`;
});
</script>
"#;
