//! cargo run -p oyez-examples --bin chat
//!
//! Chat rooms: a room is a topic. Open http://127.0.0.1:3000/ in two windows. Who comes later sees what was said last, who
//! loses the connection gets exactly what was said meanwhile, and everybody sees how many are in the room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::{Router, routing::get};
use oyez::{Error, Hub, JsonPayload, LastEventId, Retention, Sse, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Said(Message),
    /// Somebody came or left: so many are here now.
    Here {
        people: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct Message {
    from: String,
    text: String,
}

impl JsonPayload for Line {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<Line>::builder().history(Retention::last(10_000)).build();
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/rooms/{room}", get(listen).post(say))
        .with_state(Chat { hub, people: Arc::default() });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

#[derive(Clone)]
struct Chat {
    hub: Hub<Line>,
    /// Only rooms with somebody in them.
    people: Arc<Mutex<HashMap<Topic, usize>>>,
}

async fn listen(State(chat): State<Chat>, Path(room): Path<String>, resume: LastEventId) -> Result<Sse, Error> {
    // a topic and not a pattern: `/rooms/*` is not a way to listen everywhere
    let room = Topic::new(&format!("rooms/{room}"))?;
    let place = chat.enter(&room);
    // a reader that comes back with its last id begins after that, and not 50 lines back
    Ok(chat.hub.subscribe(room).last(50).resume(resume).hold(place).into_response())
}

/// Only `application/json` is taken, which no other site's page can send here unasked.
async fn say(
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Json(message): Json<Message>,
) -> Result<StatusCode, Error> {
    chat.hub.publish(format!("rooms/{room}"), Line::Said(message)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody in a room. Dropped with the stream that holds it, however that ends.
struct Place {
    chat: Chat,
    room: Topic,
}

impl Drop for Place {
    fn drop(&mut self) {
        // a hub that takes nothing more has nobody who listens
        let _ = self.chat.count(&self.room, -1);
    }
}

impl Chat {
    fn enter(&self, room: &Topic) -> Place {
        let _ = self.count(room, 1);
        Place { chat: self.clone(), room: room.clone() }
    }

    /// Publishes under the lock, so that the counts come in order.
    fn count(&self, room: &Topic, change: isize) -> Result<(), Error> {
        let mut rooms = self.people.lock().expect("nothing panics under this lock");
        let people = rooms.get(room).copied().unwrap_or_default().saturating_add_signed(change);
        if people == 0 {
            rooms.remove(room)
        } else {
            rooms.insert(room.clone(), people)
        };
        self.hub.publish(room, Line::Here { people }).detach()
    }
}

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; }
input { flex: 1 1 8rem; font: inherit; }
li { overflow-wrap: anywhere; }
</style>
<h1 id="title">Chat</h1>
<nav><a href="#lobby">lobby</a> <a href="#rust">rust</a> <a href="#music">music</a></nav>
<p id="here" role="status">connecting</p>
<form id="form"><input name="from" aria-label="your name" placeholder="your name" required>
<input name="text" aria-label="say" placeholder="say" required autocomplete="off"><button>Send</button></form>
<ul id="lines" aria-live="polite"></ul>
<script>
const name = decodeURIComponent(location.hash.slice(1)) || "lobby";
const room = "/rooms/" + encodeURIComponent(name);
onhashchange = () => location.reload();
title.textContent = name;
const show = text => {
  const line = document.createElement("li");
  line.textContent = text;
  lines.prepend(line);
};
const source = new EventSource(room);
source.onmessage = ({ data }) => {
  const { kind, people, from, text } = JSON.parse(data);
  if (kind === "here") here.textContent = `${people} here`;
  else show(`${from}: ${text}`);
};
source.addEventListener("oyez.gap", () => show("(what was said before is no longer kept)"));
source.onerror = () => { here.textContent = "reconnecting"; };
form.onsubmit = async event => {
  event.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  const answer = await fetch(room, { method: "POST", headers: { "content-type": "application/json" }, body });
  if (answer.ok) form.text.value = "";
  else here.textContent = await answer.text();
};
</script>
"##;
