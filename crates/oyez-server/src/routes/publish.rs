//! `POST` and `PUT /events…`: bodies become entries.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use oyez::{BodyTimeout, EventId, IdempotencyKey, Publish, Topic};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::app::App;
use crate::body;
use crate::json_publish;
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, LINES_IDLE};
use crate::problem::Problem;
use crate::request::{EventTemplate, PublishRequest, RootBody, default_topic, expire, read_json_publish};
use crate::retry::retry;

/// The body is the data of one event, or each of its lines is.
pub(super) async fn to_topic(
    app: &App,
    peer: SocketAddr,
    topic: Result<Topic, Problem>,
    request: Request,
) -> Result<Response, Problem> {
    // who may not publish is not told what is wrong with the topic
    check_caller(app, peer, request.headers())?;
    plain(app, topic?, request).await
}

/// The body says all about its events, or is the data of the plain broadcast.
pub(super) async fn to_root(app: &App, peer: SocketAddr, request: Request) -> Result<Response, Problem> {
    check_caller(app, peer, request.headers())?;
    let kind = RootBody::of(request.headers());
    if kind == RootBody::Data {
        return plain(app, default_topic(), request).await;
    }
    let key = read_json_publish(request.uri(), request.headers())?;
    let (parts, body) = request.into_parts();
    let max = if kind == RootBody::Batch { BATCH_BYTES_MAX } else { DATA_BYTES_MAX };
    let text = body::text(body::read(body, &parts.headers, "the body", max).await?, "the body")?;
    if kind == RootBody::Object {
        return Ok(one_id(&publish(app, vec![json_publish::object(&text)?], key).await?));
    }
    let batch = json_publish::batch(&text)?;
    if batch.is_empty() {
        return Err(Problem::invalid("the batch is empty"));
    }
    let published = publish(app, batch, key).await?;
    Ok(answer(&published, &Ids { ids: published.ids.iter().map(|id| &**id).collect() }))
}

/// Nobody has a key in this build: who is on this machine may publish, unless the hub is meant for others as well.
pub(super) fn check_caller(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let denied = |reason| {
        app.metrics.refused("publish");
        Err(Problem::PublishDenied(reason))
    };
    if headers.contains_key(http::header::AUTHORIZATION) {
        return Err(Problem::NotYet { what: "the header Authorization".to_owned() });
    }
    if !app.config.anonymous_publish {
        return denied("publishing without a key is off, because public_urls is set");
    }
    if !app.is_local(peer, headers) {
        return denied("only callers on this machine may publish without a key, and a proxy's callers may be anyone");
    }
    Ok(())
}

async fn plain(app: &App, topic: Topic, request: Request) -> Result<Response, Problem> {
    let asked = PublishRequest::read(topic, request.uri(), request.headers())?;
    if asked.lines {
        return Lines::new(app, asked).answer(request).await;
    }
    let (parts, body) = request.into_parts();
    let data = body::read(body, &parts.headers, "the body", DATA_BYTES_MAX).await?;
    let data = body::text(data, "the body")?;
    let PublishRequest { topic, mut template, end, key, .. } = asked;
    if !end {
        return Ok(one_id(&publish(app, vec![template.publish(topic, data)?], key).await?));
    }
    let end = expire(Publish::end(topic.clone()), template.ttl.take())?;
    if data.is_empty() && template != EventTemplate::default() {
        return Err(Problem::invalid(
            "event, id, key and retry are those of a last event, and without a body there is none",
        ));
    }
    let last = (!data.is_empty()).then(|| template.publish(topic, data)).transpose()?;
    Ok(end_ids(&publish(app, last.into_iter().chain([end]).collect(), key).await?))
}

/// What a publish has come to.
struct Published {
    ids: Vec<EventId>,
    /// It was published before, and this is what it came to then.
    replayed: bool,
}

/// With a key it is published once.
async fn publish(app: &App, batch: Vec<Publish>, key: Option<IdempotencyKey>) -> Result<Published, Problem> {
    let started = Instant::now();
    let published = match key {
        Some(key) => app
            .hub
            .publish_once(key, batch)
            .await
            .map(|oyez::Published { ids, replayed, .. }| Published { ids, replayed }),
        None => app.hub.publish_batch(batch).await.map(|ids| Published { ids, replayed: false }),
    };
    let published = published.map_err(|error| Problem::from_hub(&error, retry()))?;
    app.metrics.published(started.elapsed());
    Ok(published)
}

/// A body whose lines are events, published as they come.
struct Lines<'a> {
    app: &'a App,
    asked: PublishRequest,
    /// The beginning of a line whose end has not come.
    rest: BytesMut,
    accepted: usize,
    last: Option<EventId>,
    /// How long the topic may be read behind its end.
    ttl: Option<Duration>,
}

impl<'a> Lines<'a> {
    fn new(app: &'a App, mut asked: PublishRequest) -> Self {
        let ttl = if asked.end { asked.template.ttl.take() } else { None };
        Self { app, asked, rest: BytesMut::new(), accepted: 0, last: None, ttl }
    }

    async fn answer(mut self, request: Request) -> Result<Response, Problem> {
        if let Some(timeout) = request.extensions().get::<BodyTimeout>() {
            timeout.set(LINES_IDLE);
        }
        let mut draining = self.app.draining.subscribe();
        let mut body = request.into_body();
        let all = async {
            while let Some(chunk) = body::next_chunk(&mut body).await? {
                self.take(chunk).await?;
            }
            Ok(())
        };
        let read = tokio::select! {
            read = all => read,
            // an error cannot be: the sender lives in the app
            _ = draining.wait_for(|draining| *draining) => {
                Err(Problem::busy("the hub drains", retry()))
            }
        };
        match read {
            Ok(()) => self.finish().await,
            Err(problem) => Err(problem.after(&self.done())),
        }
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Problem> {
        self.rest.extend_from_slice(&chunk);
        let mut batch = Vec::new();
        // the part that was there before holds no line end
        let mut searched = self.rest.len() - chunk.len();
        while let Some(end) = self.rest.get(searched..).and_then(|new| new.iter().position(|byte| *byte == b'\n')) {
            let line = self.rest.split_to(searched + end + 1);
            searched = 0;
            match self.event(&line, batch.len()) {
                Ok(event) => batch.push(event),
                Err(problem) => {
                    self.publish(batch).await?;
                    return Err(problem);
                }
            }
            if batch.len() == BATCH_EVENTS_MAX {
                self.publish(std::mem::take(&mut batch)).await?;
            }
        }
        self.publish(batch).await?;
        if self.rest.len() > DATA_BYTES_MAX {
            return Err(Problem::TooLarge { what: format!("line {}", self.accepted + 1), max: DATA_BYTES_MAX });
        }
        Ok(())
    }

    fn event(&self, line: &[u8], waiting: usize) -> Result<Publish, Problem> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = || format!("line {}", self.accepted + waiting + 1);
        if line.len() > DATA_BYTES_MAX {
            return Err(Problem::TooLarge { what: name(), max: DATA_BYTES_MAX });
        }
        let text = std::str::from_utf8(line).map_err(|_| Problem::NotText { what: name(), done: String::new() })?;
        self.asked.template.clone().publish(self.asked.topic.clone(), text.to_owned())
    }

    async fn publish(&mut self, batch: Vec<Publish>) -> Result<(), Problem> {
        if batch.is_empty() {
            return Ok(());
        }
        let ids = publish(self.app, batch, None).await?.ids;
        self.accepted += ids.len();
        self.last = ids.into_iter().next_back();
        Ok(())
    }

    /// The body has come to its end, so that the topic may.
    async fn finish(self) -> Result<Response, Problem> {
        let (accepted, last) = (self.accepted, self.last.as_deref());
        if !self.asked.end {
            return Ok(super::json_answer(&json!({ "accepted": accepted, "last": last })));
        }
        let end = expire(Publish::end(self.asked.topic.clone()), self.ttl)?;
        let end = publish(self.app, vec![end], None).await;
        let end = end.map_err(|problem| problem.after(&self.done()))?;
        Ok(super::json_answer(&json!({ "accepted": accepted, "last": last, "end": end.ids.last().map(|id| &**id) })))
    }

    fn done(&self) -> String {
        match &self.last {
            None => "no line was published".to_owned(),
            Some(last) => format!("{} lines before were published, the last as {last}", self.accepted),
        }
    }
}

fn one_id(published: &Published) -> Response {
    #[derive(Serialize)]
    struct Id<'a> {
        id: Option<&'a str>,
    }
    answer(published, &Id { id: published.ids.first().map(|id| &**id) })
}

/// The answer to an end, and perhaps to an event before it.
fn end_ids(published: &Published) -> Response {
    #[derive(Serialize)]
    struct Ids<'a> {
        id: Option<&'a str>,
        end: Option<&'a str>,
    }
    let (first, last) = (published.ids.first(), published.ids.last());
    answer(published, &Ids { id: first.map(|id| &**id), end: last.map(|id| &**id) })
}

fn answer(published: &Published, body: &impl Serialize) -> Response {
    let mut response = super::json_answer(body);
    if published.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The answer to a batch.
#[derive(Serialize)]
struct Ids<'a> {
    ids: Vec<&'a str>,
}

/// Says that nothing was published now: the answer is that of the first time.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
