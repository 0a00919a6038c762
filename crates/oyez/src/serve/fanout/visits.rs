//! One visit of a stream: what it is brought.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::{Duration, Instant};

use mio::event::Event;
use tracing::error;

use super::inbox::Handed;
use super::run::Next;
use super::schedule::Time;
use super::stream::{Flush, Rest, Source, State, Waits};
use super::stream_id::{StreamId, StreamKey};
use super::streams::Streams;
use super::torn::Gone;
use crate::clock;
use crate::limits::serve::{
    CLOSING, DISCARDED_BYTES_MAX, RUN_BYTES, SLICE_TIME, SLICE_VISITS, TIMED_VISITS, VISIT_RUNS,
};
use crate::output::{Output, Turn};
use crate::serve::patience::Patience;
use crate::serve::traffic::Traffic;
use crate::subscriber::Fed;

/// Brings each stream what comes next for it, as far as one visit goes: by its group, or by its own subscriber.
pub(crate) struct Visits {
    pub(crate) streams: Streams,
    /// How long a reader may take nothing.
    stall: Duration,
    traffic: Traffic,
    outputs: Vec<Output>,
    /// For what readers send, which means nothing.
    scratch: Vec<u8>,
}

impl Visits {
    pub(crate) fn new(streams: Streams, stall: Duration, traffic: Traffic) -> Self {
        Self { streams, stall, traffic, outputs: Vec::new(), scratch: vec![0; DISCARDED_BYTES_MAX] }
    }

    /// Takes a stream over and visits it.
    pub(crate) fn welcome(&mut self, handed: Handed, now: Instant) {
        let Some(key) = self.streams.adopt(handed) else { return };
        if self.streams.stream(key).says_too_much() {
            self.streams.remove(key);
            return;
        }
        self.visit(key, now, Self::drive);
    }

    /// Visits some of the streams that were woken or had more to do. True when there are more.
    pub(crate) fn look_again(&mut self, now: Instant) -> bool {
        for _ in 0..self.streams.again.len().min(SLICE_VISITS) {
            let Some(id) = self.streams.again.pop_front() else { break };
            if self.streams.named(id).is_some() {
                self.visit(id.key, now, Self::drive);
            }
            if is_long(now) {
                break;
            }
        }
        !self.streams.again.is_empty()
    }

    /// Visits some of the streams whose time has come. True when there may be more.
    pub(crate) fn keep_time(&mut self, now: Instant) -> bool {
        for _ in 0..SLICE_VISITS {
            let Some((time, id)) = self.streams.due(now) else { return false };
            self.time_has_come(time, id, now);
            if is_long(now) {
                break;
            }
        }
        true
    }

    /// Brings one stream further; a panic ends it and no other.
    fn visit(
        &mut self,
        key: StreamKey,
        now: Instant,
        bring: impl FnOnce(&mut Self, StreamKey, Instant) -> io::Result<()>,
    ) {
        match catch_unwind(AssertUnwindSafe(|| bring(self, key, now))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lose(key, &error),
            Err(_) => {
                error!("a stream ended by a panic");
                self.streams.remove(key);
            }
        }
    }

    /// Lets the stream's source say what comes next, and sends it.
    fn drive(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.rest.backlog.torn().is_some() {
            return self.mend(key, now);
        }
        if stream.state == State::Closing {
            return self.close_when_flushed(key, now);
        }
        if let State::Member(_) = stream.state {
            self.take_over(key);
        }
        for _ in 0..VISIT_RUNS {
            let stream = self.streams.stream(key);
            if stream.blocked && stream.flush(now, &self.traffic)? == Flush::Blocked {
                self.schedule_look(key, now);
                return Ok(());
            }
            let turn = match &mut stream.rest.source {
                Source::Subscriber(_) => stream.poll_subscriber(now, &mut self.outputs),
                Source::Feed(_) => stream.poll_feed(now),
            };
            match turn {
                Turn::Deliver => {
                    // the head of a response goes with what follows it
                    if stream.rest.backlog.bytes() >= RUN_BYTES && stream.flush(now, &self.traffic)? == Flush::Blocked {
                        self.schedule_look(key, now);
                        return Ok(());
                    }
                }
                Turn::Yield => break,
                Turn::Wait(until) => {
                    let is_to_be_fed = stream.subscriber().is_some_and(|subscriber| subscriber.is_to_be_fed());
                    self.streams.schedule(key, until, now);
                    return if is_to_be_fed { self.catch_up(key, now) } else { self.flush(key, now) };
                }
                Turn::End => {
                    if !stream.subscriber().is_some_and(|subscriber| subscriber.is_broken()) {
                        let end = stream.rest.framing.end();
                        stream.rest.backlog.push(end);
                    }
                    stream.state = State::Closing;
                    return self.close_when_flushed(key, now);
                }
            }
        }
        self.streams.look_again(key);
        self.flush(key, now)
    }

    /// Tells a member's subscriber how far it was fed. Until it is at the tail again nobody else writes to it.
    fn take_over(&mut self, key: StreamKey) {
        let (stream, groups) = self.streams.with_groups(key);
        let group = groups.group(stream.group);
        if group.head <= stream.fed.cursor {
            // what came since concerns others
            stream.fed.cursor = stream.fed.cursor.max(groups.followed);
        }
        let fed = stream.fed;
        if let Some(subscriber) = stream.subscriber() {
            subscriber.was_fed(fed, group.written);
        }
        self.streams.part(key);
    }

    /// Sends what lies between the stream's cursor and the head, as its group does; those who came back from the same place
    /// share what is made for it. At the tail it joins its group.
    fn catch_up(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let (stream, groups) = self.streams.with_groups(key);
        let mut written_at = None;
        let (mut at_tail, mut lost) = (false, false);
        for _ in 0..VISIT_RUNS {
            let run = match groups.next(stream.group, stream.fed.cursor, || stream.readable()) {
                Next::Run(run) => run,
                Next::Nothing(cursor) => {
                    stream.fed.cursor = cursor;
                    at_tail = true;
                    break;
                }
                Next::Skipped(cursor) => {
                    stream.fed.cursor = cursor;
                    continue;
                }
                Next::Lost => {
                    lost = true;
                    break;
                }
            };
            let written = stream.write_on(&run.bytes, now, &self.traffic)?;
            let whole = !run.full;
            groups.delivered += stream.has_sent(run.sent(written));
            written_at = Some(now);
            at_tail = whole && !stream.blocked;
            if stream.blocked || at_tail {
                break;
            }
        }
        groups.note_visit(stream.group);
        let fed = stream.fed;
        let finished = at_tail && groups.group(stream.group).is_finished(fed.cursor);
        stream.control.note(fed.cursor, fed.sent, false);
        if let Some(subscriber) = stream.subscriber() {
            subscriber.was_fed(fed, written_at);
            if lost {
                subscriber.has_lost();
            }
            if finished {
                subscriber.has_finished();
            }
        }
        if stream.blocked {
            self.schedule_look(key, now);
            return Ok(());
        }
        if at_tail && !finished {
            self.join(key);
        } else {
            self.streams.look_again(key);
        }
        self.flush(key, now)
    }

    /// Each visit ends with it: what waits for the socket must not be overtaken by what its group brings.
    fn flush(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        self.streams.stream(key).flush(now, &self.traffic)?;
        self.schedule_look(key, now);
        Ok(())
    }

    fn close_when_flushed(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let stream = self.streams.stream(key);
        if stream.flush(now, &self.traffic)? == Flush::Blocked {
            self.schedule_look(key, now);
            return Ok(());
        }
        stream.finish(now);
        self.streams.schedule(key, now.checked_add(CLOSING), now);
        Ok(())
    }

    /// The stream has read everything: its group brings it what comes.
    fn join(&mut self, key: StreamKey) {
        self.streams.join(key);
        let (stream, groups) = self.streams.with_groups(key);
        if let Some(subscriber) = stream.subscriber() {
            subscriber.has_caught_up();
        }
        let Fed { cursor, sent, .. } = stream.fed;
        if groups.group(stream.group).head > cursor {
            groups.turn_again(stream.group);
        } else {
            stream.control.note(cursor, sent, true);
        }
    }

    /// Visits members of the groups whose turn it is, of each hub so many. True when there are more to visit.
    pub(crate) fn slice(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for hub in self.streams.hubs() {
            busy |= self.slice_of(hub, now);
        }
        busy
    }

    fn slice_of(&mut self, hub: u32, now: Instant) -> bool {
        let mut visits = 0;
        // a visit may end the group's last stream, and with it the group or the hub's place here
        while let Some(groups) = self.streams.groups(hub) {
            let Some(group) = groups.front() else { break };
            if visits == SLICE_VISITS || (visits % TIMED_VISITS == TIMED_VISITS - 1 && is_long(now)) {
                groups.let_others();
                return true;
            }
            match groups.next_member(group) {
                Some(key) => {
                    visits += 1;
                    self.visit(key, now, Self::feed);
                }
                None => groups.end_turn(group),
            }
        }
        false
    }

    /// Writes what lies between a member's cursor and the head.
    fn feed(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        if self.streams.get(key).is_none_or(|stream| stream.blocked) {
            return Ok(());
        }
        let (stream, groups) = self.streams.with_groups(key);
        debug_assert!(stream.rest.backlog.is_empty(), "what waits was flushed or has blocked the stream");
        for _ in 0..VISIT_RUNS {
            if stream.blocked || stream.fed.cursor >= groups.group(stream.group).head {
                break;
            }
            let run = match groups.next(stream.group, stream.fed.cursor, || stream.readable()) {
                Next::Run(run) => run,
                Next::Nothing(cursor) | Next::Skipped(cursor) => {
                    stream.fed.cursor = cursor;
                    continue;
                }
                // what happens to a reader that has fallen behind is its subscriber's to say
                Next::Lost => return self.drive(key, now),
            };
            let written = stream.write(&run.bytes, now, &self.traffic)?;
            let delivered = stream.has_sent(run.sent(written));
            groups.delivered += delivered;
            groups.group_mut(stream.group).written = Some(now);
        }
        let is_behind = stream.fed.cursor < groups.group(stream.group).head;
        let Fed { cursor, sent, .. } = stream.fed;
        stream.control.note(cursor, sent, !stream.blocked && !is_behind);
        if stream.blocked {
            self.schedule_look(key, now);
        } else if is_behind {
            groups.turn_again(stream.group);
        } else if groups.group(stream.group).is_finished(cursor) {
            if let Some(subscriber) = stream.subscriber() {
                subscriber.has_finished();
            }
            return self.drive(key, now);
        }
        Ok(())
    }

    /// A socket has something to say.
    pub(crate) fn ready(&mut self, event: &Event, now: Instant) {
        // that the inbox has something is seen in it
        let Some(stream) = self.streams.of_token(event.token()) else { return };
        let key = stream.rest.id.key;
        if let Ok(Some(error)) = if event.is_error() { stream.socket.take_error() } else { Ok(None) } {
            self.lose(key, &error);
            return;
        }
        if event.is_error() || event.is_read_closed() || (event.is_readable() && !stream.discard(&mut self.scratch)) {
            self.streams.remove(key);
            return;
        }
        if event.is_writable() && stream.blocked {
            self.visit(key, now, Self::unblock);
        }
    }

    /// The socket takes more again.
    fn unblock(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let stream = self.streams.stream(key);
        stream.has_been_read(now);
        if let Some(torn) = stream.rest.backlog.torn() {
            torn.is_wanted();
            return self.mend(key, now);
        }
        self.go_on(key, now)
    }

    /// Reads again what was given back, and goes on when it has come.
    fn mend(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let (stream, groups) = self.streams.with_groups(key);
        let Rest { source: Source::Subscriber(subscriber), framing, waker, backlog, .. } = &mut *stream.rest else {
            return Ok(()); // what is written by hand is given back by nobody
        };
        let Some(torn) = backlog.torn() else { return Ok(()) };
        let matchers = groups.group(stream.group).matchers();
        let Poll::Ready(found) = torn.poll(*framing, subscriber.readable(), matchers, &groups.core.log, waker) else {
            self.schedule_look(key, now);
            return Ok(());
        };
        // without it the frame stays torn, and its reader comes back for it
        let bytes = found.map_err(|Gone| io::Error::other("the rest of an event has left the history"))?;
        backlog.mend(bytes);
        self.go_on(key, now)
    }

    /// Writes what waits, and then what comes next.
    fn go_on(&mut self, key: StreamKey, now: Instant) -> io::Result<()> {
        let stream = self.streams.stream(key);
        if stream.flush(now, &self.traffic)? == Flush::Blocked {
            self.schedule_look(key, now);
            return Ok(());
        }
        match stream.state {
            State::Member(_) => {
                let (stream, groups) = self.streams.with_groups(key);
                groups.note_visit(stream.group);
                self.feed(key, now)
            }
            State::Driven | State::Closing => self.drive(key, now),
        }
    }

    fn time_has_come(&mut self, time: Time, id: StreamId, now: Instant) {
        let Some(stream) = self.streams.named(id) else { return };
        if stream.rest.scheduled != Some(time) {
            return; // it has moved since
        }
        stream.rest.scheduled = None;
        if stream.takes_nothing(self.stall, now) {
            stream.control.mark_stalled();
            self.streams.remove(id.key);
            return;
        }
        stream.give_back();
        if let Waits::Closing(since) = stream.rest.waits {
            if since.checked_add(CLOSING).is_some_and(|end| end <= now) {
                self.streams.remove(id.key);
                return;
            }
        }
        self.visit(id.key, now, Self::drive);
        if self.streams.named(id).is_some() {
            self.schedule_look(id.key, now);
        }
    }

    /// Looks later whether the reader takes anything, if its socket was full.
    fn schedule_look(&mut self, key: StreamKey, now: Instant) {
        if self.streams.stream(key).stalling {
            self.streams.schedule(key, Patience::next_look(self.stall, now), now);
        }
    }

    /// The reader has gone, or its socket says so.
    fn lose(&mut self, key: StreamKey, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            if let Some(stream) = self.streams.get(key) {
                stream.control.mark_stalled();
            }
        }
        self.streams.remove(key);
    }
}

/// Has a slice that began at this time taken so long that others come first?
pub(super) fn is_long(began: Instant) -> bool {
    clock::now().saturating_duration_since(began) >= SLICE_TIME
}
