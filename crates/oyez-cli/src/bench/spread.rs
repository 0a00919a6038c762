//! Which topics a subscriber reads.

/// How subscribers are spread over topics: subscriber `n` reads `each` of them from topic `n` on, and from topic 0 after
/// the last. So topics have equally many readers, and no two neighbours read the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    topics: u32,
    each: u32,
}

/// The topics of one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    first: u32,
    spread: Spread,
}

impl Spread {
    /// One topic that all read.
    pub(crate) const ONE: Self = Self { topics: 1, each: 1 };

    /// With `each` of at most `topics`.
    pub(crate) fn new(topics: usize, each: usize) -> Self {
        Self { topics: topics.max(1) as u32, each: each.max(1) as u32 }
    }

    pub(crate) fn topics(self) -> usize {
        self.topics as usize
    }

    pub(crate) fn each(self) -> usize {
        self.each as usize
    }

    pub(crate) fn of(self, subscriber: usize) -> Reading {
        Reading { first: (subscriber % self.topics()) as u32, spread: self }
    }
}

impl Reading {
    pub(crate) fn topics(self) -> impl Iterator<Item = u32> {
        let Spread { topics, each } = self.spread;
        (0..each).map(move |number| (self.first + number) % topics)
    }

    /// Which of its topics that is, if it is one.
    pub(crate) fn number_of(self, topic: u32) -> Option<usize> {
        let Spread { topics, each } = self.spread;
        let number = (topic + topics - self.first) % topics;
        (number < each).then_some(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spread: Spread, subscriber: usize, expected: &[u32]) {
        let reading = spread.of(subscriber);
        assert_eq!(reading.topics().collect::<Vec<_>>(), expected);
        for topic in 0..spread.topics() as u32 {
            let number = expected.iter().position(|found| *found == topic);
            assert_eq!(reading.number_of(topic), number, "{spread:?} {subscriber} {topic}");
        }
    }

    #[test]
    fn a_subscriber_reads_from_its_topic_on() {
        check(Spread::ONE, 7, &[0]);
        check(Spread::new(5, 1), 7, &[2]);
        check(Spread::new(5, 3), 0, &[0, 1, 2]);
        check(Spread::new(5, 3), 9, &[4, 0, 1]);
        check(Spread::new(3, 3), 1, &[1, 2, 0]);
    }

    #[test]
    fn topics_have_equally_many_readers() {
        let spread = Spread::new(100, 10);
        let mut readers = vec![0; 100];
        let topics = (0..100).flat_map(|subscriber| spread.of(subscriber).topics());
        topics.for_each(|topic| readers[topic as usize] += 1);
        assert_eq!(readers, [10; 100]);
    }
}
