//! cargo run -p oyez-examples --bin answer
//!
//! An answer that is written word by word, as a language model writes it: a topic with an end. Ask at http://127.0.0.1:3000/
//! and reload the page in the middle, or open its address twice: each page gets every word once, and at the end the browser
//! stops by itself. Or follow with curl:
//!
//! ```text
//! curl -i --json '{"question": "Why is the sky blue?"}' localhost:3000/answers
//! curl -N localhost:3000/answers/1
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
    let hub = Hub::<Event>::builder().history(Retention::last(100_000)).build();
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/answers", post(ask))
        .route("/answers/{answer}", get(follow))
        .with_state(Answers { hub, begun: Arc::default() });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

#[derive(Clone)]
struct Answers {
    hub: Hub,
    begun: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Ask {
    question: String,
}

/// Answers at once with the place where the answer can be followed.
async fn ask(State(answers): State<Answers>, Json(ask): Json<Ask>) -> Response {
    if !(1..=1_000).contains(&ask.question.trim().len()) {
        return (StatusCode::UNPROCESSABLE_ENTITY, "a question has 1 to 1000 bytes").into_response();
    }
    let answer = answers.begun.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(write(answers.hub, answer, ask.question));
    (StatusCode::ACCEPTED, [(header::LOCATION, format!("/answers/{answer}"))]).into_response()
}

/// The model knows nothing of readers: there may be none or many. One that fails in the middle drops its writer, and that
/// says so and ends the topic.
async fn write(hub: Hub, answer: u64, question: String) -> Result<(), Error> {
    let writer = hub.writer(format!("answers/{answer}"))?;
    for token in tokens(&question) {
        writer.publish(token).await?;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // an hour later nobody needs it any more
    writer.end_with_ttl(Duration::from_secs(3_600)).await?;
    Ok(())
}

/// From the first word for a page that is new, after the last one for an `EventSource` that was cut off. When all has been
/// read the stream ends, and who comes back after its end is answered 204: an `EventSource` stays away then.
async fn follow(
    State(answers): State<Answers>,
    Path(answer): Path<u64>,
    resume: LastEventId,
) -> Result<Sse, StatusCode> {
    if !(1..=answers.begun.load(Ordering::Relaxed)).contains(&answer) {
        return Err(StatusCode::NOT_FOUND);
    }
    let topic = format!("answers/{answer}");
    let retry = Duration::from_millis(500); // one answer at a time: nobody comes back in crowds
    Ok(answers.hub.subscribe(topic).earliest().resume(resume).retry(retry).into_response())
}

/// The same words for the same question, as from a model without temperature. The white space is part of a token.
fn tokens(question: &str) -> impl Iterator<Item = String> {
    let mut state = question.bytes().fold(7_u32, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    (0..60).map(move |place| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = WORDS[(state >> 16) as usize % WORDS.len()];
        match place {
            0 => "Well,".to_owned(),
            59 => format!(" {word}."),
            place if place % 20 == 0 => format!(".\n{}{}", word[..1].to_uppercase(), &word[1..]),
            _ => format!(" {word}"),
        }
    })
}

const WORDS: [&str; 16] = [
    "light", "scatters", "where", "small", "things", "are", "many", "blue", "and", "far", "more", "often", "than",
    "red", "so", "above",
];

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Answer</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
form { display: flex; gap: 0.5rem; }
input, button { font: inherit; }
input { flex: 1; min-width: 0; }
#answer { white-space: pre-wrap; }
</style>
<h1>Ask</h1>
<form id="form">
  <input name="question" aria-label="question" value="Why is the sky blue?" required maxlength="300">
  <button>Ask</button>
</form>
<p id="answer" aria-live="polite"></p>
<p><output id="state"></output></p>
<script>
let source;
// the address keeps the answer: a reload shows it from its first word and goes on with it
if (location.hash) follow(location.hash.slice(1));
form.onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ question: form.question.value });
  const place = await fetch("/answers", { method: "POST", headers: { "content-type": "application/json" }, body });
  location.hash = place.headers.get("location");
  follow(location.hash.slice(1));
};
function follow(place) {
  source?.close();
  answer.textContent = "";
  state.value = "…";
  source = new EventSource(place);
  let complete = false;
  source.onmessage = ({ data }) => { answer.textContent += data; };
  source.addEventListener("oyez.end", () => {
    complete = true;
    state.value = "complete";
  });
  // after a break it comes back after its last word; after the end it is told to stop
  source.onerror = ({ target }) => {
    if (target.readyState !== EventSource.CLOSED) return;
    state.value = complete ? "complete, and nothing is open any more" : "this answer is not there any more";
  };
}
</script>
"#;
