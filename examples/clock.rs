//! cargo run -p oyez-examples --bin clock
//!
//! The time, each second, to everyone: open http://127.0.0.1:3000/, or `curl -N localhost:3000/clock`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use axum::{Router, routing::get};
use jiff::Timestamp;
use oyez::{Hub, Retention, Sse};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<String>::builder().history(Retention::last(1)).build();
    tokio::spawn(tick(hub.clone()));
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/clock", get(clock)).with_state(hub);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// One task for all readers, however many there are.
async fn tick(hub: Hub<String>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    loop {
        let now = Timestamp::now();
        let next = Timestamp::from_second(now.as_second() + 1)?;
        tokio::time::sleep(Duration::try_from(next.duration_since(now))?).await;
        hub.publish("clock", next.to_string()).await?;
    }
}

/// Who comes is told the last tick at once. There is no `resume` here: who was away wants to know what time it is, not
/// each second that has passed. The other examples have it.
async fn clock(State(hub): State<Hub<String>>) -> Sse {
    hub.subscribe("clock").last(1).into_response()
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Clock</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 15vh auto 0; padding: 0 1rem; text-align: center; }
time { font-size: clamp(3rem, 18vw, 7rem); font-variant-numeric: tabular-nums; }
</style>
<time id="clock">··:··:··</time>
<p id="state" role="status">connecting</p>
<script>
const source = new EventSource("/clock");
source.onmessage = ({ data }) => {
  clock.dateTime = data;
  clock.textContent = new Date(data).toLocaleTimeString();
};
source.onopen = () => { state.textContent = "live"; };
source.onerror = () => { state.textContent = "reconnecting"; }; // the browser does it by itself
</script>
"#;
