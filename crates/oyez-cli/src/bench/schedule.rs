//! Which event is published when, and over which connection.

/// How fast events are published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Events per second, at their times whatever the server does: an open loop.
    Rate(f64),
    /// The next one as soon as the last is answered and there is room in the window.
    Full,
}

/// The events of one connection, in order. Event `n` of the run goes to topic `n` mod topics, and a topic always goes
/// over the same connection, so that the order of its events is that of the requests.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) pace: Pace,
    pub(crate) topics: u64,
    pub(crate) connections: u64,
    /// Which of the connections this is.
    pub(crate) connection: u64,
    /// When event 0 is due.
    pub(crate) start: u64,
    /// The events of the run end before this one.
    pub(crate) end: u64,
    /// The next event to be looked at.
    pub(crate) at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) topic: u32,
    pub(crate) sequence: u32,
    /// None at full speed.
    pub(crate) time: Option<u64>,
}

impl Schedule {
    /// The next event of this connection.
    pub(crate) fn peek(&mut self) -> Option<Due> {
        while self.at < self.end && self.at % self.topics % self.connections != self.connection {
            self.at += 1;
        }
        (self.at < self.end).then(|| Due {
            topic: (self.at % self.topics) as u32,
            sequence: (self.at / self.topics) as u32,
            time: match self.pace {
                Pace::Rate(rate) => Some(self.start + (self.at as f64 / rate * 1e9) as u64),
                Pace::Full => None,
            },
        })
    }

    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }
}

/// How many events of `topic` were published, when each connection stopped before the event given for it.
pub(crate) fn published(topic: usize, topics: usize, stopped_at: &[u64]) -> u32 {
    let (topic, topics) = (topic as u64, topics as u64);
    let connection = (topic % stopped_at.len() as u64) as usize;
    let stopped_at = stopped_at.get(connection).copied().unwrap_or_default();
    ((stopped_at + topics - 1 - topic) / topics) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(topics: u64, connections: u64, connection: u64, end: u64) -> Schedule {
        Schedule { pace: Pace::Rate(4.0), topics, connections, connection, start: 100, end, at: 0 }
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
        let times: Vec<_> = all(schedule(1, 1, 0, 3)).into_iter().map(|due| due.time).collect();
        assert_eq!(times, [Some(100), Some(250_000_100), Some(500_000_100)]);
        let full = Schedule { pace: Pace::Full, ..schedule(1, 1, 0, 2) };
        assert!(all(full).iter().all(|due| due.time.is_none()));
    }

    #[test]
    fn every_event_has_one_connection_and_a_topic_has_one() {
        for (topics, connections, end) in [(1, 1, 10), (7, 3, 50), (10, 4, 9), (5, 5, 23)] {
            let mut found = Vec::new();
            for connection in 0..connections {
                let dues = all(schedule(topics, connections, connection, end));
                assert!(dues.iter().all(|due| u64::from(due.topic) % connections == connection));
                found.extend(dues.iter().map(|due| u64::from(due.sequence) * topics + u64::from(due.topic)));
            }
            found.sort_unstable();
            assert_eq!(found, (0..end).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_published_is_known_from_where_each_connection_stopped() {
        let (topics, stops) = (7, [20, 9, 50]);
        for topic in 0..topics {
            let dues = (0..3).flat_map(|connection| all(schedule(7, 3, connection, stops[connection as usize])));
            let expected = dues.filter(|due| due.topic as usize == topic).count();
            assert_eq!(published(topic, topics, &stops) as usize, expected, "topic {topic}");
        }
    }
}
