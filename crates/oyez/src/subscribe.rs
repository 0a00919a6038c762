//! A subscription before it is a stream.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::access::Access;
use crate::checks::{Checks, Filter, Verdict};
use crate::clock;
use crate::control::StreamControl;
use crate::core::{Core, Ticket};
use crate::format::Format;
use crate::gap::Gap;
use crate::grant::Grant;
use crate::last_event_id::LastEventId;
use crate::limits::{EXPIRY_LEAD, KEEP_ALIVE, RETRY_MS, at_most};
use crate::log::{Begin, Entry, Search, Start};
use crate::matcher::{Matcher, Matchers};
use crate::options::{Bare, Held, OnGap, Options, Rare, SlowPolicy, Until, UntilTime};
use crate::output::Opening;
use crate::position::EARLIEST;
use crate::pump::Pump;
use crate::response::Sse;
use crate::seeker::Seeker;
use crate::stats::Reader;
use crate::stream::EventStream;
use crate::subscriber::Subscriber;
use crate::sync::atomic::Ordering::Relaxed;
use crate::typed::Payload;
use crate::{Error, ErrorKind, Topic};

/// A subscription being set up: what it selects, where it begins, how it is told. Made by
/// [`Hub::subscribe`](crate::Hub::subscribe); turned into a stream by [`into_response`](Subscribe::into_response) or
/// [`into_stream`](Subscribe::into_stream).
///
/// ```
/// # let hub = oyez::Hub::<serde_json::Value>::new();
/// # let resume = oyez::LastEventId::none();
/// use std::time::Duration;
/// use oyez::SlowPolicy;
/// let response = hub
///     .subscribe("news")
///     .and_pattern("orders/*")
///     .resume(resume)
///     .filter(|order| order["total"].as_u64() > Some(100))
///     .keep_alive(Duration::from_secs(20))
///     .slow(SlowPolicy::Skip)
///     .into_response();
/// ```
#[must_use = "a subscription does nothing until it is turned into a response or a stream"]
pub struct Subscribe<T> {
    core: Arc<Core>,
    matchers: Result<Matchers, Error>,
    start: Start,
    resume: LastEventId,
    on_gap: OnGap,
    filters: Vec<Filter>,
    access: Option<Arc<dyn Access>>,
    grant: Grant,
    expires_at: Option<SystemTime>,
    user: Option<Arc<str>>,
    slow: SlowPolicy,
    until: Option<SystemTime>,
    until_id: Option<String>,
    limit: Option<u64>,
    poll: bool,
    keep_alive: Option<Duration>,
    life: Option<Duration>,
    retry: Option<Duration>,
    format: Format,
    opening: Option<String>,
    bare: bool,
    control: StreamControl,
    peer: Option<SocketAddr>,
    held: Option<Held>,
    payload: PhantomData<fn(T) -> T>,
}

impl<T: Payload> Subscribe<T> {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            matchers: Ok(Matchers::default()),
            start: Start::Live,
            resume: LastEventId::none(),
            on_gap: OnGap::default(),
            filters: Vec::new(),
            access: None,
            grant: Grant::public(),
            expires_at: None,
            user: None,
            slow: SlowPolicy::default(),
            until: None,
            until_id: None,
            limit: None,
            poll: false,
            keep_alive: Some(KEEP_ALIVE),
            life: None,
            retry: None,
            format: Format::default(),
            opening: None,
            bare: false,
            control: StreamControl::new(),
            peer: None,
            held: None,
            payload: PhantomData,
        }
    }

    /// Selects `topic` as well. An event of several topics comes once.
    pub fn and<N>(self, topic: N) -> Self
    where
        N: TryInto<Topic>,
        N::Error: Into<Error>,
    {
        self.select(topic.try_into().map(Matcher::from).map_err(Into::into))
    }

    /// Selects what `pattern` selects as well: see [`Hub::subscribe_pattern`](crate::Hub::subscribe_pattern).
    pub fn and_pattern<M>(self, pattern: M) -> Self
    where
        M: TryInto<Matcher>,
        M::Error: Into<Error>,
    {
        self.select(pattern.try_into().map_err(Into::into))
    }

    fn select(mut self, matcher: Result<Matcher, Error>) -> Self {
        match (&mut self.matchers, matcher) {
            (Ok(matchers), Ok(matcher)) => matchers.push(matcher),
            (Ok(_), Err(error)) => self.matchers = Err(error),
            (Err(_), _) => {}
        }
        self
    }

    /// Goes on after the id that a reader came back with. It beats every other start; without an id nothing changes.
    pub fn resume(mut self, id: LastEventId) -> Self {
        self.resume = id;
        self
    }

    /// Begins after this id, as a resume: if entries in between were dropped, the stream says so first.
    pub fn since_id(mut self, id: &str) -> Self {
        self.start = Start::Id(id.to_owned());
        self
    }

    /// Begins with the first entry of this time or later, as a resume. `requested` is how a gap names it.
    pub fn since(mut self, time: SystemTime, requested: &str) -> Self {
        self.start = Start::Time(unix_ms(time), requested.to_owned());
        self
    }

    /// Begins with the oldest entry kept.
    pub fn earliest(mut self) -> Self {
        self.start = Start::Earliest;
        self
    }

    /// Begins with the newest `number` entries that match, over all topics.
    pub fn last(mut self, number: usize) -> Self {
        self.start = Start::Last(number);
        self
    }

    /// Begins with a snapshot: the newest entry of each topic and [key](crate::Publish::key) that match, in the order of the
    /// log and with their own ids, then what is published from now on: no hole, and nothing twice. Entries without a key
    /// take part on topics that the hub [compacts](crate::HubBuilder::compact).
    ///
    /// A value that is replaced while the snapshot is on its way to the reader comes after the snapshot, as it is then.
    pub fn snapshot(mut self) -> Self {
        self.start = Start::Snapshot;
        self
    }

    /// What happens when a resume cannot be complete.
    pub fn on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// Ends the stream before the first entry later than this, or when the time has come.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(time);
        self
    }

    /// Ends the stream after the entry with this id.
    pub fn until_id(mut self, id: &str) -> Self {
        self.until_id = Some(id.to_owned());
        self
    }

    /// Ends the stream after so many events.
    pub fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }

    /// Ends the stream after what the log holds now.
    pub fn poll(mut self) -> Self {
        self.poll = true;
        self
    }

    /// Only entries for which `filter` says yes. Several filters must all say yes. An entry that does not decode as
    /// `T` is announced as a gap. The filter must not block; a panic in it ends this stream only.
    pub fn filter(mut self, filter: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.filters.push(Arc::new(move |entry: &Entry| judge(entry, &filter)));
        self
    }

    /// Asks `access` at subscribe and for every entry.
    pub fn access(mut self, access: impl Access) -> Self {
        self.access = Some(Arc::new(access));
        self
    }

    /// Which private entries the reader may have, until when, and who it is. Without it: the public ones.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grant = grant;
        self
    }

    /// Ends the stream at this time: never later, and less than a second before. A subscription after it is refused with
    /// [`Denied`](ErrorKind::Denied). The earlier of this and the time of the [`Grant`] counts. For the end of a token take this
    /// and not [`life`](Self::life), which varies so that readers do not come back all at once.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let hub = oyez::Hub::<String>::new();
    /// # let exp = 4_102_444_800;
    /// let response = hub.subscribe("news").expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(exp)).into_response();
    /// ```
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Who reads: a label for [`Hub::streams`](crate::Hub::streams) and
    /// [`Hub::disconnect_user`](crate::Hub::disconnect_user), in place of the subject of the [`Grant`].
    pub fn user(mut self, label: impl Into<Arc<str>>) -> Self {
        self.user = Some(label.into());
        self
    }

    /// What happens when the reader lags so far that its next entry was dropped.
    pub fn slow(mut self, policy: SlowPolicy) -> Self {
        self.slow = policy;
        self
    }

    /// How long the stream may be silent before a keep-alive is sent, ±10 %. 15 s by default; zero is never.
    pub fn keep_alive(mut self, silence: Duration) -> Self {
        self.keep_alive = Some(silence).filter(|silence| !silence.is_zero());
        self
    }

    /// Ends the stream after this time ±20 %, at a frame border; its reader comes back. Unlimited by default.
    pub fn life(mut self, time: Duration) -> Self {
        self.life = Some(time);
        self
    }

    /// The reconnection time that the stream opens with. By default a random one between 2 and 5 s.
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }

    /// Opens the stream with an event `oyez.open` of this data: what its reader has to know of it, as where to control it.
    pub fn opening(mut self, data: impl Into<String>) -> Self {
        self.opening = Some(data.into());
        self
    }

    /// Sends events with data and nothing else, for readers that take every block for an event and parse its data, as the clients
    /// of some APIs do: no opening block, no `oyez.*` event, an id only with data, and `:` with one line end as the keep-alive. The
    /// reconnection time comes with the first event. What has no place in such a stream is said elsewhere:
    ///
    /// - What is missing before the first event: by the header `Oyez-Gap` with the [reason](crate::Reason) as its value; with
    ///   [`OnGap::Fail`] there is no stream. It is known when the response comes from [`respond`](Self::respond), and under
    ///   [`serve`](crate::serve()). Elsewhere it is known where the history is in memory and little of it has to be looked through; where it
    ///   is not, the stream ends before its first event, and a reader that comes back finds the same: take `respond`.
    /// - What is missing later: the stream ends before it, whatever the [`SlowPolicy`], and the head of the next one says it.
    /// - The end of its topics: the stream ends. Where only ends are left to read there is no stream:
    ///   [`Ended`](ErrorKind::Ended), which is 204, found out as the header is. That one topic of several has ended is not said.
    ///
    /// So the head of the response waits until the first event is found, or that there is none yet, and the stream counts as open from
    /// then on.
    ///
    /// A refusal is a status, for a browser as well: `Sse::refusal(&error, &LastEventId::none())` where you answer with it. A reader that is
    /// cut off before its first event has no id and begins where it began before, so it may miss something without a word.
    ///
    /// Not for [`Format::Ndjson`], which has no comments, and not with [`opening`](Self::opening). On
    /// [`into_stream`](Self::into_stream) it has no effect.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use http_body_util::BodyExt;
    /// use oyez::{Event, Hub, LastEventId};
    /// let hub = Hub::<Event>::new();
    /// let id = hub.publish("answer", Event::data(r#"{"token":"Hello"}"#)).await?;
    /// hub.end("answer").await?;
    /// let retry = std::time::Duration::from_secs(2);
    /// let response = hub.subscribe("answer").bare().retry(retry).respond().await?.into_http();
    /// let body = response.into_body().collect().await.unwrap().to_bytes();
    /// assert_eq!(body, format!("retry: 2000\nid: {id}\ndata: {{\"token\":\"Hello\"}}\n\n"));
    ///
    /// // it comes back with that id: only the end is left
    /// let again = hub.subscribe("answer").resume(LastEventId::new(&*id)).bare().into_response().into_http();
    /// assert_eq!(again.status(), 204);
    /// # Ok::<(), oyez::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// The handle that ends this stream and no other, made beforehand.
    pub fn control(mut self, control: StreamControl) -> Self {
        self.control = control;
        self
    }

    /// Who reads, for [`Hub::streams`](crate::Hub::streams).
    pub fn peer(mut self, address: SocketAddr) -> Self {
        self.peer = Some(address);
        self
    }

    /// Drops `guard` when the stream ends: a place in a count of your own, for example.
    pub fn hold(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.held = Some(Box::new(guard));
        self
    }

    /// How the stream is written.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The HTTP response that streams this subscription. The place under the maximum is taken now, and the cursor is set: at
    /// once in memory, but for searches that take long, and elsewhere when the history answers. Until then the stream waits;
    /// [`serve`](crate::serve()) waits before it writes a status, and so does [`Subscribe::respond`]. The stream counts as open when
    /// its body is read first. A refusal becomes a response of its own; see [`Subscribe::try_into_response`].
    #[must_use]
    pub fn into_response(self) -> Sse {
        let resume = if self.bare { LastEventId::none() } else { self.resume.clone() };
        self.try_into_response().unwrap_or_else(|error| Sse::refusal(&error, &resume))
    }

    /// [`Subscribe::into_response`], with refusals for the caller to answer, as far as they are known at once. What is found out
    /// later ends the stream.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): a matcher is wrong or there are too many;
    /// [`Denied`](ErrorKind::Denied): the [`Access`] says no, or the [`Grant`] has expired; [`Ended`](ErrorKind::Ended): all that is selected are topics that
    /// have ended, and the reader has everything; [`Gone`](ErrorKind::Gone): the resume is incomplete and [`OnGap::Fail`] was
    /// set, or the topics have ended and their end has left the history; [`Unavailable`](ErrorKind::Unavailable): all places are taken;
    /// [`Closed`](ErrorKind::Closed): the hub drains.
    pub fn try_into_response(self) -> Result<Sse, Error> {
        let (format, control, bare) = (self.format, self.control.clone(), self.ahead());
        let core = Arc::clone(&self.core);
        let mut pump = Box::new(Pump::new(self.seek()?, format, bare));
        // what can be known of a bare stream's head at once
        let begun = match bare {
            Some(_) => pump.poll_begun(clock::now(), &Context::from_waker(Waker::noop())),
            None => Poll::Pending,
        };
        let missing = match begun {
            Poll::Ready(begun) => begun.inspect_err(|error| count_refusal(&core, error))?,
            Poll::Pending => None,
        };
        Ok(Sse::stream(pump, control, format, bare.is_some()).after_gap(missing))
    }

    /// [`Subscribe::try_into_response`] that waits until the stream has its place, so that all that can be wrong is an error.
    /// Dropping the future gives everything back.
    ///
    /// # Errors
    /// As [`Subscribe::try_into_response`], and [`Internal`](ErrorKind::Internal) when the history cannot be read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let hub = oyez::Hub::<String>::new();
    /// # let resume = oyez::LastEventId::none();
    /// let response = match hub.subscribe("orders").resume(resume.clone()).respond().await {
    ///     Ok(response) => response,
    ///     Err(error) => oyez::Sse::refusal(&error, &resume),
    /// };
    /// # drop(response) });
    /// ```
    pub async fn respond(self) -> Result<Sse, Error> {
        let (format, control, bare) = (self.format, self.control.clone(), self.ahead());
        let counted = Arc::clone(&self.core);
        let begun = async {
            let subscriber = self.begin_at(clock::now(), clock::wall_ms())?.await?;
            let mut pump = Box::new(Pump::new(Seeker::Found(subscriber), format, bare));
            let missing = poll_fn(|cx| pump.poll_begun(clock::now(), cx)).await?;
            Ok((pump, missing))
        };
        let (pump, missing) = begun.await.inspect_err(|error| count_refusal(&counted, error))?;
        Ok(Sse::stream(pump, control, format, bare.is_some()).after_gap(missing))
    }

    /// The same subscription inside this process: a stream of values, without keep-alives.
    ///
    /// # Errors
    /// As [`Subscribe::try_into_response`]; what is found out later is [`EventStream::error`].
    pub fn into_stream(mut self) -> Result<EventStream<T>, Error> {
        self.keep_alive = None;
        self.bare = false;
        Ok(EventStream::new(Arc::clone(&self.core), self.seek()?))
    }

    /// What a bare stream does about a gap at its start.
    fn ahead(&self) -> Option<OnGap> {
        self.bare.then_some(self.on_gap)
    }

    fn seek(self) -> Result<Seeker, Error> {
        let (counted, control) = (Arc::clone(&self.core), self.control.clone());
        let search = self.begin_at(clock::now(), clock::wall_ms());
        search.and_then(|search| Seeker::new(search, control)).inspect_err(|error| count_refusal(&counted, error))
    }

    /// Begins at this time, which is so many milliseconds since 1970: what can be said at once is, and then its place is searched
    /// for.
    pub(crate) fn begin_at(self, now: Instant, now_ms: u64) -> Result<Search<Result<Subscriber, Error>>, Error> {
        let Self { core, matchers, grant, .. } = &self;
        let matchers = matchers.as_ref().map_err(Error::again)?;
        at_most("matchers in one subscription", matchers.len(), core.limits.matchers_max)?;
        at_most("matchers in one grant", grant.readable.len(), core.limits.grant_matchers_max)?;
        self.check_bare()?;
        if matchers.len() == 0 {
            return Err(Error::invalid("no topic to subscribe to; name at least one"));
        }
        if let Some(time) = grant.expires.into_iter().chain(self.expires_at).min() {
            self.expire_at(time, now, now_ms)?;
        }
        if let Some(access) = &self.access {
            if let Some(refused) = matchers.iter().find(|matcher| !access.may_subscribe(matcher)) {
                return Err(Error::new(ErrorKind::Denied, format!("not allowed to subscribe to {refused}")));
            }
        }
        let ticket = core.take_place()?;
        let log = Arc::clone(&core.log);
        Ok(log.search(self.place(ticket, now, now_ms)))
    }

    /// Can what it says be said to a strict reader?
    fn check_bare(&self) -> Result<(), Error> {
        if self.bare && self.format == Format::Ndjson {
            return Err(Error::invalid("NDJSON has no comment that keeps a bare stream open; take an event stream"));
        }
        if self.bare && self.opening.is_some() {
            return Err(Error::invalid("a bare stream has no oyez.open; leave its opening away"));
        }
        Ok(())
    }

    /// The stream ends, or its search for its place, when its grant expires.
    fn expire_at(&self, time: SystemTime, now: Instant, now_ms: u64) -> Result<(), Error> {
        let left = Duration::from_millis(unix_ms(time).saturating_sub(now_ms));
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Denied, "the time is over until which it may be read"));
        }
        // what no clock reaches never comes
        if let Some(time) = now.checked_add(left.saturating_sub(EXPIRY_LEAD)) {
            self.control.expire_at(time);
        }
        Ok(())
    }

    /// [`Subscribe::begin_at`], to the end.
    #[cfg(all(test, shuttle))]
    pub(crate) fn begin(self, now: Instant, now_ms: u64) -> Result<Subscriber, Error> {
        self.begin_at(now, now_ms)?.wait()
    }

    /// Finds the place where the stream begins.
    async fn place(self, ticket: Ticket, now: Instant, now_ms: u64) -> Result<Subscriber, Error> {
        let core = self.core;
        let matchers = Arc::new(self.matchers?);
        let start = match self.resume.id() {
            None => self.start,
            Some(EARLIEST) => Start::Earliest,
            Some(id) => Start::Id(id.to_owned()),
        };
        let mut begin = core.log.begin(&start, &matchers, &self.grant.readable, core.log.clock.ms()).await?;
        let until_id = match &self.until_id {
            Some(id) => {
                let is_none = |_| Error::invalid(format!("until={id:?} is not an id of this log's history"));
                Some(core.log.find(id).await?.map_err(is_none)?)
            }
            None => None,
        };
        let poll = self.poll.then(|| core.log.head());
        let until_time = self.until.map(|time| {
            let ms = unix_ms(time);
            UntilTime {
                ms: core.log.clock.of_wall(ms),
                at: now.checked_add(Duration::from_millis(ms.saturating_sub(now_ms))),
            }
        });
        let until =
            Until { sequence: [until_id, poll].into_iter().flatten().min(), time: until_time, limit: self.limit };
        let has_checks = self.access.is_some() || !self.filters.is_empty();
        let checks = has_checks.then_some(Checks { filters: self.filters, access: self.access });
        let Grant { readable, subject, .. } = self.grant;
        let options = Options {
            matchers,
            readable,
            rare: Rare::of(
                checks,
                Some(until).filter(|until| *until != Until::default()),
                self.bare.then(Bare::default),
            ),
            slow: self.slow,
            keep_alive_ms: self.keep_alive.map_or(0, milliseconds),
            held: self.held,
        };
        if has_checks || core.log.hides_from(&options.readable) {
            begin.gap = begin.gap.map(Gap::veiled);
        }
        self.on_gap.judge(&begin)?;
        let opening = Opening {
            is_snapshot: begin.values.is_some() && start == Start::Snapshot,
            replaying: !matches!(start, Start::Id(_) | Start::Time(..)),
            gap: begin.gap,
            values: begin.values,
            deletions_known: begin.known,
            retry: self.retry.unwrap_or_else(|| Duration::from_millis(core.random.within(RETRY_MS))),
            life: self.life.map(|life| core.random.about(life, 200)),
            said: self.opening,
            reader: Reader { user: self.user.or(subject), peer: self.peer, since_ms: now_ms },
        };
        Ok(Subscriber::new(core, options, opening, self.control, (begin.cursor, begin.drops), ticket))
    }
}

/// As [`Subscribe::into_response`](Subscribe::into_response).
#[cfg(feature = "axum")]
impl<T: Payload> axum_core::response::IntoResponse for Subscribe<T> {
    fn into_response(self) -> axum_core::response::Response {
        Self::into_response(self).into_response()
    }
}

impl OnGap {
    /// May a stream begin there?
    fn judge(self, begin: &Begin) -> Result<(), Error> {
        match (self, &begin.gap) {
            (Self::Fail, None) if begin.deleted => {
                Err(Error::new(ErrorKind::Gone, "cannot resume: entries were deleted since, or their topic was"))
            }
            (Self::Fail, Some(gap)) => {
                let oldest = gap.oldest.as_deref().unwrap_or("nothing");
                let message = format!("cannot resume from {:?}: {}; oldest is {oldest}", gap.requested, gap.reason);
                Err(Error::new(ErrorKind::Gone, message))
            }
            (Self::Announce | Self::Fail, _) => Ok(()),
        }
    }
}

fn count_refusal(core: &Core, error: &Error) {
    if error.kind() != ErrorKind::Ended {
        core.counters.refused.fetch_add(1, Relaxed);
    }
}

fn judge<T: Payload>(entry: &Entry, filter: &impl Fn(&T) -> bool) -> Verdict {
    let verdict = |pass| if pass { Verdict::Pass } else { Verdict::Skip };
    if let Some(value) = entry.payload::<T>() {
        return verdict(filter(&value));
    }
    match T::decode(&entry.event()) {
        Ok(value) => verdict(filter(&value)),
        Err(_) => Verdict::Undecodable,
    }
}

/// At least one; a longer time than fits is as good as never, seven weeks.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|time| u64::try_from(time.as_millis()).ok()).unwrap_or_default()
}
