//! What all subscribers have got so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::bench::blocks::Found;
use crate::bench::check::Check;
use crate::bench::clock::Clock;
use crate::bench::histogram::Histogram;
use crate::bench::lanes::Lanes;
use crate::bench::payload::Payload;
use crate::bench::spread::{Reading, Spread};

/// The results of one phase. One thread writes them: that of the subscribers.
#[derive(Debug)]
pub(crate) struct Board {
    clock: Clock,
    /// Events of other runs are not looked at: they are of an earlier phase, or someone else's.
    run: u32,
    lanes: Lanes,
    size: usize,
    flow: Arc<Flow>,
    pub(crate) places: Vec<Place>,
    pub(crate) latency: Histogram,
    pub(crate) opened: usize,
    /// Events of this run, doubles included.
    pub(crate) delivered: u64,
    /// Events whose data is shorter than it was published.
    pub(crate) damaged: u64,
    /// Events of a topic that was not subscribed to.
    pub(crate) strayed: u64,
    /// Events of any kind, of this bench or not.
    pub(crate) events: u64,
    /// When this phase brought its last event, or began.
    pub(crate) last: u64,
    now: u64,
}

/// What one subscriber has got.
#[derive(Debug)]
pub(crate) struct Place {
    /// One for each lane of its topics, topic by topic.
    checks: Vec<Check>,
    /// What it has subscribed to.
    pub(crate) reading: Reading,
    /// Announced holes.
    pub(crate) gaps: u64,
    pub(crate) ended: bool,
    /// Stops reading when it has got so many.
    pub(crate) stops_after: u64,
    /// Its latencies count.
    pub(crate) timed: bool,
    /// Has all when it has got so many, at `done`.
    pub(crate) wanted: u64,
    pub(crate) done: Option<u64>,
    /// The id of the first event.
    pub(crate) first_id: Option<Vec<u8>>,
}

/// What the publishers need to know of the subscribers, and the other way round.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Board {
    pub(crate) fn new(clock: Clock, size: usize, subscribers: usize) -> Self {
        let mut board = Self {
            clock,
            run: 0,
            lanes: Lanes::ONE,
            size,
            flow: Arc::default(),
            places: (0..subscribers).map(|_| Place::new()).collect(),
            latency: Histogram::new(),
            opened: 0,
            delivered: 0,
            damaged: 0,
            strayed: 0,
            events: 0,
            last: 0,
            now: 0,
        };
        let _ = board.begin(0, 0, board.lanes);
        board
    }

    /// Begins a phase, whose events start with number `first`: nothing has come yet.
    pub(crate) fn begin(&mut self, run: u32, first: u32, lanes: Lanes) -> Arc<Flow> {
        (self.run, self.lanes) = (run, lanes);
        self.flow = Arc::default();
        for place in &mut self.places {
            let Place { reading, ended, timed, .. } = *place;
            let number = reading.topics().count() * lanes.per_topic();
            let checks = (0..number).map(|_| Check::from(first)).collect();
            *place = Place { checks, reading, ended, timed, ..Place::new() };
        }
        self.latency = Histogram::new();
        (self.delivered, self.damaged, self.strayed, self.events) = (0, 0, 0, 0);
        self.last = self.clock.now();
        Arc::clone(&self.flow)
    }

    pub(crate) fn read(&mut self) {
        self.now = self.clock.now();
    }

    pub(crate) fn take(&mut self, index: usize, found: Found<'_>) {
        self.events += 1;
        let Some(place) = self.places.get_mut(index) else { return };
        let Some(payload) = Payload::find(found.data).filter(|payload| payload.run == self.run) else {
            place.gaps += u64::from(found.event_type == GAP);
            return;
        };
        let number = place.reading.number_of(self.lanes.topic(payload.lane));
        let at = number.map(|number| number * self.lanes.per_topic() + self.lanes.within_topic(payload.lane));
        let Some(check) = at.and_then(|at| place.checks.get_mut(at)) else {
            self.strayed += 1;
            return;
        };
        check.take(payload.sequence);
        if place.first_id.is_none() {
            place.first_id = Some(found.id.to_vec());
        }
        if place.wanted < u64::MAX && place.received() == place.wanted {
            place.done.get_or_insert(self.now);
        }
        if place.timed {
            self.latency.record(self.now.saturating_sub(payload.sent));
        }
        self.damaged += u64::from(found.data.len() < self.size);
        self.delivered += 1;
        self.last = self.now;
        self.flow.delivered.store(self.delivered, Ordering::Relaxed);
    }

    /// How many subscribers have got nothing yet of one of their topics.
    pub(crate) fn cold(&self) -> usize {
        let has_all = |place: &&Place| place.checks.chunks(self.lanes.per_topic()).all(any_received);
        self.places.len() - self.places.iter().filter(has_all).count()
    }

    pub(crate) fn ended(&self) -> usize {
        self.places.iter().filter(|place| place.ended).count()
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.places.iter().map(|place| place.gaps).sum()
    }
}

impl Place {
    fn new() -> Self {
        Self {
            checks: Vec::new(),
            reading: Spread::ONE.of(0),
            gaps: 0,
            ended: false,
            stops_after: u64::MAX,
            timed: true,
            wanted: u64::MAX,
            done: None,
            first_id: None,
        }
    }

    /// How many different events came.
    pub(crate) fn received(&self) -> u64 {
        self.checks.iter().map(Check::received).sum()
    }

    /// How many did not come of those before the ends of its topics' lanes.
    pub(crate) fn lost(&self, ends: impl Iterator<Item = u32>) -> u64 {
        self.checks.iter().zip(ends).map(|(check, end)| check.lost(end)).sum()
    }

    /// Whether the last event of each lane came.
    pub(crate) fn reached(&self, ends: impl Iterator<Item = u32>) -> bool {
        self.checks.iter().zip(ends).all(|(check, end)| check.reached(end))
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.checks.iter().map(Check::doubled).sum()
    }

    pub(crate) fn out_of_order(&self) -> u64 {
        self.checks.iter().map(Check::out_of_order).sum()
    }
}

fn any_received(lanes: &[Check]) -> bool {
    lanes.iter().any(|check| check.received() > 0)
}

/// How `oyez serve` announces a hole.
const GAP: &[u8] = b"oyez.gap";

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 7;
    const SIZE: usize = 64;

    fn take(board: &mut Board, run: u32, lane: u32, sequence: u32, size: usize) {
        let mut data = Vec::new();
        Payload { run, lane, sequence, sent: 0 }.write(size, &mut data);
        board.take(1, Found { id: b"k:1", data: &data, ..Found::default() });
    }

    fn board() -> (Board, Arc<Flow>) {
        board_of(Spread::new(2, 1), 4)
    }

    fn board_of(spread: Spread, connections: usize) -> (Board, Arc<Flow>) {
        let mut board = Board::new(Clock::start(), SIZE, 2);
        board.places.iter_mut().enumerate().for_each(|(index, place)| place.reading = spread.of(index));
        let flow = board.begin(RUN, 0, Lanes::new(spread.topics(), connections));
        (board, flow)
    }

    #[test]
    fn an_event_counts_for_its_subscriber() {
        let (mut board, flow) = board();
        take(&mut board, RUN, 1, 0, SIZE);
        assert_eq!(board.places.iter().map(|place| place.received()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((board.delivered, flow.delivered.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(board.places[1].first_id.as_deref(), Some(&b"k:1"[..]));
    }

    #[test]
    fn each_lane_has_its_own_order() {
        let (mut board, _) = board();
        // lanes 1 and 3 are those of topic 1
        for (lane, sequence) in [(1, 0), (3, 0), (3, 1), (1, 1), (3, 3)] {
            take(&mut board, RUN, lane, sequence, SIZE);
        }
        let place = &board.places[1];
        assert_eq!((place.received(), place.doubled(), place.out_of_order()), (5, 0, 0));
        assert_eq!(place.lost([2, 4].into_iter()), 1);
        assert!(place.reached([2, 4].into_iter()) && !place.reached([3, 4].into_iter()));
    }

    #[test]
    fn each_topic_of_a_subscriber_has_its_own_order() {
        // subscriber 1 reads topics 1 and 2 of 4, a lane each
        let (mut board, _) = board_of(Spread::new(4, 2), 1);
        for (lane, sequence) in [(1, 0), (2, 0), (2, 1), (1, 1), (1, 1), (2, 3), (1, 3), (1, 2)] {
            take(&mut board, RUN, lane, sequence, SIZE);
        }
        let place = &board.places[1];
        assert_eq!((place.received(), place.doubled(), place.out_of_order()), (7, 1, 1));
        assert_eq!((place.lost([4, 4].into_iter()), place.lost([4, 5].into_iter())), (1, 2));
        [0, 3].into_iter().for_each(|lane| take(&mut board, RUN, lane, 0, SIZE));
        assert_eq!(board.strayed, 2);
    }

    #[test]
    fn a_subscriber_is_cold_until_it_has_got_something_of_every_topic() {
        // two topics with two lanes each; subscriber 1 reads topics 1 and 0
        let (mut board, _) = board_of(Spread::new(2, 2), 4);
        let cold = [0, 2, 1].map(|lane| {
            take(&mut board, RUN, lane, 0, SIZE);
            board.cold()
        });
        assert_eq!(cold, [2, 2, 1]);
    }

    #[test]
    fn events_of_others_are_not_looked_at() {
        let (mut board, _) = board();
        take(&mut board, RUN + 1, 1, 5, SIZE);
        board.take(1, Found { data: b"hello", ..Found::default() });
        assert_eq!((board.events, board.delivered, board.places[1].received()), (2, 0, 0));
    }

    #[test]
    fn what_is_not_as_it_was_published_is_counted() {
        let (mut board, _) = board();
        take(&mut board, RUN, 1, 0, SIZE - 1);
        take(&mut board, RUN, 0, 1, SIZE);
        board.take(1, Found { event_type: b"oyez.gap", data: b"{}", ..Found::default() });
        assert_eq!((board.damaged, board.strayed, board.gaps()), (1, 1, 1));
    }

    #[test]
    fn a_new_phase_forgets_what_came_but_not_who_is_there() {
        let (mut board, old) = board();
        take(&mut board, RUN, 1, 0, SIZE);
        board.places[1].ended = true;
        let _ = board.begin(RUN + 1, 0, Lanes::new(2, 1));
        take(&mut board, RUN, 1, 1, SIZE);
        assert_eq!((board.delivered, board.places[1].reading, board.ended()), (0, Spread::new(2, 1).of(1), 1));
        assert_eq!(old.delivered.load(Ordering::Relaxed), 1);
    }
}
