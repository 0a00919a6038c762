//! A peer: a broadcast server in plain axum, as its users write it.
//!
//! A `tokio::sync::broadcast` channel for each topic, axum's own `Sse` with its default keep-alive, the default runtime. A
//! receiver that lags behind its channel misses what it lags, as `BroadcastStream` has it. `GET /x` subscribes to `x`, `GET /x,y` to
//! both, `POST /x` publishes to `x`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/{topics}", get(subscribe).post(publish)).with_state(Topics::default());
    axum::serve(listener, app).await
}

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, broadcast::Sender<Arc<str>>>>>);

impl Topics {
    fn sender(&self, topic: &str) -> broadcast::Sender<Arc<str>> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(CHANNEL_EVENTS)).clone()
    }
}

async fn subscribe(
    State(topics): State<Topics>,
    Path(names): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let receivers = names.split(',').map(|name| BroadcastStream::new(topics.sender(name).subscribe()));
    let events = stream::select_all(receivers).filter_map(async |event| Some(Ok(Event::default().data(event.ok()?))));
    Sse::new(events.boxed()).keep_alive(KeepAlive::default())
}

async fn publish(State(topics): State<Topics>, Path(name): Path<String>, body: String) -> &'static str {
    // an error says that nobody reads the topic
    let _ = topics.sender(&name).send(body.into());
    "ok"
}

/// More than `oyez bench` has in flight at full speed, a thousand, so that only a flood overruns it.
const CHANNEL_EVENTS: usize = 4_096;
