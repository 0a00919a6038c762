//! `GET /events…`: a subscription becomes a stream.

use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use oyez::{ErrorKind, Event, LastEventId, Sse, StreamControl, Subscribe};
use serde_json::json;

use super::asked::Asked;
use crate::app::App;
use crate::problem::Problem;
use crate::request::{Bound, Start, SubscribeRequest};
use crate::retry::retry;

/// Answers when the stream has its place: what is wrong with it is a status, however long the history is looked through.
pub(super) async fn answer(app: &App, asked: Asked<'_>) -> Response {
    let mut reader = asked.reader();
    if asked.query.truth("bare") == Ok(true) {
        // a refusal is a status to it, though it may be a browser
        reader = LastEventId::new(reader.id().unwrap_or_default());
    }
    let begun = match subscription(app, &asked, reader.clone()) {
        Ok(subscribe) => match subscribe.respond().await {
            // no failure: the reader has everything, and perhaps its head says what it has missed
            Err(error) if error.kind() == ErrorKind::Ended => return Sse::refusal(&error, &reader).into_response(),
            begun => begun.map_err(|error| Problem::from_hub(&error, retry())),
        },
        Err(problem) => Err(problem),
    };
    match begun {
        Ok(sse) => {
            if let Some(visit) = asked.visit() {
                visit.begin();
            }
            sse.into_response()
        }
        Err(problem) => problem.into_stream_response(&reader),
    }
}

fn subscription(app: &App, asked: &Asked<'_>, reader: LastEventId) -> Result<Subscribe<Event>, Problem> {
    let Asked { caller, topic, query, .. } = asked;
    let wanted = SubscribeRequest::read(topic.as_deref(), query, reader, asked.headers(), SystemTime::now())?;
    let place = app.places.take(*caller)?;
    let control = StreamControl::new();
    let registration = if wanted.control { Some(app.controls.enter(control.clone())?) } else { None };
    let stream = control.number();
    let end = asked.visit().map(|visit| visit.stream(wanted.matchers.len()));
    let mut subscribe = wanted.subscribe(app).control(control).peer(caller.peer());
    if let Some(registration) = &registration {
        // the number is that of its row in /stats; the id is for nobody else
        subscribe = subscribe.opening(json!({ "connection": registration.id(), "stream": stream }).to_string());
    }
    if place.is_some() || registration.is_some() || end.is_some() {
        subscribe = subscribe.hold((place, registration, end));
    }
    Ok(subscribe)
}

impl SubscribeRequest {
    fn subscribe(self, app: &App) -> Subscribe<Event> {
        let settings = &app.config.settings;
        let mut matchers = self.matchers.into_iter();
        let first = matchers.next().expect("a request names a topic, or means `events`");
        let mut subscribe = matchers.fold(app.hub.subscribe_pattern(first), Subscribe::and_pattern);
        subscribe = match self.start {
            Start::Live => subscribe,
            Start::Earliest => subscribe.earliest(),
            Start::Last(number) => subscribe.last(number),
            Start::Snapshot => subscribe.snapshot(),
            Start::Since(Bound::Id(id), _) => subscribe.since_id(&id),
            Start::Since(Bound::Time(time), written) => subscribe.since(time, &written),
        };
        subscribe = match self.until {
            None => subscribe,
            Some(Bound::Id(id)) => subscribe.until_id(&id),
            Some(Bound::Time(time)) => subscribe.until(time),
        };
        if let Some(limit) = self.limit {
            subscribe = subscribe.limit(limit);
        }
        if self.poll {
            subscribe = subscribe.poll();
        }
        if !settings.stream_life.is_zero() {
            subscribe = subscribe.life(settings.stream_life);
        }
        if self.bare {
            subscribe = subscribe.bare();
        }
        subscribe
            .resume(self.resume)
            .on_gap(self.on_gap)
            .format(self.format)
            .slow(settings.slow)
            .keep_alive(settings.keep_alive)
    }
}
