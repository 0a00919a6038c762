//! cargo run -p oyez-examples --bin stock
//!
//! Made-up quotes, each symbol a topic: open http://127.0.0.1:3000/ for a live chart, or take them as they come:
//!
//! ```text
//! curl -N localhost:3000/quotes/BELL
//! curl -N 'localhost:3000/quotes/*?change=1'      those that are at least 1 % away from their first price
//! ```

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::{Router, routing::get};
use oyez::{Hub, JsonPayload, LastEventId, Retention, Sse};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Quote {
    symbol: String,
    price: f64,
    /// Against the first price, in percent.
    change: f64,
}

impl JsonPayload for Quote {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::<Quote>::builder().history(Retention::last(10_000)).build();
    tokio::spawn(trade(hub.clone()));
    let app = Router::new().route("/", get(async || Html(PAGE))).route("/quotes/{symbol}", get(quotes)).with_state(hub);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    change: f64,
}

/// The last quotes, so that a chart has a line to begin with, and then what comes. A reader that comes back with its last
/// id goes on after that instead. `*` is all symbols.
async fn quotes(
    State(hub): State<Hub<Quote>>,
    Path(symbol): Path<String>,
    Query(wanted): Query<Wanted>,
    resume: LastEventId,
) -> Result<Sse, StatusCode> {
    if symbol != "*" && SHARES.iter().all(|(share, _)| *share != symbol) {
        return Err(StatusCode::NOT_FOUND);
    }
    let subscribe = hub.subscribe_pattern(format!("quotes/{symbol}")).last(200).resume(resume);
    Ok(subscribe.filter(move |quote: &Quote| quote.change.abs() >= wanted.change).into_response())
}

/// Each price goes its own way, by up to half a percent of the first one at a time.
async fn trade(hub: Hub<Quote>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut prices = SHARES.map(|(_, first)| first);
    loop {
        for ((symbol, first), price) in SHARES.iter().zip(&mut prices) {
            let step = f64::from(getrandom::u32()?) / f64::from(u32::MAX) - 0.5;
            *price = (*price + first * step / 100.0).max(0.01);
            let change = two_digits((*price / first - 1.0) * 100.0);
            let quote = Quote { symbol: (*symbol).to_owned(), price: two_digits(*price), change };
            hub.publish(format!("quotes/{symbol}"), quote).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn two_digits(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

const SHARES: [(&str, f64); 3] = [("BELL", 128.40), ("CRYR", 42.75), ("OYEZ", 300.10)];

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Stock</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
td { padding: .5rem .25rem; border-top: 1px solid #8884; text-align: right; white-space: nowrap; }
td:first-child { text-align: left; font-weight: bold; }
td:last-child { width: 50%; }
svg { width: 100%; height: 3rem; overflow: visible; }
polyline { fill: none; stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
</style>
<h1>Stock</h1>
<table><tbody id="table"></tbody></table>
<p id="state" role="status">connecting</p>
<template id="row"><tr><td><td><td><td><svg viewBox="0 0 59 1" preserveAspectRatio="none" aria-hidden="true"><polyline/></svg></template>
<script>
const shares = new Map();
const source = new EventSource("/quotes/*");
source.onmessage = ({ data }) => {
  const { symbol, price, change } = JSON.parse(data);
  if (!shares.has(symbol)) shares.set(symbol, { prices: [], row: table.appendChild(row.content.firstChild.cloneNode(true)) });
  const { prices, row: line } = shares.get(symbol);
  prices.push(price);
  if (prices.length > 60) prices.shift();
  [symbol, price.toFixed(2), `${change >= 0 ? "+" : ""}${change.toFixed(2)} %`].forEach((text, at) => { line.cells[at].textContent = text; });
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const points = prices.map((price, at) => `${at},${1 - (price - low) / (high - low || 1)}`);
  line.querySelector("polyline").setAttribute("points", points.join(" "));
};
source.onopen = () => { state.textContent = "live"; };
source.onerror = () => { state.textContent = "reconnecting"; };
</script>
"##;
