//! All streams of the thread.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use smallvec::SmallVec;
use tracing::debug;

use super::backlog::Backlog;
use super::framing::Framing;
use super::groups::Groups;
use super::inbox::{Handed, Inbox, StreamWaker};
use super::schedule::{Schedule, Time};
use super::stream::{NO_HUB, Rest, Source, State, Stream, Waits};
use super::stream_id::{StreamId, StreamKey};
use super::torn::Part;
use crate::core::Core;
use crate::format::Format;
use crate::index::SlotKey;
use crate::limits::serve::WAITING_BYTES_MAX;
use crate::live::Live;
use crate::serve::traffic::Traffic;
use crate::subscriber::{Fed, Subscriber};

/// Which streams there are, in which groups they are, and when each is looked at next. It brings them nothing.
pub(crate) struct Streams {
    inbox: Arc<Inbox>,
    poll: Poll,
    streams: Slab<Stream>,
    /// Grows with each stream, so that what is meant for one that has gone does not reach its successor.
    round: u32,
    hubs: Slab<Groups>,
    schedule: Schedule,
    /// Streams that were woken, or whose visit was over before their work was.
    pub(crate) again: VecDeque<StreamId>,
}

impl Streams {
    /// None yet, and the way in.
    pub(crate) fn new(now: Instant, traffic: Traffic) -> io::Result<(Self, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(mio::Waker::new(poll.registry(), WAKE)?, traffic));
        let streams = Self {
            inbox: Arc::clone(&inbox),
            poll,
            streams: Slab::new(),
            round: 0,
            hubs: Slab::new(),
            schedule: Schedule::new(now),
            again: VecDeque::new(),
        };
        Ok((streams, inbox))
    }

    /// Sleeps until a socket or another thread has something, at most so long.
    pub(crate) fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.poll.poll(events, timeout)
    }

    /// Whether there is a stream at this place.
    pub(crate) fn contains(&self, key: StreamKey) -> bool {
        self.streams.contains(key as usize)
    }

    /// The stream at this place, if there is one.
    pub(crate) fn get(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.streams.get_mut(key as usize)
    }

    /// The stream at this place, which is there.
    pub(crate) fn stream(&mut self, key: StreamKey) -> &mut Stream {
        &mut self.streams[key as usize]
    }

    /// The stream that an event of its socket names.
    pub(crate) fn of_token(&mut self, token: Token) -> Option<&mut Stream> {
        self.streams.get_mut(token.0)
    }

    /// The stream of this name, if it is still there.
    pub(crate) fn named(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.get(id.key).filter(|stream| stream.rest.id == id)
    }

    /// A stream of a hub, and the groups there.
    pub(crate) fn with_groups(&mut self, key: StreamKey) -> (&mut Stream, &mut Groups) {
        let stream = &mut self.streams[key as usize];
        let groups = &mut self.hubs[stream.hub as usize];
        (stream, groups)
    }

    /// Takes a stream over; `None` when that cannot be.
    pub(crate) fn adopt(&mut self, handed: Handed) -> Option<StreamKey> {
        let Handed { mut socket, head, chunked, live, listed, discarded } = handed;
        let place = self.streams.vacant_key();
        let key = StreamKey::try_from(place).expect("there are fewer streams than descriptors");
        self.round = self.round.wrapping_add(1);
        let id = StreamId { key, round: self.round };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(place), interest) {
            debug!(%error, "a stream cannot be taken over");
            self.inbox.streams().end();
            return None;
        }
        let Some((mut source, format, pieces)) = source_of(live) else {
            self.inbox.streams().end(); // only what has begun is handed over
            return None;
        };
        let bare = matches!(&source, Source::Subscriber(subscriber) if subscriber.is_bare());
        let framing = Framing { format, chunked, bare };
        let (hub, group) = match &mut source {
            Source::Feed(_) => (NO_HUB, 0),
            Source::Subscriber(subscriber) => self.enter(subscriber, framing),
        };
        let (fed, control) = match &source {
            Source::Subscriber(subscriber) => (subscriber.place(), subscriber.control().clone()),
            Source::Feed(feed) => (Fed::default(), feed.control().clone()),
        };
        let waker = Waker::from(Arc::new(StreamWaker { inbox: Arc::clone(&self.inbox), id }));
        let mut backlog = Backlog::default();
        backlog.push(head);
        let mut bytes = 0;
        for piece in pieces {
            bytes = 0;
            framing.pass(piece, |piece| {
                bytes += piece.len();
                backlog.push(piece);
            });
        }
        // nothing but an entry is as large, and it is the one that was told last
        if bytes > WAITING_BYTES_MAX {
            backlog.ends_with(Part { sequence: fed.told, bytes });
        }
        let discarded = u32::try_from(discarded).unwrap_or(u32::MAX);
        let (scheduled, waits) = (None, Waits::Nothing);
        let rest = Rest { id, source, framing, waker, backlog, scheduled, waits, discarded, listed };
        let rest = Box::new(rest);
        let (blocked, stalling, has_preface, state) = (false, false, false, State::Driven);
        self.streams.insert(Stream { socket, blocked, stalling, has_preface, state, hub, group, fed, control, rest });
        Some(key)
    }

    /// The place of its hub, and of its group there.
    fn enter(&mut self, subscriber: &mut Subscriber, framing: Framing) -> (u32, SlotKey) {
        let hub = self.hub_of(subscriber.hub());
        let groups = &mut self.hubs[hub as usize];
        groups.streams += 1;
        let group = groups.enter(subscriber.matchers(), framing);
        subscriber.let_feed(groups.group(group).matchers());
        (hub, group)
    }

    fn hub_of(&mut self, core: &Arc<Core>) -> u32 {
        if let Some((key, _)) = self.hubs.iter().find(|(_, groups)| Arc::ptr_eq(&groups.core, core)) {
            return key as u32;
        }
        // first this: what is appended from now on wakes the thread
        let inbox: Weak<Inbox> = Arc::downgrade(&self.inbox);
        core.listen(inbox);
        let key = self.hubs.insert(Groups::new(Arc::clone(core)));
        u32::try_from(key).expect("there are fewer hubs than streams")
    }

    /// The stream becomes a member of its group.
    pub(crate) fn join(&mut self, key: StreamKey) {
        let (stream, groups) = self.with_groups(key);
        stream.state = State::Member(groups.group_mut(stream.group).join(key));
    }

    /// The stream leaves its group, if it is in it.
    pub(crate) fn part(&mut self, key: StreamKey) {
        let State::Member(place) = self.stream(key).state else { return };
        let (stream, groups) = self.with_groups(key);
        stream.state = State::Driven;
        if let Some(moved) = groups.group_mut(stream.group).part(place) {
            self.stream(moved).state = State::Member(place);
        }
    }

    pub(crate) fn remove(&mut self, key: StreamKey) {
        if !self.contains(key) {
            return;
        }
        self.part(key);
        let Stream { mut socket, hub, group, rest, .. } = self.streams.remove(key as usize);
        // on Linux closing does it as well, and is one call less
        if !cfg!(target_os = "linux") {
            let _ = self.poll.registry().deregister(&mut socket);
        }
        drop((socket, rest));
        self.inbox.streams().end();
        if hub == NO_HUB {
            return;
        }
        let left = &mut self.hubs[hub as usize];
        left.leave(group);
        left.streams -= 1;
        if left.streams == 0 {
            left.settle();
            self.hubs.remove(hub as usize);
        }
    }

    /// The hubs whose readers are here.
    pub(crate) fn hubs(&self) -> SmallVec<[u32; 4]> {
        self.hubs.iter().map(|(key, _)| key as u32).collect()
    }

    /// The groups of a hub, if it still has readers here.
    pub(crate) fn groups(&mut self, hub: u32) -> Option<&mut Groups> {
        self.hubs.get_mut(hub as usize)
    }

    /// Notes what the logs have got since.
    pub(crate) fn follow(&mut self) {
        self.hubs.iter_mut().for_each(|(_, groups)| groups.follow());
    }

    pub(crate) fn settle(&mut self) {
        self.hubs.iter_mut().for_each(|(_, groups)| groups.settle());
    }

    /// Has a log got something that was not noted?
    pub(crate) fn are_behind(&self) -> bool {
        self.hubs.iter().any(|(_, groups)| groups.is_behind())
    }

    /// Looks at the stream as soon as others have been looked at.
    pub(crate) fn look_again(&mut self, key: StreamKey) {
        let id = self.stream(key).rest.id;
        self.again.push_back(id);
    }

    /// Looks at the stream at this time, or earlier if that was said before.
    pub(crate) fn schedule(&mut self, key: StreamKey, until: Option<Instant>, now: Instant) {
        let Some(until) = until else { return };
        let time = self.schedule.time(until, now);
        let rest = &mut self.streams[key as usize].rest;
        if rest.scheduled.is_none_or(|before| time < before) {
            rest.scheduled = Some(time);
            self.schedule.push(time, rest.id);
        }
    }

    /// A stream whose time has come, unless that has moved since.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Time, StreamId)> {
        self.schedule.pop(now)
    }

    /// When the next time comes.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.schedule.next()
    }
}

/// Who says what comes next, in which format, and what was said already.
fn source_of(live: Live) -> Option<(Source, Format, VecDeque<Bytes>)> {
    match live {
        Live::Feed(feed) => Some((Source::Feed(feed), Format::Sse, VecDeque::new())),
        Live::Subscriber(pump) => {
            let (subscriber, format, pieces) = pump.into_parts()?;
            Some((Source::Subscriber(subscriber), format, pieces))
        }
        Live::Refused(_) => None,
    }
}

/// The token of the inbox; sockets have their places in the slab.
const WAKE: Token = Token(usize::MAX);
