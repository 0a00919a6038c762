//! Which event is published when, and over which connection.

use crate::bench::lanes::Lanes;

/// How fast events are published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Events per second, at their times whatever the server does: an open loop.
    Rate(f64),
    /// The next one as soon as the last is answered and there is room in the window.
    Full,
}

/// The events of one connection, in order. Event `n` of the run goes to lane `n` mod lanes.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) pace: Pace,
    pub(crate) lanes: Lanes,
    /// Which of the connections this is.
    pub(crate) connection: u32,
    /// When event 0 is due.
    pub(crate) start: u64,
    /// The events of the run end before this one.
    pub(crate) end: u64,
    /// The next event to be looked at.
    pub(crate) at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) lane: u32,
    pub(crate) sequence: u32,
    /// None at full speed.
    pub(crate) time: Option<u64>,
}

impl Schedule {
    /// The next event of this connection.
    pub(crate) fn peek(&mut self) -> Option<Due> {
        while self.at < self.end {
            let due = self.due();
            if self.lanes.connection(due.lane) == self.connection {
                return Some(due);
            }
            self.at += 1;
        }
        None
    }

    fn due(&self) -> Due {
        let lanes = self.lanes.total() as u64;
        Due {
            lane: (self.at % lanes) as u32,
            sequence: (self.at / lanes) as u32,
            time: match self.pace {
                Pace::Rate(rate) => Some(self.start + (self.at as f64 / rate * 1e9) as u64),
                Pace::Full => None,
            },
        }
    }

    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }
}

/// How many events of `lane` were published, when each connection stopped before the event given for it.
pub(crate) fn published(lane: u32, lanes: Lanes, stopped_at: &[u64]) -> u32 {
    let stopped_at = stopped_at.get(lanes.connection(lane) as usize).copied().unwrap_or_default();
    let total = lanes.total() as u64;
    ((stopped_at + total - 1 - u64::from(lane)) / total) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(lanes: Lanes, connection: u32, end: u64) -> Schedule {
        Schedule { pace: Pace::Rate(4.0), lanes, connection, start: 100, end, at: 0 }
    }

    fn all(mut schedule: Schedule) -> Vec<Due> {
        std::iter::from_fn(|| {
            let due = schedule.peek();
            schedule.advance();
            due
        })
        .collect()
    }

    #[test]
    fn events_are_due_at_their_times_whatever_happens() {
        let one = schedule(Lanes::new(1, 1), 0, 3);
        let times: Vec<_> = all(one.clone()).into_iter().map(|due| due.time).collect();
        assert_eq!(times, [Some(100), Some(250_000_100), Some(500_000_100)]);
        assert!(all(Schedule { pace: Pace::Full, ..one }).iter().all(|due| due.time.is_none()));
    }

    #[test]
    fn every_event_has_one_connection_and_a_lane_has_one() {
        for (topics, connections, end) in [(1, 1, 10), (7, 3, 50), (10, 4, 9), (5, 5, 23), (1, 4, 21), (3, 4, 40)] {
            let lanes = Lanes::new(topics, connections);
            let mut found = Vec::new();
            for connection in 0..lanes.connections() as u32 {
                let dues = all(schedule(lanes, connection, end));
                assert!(dues.iter().all(|due| lanes.connection(due.lane) == connection));
                found.extend(
                    dues.iter().map(|due| u64::from(due.sequence) * lanes.total() as u64 + u64::from(due.lane)),
                );
            }
            found.sort_unstable();
            assert_eq!(found, (0..end).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_published_is_known_from_where_each_connection_stopped() {
        let (lanes, stops) = (Lanes::new(7, 3), [20, 9, 50]);
        for lane in 0..7 {
            let dues = (0..3).flat_map(|connection| all(schedule(lanes, connection, stops[connection as usize])));
            let expected = dues.filter(|due| due.lane == lane).count();
            assert_eq!(published(lane, lanes, &stops) as usize, expected, "lane {lane}");
        }
    }
}
