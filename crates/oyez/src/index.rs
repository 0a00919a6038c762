//! From topic to subscribers: who has to hear of an entry.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::Topic;
use crate::matcher::Matchers;
use crate::patterns::Patterns;

/// The slot of who is to hear, with whoever owns the index: of a subscriber in its shard, of a group in a fan-out thread.
pub(crate) type SlotKey = u32;

/// The matchers of all subscribers of a shard. Exact names cost one look-up however many there are; patterns one as well,
/// once the topic has been seen ([`Patterns`]). Joining and leaving take constant time.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<Topic, List>,
    patterns: Patterns<List>,
}

/// The subscribers of one matcher, and for each which of its places stands for this list.
#[derive(Debug, Default)]
struct List(Vec<(SlotKey, usize)>);

/// Where a subscriber stands in the list of each of its matchers; kept by the shard beside the subscriber.
#[derive(Debug)]
pub(crate) struct Place {
    list: ListName,
    at: usize,
}

#[derive(Debug, Clone)]
enum ListName {
    Exact(Topic),
    /// The number of a pattern.
    Pattern(u64),
}

pub(crate) type Places = SmallVec<[Place; 1]>;

impl Index {
    pub(crate) fn join(&mut self, key: SlotKey, matchers: &Matchers) -> Places {
        let exact = matchers.exact.iter().cloned().map(ListName::Exact);
        let numbers: SmallVec<[u64; 1]> =
            matchers.patterns.iter().map(|pattern| self.patterns.enter(pattern)).collect();
        let mut places = Places::new();
        for (number, name) in exact.chain(numbers.into_iter().map(ListName::Pattern)).enumerate() {
            if let Some(List(members)) = self.list(&name) {
                places.push(Place { list: name, at: members.len() });
                members.push((key, number));
            }
        }
        places
    }

    /// Takes a subscriber out of its lists. The last member of each takes its seat: `moved` is told whose place
    /// number now is where.
    pub(crate) fn leave(&mut self, places: &Places, mut moved: impl FnMut(SlotKey, usize, usize)) {
        for place in places {
            let Some(List(members)) = self.list(&place.list) else { continue };
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
    pub(crate) fn visit(&mut self, topics: &[Topic], mut visit: impl FnMut(SlotKey)) {
        for topic in topics {
            if let Some(list) = self.exact.get(topic) {
                list.visit(&mut visit);
            }
            self.patterns.visit(topic, |list| list.visit(&mut visit));
        }
    }

    fn list(&mut self, name: &ListName) -> Option<&mut List> {
        match name {
            ListName::Exact(topic) => Some(self.exact.entry(topic.clone()).or_default()),
            ListName::Pattern(number) => self.patterns.get_mut(*number),
        }
    }

    fn remove(&mut self, name: &ListName) {
        match name {
            ListName::Exact(topic) => {
                self.exact.remove(topic);
            }
            ListName::Pattern(number) => self.patterns.remove(*number),
        }
    }
}

impl List {
    fn visit(&self, visit: &mut impl FnMut(SlotKey)) {
        let Self(members) = self;
        members.iter().for_each(|(key, _)| visit(*key));
    }
}

impl Place {
    pub(crate) fn move_to(&mut self, at: usize) {
        self.at = at;
    }
}
