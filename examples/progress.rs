//! cargo run -p oyez-examples --bin progress
//!
//! The progress of a job, to the one who asked for it, and then its result: `curl -N localhost:3000/report`, or open
//! http://127.0.0.1:3000/. The stream ends by itself, and the job ends when its reader has gone.

use std::time::Duration;

use axum::response::Html;
use axum::{Router, routing::get};
use oyez::{Connection, Error, Event, Sse};
use serde::Serialize;

#[derive(Serialize)]
struct Progress {
    percent: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/report", get(report));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    oyez::serve(listener, app).await?;
    Ok(())
}

async fn report() -> Sse {
    let (connection, response) = Connection::open();
    tokio::spawn(async move {
        match work(&connection).await {
            Ok(()) => println!("the report is done"),
            Err(error) => println!("the report is given up: {error}"),
        }
    });
    response
}

/// An error says that nobody listens any more. Dropping the connection ends the stream behind what was sent.
async fn work(connection: &Connection) -> Result<(), Error> {
    for percent in (0..100).step_by(10) {
        connection.send_json(&Progress { percent }).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // an EventSource comes back after an end: the page closes it when it reads this
    connection.send(Event::data("42 pages").event("done")?).await
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Progress</title>
<h1>Report</h1>
<progress id="bar" max="100" value="0"></progress> <output id="result"></output>
<script>
const source = new EventSource("/report");
source.onmessage = event => { bar.value = JSON.parse(event.data).percent; };
source.addEventListener("done", event => { source.close(); bar.value = 100; result.value = event.data; });
</script>
"#;
