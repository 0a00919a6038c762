//! EventSource as a state machine: what to do next, told what has happened.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::limits::{EVENT_BYTES_MAX, REDIRECTS_MAX, WAIT_ASKED_MAX};
use crate::lines::Lines;
use crate::{
    Action, Attempt, Backoff, Cause, Decoder, Delivery, Error, Event, EventId, Format, Head, Item, Redirect, Stop,
};

/// Connects, reads, reconnects and stops as an EventSource does, without I/O, clock or randomness.
///
/// A driver asks [`poll`](Self::poll) what to do until it says `None`, and then reports what happened:
/// [`head`](Self::head), [`bytes`](Self::bytes), [`disconnected`](Self::disconnected) or [`waited`](Self::waited).
/// Times are waits relative to now, so it runs where there is no clock. A call that the machine does not expect in
/// its state changes nothing.
///
/// ```
/// use bytes::Bytes;
/// use oyez_proto::{Action, Attempt, Delivery, Event, EventSource, Head, Stop};
///
/// let mut source = EventSource::new();
/// assert_eq!(source.poll(), Some(Action::Connect(Attempt::default())));
/// source.head(&Head::new(200).content_type("text/event-stream"), 0);
/// assert_eq!(source.poll(), Some(Action::Deliver(Delivery::Open { status: 200 })));
/// source.bytes(Bytes::from("id: 7\ndata: hello\n\n"));
/// assert_eq!(source.poll(), Some(Action::Deliver(Delivery::Event(Event::data("hello").id("7")?))));
/// assert_eq!(source.poll(), None);
///
/// source.disconnected(0);
/// assert!(matches!(source.poll(), Some(Action::Deliver(Delivery::Disconnected { .. }))));
/// assert!(matches!(source.poll(), Some(Action::Wait(_))));
/// source.waited();
/// let Some(Action::Connect(attempt)) = source.poll() else { unreachable!() };
/// assert_eq!(attempt.last_event_id.as_deref(), Some("7"));
/// source.head(&Head::new(204), 0);
/// assert_eq!(source.poll(), Some(Action::Stop(Stop::Complete)));
/// # Ok::<(), oyez_proto::Error>(())
/// ```
///
/// Differences from the standard, all of them safer: the wait is spread and grows ([`Backoff`]); 429 and 5xx are
/// retried; redirects and events are bounded.
///
/// Source: HTML Standard, "The EventSource interface", processing model.
#[derive(Debug)]
pub struct EventSource {
    state: State,
    body: Body,
    backoff: Backoff,
    attempts_max: Option<NonZeroU32>,
    redirects: u32,
    hub: bool,
}

impl EventSource {
    /// An EventSource that will connect: without a last event id, with the bounds and times of [`Decoder::new`] and
    /// [`Backoff::new`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Connect(None),
            body: Body {
                format: Format::EventStream,
                decoder: Decoder::new(),
                lines: Lines::new(EVENT_BYTES_MAX),
                chunk: Bytes::new(),
            },
            backoff: Backoff::new(),
            attempts_max: None,
            redirects: 0,
            hub: false,
        }
    }

    /// What the body is made of.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.body.format = format;
        self
    }

    /// Bounds the bytes held back of one event or line; a larger one stops the machine.
    #[must_use]
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.body.decoder = self.body.decoder.event_bytes_max(bytes);
        self.body.lines = Lines::new(bytes);
        self
    }

    /// Whether comments are delivered.
    #[must_use]
    pub fn comments(mut self, deliver_them: bool) -> Self {
        self.body.decoder = self.body.decoder.comments(deliver_them);
        self
    }

    /// Whether waits are spread at random ([`Backoff::jitter`]).
    #[must_use]
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// The reconnection time until the stream sets it, within the bounds of [`Backoff::set_reconnection_time`].
    #[must_use]
    pub fn initial_delay(mut self, time: Duration) -> Self {
        self.backoff.set_reconnection_time(time);
        self
    }

    /// Stops the machine when so many attempts in a row failed. Unbounded unless set.
    #[must_use]
    pub fn attempts_max(mut self, attempts: NonZeroU32) -> Self {
        self.attempts_max = Some(attempts);
        self
    }

    /// Puts a last event id in force, for the next attempt.
    pub fn set_last_event_id(&mut self, id: Option<EventId>) {
        self.body.decoder.set_last_event_id(id);
    }

    /// The last event id in force. Never empty.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&EventId> {
        self.body.decoder.last_event_id()
    }

    /// Sets the reconnection time, as the field `retry` does.
    pub fn set_reconnection_time(&mut self, time: Duration) {
        self.backoff.set_reconnection_time(time);
    }

    /// How many attempts have failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// What to do next; `None` until something is reported. Each action is told once.
    pub fn poll(&mut self) -> Option<Action> {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Connect(redirect) => {
                self.state = State::Connecting;
                Some(Action::Connect(Attempt { last_event_id: self.last_event_id().cloned(), redirect }))
            }
            State::Opened(status) => {
                self.state = State::Open;
                Some(Action::Deliver(Delivery::Open { status }))
            }
            State::Open => {
                self.state = State::Open;
                self.read()
            }
            State::Disconnected(cause, wait) => {
                self.state = State::Wait(wait);
                Some(Action::Deliver(Delivery::Disconnected { cause, wait }))
            }
            State::Wait(wait) => {
                self.state = State::Waiting;
                Some(Action::Wait(wait))
            }
            State::Stop(stop) => Some(Action::Stop(stop)),
            passive @ (State::Connecting | State::Waiting | State::Stopped) => {
                self.state = passive;
                None
            }
        }
    }

    /// The answer to the last attempt. `random` is any number, drawn uniformly; it places the wait that may follow.
    pub fn head(&mut self, head: &Head<'_>, random: u64) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        match head.status {
            200 if head.has_type(self.body.format.mime_type()) => self.open(head),
            200 => self.state = State::Stop(Stop::ContentType(head.content_type.to_owned())),
            204 => self.state = State::Stop(Stop::Complete),
            301 | 302 | 303 | 307 | 308 => self.redirect(head),
            429 | 500..=599 => {
                self.attempt_failed(Cause::Status(head.status), head.retry_after.min(WAIT_ASKED_MAX), random);
            }
            status => self.state = State::Stop(Stop::Status(status)),
        }
    }

    /// The next bytes of an open stream. Report them only when [`poll`](Self::poll) has said `None`: what is left of
    /// the bytes before is dropped.
    pub fn bytes(&mut self, chunk: Bytes) {
        if matches!(self.state, State::Open) {
            self.body.chunk = chunk;
        }
    }

    /// The connection failed, broke off or ended, in whatever way. A block without its blank line is dropped.
    /// `random` as in [`head`](Self::head).
    pub fn disconnected(&mut self, random: u64) {
        match self.state {
            State::Connecting => self.attempt_failed(Cause::Network, Duration::ZERO, random),
            State::Opened(_) | State::Open => {
                self.state = State::Disconnected(Cause::Ended, self.backoff.wait(random));
            }
            _ => {}
        }
    }

    /// The time of [`Action::Wait`] has passed.
    pub fn waited(&mut self) {
        if let State::Waiting = self.state {
            self.connect();
        }
    }

    /// Reconnects at once, whether a stream is open or the machine waits. Nothing happens after [`Action::Stop`].
    pub fn reconnect_now(&mut self) {
        if !matches!(self.state, State::Stop(_) | State::Stopped) {
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.redirects = 0;
        self.state = State::Connect(None);
    }

    fn open(&mut self, head: &Head<'_>) {
        self.hub = head.hub;
        self.body.reset();
        self.backoff.opened();
        self.state = State::Opened(head.status);
    }

    fn redirect(&mut self, head: &Head<'_>) {
        self.redirects += 1;
        self.state = if head.location.is_empty() {
            State::Stop(Stop::NoLocation(head.status))
        } else if self.redirects > REDIRECTS_MAX {
            State::Stop(Stop::Redirects)
        } else {
            State::Connect(Some(Redirect { status: head.status, location: head.location.to_owned() }))
        };
    }

    fn attempt_failed(&mut self, cause: Cause, wait_min: Duration, random: u64) {
        self.backoff.failed();
        self.state = match self.attempts_max {
            Some(max) if self.backoff.failures() >= max.get() => State::Stop(Stop::Attempts(cause)),
            _ => State::Disconnected(cause, self.backoff.wait(random).max(wait_min)),
        };
    }

    /// The next delivery out of the bytes there are.
    fn read(&mut self) -> Option<Action> {
        loop {
            let item = match self.body.next() {
                Ok(item) => item?,
                Err(error) => {
                    self.state = State::Stopped;
                    return Some(Action::Stop(Stop::TooLarge(error)));
                }
            };
            let delivery = match item {
                Read::Item(Item::Retry(time)) => {
                    self.backoff.set_reconnection_time(time);
                    continue;
                }
                Read::Item(Item::Comment(text)) => Delivery::Comment(text),
                Read::Item(Item::Event(event)) if self.hub => hub_word(event),
                Read::Item(Item::Event(event)) => Delivery::Event(event),
                Read::Line(line) => Delivery::Line(line),
            };
            return Some(Action::Deliver(delivery));
        }
    }
}

impl Default for EventSource {
    fn default() -> Self {
        Self::new()
    }
}

fn hub_word(event: Event) -> Delivery {
    match event.event_type() {
        Some("oyez.gap") => Delivery::Gap(event),
        Some("oyez.end") => Delivery::End(event),
        Some("oyez.open") => Delivery::Session(event),
        _ => Delivery::Event(event),
    }
}

/// Each state whose name is a verb or a participle of the past is left by `poll`, the others by a report.
#[derive(Debug)]
enum State {
    Connect(Option<Redirect>),
    Connecting,
    Opened(u16),
    Open,
    Disconnected(Cause, Duration),
    Wait(Duration),
    Waiting,
    Stop(Stop),
    Stopped,
}

#[derive(Debug)]
struct Body {
    format: Format,
    decoder: Decoder,
    lines: Lines,
    chunk: Bytes,
}

enum Read {
    Item(Item),
    Line(String),
}

impl Body {
    fn next(&mut self) -> Result<Option<Read>, Error> {
        let mut rest: &[u8] = &self.chunk;
        let found = match self.format {
            Format::EventStream => self.decoder.next(&mut rest).map(|item| item.map(Read::Item)),
            Format::Lines => self.lines.next(&mut rest).map(|line| line.map(Read::Line)),
        };
        let used = self.chunk.len() - rest.len();
        self.chunk.advance(used);
        found
    }

    fn reset(&mut self) {
        self.decoder.reset();
        self.lines.reset();
        self.chunk = Bytes::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of a conversation: what is reported, or what the machine must do next, in words (`say`).
    #[derive(Clone, Copy)]
    enum Step {
        Answer(Head<'static>),
        Chunk(&'static str),
        Cut,
        Waited,
        Now,
        Does(&'static str),
    }
    use Step::{Answer, Chunk, Cut, Does, Now, Waited};

    const SHORTEST: u64 = 0;
    const LONGEST: u64 = u64::MAX;
    const NOTHING: Step = Does("nothing");

    #[track_caller]
    fn check(steps: &[Step]) {
        check_with(EventSource::new(), SHORTEST, steps);
    }

    #[track_caller]
    fn check_with(mut source: EventSource, random: u64, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            match step {
                Answer(head) => source.head(head, random),
                Chunk(text) => source.bytes(Bytes::from_static(text.as_bytes())),
                Cut => source.disconnected(random),
                Waited => source.waited(),
                Now => source.reconnect_now(),
                Does(expected) => assert_eq!(say(source.poll()), *expected, "step {at}"),
            }
        }
    }

    fn say(action: Option<Action>) -> String {
        match action {
            None => "nothing".to_owned(),
            Some(Action::Connect(Attempt { last_event_id, redirect })) => {
                let to = redirect.map_or_else(String::new, |to| format!(" by {} to {}", to.status, to.location));
                let after = last_event_id.map_or_else(String::new, |id| format!(" after {id}"));
                format!("connect{to}{after}")
            }
            Some(Action::Wait(wait)) => format!("wait {}", wait.as_millis()),
            Some(Action::Stop(stop)) => format!("stop {stop:?}"),
            Some(Action::Deliver(delivery)) => match delivery {
                Delivery::Open { status } => format!("open {status}"),
                Delivery::Event(event) => format!("event {}", event.data_str()),
                Delivery::Comment(text) => format!("comment {text}"),
                Delivery::Line(line) => format!("line {line}"),
                Delivery::Gap(event) => format!("gap {}", event.data_str()),
                Delivery::End(event) => format!("end {}", event.data_str()),
                Delivery::Session(event) => format!("session {}", event.data_str()),
                Delivery::Disconnected { cause, .. } => format!("lost {cause:?}"),
            },
        }
    }

    fn status(status: u16) -> Step {
        Answer(Head::new(status))
    }

    fn stream() -> Step {
        Answer(Head::new(200).content_type("text/event-stream"))
    }

    fn hub_stream() -> Step {
        Answer(Head::new(200).content_type("text/event-stream").hub(true))
    }

    #[test]
    fn a_lost_stream_is_opened_again_after_the_last_event() {
        check(&[
            Does("connect"),
            NOTHING,
            stream(),
            Does("open 200"),
            NOTHING,
            Chunk("data: a\n\nid: 1\nda"),
            Does("event a"),
            NOTHING,
            Chunk("ta: b\n\ndata: c\n\nid: 2\ndata: no blank line"),
            Does("event b"),
            Does("event c"),
            NOTHING,
            Cut,
            Does("lost Ended"),
            Does("wait 3000"),
            NOTHING,
            Waited,
            Does("connect after 1"),
            stream(),
            Does("open 200"),
            Chunk("data: d\n\nid\n\n"), // an empty id resets it
            Does("event d"),
            NOTHING,
            Cut,
            Does("lost Ended"),
            Does("wait 3000"),
            Waited,
            Does("connect"),
        ]);
    }

    #[test]
    fn the_stream_sets_the_reconnection_time() {
        for (block, wait) in
            [("retry: 7000\n\n", "wait 7000"), ("retry: 0\n", "wait 100"), ("retry: x\n\n", "wait 3000")]
        {
            let steps = [Does("connect"), stream(), Does("open 200"), Chunk(block), NOTHING, Cut, Does("lost Ended")];
            check(&[&steps[..], &[Does(wait)]].concat());
        }
    }

    #[test]
    fn each_failed_attempt_waits_longer_until_a_stream_opens() {
        let fails = |wait| [Does("connect"), Cut, Does("lost Network"), Does(wait), Waited];
        let failures = ["wait 10499", "wait 16499", "wait 28499", "wait 34499"].map(fails).concat();
        let opens = [Does("connect"), stream(), Does("open 200"), Cut, Does("lost Ended"), Does("wait 4499")];
        check_with(EventSource::new(), LONGEST, &[&failures[..], &opens].concat());
    }

    #[test]
    fn which_answers_open_stop_or_are_tried_again() {
        let stops = |answer, word| check(&[Does("connect"), answer, Does(word), NOTHING, Waited, Now, Cut, NOTHING]);
        stops(status(204), "stop Complete");
        stops(status(200), "stop ContentType(\"\")");
        stops(Answer(Head::new(200).content_type("text/html")), "stop ContentType(\"text/html\")");
        stops(status(301), "stop NoLocation(301)");
        for fatal in [201, 202, 205, 206, 210, 299, 300, 304, 305, 400, 401, 403, 404, 408, 410, 421, 600, 999] {
            let mut source = EventSource::new();
            source.poll();
            source.head(&Head::new(fatal).content_type("text/event-stream"), SHORTEST);
            assert_eq!(source.poll(), Some(Action::Stop(Stop::Status(fatal))));
        }
        for passing in [429, 500, 502, 503, 504, 599] {
            let mut source = EventSource::new();
            source.poll();
            source.head(&Head::new(passing).content_type("text/event-stream"), SHORTEST);
            assert_eq!(say(source.poll()), format!("lost Status({passing})"));
        }
        for content_type in ["text/event-stream", "TEXT/event-stream; charset=x", "text/html, text/event-stream"] {
            check(&[Does("connect"), Answer(Head::new(200).content_type(content_type)), Does("open 200")]);
        }
    }

    #[test]
    fn a_retry_after_counts_if_it_is_longer() {
        for (seconds, wait) in
            [(1, "wait 3000"), (60, "wait 60000"), (3_601, "wait 3600000"), (u64::MAX, "wait 3600000")]
        {
            let head = Head::new(503).retry_after(Duration::from_secs(seconds));
            check(&[Does("connect"), Answer(head), Does("lost Status(503)"), Does(wait)]);
        }
    }

    #[test]
    fn five_redirects_in_a_row_are_followed_and_the_sixth_is_not() {
        let moved = Answer(Head::new(302).location("/next"));
        let five = [moved, Does("connect by 302 to /next")].repeat(5);
        check(&[&[Does("connect")], &five[..], &[moved, Does("stop Redirects")]].concat());
        // the next attempt starts at the first URL and counts anew
        let lost = [stream(), Does("open 200"), Cut, Does("lost Ended"), Does("wait 3000"), Waited, Does("connect")];
        check(&[&[Does("connect")], &five[..], &lost, &five, &[stream(), Does("open 200")]].concat());
    }

    #[test]
    fn so_many_attempts_in_a_row_and_no_more() {
        let check = |steps: &[Step]| {
            check_with(EventSource::new().attempts_max(NonZeroU32::new(2).unwrap()), SHORTEST, steps);
        };
        let fails = [Does("connect"), Cut, Does("lost Network"), Does("wait 3000"), Waited, Does("connect")];
        check(&[&fails[..], &[status(503), Does("stop Attempts(Status(503))"), NOTHING]].concat());
        let opens = [stream(), Does("open 200"), Cut, Does("lost Ended"), Does("wait 3000"), Waited];
        check(&[&fails[..], &opens, &fails, &[Cut, Does("stop Attempts(Network)")]].concat());
    }

    #[test]
    fn the_words_of_the_hub_are_plain_events_from_anyone_else() {
        let words = Chunk("event: oyez.open\ndata: 1\n\nevent: oyez.gap\ndata: 2\n\nevent: oyez.end\ndata: 3\n\n");
        let plain = [Does("event 1"), Does("event 2"), Does("event 3"), NOTHING];
        let hub = [Does("session 1"), Does("gap 2"), Does("end 3"), NOTHING];
        check(&[&[Does("connect"), stream(), Does("open 200"), words], &plain[..]].concat());
        // each answer says anew who speaks
        let lost = [Cut, Does("lost Ended"), Does("wait 3000"), Waited];
        let first = [Does("connect"), hub_stream(), Does("open 200"), words];
        check(&[&first, &hub[..], &lost, &[Does("connect"), stream(), Does("open 200"), words], &plain].concat());
    }

    #[test]
    fn after_an_end_the_next_answer_is_204() {
        check(&[
            Does("connect"),
            hub_stream(),
            Does("open 200"),
            Chunk("id: 9\nevent: oyez.end\ndata: {}\n\n"),
            Does("end {}"),
            NOTHING,
            Cut,
            Does("lost Ended"),
            Does("wait 3000"),
            Waited,
            Does("connect after 9"),
            status(204),
            Does("stop Complete"),
        ]);
    }

    #[test]
    fn reconnect_now_skips_the_wait_and_leaves_an_open_stream() {
        check(&[
            Does("connect"),
            stream(),
            Does("open 200"),
            Chunk("id: 1\ndata: a\n\ndata: b"),
            Does("event a"),
            NOTHING,
            Now,
            Does("connect after 1"),
            Cut,
            Does("lost Network"),
            Does("wait 3000"),
            Now,
            Does("connect after 1"),
            Now,
            Does("connect after 1"),
            stream(),
            Does("open 200"),
            Chunk("data: c\n\n"),
            Does("event c"),
        ]);
    }

    #[test]
    fn an_event_beyond_the_bound_stops_for_good() {
        let stop = Does("stop TooLarge(Error { kind: TooLarge, message: \"event is larger than 10 bytes\" })");
        let steps = [Does("connect"), stream(), Does("open 200"), Chunk("data: 12345678901\n\n"), stop, NOTHING];
        check_with(EventSource::new().event_bytes_max(10), SHORTEST, &steps);
    }

    #[test]
    fn options_reach_the_parts_they_are_for() {
        let source = EventSource::new().comments(true).jitter(false).initial_delay(Duration::from_millis(500));
        let steps = [Does("connect"), stream(), Does("open 200"), Chunk(": hi\n"), Does("comment hi"), NOTHING];
        check_with(source, LONGEST, &[&steps[..], &[Cut, Does("lost Ended"), Does("wait 500")]].concat());
        for (id, connect) in [("7", "connect after 7"), ("", "connect")] {
            let mut source = EventSource::new();
            source.set_last_event_id(Some(EventId::new(id).unwrap()));
            check_with(source, SHORTEST, &[Does(connect)]);
        }
    }

    #[test]
    fn lines_are_a_format_of_their_own() {
        let source = || EventSource::new().format(Format::Lines);
        let ndjson = Answer(Head::new(200).content_type("application/x-ndjson"));
        let chunk = Chunk("{}\n\n1\n2");
        check_with(
            source(),
            SHORTEST,
            &[Does("connect"), ndjson, Does("open 200"), chunk, Does("line {}"), Does("line 1"), NOTHING],
        );
        let stop = Does("stop ContentType(\"text/event-stream\")");
        check_with(source(), SHORTEST, &[Does("connect"), stream(), stop]);
    }

    #[test]
    fn reports_that_do_not_fit_the_state_change_nothing() {
        check(&[stream(), Chunk("data: a\n\n"), Waited, Cut, Does("connect"), Waited, Chunk("x"), NOTHING]);
    }
}
