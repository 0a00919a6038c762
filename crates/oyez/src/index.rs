//! From topic to subscribers: who has to hear of an entry.

use std::collections::HashMap;
use std::hash::Hash;

use smallvec::SmallVec;

use crate::Topic;
use crate::matcher::{Matchers, Pattern};

/// The slot of a subscriber in its shard.
pub(crate) type Key = usize;

/// The matchers of all subscribers of a shard. Exact names cost one look-up however many there are; each distinct
/// pattern is matched once per entry, however many subscribers share it. Joining and leaving take constant time.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<Topic, List>,
    patterns: HashMap<Pattern, List>,
}

/// The subscribers of one matcher, and for each which of its places stands for this list.
#[derive(Debug, Default)]
struct List(Vec<(Key, usize)>);

/// Where a subscriber stands in the list of each of its matchers; kept by the shard beside the subscriber.
#[derive(Debug)]
pub(crate) struct Place {
    list: ListName,
    at: usize,
}

#[derive(Debug, Clone)]
enum ListName {
    Exact(Topic),
    Pattern(Pattern),
}

pub(crate) type Places = SmallVec<[Place; 1]>;

impl Index {
    pub(crate) fn join(&mut self, key: Key, matchers: &Matchers) -> Places {
        let exact = matchers.exact.iter().cloned().map(ListName::Exact);
        let names = exact.chain(matchers.patterns.iter().cloned().map(ListName::Pattern));
        let mut places = Places::new();
        for (number, name) in names.enumerate() {
            let List(members) = self.list(&name);
            places.push(Place { list: name, at: members.len() });
            members.push((key, number));
        }
        places
    }

    /// Takes a subscriber out of its lists. The last member of each takes its seat: `moved` is told whose place
    /// number now is where.
    pub(crate) fn leave(&mut self, places: &Places, mut moved: impl FnMut(Key, usize, usize)) {
        for place in places {
            let List(members) = self.list(&place.list);
            members.swap_remove(place.at);
            if let Some((key, number)) = members.get(place.at) {
                moved(*key, *number, place.at);
            }
            if members.is_empty() {
                self.remove(&place.list);
            }
        }
    }

    /// Calls `visit` for every subscriber that selects one of `topics`; for one with several matchers perhaps more
    /// than once.
    pub(crate) fn visit(&self, topics: &[Topic], mut visit: impl FnMut(Key)) {
        for topic in topics {
            visit_list(&self.exact, topic, &mut visit);
        }
        for (pattern, List(members)) in &self.patterns {
            if topics.iter().any(|topic| pattern.matches(topic)) {
                members.iter().for_each(|(key, _)| visit(*key));
            }
        }
    }

    fn list(&mut self, name: &ListName) -> &mut List {
        match name {
            ListName::Exact(topic) => self.exact.entry(topic.clone()).or_default(),
            ListName::Pattern(pattern) => self.patterns.entry(pattern.clone()).or_default(),
        }
    }

    fn remove(&mut self, name: &ListName) {
        match name {
            ListName::Exact(topic) => self.exact.remove(topic),
            ListName::Pattern(pattern) => self.patterns.remove(pattern),
        };
    }
}

impl Place {
    pub(crate) fn move_to(&mut self, at: usize) {
        self.at = at;
    }
}

fn visit_list<N: Hash + Eq>(lists: &HashMap<N, List>, name: &N, visit: &mut impl FnMut(Key)) {
    if let Some(List(members)) = lists.get(name) {
        members.iter().for_each(|(key, _)| visit(*key));
    }
}
