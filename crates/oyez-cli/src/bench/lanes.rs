//! How the events of topics are spread over connections.

/// A lane is the events of one topic that go over one connection: their order is that of the requests, so it can be
/// checked. With more connections than topics a topic has several lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lanes {
    topics: u32,
    connections: u32,
    per_topic: u32,
}

impl Lanes {
    /// One topic, one connection.
    pub(crate) const ONE: Self = Self { topics: 1, connections: 1, per_topic: 1 };

    pub(crate) fn new(topics: usize, connections: usize) -> Self {
        let (topics, connections) = (topics.max(1) as u32, connections.max(1) as u32);
        let per_topic = connections.div_ceil(topics);
        Self { topics, connections: connections.min(topics * per_topic), per_topic }
    }

    pub(crate) fn topics(self) -> usize {
        self.topics as usize
    }

    pub(crate) fn connections(self) -> usize {
        self.connections as usize
    }

    pub(crate) fn per_topic(self) -> usize {
        self.per_topic as usize
    }

    /// How many lanes there are; their numbers start at 0.
    pub(crate) fn total(self) -> usize {
        self.topics() * self.per_topic()
    }

    pub(crate) fn topic(self, lane: u32) -> u32 {
        lane % self.topics
    }

    /// Which of its topic's lanes it is.
    pub(crate) fn within_topic(self, lane: u32) -> usize {
        (lane / self.topics) as usize
    }

    pub(crate) fn connection(self, lane: u32) -> u32 {
        lane % self.connections
    }

    /// The lanes of a topic.
    pub(crate) fn of(self, topic: usize) -> impl Iterator<Item = u32> {
        (0..self.per_topic).map(move |within| topic as u32 + within * self.topics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_topic_and_every_connection_a_lane() {
        for (topics, connections, total) in [(1, 1, 1), (1, 8, 8), (3, 8, 9), (10, 4, 10), (5, 5, 5)] {
            let lanes = Lanes::new(topics, connections);
            assert_eq!((lanes.topics(), lanes.total()), (topics, total));
            let mut used = vec![0; lanes.connections()];
            (0..total as u32).for_each(|lane| used[lanes.connection(lane) as usize] += 1);
            assert!(used.iter().all(|lanes| *lanes > 0), "{lanes:?}");
            for topic in 0..topics {
                let found: Vec<_> = lanes.of(topic).map(|lane| (lanes.topic(lane), lanes.within_topic(lane))).collect();
                let expected: Vec<_> = (0..lanes.per_topic()).map(|within| (topic as u32, within)).collect();
                assert_eq!(found, expected, "{lanes:?}");
            }
        }
    }
}
