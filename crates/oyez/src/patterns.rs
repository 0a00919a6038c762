//! Which of the patterns of all subscribers select a topic, remembered topic by topic.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use crate::Topic;
use crate::limits::{PATTERNS_UNREMEMBERED, REMEMBERED_TOPIC_BYTES_MAX, REMEMBERED_TOPICS};
use crate::matcher::Pattern;

/// What is kept for each pattern, found by pattern, by number and by the topics that the pattern selects.
///
/// A topic that is asked for again costs one look-up and the patterns that have come since: a pattern never gets the number
/// of another, so what was found out before stays true, and those that have gone are passed over.
#[derive(Debug, Default)]
pub(crate) struct Patterns<V> {
    numbers: HashMap<Pattern, u64>,
    kept: BTreeMap<u64, (Pattern, V)>,
    next: u64,
    memory: Memory,
}

impl<V: Default> Patterns<V> {
    /// The number of `pattern`, which is kept from now on.
    pub(crate) fn enter(&mut self, pattern: &Pattern) -> u64 {
        *self.numbers.entry(pattern.clone()).or_insert_with(|| {
            let number = self.next;
            self.next += 1;
            self.kept.insert(number, (pattern.clone(), V::default()));
            number
        })
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        self.kept.get_mut(&number).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if let Some((pattern, _)) = self.kept.remove(&number) {
            self.numbers.remove(&pattern);
        }
        if self.kept.len() <= PATTERNS_UNREMEMBERED {
            self.memory = Memory::default();
        }
    }

    /// Calls `visit` for every pattern that selects `topic`.
    pub(crate) fn visit(&mut self, topic: &Topic, mut visit: impl FnMut(&V)) {
        if self.kept.len() <= PATTERNS_UNREMEMBERED || topic.len() > REMEMBERED_TOPIC_BYTES_MAX {
            let selecting = self.kept.values().filter(|(pattern, _)| pattern.matches(topic));
            selecting.for_each(|(_, value)| visit(value));
            return;
        }
        let selected = self.memory.of(topic);
        let new = self.kept.range(selected.upto..).filter(|(_, (pattern, _))| pattern.matches(topic));
        selected.numbers.extend(new.map(|(number, _)| *number));
        selected.upto = self.next;
        selected.numbers.retain(|number| {
            self.kept.get(number).is_some_and(|(_, value)| {
                visit(value);
                true
            })
        });
    }
}

/// Topics that were asked for lately. When one half is full, the other, which nobody has asked for since, is forgotten.
#[derive(Debug, Default)]
struct Memory {
    lately: HashMap<Topic, Selected>,
    before: HashMap<Topic, Selected>,
}

/// The patterns that select a topic.
#[derive(Debug, Default)]
struct Selected {
    numbers: SmallVec<[u64; 2]>,
    /// Patterns with this number and above have not been tried.
    upto: u64,
}

impl Memory {
    fn of(&mut self, topic: &Topic) -> &mut Selected {
        if self.lately.len() >= REMEMBERED_TOPICS && !self.lately.contains_key(topic) {
            self.before = std::mem::take(&mut self.lately);
        }
        match self.lately.entry(topic.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.before.remove(topic).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn whatever_comes_and_goes_a_topic_finds_the_patterns_that_select_it() {
        let random = Random::from_seed(7);
        let below = |number: usize| random.within(0..=number as u64 - 1) as usize;
        let mut patterns = Patterns::<String>::default();
        let mut kept: Vec<(u64, String)> = Vec::new();
        // more topics than are remembered, some asked for again and again
        let topics: Vec<_> =
            (0..3 * REMEMBERED_TOPICS).map(|n| Topic::new(&format!("{}/{n}", n % 7)).unwrap()).collect();
        let mut found = 0;
        for step in 0..40_000 {
            match below(20) {
                0 => {
                    let text = match below(4) {
                        0 => format!("{}/*", below(9)),
                        1 => format!("*/{}", below(50)),
                        2 => format!("{}/*{}", below(9), below(10)),
                        _ => "*".to_owned(),
                    };
                    let number = patterns.enter(&Pattern::new(&text).unwrap());
                    if kept.iter().all(|(known, _)| *known != number) {
                        *patterns.get_mut(number).unwrap() = text.clone();
                        kept.push((number, text));
                    }
                }
                1 if !kept.is_empty() && below(3) == 0 => {
                    let (number, _) = kept.swap_remove(below(kept.len()));
                    patterns.remove(number);
                }
                // a few times down to none, and up again
                2 if step % 9_000 < 20 => kept.drain(..).for_each(|(number, _)| patterns.remove(number)),
                _ => {
                    let topic = &topics[if below(2) == 0 { below(30) } else { below(topics.len()) }];
                    let mut selecting = Vec::new();
                    patterns.visit(topic, |text| selecting.push(text.clone()));
                    selecting.sort_unstable();
                    let selects = |text: &String| Pattern::new(text).unwrap().matches(topic);
                    let mut expected: Vec<_> = kept.iter().map(|(_, text)| text.clone()).filter(selects).collect();
                    expected.sort_unstable();
                    assert_eq!(selecting, expected, "{topic}");
                    found += selecting.len();
                    assert!(patterns.memory.lately.len() <= REMEMBERED_TOPICS);
                    assert!(patterns.memory.before.len() <= REMEMBERED_TOPICS);
                }
            }
        }
        assert!(found > 10_000 && kept.len() > PATTERNS_UNREMEMBERED, "{found} {}", kept.len());
    }
}
