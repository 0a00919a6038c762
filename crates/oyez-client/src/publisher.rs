//! Publishing to a hub over HTTP.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Response, response};
use oyez_proto::{Event, EventId};
use serde::Deserialize;
use tokio::time::timeout;

use crate::limits::{ANSWER_BYTES_MAX, PUBLISH_TIMEOUT, REFUSAL_BYTES_MAX, REFUSAL_TIMEOUT};
use crate::request::Request;
use crate::{Batch, Chunks, Connect, Error, ErrorKind, HttpConnect};
use crate::{problem, retry_after};

/// Publishes events to one URL. It repeats nothing and follows no redirect; an error says by its kind what became
/// of the event.
///
/// ```no_run
/// use oyez_client::{Event, Publisher};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let news = Publisher::new("http://127.0.0.1:8888/events/news")?;
/// let id = news.publish(&Event::data("hello").event("greeting")?).await?;
/// # Ok(())
/// # }
/// ```
pub struct Publisher {
    connect: Arc<dyn Connect>,
    request: Request,
    timeout: Duration,
}

/// A [`Publisher`] to be.
pub struct PublisherBuilder {
    connect: Option<Arc<dyn Connect>>,
    request: Request,
    timeout: Duration,
}

impl PublisherBuilder {
    /// Adds a header to each request.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when HTTP cannot carry it.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.request.add_header(name, value)?;
        Ok(self)
    }

    /// How long a publish may take until its outcome counts as unknown; 1 minute unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How to connect; [`HttpConnect::new`] unless set.
    #[must_use]
    pub fn connect(mut self, connect: impl Connect) -> Self {
        self.connect = Some(Arc::new(connect));
        self
    }

    /// The publisher. It connects when there is something to publish, and keeps the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when HTTP cannot ask for the URL.
    pub fn build(self) -> Result<Publisher, Error> {
        self.request.to_http()?;
        Ok(Publisher {
            connect: self.connect.unwrap_or_else(|| Arc::new(HttpConnect::new())),
            request: self.request,
            timeout: self.timeout,
        })
    }
}

impl Publisher {
    /// A publisher to `url`, to be refined: that of a topic for single events (`https://host/events/news`), that of
    /// the hub's events for batches (`https://host/events`).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not an absolute `http` or `https` URL.
    pub fn builder(url: &str) -> Result<PublisherBuilder, Error> {
        let mut request = Request::new(url)?;
        request.method = Method::POST;
        Ok(PublisherBuilder { connect: None, request, timeout: PUBLISH_TIMEOUT })
    }

    /// A publisher to `url` with nothing changed.
    ///
    /// # Errors
    /// As [`builder`](Self::builder).
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url)?.build()
    }

    /// Publishes one event: its data is the body, the rest is in the query. Gives back the id that the hub says it
    /// has, once it is as durable as the hub is configured. Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Refused`]: nothing was published. [`ErrorKind::Unknown`]: it was or
    /// was not.
    pub async fn publish(&self, event: &Event) -> Result<Option<EventId>, Error> {
        let mut request = self.request.clone();
        let retry = event.reconnection_time().map(|time| time.as_millis().to_string());
        let parameters = [
            ("event", event.event_type().map(|event_type| &**event_type)),
            ("id", event.event_id().map(|id| &**id)),
            ("retry", retry.as_deref()),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                request.url.query_pairs_mut().append_pair(name, value);
            }
        }
        request.default_header(CONTENT_TYPE, "text/plain; charset=utf-8");
        request.body = Bytes::copy_from_slice(event.data_str().as_bytes());
        let answer = self.send(&request).await?;
        Ok(answer.id.and_then(|id| EventId::new(id).ok()))
    }

    /// Publishes a batch: all of it or nothing. Gives back the ids that the hub says they have, in order.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_batch(&self, batch: Batch) -> Result<Vec<EventId>, Error> {
        let mut request = self.request.clone();
        request.default_header(CONTENT_TYPE, "application/x-ndjson");
        request.body = batch.into_body();
        let answer = self.send(&request).await?;
        Ok(answer.ids.into_iter().filter_map(|id| EventId::new(id).ok()).collect())
    }

    async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let request = request.to_http()?;
        match timeout(self.timeout, self.connect.connect(request)).await {
            Err(_) => Err(Error::new(ErrorKind::Unknown, format!("no answer came within {:?}", self.timeout))),
            Ok(Err(error)) => {
                let place = self.request.place();
                Err(match error.sent() {
                    true => Error::new(ErrorKind::Unknown, format!("no answer came from {place}")),
                    false => Error::new(ErrorKind::Unavailable, format!("cannot connect to {place}")),
                }
                .with_source(error.into_source()))
            }
            Ok(Ok(answer)) => read_answer(answer).await,
        }
    }
}

async fn read_answer(answer: Response<Chunks>) -> Result<Answer, Error> {
    let (head, chunks) = answer.into_parts();
    if head.status.is_success() {
        // the head is the acknowledgement; ids that do not arrive are a pity and no failure
        let body = timeout(PUBLISH_TIMEOUT, read(chunks, ANSWER_BYTES_MAX)).await.unwrap_or_default();
        return Ok(serde_json::from_slice(&body).unwrap_or_default());
    }
    let body = timeout(REFUSAL_TIMEOUT, read(chunks, REFUSAL_BYTES_MAX)).await.unwrap_or_default();
    Err(refusal(&head, &body))
}

fn refusal(head: &response::Parts, body: &[u8]) -> Error {
    let status = head.status.as_u16();
    let kind = match status {
        // 507: the hub's disk is full, and it says so before it keeps anything
        429 | 503 | 507 => ErrorKind::Unavailable,
        // whoever stands between may have passed the event on
        500..=599 => ErrorKind::Unknown,
        _ => ErrorKind::Refused,
    };
    let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|value| retry_after::parse(value, SystemTime::now()));
    Error::answered(kind, status, &problem::detail(&head.headers, body)).with_retry_after(wait)
}

async fn read(mut chunks: Chunks, bytes_max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
        if !problem::append(&mut body, &chunk, bytes_max) {
            break;
        }
    }
    body
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    id: Option<String>,
    ids: Vec<String>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("host", &self.request.url.host_str()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PublisherBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherBuilder").field("host", &self.request.url.host_str()).finish_non_exhaustive()
    }
}
