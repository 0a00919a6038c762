//! Publishing, in threads that do nothing else: a thread sleeps to within a tenth of a millisecond, a runtime's timer
//! to a whole one, and what a publisher does must not wait for what a subscriber reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::bench::board::Flow;
use crate::bench::clock::Clock;
use crate::bench::connection::Connection;
use crate::bench::histogram::Histogram;
use crate::bench::lanes::Lanes;
use crate::bench::limits::{ROOM_LOOK, ROOM_PATIENCE};
use crate::bench::payload::Payload;
use crate::bench::plan::Plan;
use crate::bench::schedule::{self, Pace, Schedule};
use crate::bench::server::{PublishRequest, Server};
use crate::bench::spread::Reading;
use crate::failure::Failure;

/// What is to be published.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) run: u32,
    pub(crate) prefix: String,
    pub(crate) pace: Pace,
    pub(crate) lanes: Lanes,
    /// Topics of subscribers, in sum.
    pub(crate) subscriptions: usize,
    /// So many events; at full speed perhaps fewer.
    pub(crate) events: u64,
    /// At full speed no longer than this.
    pub(crate) time: Duration,
}

/// Publishers at work. Dropping it makes them stop after what they are at.
pub(crate) struct Publishers {
    threads: Vec<JoinHandle<Result<Share, String>>>,
    flow: Arc<Flow>,
    lanes: Lanes,
}

/// What was published.
pub(crate) struct Published {
    stopped_at: Vec<u64>,
    lanes: Lanes,
    /// From when an event was due until it was written.
    pub(crate) late: Histogram,
    /// From the request to its answer.
    pub(crate) answer: Histogram,
    /// When the first event was written or due.
    pub(crate) begun: u64,
}

impl Publishers {
    pub(crate) fn start(load: &Load, plan: &Plan, flow: &Arc<Flow>) -> Self {
        let start = plan.clock.now();
        let threads = (0..load.lanes.connections()).map(|connection| {
            let publisher = Publisher {
                load: load.clone(),
                schedule: Schedule {
                    pace: load.pace,
                    lanes: load.lanes,
                    connection: connection as u32,
                    start,
                    end: load.events,
                    at: 0,
                },
                server: Arc::clone(&plan.server),
                flow: Arc::clone(flow),
                clock: plan.clock,
                stop_at: start + u64::try_from(load.time.as_nanos()).unwrap_or(u64::MAX),
                settings: Settings { size: plan.size, batch: plan.batch, window: plan.window, timeout: plan.timeout },
                connection: None,
                share: Share { begun: start, ..Share::default() },
            };
            let flow = Arc::clone(flow);
            thread::spawn(move || {
                let outcome = publisher.publish();
                // one that fails fails the run
                flow.stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
                outcome
            })
        });
        Self { threads: threads.collect(), flow: Arc::clone(flow), lanes: load.lanes }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// What was published. Call it when all has finished; else it waits, and the subscribers with it.
    pub(crate) fn end(mut self, plan: &Plan) -> Result<Published, Failure> {
        let mut published = Published {
            stopped_at: Vec::new(),
            lanes: self.lanes,
            late: Histogram::new(),
            answer: Histogram::new(),
            begun: u64::MAX,
        };
        for thread in self.threads.drain(..) {
            let share = thread.join().unwrap_or_else(|_| Err("a publisher panicked".to_owned()));
            let url = || plan.server.publish.as_ref().map_or("", |publish| publish.endpoint.url.as_str());
            let share = share.map_err(|error| Failure::failed(format!("{}: {error}", url())))?;
            published.stopped_at.push(share.stopped_at);
            published.late.add(&share.late);
            published.answer.add(&share.answer);
            published.begun = published.begun.min(share.begun);
        }
        Ok(published)
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.flow.stop.store(true, Ordering::Relaxed);
    }
}

impl Published {
    /// For each lane of what is read the number after its last event.
    pub(crate) fn ends(&self, reading: Reading) -> impl Iterator<Item = u32> {
        reading.topics().flat_map(|topic| self.ends_of(topic))
    }

    fn ends_of(&self, topic: u32) -> impl Iterator<Item = u32> {
        self.lanes.of(topic as usize).map(|lane| schedule::published(lane, self.lanes, &self.stopped_at))
    }

    /// How many events of a topic.
    pub(crate) fn of(&self, topic: u32) -> u64 {
        self.ends_of(topic).map(u64::from).sum()
    }

    pub(crate) fn topics(&self) -> u32 {
        self.lanes.topics() as u32
    }

    pub(crate) fn total(&self) -> u64 {
        (0..self.topics()).map(|topic| self.of(topic)).sum()
    }
}

/// What one connection has published.
struct Share {
    stopped_at: u64,
    late: Histogram,
    answer: Histogram,
    begun: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self { stopped_at: 0, late: Histogram::new(), answer: Histogram::new(), begun: 0 }
    }
}

#[derive(Clone, Copy)]
struct Settings {
    size: usize,
    batch: usize,
    window: u64,
    timeout: Duration,
}

/// One connection and its share of the events.
struct Publisher {
    load: Load,
    schedule: Schedule,
    server: Arc<Server>,
    flow: Arc<Flow>,
    clock: Clock,
    stop_at: u64,
    settings: Settings,
    connection: Option<Connection>,
    share: Share,
}

impl Publisher {
    fn publish(mut self) -> Result<Share, String> {
        let (mut body, mut request, mut data) = (Vec::new(), Vec::new(), Vec::new());
        let server = Arc::clone(&self.server);
        let Some(publish) = &server.publish else { return Ok(self.share) };
        while self.wait() {
            body.clear();
            let mut events = 0;
            let mut topic = String::new();
            let now = self.clock.now();
            while let Some(due) = self.schedule.peek().filter(|due| due.time.is_none_or(|time| time <= now)) {
                if events == self.settings.batch {
                    break;
                }
                let sent = due.time.unwrap_or(now);
                self.share.late.record(now - sent);
                topic = format!("{}{}", self.load.prefix, self.load.lanes.topic(due.lane));
                data.clear();
                let payload = Payload { run: self.load.run, lane: due.lane, sequence: due.sequence, sent };
                payload.write(self.settings.size, &mut data);
                publish.body.write(&topic, &data, &mut body);
                self.schedule.advance();
                events += 1;
            }
            request.clear();
            publish.write_request(&topic, &body, &mut request);
            // before they are: what is delivered must not be more than what is published
            self.flow.published.fetch_add(events as u64, Ordering::Relaxed);
            self.exchange(publish, &request).map_err(|error| format!("publishing failed: {error}"))?;
            self.share.answer.record(self.clock.now() - now);
        }
        self.share.stopped_at = self.schedule.at;
        Ok(self.share)
    }

    /// Waits until the next event may be published. `false` when there is none.
    fn wait(&mut self) -> bool {
        let Some(due) = self.schedule.peek() else { return false };
        match due.time {
            Some(time) => self.wait_until(time),
            None => self.wait_for_room(),
        }
        let over = due.time.is_none() && self.clock.now() >= self.stop_at;
        !over && !self.stopped()
    }

    fn wait_until(&self, time: u64) {
        loop {
            let left = Duration::from_nanos(time.saturating_sub(self.clock.now()));
            if left.is_zero() || self.stopped() {
                return;
            }
            thread::sleep(left.min(STOP_LOOK));
        }
    }

    /// At full speed: waits until fewer events than the window are published and not delivered.
    fn wait_for_room(&self) {
        let mut delivered = self.flow.delivered.load(Ordering::Relaxed);
        let mut since = self.clock.now();
        while self.in_flight() >= self.settings.window && !self.stopped() {
            thread::sleep(ROOM_LOOK);
            let now = self.clock.now();
            if now >= self.stop_at {
                return;
            }
            let delivered_now = self.flow.delivered.load(Ordering::Relaxed);
            if delivered_now != delivered {
                (delivered, since) = (delivered_now, now);
            } else if u128::from(now - since) > ROOM_PATIENCE.as_nanos() {
                // lost, so they are no longer in flight
                let (events, _) = self.deliveries();
                self.flow.published.store(events, Ordering::Relaxed);
            }
        }
    }

    fn in_flight(&self) -> u64 {
        self.flow.published.load(Ordering::Relaxed).saturating_sub(self.deliveries().0)
    }

    /// How many events have been delivered to all their subscribers, on average, and the deliveries.
    fn deliveries(&self) -> (u64, u64) {
        let delivered = self.flow.delivered.load(Ordering::Relaxed);
        (delivered * self.load.lanes.topics() as u64 / self.load.subscriptions.max(1) as u64, delivered)
    }

    fn stopped(&self) -> bool {
        self.flow.stop.load(Ordering::Relaxed)
    }

    /// Sends a request and reads its answer, over a new connection when the last one is closed or may be.
    fn exchange(&mut self, publish: &PublishRequest, request: &[u8]) -> Result<(), String> {
        let now = self.clock.now();
        let fresh = self.connection.take().filter(|connection| now - connection.used < REUSED_FOR.as_nanos() as u64);
        let mut connection = match fresh {
            Some(connection) => connection,
            None => Connection::open(publish, self.settings.timeout)?,
        };
        let head = connection.exchange(request)?;
        connection.used = self.clock.now();
        self.connection = (!head.closes).then_some(connection);
        Ok(())
    }
}

/// How often a sleeping publisher looks whether it is to stop.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// A connection that was idle for longer is not used again: servers close idle ones, some after two seconds.
const REUSED_FOR: Duration = Duration::from_secs(1);
