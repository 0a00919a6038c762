//! The fan-out thread: it owns the sockets of streams that have left hyper, and brings each of them what its log has.
//!
//! Turns coalesce by themselves. Readers of a group are visited one after the other, and each visit writes all that lies
//! between its cursor and the head; new entries are looked for between slices of visits. So an idle hub writes each event
//! at once, and under load events gather as fast as sockets can be visited.

mod inbox;
mod room;
mod run;
mod schedule;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use tracing::{debug, error};

use crate::clock;
use crate::core::Core;
use crate::format::Format;
use crate::limits::serve::{CLOSING, DISCARDED_BYTES_MAX, READY_SOCKETS, RUN_BYTES, SLICE_VISITS, VISIT_RUNS};
use crate::live::Live;
use crate::output::{Output, Turn};
use crate::subscriber::Fed;

pub(crate) use inbox::{Handed, Inbox};
use inbox::{Id, Key, StreamWaker, Waiting};
use room::{Next, Room};
use run::Framing;
use schedule::{Schedule, Time};
use stream::{Backlog, Flush, NO_ROOM, Rest, Source, State, Stream};

/// A fan-out thread and the way to it. Dropping it ends its streams.
pub(crate) struct Fanout {
    pub(crate) inbox: Arc<Inbox>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Fanout {
    /// Starts a thread.
    pub(crate) fn start(stall: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(mio::Waker::new(poll.registry(), BELL)?));
        let (end, ended) = oneshot::channel();
        let thread = Thread {
            inbox: Arc::clone(&inbox),
            poll,
            stall,
            streams: Slab::new(),
            round: 0,
            rooms: Slab::new(),
            schedule: Schedule::new(clock::now()),
            arrivals: VecDeque::new(),
            again: VecDeque::new(),
            outputs: Vec::new(),
        };
        let closes = Closes(Arc::clone(&inbox));
        std::thread::Builder::new().name("oyez-fanout".to_owned()).spawn(move || {
            thread.run();
            drop(closes);
            // nobody may be waiting
            let _ = end.send(());
        })?;
        Ok(Self { inbox, ended: Some(ended) })
    }

    /// Resolves when no stream is left.
    pub(crate) async fn emptied(&self) {
        loop {
            let freed = self.inbox.freed.notified();
            if self.inbox.streams() == 0 {
                return;
            }
            freed.await;
        }
    }

    /// Ends all streams at once, and the thread.
    pub(crate) async fn stop(mut self) {
        self.inbox.stop();
        if let Some(ended) = self.ended.take() {
            // an error is the end as well
            let _ = ended.await;
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.inbox.stop();
    }
}

/// The thread has ended, be it by a panic: nobody is to wait for it.
struct Closes(Arc<Inbox>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Thread {
    inbox: Arc<Inbox>,
    poll: Poll,
    stall: Duration,
    streams: Slab<Stream>,
    /// Grows with each stream, so that what is meant for one that has gone does not reach its successor.
    round: u32,
    rooms: Slab<Room>,
    schedule: Schedule,
    arrivals: VecDeque<Handed>,
    /// Streams that were woken, or whose visit was over before their work was.
    again: VecDeque<Id>,
    outputs: Vec<Output>,
}

impl Thread {
    fn run(mut self) {
        let mut events = Events::with_capacity(READY_SOCKETS);
        let mut scratch = vec![0; DISCARDED_BYTES_MAX];
        while self.take_what_waits() {
            let now = clock::now();
            let mut busy = self.welcome(now);
            busy |= self.look_again(now);
            for (_, room) in &mut self.rooms {
                room.follow();
            }
            busy |= self.slice(now);
            self.rooms.iter_mut().for_each(|(_, room)| room.settle());
            let now = clock::now();
            busy |= self.keep_time(now);
            let timeout = self.sleep(busy, now);
            if let Err(error) = self.poll.poll(&mut events, timeout) {
                if error.kind() != io::ErrorKind::Interrupted {
                    error!(%error, "the fan-out thread cannot wait for its sockets; it ends, and with it its streams");
                    return;
                }
            }
            self.inbox.doorbell().get_up();
            let now = clock::now();
            // no stream takes the place of another meanwhile: an event is for whom it names
            for event in events.iter().filter(|event| event.token() != BELL) {
                self.ready(event, &mut scratch, now);
            }
        }
    }

    /// False when it is to end.
    fn take_what_waits(&mut self) -> bool {
        let Waiting { handed, woken, stop } = self.inbox.take();
        self.arrivals.extend(handed);
        self.again.extend(woken);
        !stop
    }

    /// Takes over some of the streams that were handed over. True when there are more.
    fn welcome(&mut self, now: Instant) -> bool {
        for _ in 0..SLICE_VISITS {
            let Some(handed) = self.arrivals.pop_front() else { break };
            self.adopt(handed, now);
        }
        !self.arrivals.is_empty()
    }

    /// Visits some of the streams that were woken or had more to do. True when there are more.
    fn look_again(&mut self, now: Instant) -> bool {
        for _ in 0..self.again.len().min(SLICE_VISITS) {
            let Some(id) = self.again.pop_front() else { break };
            if self.streams.get(id.key as usize).is_some_and(|stream| stream.rest.id == id) {
                self.visit(id.key, now, Self::drive);
            }
        }
        !self.again.is_empty()
    }

    /// Visits some of the streams whose time has come. True when there may be more.
    fn keep_time(&mut self, now: Instant) -> bool {
        for _ in 0..SLICE_VISITS {
            let Some((time, id)) = self.schedule.pop(now) else { return false };
            self.time_has_come(time, id, now);
        }
        true
    }

    /// How long the thread may sleep.
    fn sleep(&self, busy: bool, now: Instant) -> Option<Duration> {
        if busy {
            return Some(Duration::ZERO);
        }
        self.inbox.doorbell().lie_down();
        // whatever came before that did not wake us
        if !self.inbox.is_empty() || self.rooms.iter().any(|(_, room)| room.is_behind()) {
            return Some(Duration::ZERO);
        }
        self.schedule.next().map(|at| at.saturating_duration_since(now))
    }

    fn adopt(&mut self, handed: Handed, now: Instant) {
        let Handed { mut socket, head, chunked, live, listed, discarded } = handed;
        let place = self.streams.vacant_key();
        let key = Key::try_from(place).expect("there are fewer streams than descriptors");
        self.round = self.round.wrapping_add(1);
        let id = Id { key, round: self.round };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(place), interest) {
            debug!(%error, "a stream cannot be taken over");
            self.inbox.uncount();
            return;
        }
        let driven = match live {
            Live::Feed(feed) => Some((Source::Feed(feed), Format::Sse)),
            Live::Subscriber(pump) => {
                pump.into_parts().map(|(subscriber, format)| (Source::Subscriber(subscriber), format))
            }
            Live::Refused(_) => None,
        };
        let Some((mut source, format)) = driven else {
            self.inbox.uncount(); // only what has begun is handed over
            return;
        };
        let (room, group) = match &mut source {
            Source::Feed(_) => (NO_ROOM, 0),
            Source::Subscriber(subscriber) => {
                let room = self.room_of(subscriber.hub());
                let entered = &mut self.rooms[room as usize];
                entered.streams += 1;
                let group = entered.enter(subscriber.matchers(), Framing { format, chunked });
                subscriber.let_feed(entered.group(group).matchers());
                (room, group)
            }
        };
        let (fed, control) = match &source {
            Source::Subscriber(subscriber) => (subscriber.place(), subscriber.control().clone()),
            Source::Feed(feed) => (Fed::default(), feed.control().clone()),
        };
        let framing = Framing { format, chunked };
        let waker = Waker::from(Arc::new(StreamWaker { inbox: Arc::clone(&self.inbox), id }));
        let mut backlog = Backlog::default();
        backlog.push(head);
        let discarded = u32::try_from(discarded).unwrap_or(u32::MAX);
        let (scheduled, blocked_since) = (None, None);
        let rest = Box::new(Rest { id, source, framing, waker, backlog, scheduled, blocked_since, discarded, listed });
        let stream =
            Stream { socket, blocked: false, stalling: false, state: State::Driven, room, group, fed, control, rest };
        let says_too_much = stream.says_too_much();
        self.streams.insert(stream);
        if says_too_much {
            self.remove(key);
            return;
        }
        self.visit(key, now, Self::drive);
    }

    fn room_of(&mut self, core: &Arc<Core>) -> u32 {
        if let Some((key, _)) = self.rooms.iter().find(|(_, room)| Arc::ptr_eq(&room.core, core)) {
            return key as u32;
        }
        // first the bell: what is appended from now on is heard
        let inbox: Weak<Inbox> = Arc::downgrade(&self.inbox);
        core.listen(inbox);
        let key = self.rooms.insert(Room::new(Arc::clone(core)));
        u32::try_from(key).expect("there are fewer hubs than streams")
    }

    /// Brings one stream further; a panic ends it and no other.
    fn visit(&mut self, key: Key, now: Instant, bring: impl FnOnce(&mut Self, Key, Instant) -> io::Result<()>) {
        match catch_unwind(AssertUnwindSafe(|| bring(self, key, now))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lose(key, &error),
            Err(_) => {
                error!("a stream ended by a panic");
                self.remove(key);
            }
        }
    }

    /// Lets the stream's source say what comes next, and sends it.
    fn drive(&mut self, key: Key, now: Instant) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(key as usize) else { return Ok(()) };
        if stream.state == State::Closing {
            return self.close_when_flushed(key, now);
        }
        if let State::Member(_) = stream.state {
            self.take_over(key);
        }
        for _ in 0..VISIT_RUNS {
            let stream = &mut self.streams[key as usize];
            if stream.blocked && stream.flush(now)? == Flush::Blocked {
                self.schedule_stall(key, now);
                return Ok(());
            }
            let turn = match &mut stream.rest.source {
                Source::Subscriber(_) => stream.poll_subscriber(now, &mut self.outputs),
                Source::Feed(_) => stream.poll_feed(now),
            };
            match turn {
                Turn::Deliver => {
                    // the head of a response goes with what follows it
                    if stream.rest.backlog.bytes() >= RUN_BYTES && stream.flush(now)? == Flush::Blocked {
                        self.schedule_stall(key, now);
                        return Ok(());
                    }
                }
                Turn::Yield => break,
                Turn::Wait(until) => {
                    let is_to_be_fed = stream.subscriber().is_some_and(|subscriber| subscriber.is_to_be_fed());
                    self.schedule(key, until, now);
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
        let id = self.streams[key as usize].rest.id;
        self.again.push_back(id);
        self.flush(key, now)
    }

    /// Tells a member's subscriber how far it was fed. Until it is at the tail again nobody else writes to it.
    fn take_over(&mut self, key: Key) {
        let stream = &mut self.streams[key as usize];
        let room = &self.rooms[stream.room as usize];
        let group = room.group(stream.group);
        if group.head <= stream.fed.cursor {
            // what came since concerns others
            stream.fed.cursor = stream.fed.cursor.max(room.followed);
        }
        let fed = stream.fed;
        if let Some(subscriber) = stream.subscriber() {
            subscriber.was_fed(fed, group.written);
        }
        self.part(key);
    }

    /// Sends what lies between the stream's cursor and the head, as its group does; those who came back from the same place
    /// share what is made for it. At the tail it joins its group.
    fn catch_up(&mut self, key: Key, now: Instant) -> io::Result<()> {
        let stream = &mut self.streams[key as usize];
        let room = &mut self.rooms[stream.room as usize];
        let mut written_at = None;
        let (mut at_tail, mut lost) = (false, false);
        for _ in 0..VISIT_RUNS {
            let run = match room.next(stream.group, stream.fed.cursor) {
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
            let written = stream.write_on(&run.bytes, now)?;
            let whole = !run.full;
            room.delivered += stream.has_sent(run.sent(written));
            written_at = Some(now);
            at_tail = whole && !stream.blocked;
            if stream.blocked || at_tail {
                break;
            }
        }
        room.note_visit(stream.group);
        let fed = stream.fed;
        let finished = at_tail && room.group(stream.group).is_finished(fed.cursor);
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
            self.schedule_stall(key, now);
            return Ok(());
        }
        if at_tail && !finished {
            self.join(key);
        } else {
            let id = stream.rest.id;
            self.again.push_back(id);
        }
        self.flush(key, now)
    }

    /// Each visit ends with it: what waits for the socket must not be overtaken by what its group brings.
    fn flush(&mut self, key: Key, now: Instant) -> io::Result<()> {
        if self.streams[key as usize].flush(now)? == Flush::Blocked {
            self.schedule_stall(key, now);
        }
        Ok(())
    }

    fn close_when_flushed(&mut self, key: Key, now: Instant) -> io::Result<()> {
        let stream = &mut self.streams[key as usize];
        if stream.flush(now)? == Flush::Blocked {
            self.schedule_stall(key, now);
            return Ok(());
        }
        stream.finish();
        stream.rest.blocked_since = Some(now);
        self.schedule(key, now.checked_add(CLOSING), now);
        Ok(())
    }

    /// The stream has read everything: its group brings it what comes.
    fn join(&mut self, key: Key) {
        let stream = &mut self.streams[key as usize];
        if let Some(subscriber) = stream.subscriber() {
            subscriber.has_caught_up();
        }
        let room = &mut self.rooms[stream.room as usize];
        stream.state = State::Member(room.group_mut(stream.group).join(key));
        let Fed { cursor, sent, .. } = stream.fed;
        if room.group(stream.group).head > cursor {
            room.turn_again(stream.group);
        } else {
            stream.control.note(cursor, sent, true);
        }
    }

    /// The stream leaves its group, if it is in it.
    fn part(&mut self, key: Key) {
        let stream = &mut self.streams[key as usize];
        let State::Member(place) = stream.state else { return };
        stream.state = State::Driven;
        let moved = self.rooms[stream.room as usize].group_mut(stream.group).part(place);
        if let Some(moved) = moved {
            self.streams[moved as usize].state = State::Member(place);
        }
    }

    /// Visits members of the groups whose turn it is, in each room so many. True when there are more to visit.
    fn slice(&mut self, now: Instant) -> bool {
        let rooms: SmallVec<[usize; 4]> = self.rooms.iter().map(|(key, _)| key).collect();
        let mut busy = false;
        for room in rooms {
            let mut visits = 0;
            // a visit may end the group's last stream, and with it the group or the room
            while let Some(group) = self.rooms.get(room).and_then(Room::front) {
                if visits == SLICE_VISITS {
                    self.rooms[room].let_others();
                    busy = true;
                    break;
                }
                match self.rooms[room].next_member(group) {
                    Some(key) => {
                        visits += 1;
                        self.visit(key, now, Self::feed);
                    }
                    None => self.rooms[room].end_turn(group),
                }
            }
        }
        busy
    }

    /// Writes what lies between a member's cursor and the head.
    fn feed(&mut self, key: Key, now: Instant) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(key as usize).filter(|stream| !stream.blocked) else { return Ok(()) };
        debug_assert!(stream.rest.backlog.is_empty(), "what waits was flushed or has blocked the stream");
        let room = &mut self.rooms[stream.room as usize];
        for _ in 0..VISIT_RUNS {
            if stream.blocked || stream.fed.cursor >= room.group(stream.group).head {
                break;
            }
            let run = match room.next(stream.group, stream.fed.cursor) {
                Next::Run(run) => run,
                Next::Nothing(cursor) | Next::Skipped(cursor) => {
                    stream.fed.cursor = cursor;
                    continue;
                }
                // what happens to a reader that has fallen behind is its subscriber's to say
                Next::Lost => return self.drive(key, now),
            };
            let written = stream.write(&run.bytes, now)?;
            let delivered = stream.has_sent(run.sent(written));
            room.delivered += delivered;
            room.group_mut(stream.group).written = Some(now);
        }
        let is_behind = stream.fed.cursor < room.group(stream.group).head;
        let Fed { cursor, sent, .. } = stream.fed;
        stream.control.note(cursor, sent, !stream.blocked && !is_behind);
        if stream.blocked {
            self.schedule_stall(key, now);
        } else if is_behind {
            room.turn_again(stream.group);
        } else if room.group(stream.group).is_finished(cursor) {
            if let Some(subscriber) = stream.subscriber() {
                subscriber.has_finished();
            }
            return self.drive(key, now);
        }
        Ok(())
    }

    /// A socket has something to say.
    fn ready(&mut self, event: &mio::event::Event, scratch: &mut [u8], now: Instant) {
        let place = event.token().0;
        let Some(stream) = self.streams.get_mut(place) else { return };
        let key = stream.rest.id.key;
        if let Ok(Some(error)) = if event.is_error() { stream.socket.take_error() } else { Ok(None) } {
            self.lose(key, &error);
            return;
        }
        if event.is_error() || event.is_read_closed() || (event.is_readable() && !stream.discard(scratch)) {
            self.remove(key);
            return;
        }
        if event.is_writable() && stream.blocked {
            self.visit(key, now, Self::unblock);
        }
    }

    /// The socket takes more again.
    fn unblock(&mut self, key: Key, now: Instant) -> io::Result<()> {
        let stream = &mut self.streams[key as usize];
        stream.has_been_read();
        if stream.flush(now)? == Flush::Blocked {
            self.schedule_stall(key, now);
            return Ok(());
        }
        match stream.state {
            State::Member(_) => {
                self.rooms[stream.room as usize].note_visit(stream.group);
                self.feed(key, now)
            }
            State::Driven | State::Closing => self.drive(key, now),
        }
    }

    fn time_has_come(&mut self, time: Time, id: Id, now: Instant) {
        let Some(stream) = self.streams.get_mut(id.key as usize).filter(|stream| stream.rest.id == id) else { return };
        if stream.rest.scheduled != Some(time) {
            return; // it has moved since
        }
        stream.rest.scheduled = None;
        let waits = stream.blocked || stream.state == State::Closing;
        if let Some(since) = stream.rest.blocked_since.filter(|_| waits) {
            let patience = if stream.state == State::Closing && !stream.blocked { CLOSING } else { self.stall };
            if since.checked_add(patience).is_some_and(|end| end <= now) {
                if stream.blocked {
                    stream.control.mark_stalled();
                }
                self.remove(id.key);
                return;
            }
        }
        self.visit(id.key, now, Self::drive);
    }

    /// Looks at the stream at this time, or earlier if that was said before.
    fn schedule(&mut self, key: Key, until: Option<Instant>, now: Instant) {
        let Some(until) = until else { return };
        let time = self.schedule.time(until, now);
        let rest = &mut self.streams[key as usize].rest;
        if rest.scheduled.is_none_or(|before| time < before) {
            rest.scheduled = Some(time);
            self.schedule.push(time, rest.id);
        }
    }

    fn schedule_stall(&mut self, key: Key, now: Instant) {
        let since = self.streams[key as usize].rest.blocked_since.unwrap_or(now);
        self.schedule(key, since.checked_add(self.stall), now);
    }

    /// The reader has gone, or its socket says so.
    fn lose(&mut self, key: Key, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            if let Some(stream) = self.streams.get(key as usize) {
                stream.control.mark_stalled();
            }
        }
        self.remove(key);
    }

    fn remove(&mut self, key: Key) {
        if !self.streams.contains(key as usize) {
            return;
        }
        self.part(key);
        let Stream { mut socket, room, group, rest, .. } = self.streams.remove(key as usize);
        // on Linux closing does it as well, and is one call less
        if !cfg!(target_os = "linux") {
            let _ = self.poll.registry().deregister(&mut socket);
        }
        drop((socket, rest));
        self.inbox.uncount();
        if room == NO_ROOM {
            return;
        }
        let left = &mut self.rooms[room as usize];
        left.leave(group);
        left.streams -= 1;
        if left.streams == 0 {
            left.settle();
            self.rooms.remove(room as usize);
        }
    }
}

/// The token of the bell; sockets have their places in the slab.
const BELL: Token = Token(usize::MAX);
