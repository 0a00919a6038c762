//! What an EventSource asks for, and how.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL};
use oyez_proto::{EventId, Format};

use crate::connector::Connector;
use crate::cookies::Cookies;
use crate::headers::Headers;
use crate::limits::READ_TIMEOUT;
use crate::request::Request;
use crate::source::How;
use crate::{BoxError, Connect, Error, EventSource, HeadersFor};

/// An [`EventSource`] to be: what to ask for, and how.
pub struct EventSourceBuilder {
    machine: oyez_proto::EventSource,
    connect: Connector,
    request: Request,
    headers: Option<Headers>,
    format: Format,
    read_timeout: Option<Duration>,
    cookies: bool,
}

impl EventSource {
    /// An EventSource of `url`, to be refined.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is not an absolute `http` or `https` URL.
    pub fn builder(url: &str) -> Result<EventSourceBuilder, Error> {
        EventSourceBuilder::new(url)
    }

    /// An EventSource of `url` with nothing changed.
    ///
    /// # Errors
    /// As [`builder`](Self::builder).
    #[cfg(feature = "reqwest")]
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url)?.build()
    }
}

impl EventSourceBuilder {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            machine: oyez_proto::EventSource::new(),
            connect: Connector::default(),
            request: Request::new(url)?,
            headers: None,
            format: Format::EventStream,
            read_timeout: Some(READ_TIMEOUT),
            cookies: false,
        })
    }

    /// Adds a header to each request. `Authorization` and `Cookie` stay behind when a redirect leaves the origin.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when HTTP cannot carry it.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        self.request.add_header(name, value)?;
        Ok(self)
    }

    /// Asks for headers before each attempt, so that a token may be fetched anew. They come in place of those of the same name that
    /// [`header`](Self::header) has set. A redirect is part of its attempt, and when it leaves the origin all of them stay behind.
    ///
    /// They have 30 seconds, and are at most 100 of 64 KiB together. An error of `headers`, or no answer in time, is a failed attempt:
    /// it comes as [`Item::Disconnected`](crate::Item::Disconnected), and they are asked for again with the next attempt. What HTTP cannot
    /// carry, such as a token with the line end of its file, ends the stream with [`ErrorKind::Invalid`](crate::ErrorKind::Invalid). So does
    /// 401, with [`Refused`](crate::ErrorKind::Refused): a fresh token that is refused is refused again.
    ///
    /// ```
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok("t".to_owned()) }
    /// # fn make() -> Result<(), oyez_client::Error> {
    /// let builder = oyez_client::EventSource::builder("https://example.com/stream")?.headers_with(|_| async {
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

    /// The method of each request; GET unless set.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.request.method = method;
        self
    }

    /// The body of each request, sent again with every attempt.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self
    }

    /// What the stream is made of; [`Format::EventStream`] unless set. It decides the default of the header `Accept`.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Resumes after this id.
    #[must_use]
    pub fn last_event_id(mut self, id: EventId) -> Self {
        self.machine.set_last_event_id(Some(id));
        self
    }

    /// Gives up a connection on which no byte comes for so long, before or after the head of the answer, and
    /// reconnects. 5 minutes unless set; `None` waits for ever.
    #[must_use]
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.read_timeout = timeout.into();
        self
    }

    /// The reconnection time until the stream sets it; 3 s unless set, never under 100 ms nor over an hour.
    #[must_use]
    pub fn initial_delay(mut self, time: Duration) -> Self {
        self.machine = self.machine.initial_delay(time);
        self
    }

    /// Whether waits are spread at random, so that many clients do not return in one moment. On unless set.
    #[must_use]
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.machine = self.machine.jitter(jitter);
        self
    }

    /// Whether cookies that a server sets are kept, for its origin and as long as this lives, and sent with further requests: load
    /// balancers have readers return to the same server by them. Off unless set.
    #[must_use]
    pub fn cookies(mut self, keep_them: bool) -> Self {
        self.cookies = keep_them;
        self
    }

    /// Whether comments are yielded.
    #[must_use]
    pub fn comments(mut self, yield_them: bool) -> Self {
        self.machine = self.machine.comments(yield_them);
        self
    }

    /// Bounds the bytes of one event or line; 16 MiB unless set. A larger one is an error.
    #[must_use]
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.machine = self.machine.event_bytes_max(bytes);
        self
    }

    /// Gives up with an error when so many attempts in a row failed. Unbounded unless set.
    #[must_use]
    pub fn attempts_max(mut self, attempts: NonZeroU32) -> Self {
        self.machine = self.machine.attempts_max(attempts);
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
    /// Make it with [`redirect::Policy::none`](reqwest::redirect::Policy::none): redirects are followed here, where it is known what
    /// may go along. A timeout of its own for whole requests cuts streams.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub fn client(self, client: reqwest::Client) -> Self {
        self.connect(crate::http_connect::Given(client))
    }

    /// The EventSource. It connects when it is polled.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when HTTP cannot ask for the URL, or nothing says how to connect.
    pub fn build(self) -> Result<EventSource, Error> {
        let mut request = self.request;
        request.default_header(ACCEPT, self.format.mime_type());
        request.default_header(CACHE_CONTROL, "no-cache");
        // an encoder holds events back, and nothing here decodes
        request.default_header(ACCEPT_ENCODING, "identity");
        request.to_http()?;
        Ok(EventSource::start(
            self.machine.format(self.format),
            How {
                connect: self.connect.build()?,
                request,
                headers: self.headers,
                read_timeout: self.read_timeout,
                cookies: self.cookies.then(Cookies::default),
            },
        ))
    }
}

impl fmt::Debug for EventSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSourceBuilder").field("host", &self.request.url.host_str()).finish_non_exhaustive()
    }
}
