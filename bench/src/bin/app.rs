//! A small axum app of ours, the same under two listeners: `app axum` is served by `axum::serve`, `app oyez` by `oyez::serve`.
//!
//! `GET /x` subscribes to `x`, `GET /x,y` to both, `POST /x` publishes to `x`.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use oyez::{Hub, LastEventId, Sse};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_default();
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/{topics}", get(subscribe).post(publish)).with_state(Hub::<String>::new());
    match server.as_str() {
        "axum" => axum::serve(listener, app).await,
        "oyez" => oyez::serve(listener, app).await.map_err(std::io::Error::other),
        _ => Err(std::io::Error::other("say which server: app axum or app oyez")),
    }
}

async fn subscribe(State(hub): State<Hub<String>>, Path(topics): Path<String>, resume: LastEventId) -> Sse {
    hub.subscribe_all(topics.split(',')).resume(resume).into_response()
}

async fn publish(
    State(hub): State<Hub<String>>,
    Path(topic): Path<String>,
    body: String,
) -> Result<String, (StatusCode, String)> {
    let id = hub.publish(topic, body).await.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(id.to_string())
}
