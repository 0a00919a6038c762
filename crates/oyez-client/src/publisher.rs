//! Publishing to a hub over HTTP.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{Method, Response, response};
use oyez_proto::{Backoff, Event, EventId};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::connector::Connector;
use crate::headers::Headers;
use crate::limits::{
    ANSWER_BYTES_MAX, FIRST_WORDS_CHARS_MAX, PUBLISH_AGAIN_AFTER, PUBLISH_TIMEOUT, REFUSAL_BYTES_MAX, REFUSAL_TIMEOUT,
    RETRY_AFTER_MAX,
};
use crate::random::random;
use crate::request::Request;
use crate::{Batch, BoxError, Chunks, Connect, Error, ErrorKind, HeadersFor, IdempotencyKey};
use crate::{problem, retry_after};

/// Publishes events to one URL. It follows no redirect and repeats nothing but what
/// [`publish_batch_until_answered`](Self::publish_batch_until_answered) names; an error says by its kind what became of
/// the event.
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
    headers: Option<Headers>,
    timeout: Duration,
}

/// A [`Publisher`] to be.
pub struct PublisherBuilder {
    connect: Connector,
    request: Request,
    headers: Option<Headers>,
    timeout: Duration,
}

impl PublisherBuilder {
    /// Adds a header to each request. The hub of this version has no keys yet: it refuses a publish with `Authorization`, which a user
    /// and a password in the URL become as well.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when HTTP cannot carry it.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.request.add_header(name, value)?;
        Ok(self)
    }

    /// Asks for headers before each attempt, so that a token may be fetched anew. They come in place of those of the same name that
    /// [`header`](Self::header) has set.
    ///
    /// They have 30 seconds, which the [`timeout`](Self::timeout) does not count, and are at most 100 of 64 KiB together. An error of
    /// `headers`, or no answer in time, is [`ErrorKind::Unavailable`]: nothing was sent. What HTTP cannot carry is
    /// [`ErrorKind::Invalid`].
    ///
    /// ```
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok("t".to_owned()) }
    /// # fn make() -> Result<(), oyez_client::Error> {
    /// let builder = oyez_client::Publisher::builder("https://example.com/events/news")?.headers_with(|_| async {
    ///     let token = fetch_token().await?;
    ///     Ok([("authorization", format!("Bearer {token}"))])
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn headers_with<A, H, N, V>(mut self, headers: impl Fn(HeadersFor) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<H, BoxError>> + Send + 'static,
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: AsRef<str>,
    {
        self.headers = Some(Headers::new(headers));
        self
    }

    /// How long a publish may take until its outcome counts as unknown; 1 minute unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How to connect; `HttpConnect::new` of the feature `reqwest` unless set.
    #[must_use]
    pub fn connect(mut self, connect: impl Connect) -> Self {
        self.connect = Connector::of(connect);
        self
    }

    /// Connects by this client of `reqwest` 0.13, with its pool, certificates, proxies and default headers.
    ///
    /// Make it with [`redirect::Policy::none`](reqwest::redirect::Policy::none): a publisher follows none. How long its pool keeps an
    /// unused connection should be less than the server does (5 s are common): a publish on a connection that is just being closed is of
    /// unknown outcome.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub fn client(self, client: reqwest::Client) -> Self {
        self.connect(crate::http_connect::Given(client))
    }

    /// The publisher. It connects when there is something to publish, and keeps the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when HTTP cannot ask for the URL, or nothing says how to connect.
    pub fn build(self) -> Result<Publisher, Error> {
        let mut request = self.request;
        request.default_header(ACCEPT_ENCODING, "identity");
        request.to_http()?;
        Ok(Publisher { connect: self.connect.build()?, request, headers: self.headers, timeout: self.timeout })
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
        Ok(PublisherBuilder { connect: Connector::default(), request, headers: None, timeout: PUBLISH_TIMEOUT })
    }

    /// A publisher to `url` with nothing changed.
    ///
    /// # Errors
    /// As [`builder`](Self::builder).
    #[cfg(feature = "reqwest")]
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url)?.build()
    }

    /// Publishes one event: its data is the body, the rest is in the query. Gives back the id that the hub says it
    /// has, once it is as durable as the hub is configured. Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Refused`]: nothing was published, or by something that is no hub: an
    /// acknowledgement is JSON with an id. [`ErrorKind::Unknown`]: it was or was not.
    pub async fn publish(&self, event: &Event) -> Result<EventId, Error> {
        let mut request = self.request.clone();
        let retry = event.reconnection_time().map(|time| time.as_millis().to_string());
        let parameters =
            [("event", event.event_type()), ("id", event.event_id().map(|id| &**id)), ("retry", retry.as_deref())];
        for (name, value) in parameters {
            if let Some(value) = value {
                request.url.query_pairs_mut().append_pair(name, value);
            }
        }
        request.default_header(CONTENT_TYPE, "text/plain; charset=utf-8");
        request.body = Bytes::copy_from_slice(event.data_str().as_bytes());
        let acknowledged = self.send(&request, None, 0).await?;
        acknowledged.answer().and_then(|answer| EventId::new(answer.id?).ok()).ok_or_else(|| acknowledged.refused())
    }

    /// Publishes a batch: all of it or nothing. Gives back the ids that the hub says they have, one for each event, in order.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_batch(&self, batch: Batch) -> Result<Vec<EventId>, Error> {
        self.send_batch(batch.len(), &self.batch_request(batch), None, 0).await
    }

    /// Publishes a batch under a name: a hub that has it already answers the same ids again. Whoever gets
    /// [`ErrorKind::Unknown`] or [`ErrorKind::Unavailable`] may call this again with the same key and an equal batch.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_batch_once(&self, key: &IdempotencyKey, batch: Batch) -> Result<Vec<EventId>, Error> {
        self.send_batch(batch.len(), &self.batch_request(batch), Some(key), 0).await
    }

    /// Publishes a batch under a name and, while it is not answered, sends it again: without a connection, when the
    /// connection breaks or nothing comes in time, on 429 and on 5xx. `failed` is told why and how long the wait will
    /// be: 200 ms × 1.0–1.5 and a growing random part up to 30 s, or what `Retry-After` says if that is longer, up to an hour.
    ///
    /// A hub remembers names for ten minutes: a batch that was sent and gets no answer for longer than that may be
    /// there twice. Dropping the future leaves the outcome unknown.
    ///
    /// ```no_run
    /// use oyez_client::{Batch, Event, IdempotencyKeys, Publisher};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let events = Publisher::new("http://127.0.0.1:8888/events")?;
    /// let mut keys = IdempotencyKeys::new();
    /// let mut batch = Batch::new();
    /// batch.push("news", &Event::data("hello"));
    /// let told = |error: &_, wait| eprintln!("{error}, again in {wait:?}");
    /// let ids = events.publish_batch_until_answered(&keys.draw(), batch, told).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Refused`]: nothing was published, and the same batch is refused again. [`ErrorKind::Invalid`] as in
    /// [`publish`](Self::publish). No other kind.
    pub async fn publish_batch_until_answered(
        &self,
        key: &IdempotencyKey,
        batch: Batch,
        mut failed: impl FnMut(&Error, Duration),
    ) -> Result<Vec<EventId>, Error> {
        let (number, request) = (batch.len(), self.batch_request(batch));
        let mut failures = 0;
        let mut backoff = Backoff::new();
        backoff.set_reconnection_time(PUBLISH_AGAIN_AFTER);
        loop {
            let error = match self.send_batch(number, &request, Some(key), failures).await {
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unknown) => error,
                outcome => return outcome,
            };
            failures = failures.saturating_add(1);
            backoff.failed();
            let wait = backoff.wait(random()).max(error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX));
            failed(&error, wait);
            sleep(wait).await;
        }
    }

    fn batch_request(&self, batch: Batch) -> Request {
        let mut request = self.request.clone();
        request.default_header(CONTENT_TYPE, "application/x-ndjson");
        request.body = batch.into_body();
        request
    }

    async fn send_batch(
        &self,
        number: usize,
        request: &Request,
        key: Option<&IdempotencyKey>,
        failures: u32,
    ) -> Result<Vec<EventId>, Error> {
        let acknowledged = self.send(request, key, failures).await?;
        let ids = acknowledged.answer().and_then(|answer| answer.ids).ok_or_else(|| acknowledged.refused())?;
        let found = ids.len();
        let ids: Vec<EventId> = ids.into_iter().filter_map(|id| EventId::new(id).ok()).collect();
        if ids.len() == number {
            return Ok(ids);
        }
        let message = format!("the server has acknowledged {found} events of {number}");
        Err(Error::new(ErrorKind::Refused, message).with_status(Some(acknowledged.status)))
    }

    /// Sends a request after so many failures of the same.
    async fn send(
        &self,
        request: &Request,
        key: Option<&IdempotencyKey>,
        failures: u32,
    ) -> Result<Acknowledged, Error> {
        let mut request = request.clone();
        if let Some(headers) = &self.headers {
            request.fetched = headers.ask(failures).await?;
        }
        let mut request = request.to_http()?;
        if let Some(key) = key {
            request.headers_mut().insert(IDEMPOTENCY_KEY, key.to_header());
        }
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

async fn read_answer(answer: Response<Chunks>) -> Result<Acknowledged, Error> {
    let (head, chunks) = answer.into_parts();
    if head.status.is_success() {
        let mut body = Vec::new();
        let is_whole = timeout(PUBLISH_TIMEOUT, read(chunks, ANSWER_BYTES_MAX, &mut body)).await.unwrap_or(false);
        if !is_whole {
            return Err(Error::new(ErrorKind::Unknown, "the answer broke off"));
        }
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Ok(Acknowledged { status: head.status.as_u16(), content_type, body });
    }
    let mut body = Vec::new();
    // what has come by then is told
    let _ = timeout(REFUSAL_TIMEOUT, read(chunks, REFUSAL_BYTES_MAX, &mut body)).await;
    Err(refusal(&head, &body))
}

/// A successful answer, which may be that of a login page.
struct Acknowledged {
    status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
}

impl Acknowledged {
    fn answer(&self) -> Option<Answer> {
        serde_json::from_slice(&self.body).ok()
    }

    /// It is not from a hub.
    fn refused(&self) -> Error {
        let of_type = self.content_type.as_ref().map_or_else(String::new, |found| format!(" with the type {found:?}"));
        let body = String::from_utf8_lossy(&self.body);
        let mut words: String = body.trim().chars().take(FIRST_WORDS_CHARS_MAX).collect();
        if words.len() < body.trim().len() {
            words.push('…');
        }
        let begins = if words.is_empty() { "it is empty".to_owned() } else { format!("{words:?}") };
        let error = Error::answered(ErrorKind::Refused, self.status, "");
        let message = format!("{error}{of_type}, which is no acknowledgement of a hub: {begins}");
        Error::new(ErrorKind::Refused, message).with_status(Some(self.status))
    }
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

/// Reads a body, up to a bound; false when it breaks off.
async fn read(mut chunks: Chunks, bytes_max: usize, body: &mut Vec<u8>) -> bool {
    loop {
        match poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(chunk)) if problem::append(body, &chunk, bytes_max) => {}
            Some(Ok(_)) => return true,
        }
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    id: Option<String>,
    ids: Option<Vec<String>>,
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
