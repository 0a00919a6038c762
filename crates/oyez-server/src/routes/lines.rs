//! `?lines`: each line of a body is an event, published as it comes.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use oyez::{EventId, Publish};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::acknowledge::publish;
use super::asked::Asked;
use super::json::json_answer;
use crate::app::App;
use crate::bodies::Held;
use crate::body::{self, BOM, Pace};
use crate::limits::{BATCH_EVENTS_MAX, DATA_BYTES_MAX, LINES_IDLE};
use crate::problem::Problem;
use crate::request::{PublishRequest, expire};
use crate::retry::retry;

/// A body whose lines are events, published as they come.
pub(super) struct Lines<'a> {
    app: &'a App,
    wanted: PublishRequest,
    /// The beginning of a line whose end has not come.
    rest: BytesMut,
    held: Held<'a>,
    /// How fast that comes, while it is large.
    pace: Option<Pace>,
    /// Nothing has come yet, or too little to tell whether a byte order mark is in front.
    begins: bool,
    accepted: usize,
    last: Option<EventId>,
    /// How long the topic may be read after its end.
    ttl: Option<Duration>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(app: &'a App, mut wanted: PublishRequest) -> Self {
        let ttl = if wanted.end { wanted.template.ttl.take() } else { None };
        Self {
            app,
            wanted,
            rest: BytesMut::new(),
            held: app.bodies.begin(),
            pace: None,
            begins: true,
            accepted: 0,
            last: None,
            ttl,
        }
    }

    pub(super) async fn answer(mut self, asked: Asked<'_>) -> Result<Response, Problem> {
        if let Some(timeout) = asked.body_timeout() {
            timeout.set(LINES_IDLE);
        }
        let mut draining = self.app.draining.subscribe();
        let mut body = asked.body;
        let all = async {
            while let Some(chunk) = self.next_chunk(&mut body).await? {
                self.take(chunk).await?;
            }
            Ok(())
        };
        let read = tokio::select! {
            read = all => read,
            // an error cannot be: the sender lives in the app
            _ = draining.wait_for(|draining| *draining) => {
                Err(Problem::busy("the hub is shutting down", retry()))
            }
        };
        match read {
            Ok(()) => self.finish().await,
            Err(problem) => Err(problem.after(&self.done())),
        }
    }

    /// The next bytes. Live lines may be quiet for long, but not in the middle of a large one.
    async fn next_chunk(&self, body: &mut Body) -> Result<Option<Bytes>, Problem> {
        match &self.pace {
            None => body::next_chunk(body).await,
            Some(pace) => {
                let chunk = timeout_at(pace.due(true), body::next_chunk(body)).await;
                chunk.map_err(|_| pace.too_slow(self.rest.len()))?
            }
        }
    }

    /// What some programs put in front of a text is no part of its first line.
    fn skip_mark(&mut self) {
        if self.begins && (self.rest.len() >= BOM.len() || !BOM.starts_with(&self.rest)) {
            self.begins = false;
            if self.rest.starts_with(BOM) {
                self.rest.advance(BOM.len());
            }
        }
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Problem> {
        // the part that was there before holds no line end
        let mut searched = self.rest.len();
        self.rest.extend_from_slice(&chunk);
        if self.begins {
            self.skip_mark();
            searched = 0;
        }
        let mut batch = Vec::new();
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
        self.held.set(self.rest.len())?;
        if self.held.is_large() {
            let now = Instant::now();
            self.pace.get_or_insert_with(|| Pace::new(self.rest.len(), now)).note(self.rest.len(), now);
        } else {
            self.pace = None;
        }
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
        self.wanted.template.clone().publish(self.wanted.topic.clone(), text.to_owned())
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

    /// The body has come to its end: what is left is a line, although nothing ends it, and the topic may end after it.
    async fn finish(mut self) -> Result<Response, Problem> {
        let rest = self.rest.split();
        if !rest.is_empty() {
            let last = self.event(&rest, 0).map_err(|problem| problem.after(&self.done()))?;
            self.publish(vec![last]).await.map_err(|problem| problem.after(&self.done()))?;
        }
        let (accepted, last) = (self.accepted, self.last.as_deref());
        if !self.wanted.end {
            return Ok(json_answer(&json!({ "accepted": accepted, "last": last })));
        }
        let end = expire(Publish::end(self.wanted.topic.clone()), self.ttl)?;
        let end = publish(self.app, vec![end], None).await;
        let end = end.map_err(|problem| problem.after(&self.done()))?;
        Ok(json_answer(&json!({ "accepted": accepted, "last": last, "end": end.ids.last().map(|id| &**id) })))
    }

    fn done(&self) -> String {
        match &self.last {
            None => "no line was published".to_owned(),
            Some(last) => format!("{} lines before were published, the last as {last}", self.accepted),
        }
    }
}
