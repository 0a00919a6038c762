//! An EventSource with sockets, time and randomness.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_core::Stream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode, response};
use oyez_proto::{Action, Attempt, Delivery, EventId, Head, Stop};
use tokio::time::{Instant, Sleep};
use tracing::debug;

use crate::cookies::Cookies;
use crate::headers::{Asked, Headers};
use crate::item::LineHead;
use crate::limits::{REFUSAL_BYTES_MAX, REFUSAL_TIMEOUT};
use crate::random::random;
use crate::request::Request;
use crate::{BoxError, Chunks, Connect, ConnectError, Connecting, Error, ErrorKind, Gap, Item};
use crate::{problem, retry_after};

/// A stream of events that connects, reconnects, resumes and stops by itself.
///
/// It is a [`Stream`] of [`Item`]s; [`next`](Self::next) gives the next one without further crates. What is
/// temporary comes as [`Item::Disconnected`]. An error is final: nothing follows it. A first URL with `https` where plain HTTP is
/// spoken, or the other way round, is one. After 204, by which a server
/// says that there is nothing more, the stream ends without an error.
///
/// It works only while it is polled, and reads no faster than its reader. Dropping it closes the connection. It needs
/// a tokio runtime with time and I/O.
pub struct EventSource {
    machine: oyez_proto::EventSource,
    connector: Arc<dyn Connect>,
    first: Request, // what was asked for; each attempt that is no redirect starts here
    latest: Request,
    headers: Option<Headers>,
    read_timeout: Option<Duration>,
    doing: Doing,
    was_answered: bool,
    timer: Option<Pin<Box<Sleep>>>,
    cookies: Option<Cookies>,
    refused: Option<Error>, // what ends it
    cause: Option<Error>,   // why the connection that the machine is about to report as lost was lost
}

/// What an EventSource asks for, and how.
pub(crate) struct How {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) request: Request,
    pub(crate) headers: Option<Headers>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) cookies: Option<Cookies>,
}

impl EventSource {
    pub(crate) fn start(machine: oyez_proto::EventSource, how: How) -> Self {
        Self {
            machine,
            connector: how.connect,
            latest: how.request.clone(),
            first: how.request,
            headers: how.headers,
            read_timeout: how.read_timeout,
            doing: Doing::Nothing,
            was_answered: false,
            timer: None,
            cookies: how.cookies,
            refused: None,
            cause: None,
        }
    }

    /// The next item; `None` when the stream is over. Cancel-safe: no item is lost when the future is dropped.
    ///
    /// # Errors
    /// The reason why the stream stopped for good. `None` follows.
    pub async fn next(&mut self) -> Option<Result<Item, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The last event id in force: where a reconnection would resume.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&EventId> {
        self.machine.last_event_id()
    }

    /// Reconnects at the next poll, whether a stream is open or the next attempt is waited for.
    pub fn reconnect_now(&mut self) {
        self.machine.reconnect_now();
    }

    /// Does what the machine asks for until there is something to yield; `None` when it waits for a report.
    fn act(&mut self) -> Option<Poll<Option<Result<Item, Error>>>> {
        loop {
            match self.machine.poll()? {
                Action::Connect(attempt) => {
                    if let Err(error) = self.connect(attempt) {
                        return Some(self.stop(Some(error)));
                    }
                }
                Action::Wait(wait) => {
                    self.doing = Doing::Waiting;
                    self.arm(Some(wait));
                }
                Action::Deliver(delivery) => {
                    if let Some(item) = self.item(delivery) {
                        return Some(Poll::Ready(Some(Ok(item))));
                    }
                }
                Action::Stop(Stop::Complete) => return Some(self.stop(None)),
                Action::Stop(stop) => {
                    let error = self.error(stop);
                    return Some(self.stop(Some(error)));
                }
                // an action that this version does not know
                _ => return None,
            }
        }
    }

    fn connect(&mut self, attempt: Attempt) -> Result<(), Error> {
        self.cause = None;
        if let Some(redirect) = attempt.redirect {
            self.latest = self.latest.redirected(&redirect)?;
            return self.send(attempt.last_event_id);
        }
        self.latest = self.first.clone();
        let Some(headers) = &self.headers else { return self.send(attempt.last_event_id) };
        self.doing = Doing::Asking(headers.ask(self.machine.failures()), attempt.last_event_id);
        self.arm(None); // they have a time of their own
        Ok(())
    }

    fn send(&mut self, last_event_id: Option<EventId>) -> Result<(), Error> {
        let mut request = self.latest.to_http()?;
        if let Some(id) = last_event_id {
            match HeaderValue::from_bytes(id.as_bytes()) {
                Ok(value) => drop(request.headers_mut().insert(LAST_EVENT_ID, value)),
                // an id may hold control characters that a header may not
                Err(_) => debug!("the last event id cannot be sent"),
            }
        }
        let cookies = self.cookies.as_ref();
        if let Some(cookie) = cookies.and_then(|all| all.header(&self.latest.url, request.headers().get(COOKIE))) {
            request.headers_mut().insert(COOKIE, cookie);
        }
        debug!(host = self.latest.url.host_str(), failures = self.machine.failures(), "connecting");
        self.doing = Doing::Connecting(self.connector.connect(request));
        self.arm(self.read_timeout);
        Ok(())
    }

    fn stop(&mut self, error: Option<Error>) -> Poll<Option<Result<Item, Error>>> {
        self.doing = Doing::Stopped;
        self.arm(None);
        Poll::Ready(error.map(Err))
    }

    fn item(&mut self, delivery: Delivery) -> Option<Item> {
        Some(match delivery {
            Delivery::Open { status } => Item::Open { status },
            Delivery::Event(event) => Item::Event { event, last_event_id: self.machine.last_event_id().cloned() },
            Delivery::Comment(text) => Item::Comment(text),
            Delivery::Line(text) => self.line(text),
            Delivery::Gap(event) => Item::Gap(Gap::of(&event)),
            Delivery::End(event) => Item::End(event),
            Delivery::Session(event) => Item::Session(event),
            Delivery::Disconnected { wait, .. } => Item::Disconnected { error: self.take_cause(), wait },
            _ => return None,
        })
    }

    fn line(&mut self, text: String) -> Item {
        let head = LineHead::of(&text);
        if let Some(id) = head.id.and_then(|id| EventId::new(id).ok()) {
            self.machine.set_last_event_id(Some(id));
        }
        if let Some(milliseconds) = head.retry {
            self.machine.set_reconnection_time(Duration::from_millis(milliseconds));
        }
        Item::Line { text, event_type: head.event_type }
    }

    fn error(&mut self, stop: Stop) -> Error {
        match stop {
            Stop::Attempts(_) => {
                let cause = self.take_cause();
                let failures = self.machine.failures();
                let attempts = if failures == 1 { "attempt" } else { "attempts in a row" };
                Error::new(ErrorKind::Unavailable, format!("{failures} {attempts} failed"))
                    .with_status(cause.status())
                    .with_source(cause)
            }
            Stop::ContentType(found) => {
                let message = format!("the server answered with the type {found:?}, which is no event stream");
                Error::new(ErrorKind::Refused, message).with_status(Some(200))
            }
            Stop::NoLocation(status) => Error::answered(ErrorKind::Refused, status, "a redirect without a location"),
            Stop::Redirects => Error::new(ErrorKind::Refused, "too many redirects in a row"),
            Stop::TooLarge(error) => Error::new(ErrorKind::TooLarge, error.to_string()),
            Stop::Status(_) => self.take_cause(),
            _ => Error::new(ErrorKind::Refused, "the stream stopped"),
        }
    }

    fn take_cause(&mut self) -> Error {
        self.cause.take().unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the stream ended"))
    }

    /// Waits for what is under way and reports it to the machine.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let progress = match &mut self.doing {
            Doing::Nothing | Doing::Stopped | Doing::Waiting => Poll::Pending,
            Doing::Asking(asked, _) => asked.as_mut().poll(cx).map(Progress::Headers),
            Doing::Connecting(connecting) => connecting.as_mut().poll(cx).map(Progress::Answer),
            Doing::Reading(chunks) => chunks.as_mut().poll_next(cx).map(Progress::Chunk),
            Doing::Refused(_, chunks, _) => chunks.as_mut().poll_next(cx).map(Progress::Chunk),
        };
        if let Poll::Ready(progress) = progress {
            self.report(progress);
            return Poll::Ready(());
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        self.timed_out();
        Poll::Ready(())
    }

    fn report(&mut self, progress: Progress) {
        match (mem::replace(&mut self.doing, Doing::Nothing), progress) {
            (Doing::Asking(_, last_event_id), Progress::Headers(Ok(headers))) => {
                self.latest.fetched = headers;
                self.refused = self.send(last_event_id).err();
            }
            (_, Progress::Headers(Err(error))) if error.kind() != ErrorKind::Invalid => self.lost(error),
            (_, Progress::Headers(headers)) => self.refused = headers.err(),
            (_, Progress::Answer(Ok(answer))) => self.answered(answer),
            (_, Progress::Answer(Err(error))) => {
                let (what, place) =
                    (if error.sent() { "no answer from" } else { "cannot connect to" }, self.latest.place());
                // once there was an answer, what is in between has changed, and may change back
                let is_final = error.is_final() && !self.was_answered;
                let kind = if is_final { ErrorKind::Invalid } else { ErrorKind::Unavailable };
                let error = Error::new(kind, format!("{what} {place}")).with_source(error.into_source());
                if is_final {
                    self.refused = Some(error);
                } else {
                    self.lost(error);
                }
            }
            (Doing::Refused(head, chunks, mut body), Progress::Chunk(Some(Ok(chunk)))) => {
                if problem::append(&mut body, &chunk, REFUSAL_BYTES_MAX) {
                    self.doing = Doing::Refused(head, chunks, body);
                } else {
                    self.refused(&head, &body);
                }
            }
            (Doing::Refused(head, _, body), Progress::Chunk(_)) => self.refused(&head, &body),
            (doing, Progress::Chunk(Some(Ok(chunk)))) => {
                self.doing = doing;
                self.arm(self.read_timeout);
                self.machine.bytes(chunk);
            }
            (_, Progress::Chunk(Some(Err(error)))) => {
                self.lost(Error::new(ErrorKind::Unavailable, "the stream broke off").with_source(error));
            }
            (_, Progress::Chunk(None)) => self.lost(Error::new(ErrorKind::Unavailable, "the stream ended")),
        }
    }

    fn timed_out(&mut self) {
        match mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Waiting => self.machine.waited(),
            Doing::Refused(head, _, body) => self.refused(&head, &body),
            Doing::Connecting(_) | Doing::Reading(_) => {
                let timeout = self.read_timeout.unwrap_or_default();
                self.lost(Error::new(ErrorKind::Unavailable, format!("no byte came for {timeout:?}")));
            }
            Doing::Nothing | Doing::Stopped | Doing::Asking(..) => {}
        }
    }

    fn answered(&mut self, answer: Response<Chunks>) {
        self.was_answered = true;
        let (head, chunks) = answer.into_parts();
        if let Some(cookies) = &mut self.cookies {
            cookies.note(&self.latest.url, &head.headers);
        }
        if let Some(coding) = encoded(&head).filter(|_| head.status == StatusCode::OK) {
            let message = format!("the server encodes the stream with {coding:?}, which was not asked for");
            self.refused = Some(Error::new(ErrorKind::Refused, message).with_status(Some(head.status.as_u16())));
            return;
        }
        if head.status.is_client_error() || head.status.is_server_error() {
            self.doing = Doing::Refused(head, chunks, Vec::new());
            self.arm(Some(REFUSAL_TIMEOUT));
        } else {
            self.doing = Doing::Reading(chunks);
            self.arm(self.read_timeout);
            self.refused(&head, b"");
        }
    }

    /// Reports the head of an answer; if it opens no stream, `body` is what it says.
    fn refused(&mut self, head: &response::Parts, body: &[u8]) {
        let status = head.status.as_u16();
        let wait = retry_after(&head.headers);
        let passes = matches!(status, 429 | 500..=599);
        let kind = if passes { ErrorKind::Unavailable } else { ErrorKind::Refused };
        let detail = problem::detail(&head.headers, body);
        self.cause = (status != 200).then(|| Error::answered(kind, status, &detail).with_retry_after(wait));
        let content_type = all(&head.headers, &CONTENT_TYPE);
        let location = all(&head.headers, &LOCATION);
        let machine_head = Head::new(status)
            .content_type(&content_type)
            .location(&location)
            .retry_after(wait.unwrap_or_default())
            .hub(head.headers.get("oyez").is_some_and(|value| value.as_bytes() == b"1"));
        debug!(status, "answered");
        self.machine.head(&machine_head, random());
    }

    fn lost(&mut self, error: Error) {
        debug!(%error, "connection lost");
        self.cause = Some(error);
        self.machine.disconnected(random());
    }

    /// Sets the timer; it is read for whatever is being done.
    fn arm(&mut self, after: Option<Duration>) {
        let Some(after) = after else {
            self.timer = None;
            return;
        };
        let now = Instant::now();
        let deadline = now.checked_add(after).unwrap_or_else(|| now + FAR);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(deadline),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
        }
    }
}

impl Stream for EventSource {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Doing::Stopped = self.doing {
                return Poll::Ready(None);
            }
            if let Some(error) = self.refused.take() {
                return self.stop(Some(error));
            }
            if let Some(yielded) = self.act() {
                return yielded;
            }
            ready!(self.wait(cx));
        }
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource").field("host", &self.first.url.host_str()).finish_non_exhaustive()
    }
}

enum Doing {
    Nothing,
    Asking(Asked, Option<EventId>), // for the headers of an attempt that is to resume there
    Connecting(Connecting),
    Reading(Chunks),
    Refused(response::Parts, Chunks, Vec<u8>), // reading what a refusal says
    Waiting,
    Stopped,
}

enum Progress {
    Headers(Result<HeaderMap, Error>),
    Answer(Result<Response<Chunks>, ConnectError>),
    Chunk(Option<Result<Bytes, BoxError>>),
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after::parse(value, SystemTime::now())
}

/// The coding of a body that is not as it is.
fn encoded(head: &response::Parts) -> Option<String> {
    let coding = all(&head.headers, &CONTENT_ENCODING);
    Some(coding).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// The lines of one header as one value.
fn all(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60); // for waits that no clock can hold
