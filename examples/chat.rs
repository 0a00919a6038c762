//! cargo run -p oyez-examples --bin chat
//!
//! Chat rooms: a room is a topic, a message a typed event. Open http://127.0.0.1:3000/ in two windows. Who comes later
//! sees the last messages, and who loses the connection gets exactly what was said meanwhile.

use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::{Router, routing::get};
use oyez::{Hub, JsonPayload, LastEventId, Retention, Sse};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Message {
    from: String,
    text: String,
}

impl JsonPayload for Message {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<Message>::builder().history(Retention::last(10_000)).build();
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/rooms/{room}", get(listen).post(say))
        .with_state(hub);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    oyez::serve(listener, app).await?;
    Ok(())
}

async fn listen(State(hub): State<Hub<Message>>, Path(room): Path<String>, resume: LastEventId) -> Sse {
    // a reader that comes back with its last id begins behind that instead
    hub.subscribe(&format!("rooms/{room}")).last(20).resume(resume).into_response()
}

/// Only `application/json` is taken, which no other site's page can send here unasked.
async fn say(
    State(hub): State<Hub<Message>>,
    Path(room): Path<String>,
    Json(message): Json<Message>,
) -> Result<StatusCode, (StatusCode, String)> {
    let published = hub.publish(&format!("rooms/{room}"), message).await;
    published.map(|_| StatusCode::NO_CONTENT).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<h1>Chat</h1>
<form id="form"><input name="from" placeholder="your name" required> <input name="text" placeholder="say" required autofocus>
<button>Send</button></form>
<ul id="messages" aria-live="polite"></ul>
<script>
const room = "/rooms/" + encodeURIComponent(location.hash.slice(1) || "lobby");
new EventSource(room).onmessage = event => {
  const { from, text } = JSON.parse(event.data);
  const line = document.createElement("li");
  line.textContent = from + ": " + text;
  messages.prepend(line);
};
form.onsubmit = event => {
  event.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  fetch(room, { method: "POST", headers: { "content-type": "application/json" }, body });
  form.text.value = "";
};
</script>
"#;
