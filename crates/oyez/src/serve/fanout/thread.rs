//! The thread: what it does between two sleeps.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Events;
use tracing::error;

use super::inbox::{Handed, Inbox, Waiting};
use super::streams::Streams;
use super::visits::{Visits, is_long};
use crate::clock;
use crate::limits::serve::{READY_SOCKETS, SLICE_VISITS};
use crate::serve::traffic::Traffic;

/// The loop of a fan-out thread. Each round does some of each kind of work, so that none waits for all of another.
pub(crate) struct Thread {
    inbox: Arc<Inbox>,
    visits: Visits,
    /// Streams that were handed over and not yet taken over.
    arrivals: VecDeque<Handed>,
}

impl Thread {
    /// A thread that is yet to run, and the way to it.
    pub(crate) fn new(stall: Duration, traffic: Traffic) -> io::Result<(Self, Arc<Inbox>)> {
        let (streams, inbox) = Streams::new(clock::now(), traffic.clone())?;
        let visits = Visits::new(streams, stall, traffic);
        Ok((Self { inbox: Arc::clone(&inbox), visits, arrivals: VecDeque::new() }, inbox))
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(READY_SOCKETS);
        while self.take_what_waits() {
            let now = clock::now();
            let mut busy = self.welcome(now);
            busy |= self.visits.look_again(now);
            self.visits.streams.follow();
            busy |= self.visits.slice(now);
            self.visits.streams.settle();
            let now = clock::now();
            busy |= self.visits.keep_time(now);
            let timeout = self.sleep(busy, now);
            if let Err(error) = self.visits.streams.wait(&mut events, timeout) {
                if error.kind() != io::ErrorKind::Interrupted {
                    error!(%error, "the fan-out thread cannot wait for its sockets; it ends, and with it its streams");
                    return;
                }
            }
            self.inbox.sleep_flag().clear();
            let now = clock::now();
            // no stream takes the place of another meanwhile: an event is for whom it names
            for event in &events {
                self.visits.ready(event, now);
            }
        }
    }

    /// False when it is to end.
    fn take_what_waits(&mut self) -> bool {
        let Waiting { handed, woken, stop } = self.inbox.take();
        self.arrivals.extend(handed);
        self.visits.streams.again.extend(woken);
        !stop
    }

    /// Takes over some of the streams that were handed over. True when there are more.
    fn welcome(&mut self, now: Instant) -> bool {
        for _ in 0..SLICE_VISITS {
            let Some(handed) = self.arrivals.pop_front() else { break };
            self.visits.welcome(handed, now);
            if is_long(now) {
                break;
            }
        }
        !self.arrivals.is_empty()
    }

    /// How long the thread may sleep.
    fn sleep(&self, busy: bool, now: Instant) -> Option<Duration> {
        if busy {
            return Some(Duration::ZERO);
        }
        self.inbox.sleep_flag().set();
        // whatever came before that did not wake us
        if !self.inbox.is_empty() || self.visits.streams.are_behind() {
            return Some(Duration::ZERO);
        }
        self.visits.streams.next_time().map(|at| at.saturating_duration_since(now))
    }
}
