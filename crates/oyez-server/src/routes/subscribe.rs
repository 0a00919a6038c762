//! `GET /events…`: a subscription becomes a stream.

use std::net::SocketAddr;
use std::time::SystemTime;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use oyez::{Event, LastEventId, Sse, StreamControl, Subscribe};
use serde_json::json;

use crate::app::App;
use crate::callers::Place;
use crate::guard::caller;
use crate::problem::Problem;
use crate::request::{Bound, Start, SubscribeRequest};
use crate::retry::retry;

pub(super) fn answer(app: &App, peer: SocketAddr, topic: Option<&str>, request: &Request) -> Response {
    let reader = LastEventId::from_request(request.uri(), request.headers());
    match stream(app, peer, topic, request) {
        Ok(sse) => sse.into_response(),
        Err(problem) => problem.into_stream_response(&reader),
    }
}

fn stream(app: &App, peer: SocketAddr, topic: Option<&str>, request: &Request) -> Result<Sse, Problem> {
    let asked = SubscribeRequest::read(topic, request.uri(), request.headers(), SystemTime::now())?;
    let place = take_place(app, peer, request.headers())?;
    let control = StreamControl::new();
    let registration = if asked.control { Some(app.controls.enter(control.clone())?) } else { None };
    let stream = control.number();
    let mut subscribe = asked.subscribe(app).control(control).peer(peer);
    if let Some(registration) = &registration {
        // the number is that of its row in /stats; the id is for nobody else
        subscribe = subscribe.opening(json!({ "connection": registration.id(), "stream": stream }).to_string());
    }
    if place.is_some() || registration.is_some() {
        subscribe = subscribe.hold((place, registration));
    }
    subscribe.try_into_response().map_err(|error| Problem::from_hub(&error, retry()))
}

/// The place of a stream under its address's maximum. Callers on this machine have none.
pub(super) fn take_place(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    if app.is_local(peer, headers) {
        return Ok(None);
    }
    let place = app.callers.take(caller(peer)).ok_or_else(|| {
        app.metrics.refused("address");
        let max = app.config.settings.streams_per_address;
        let reason = format!("this address has {max} streams open, which is all it may have");
        Problem::busy(reason, retry())
    })?;
    Ok(Some(place))
}

impl SubscribeRequest {
    fn subscribe(self, app: &App) -> Subscribe<Event> {
        let settings = &app.config.settings;
        let mut matchers = self.matchers.into_iter();
        let first = matchers.next().expect("a request names a topic, or means `events`");
        let mut subscribe = matchers.fold(app.hub.subscribe(first), Subscribe::and);
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
        subscribe
            .resume(self.resume)
            .on_gap(self.on_gap)
            .format(self.format)
            .slow(settings.slow)
            .keep_alive(settings.keep_alive)
    }
}
