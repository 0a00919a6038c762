//! Which private entries a reader may have.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use smallvec::SmallVec;

use crate::Topic;
use crate::limits::READABLE_SETS_SWEPT;
use crate::matcher::{Matcher, Pattern};

/// The matchers of a grant, interned: equal sets are one, so that readers of the same rights are found to be so by looking at
/// a pointer. Nothing is the default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readable(Option<Arc<Set>>);

/// Nothing.
#[cfg(feature = "serve")]
pub(crate) static PUBLIC: Readable = Readable(None);

/// Sorted, without doubles; with `*` among them nothing else.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Set {
    exact: Box<[Topic]>,
    patterns: Box<[Pattern]>,
}

impl Readable {
    pub(crate) fn of(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        let set = Set::of(matchers);
        if set == Set::default() { Self::default() } else { Self(Some(INTERNED.intern(set))) }
    }

    /// How many matchers it has.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |set| set.exact.len() + set.patterns.len())
    }

    /// Every private entry.
    pub(crate) fn is_all(&self) -> bool {
        self.0.as_ref().is_some_and(|set| set.is_all())
    }

    pub(crate) fn has(&self, topic: &Topic) -> bool {
        self.0.as_ref().is_some_and(|set| set.selects(topic))
    }

    /// May its reader have a private entry of these topics? One that it selects is enough.
    pub(crate) fn reads(&self, topics: &[Topic]) -> bool {
        topics.iter().any(|topic| self.has(topic))
    }

    /// What its reader may know of the topics of a private entry; `None` when that is all of them.
    pub(crate) fn part_of(&self, topics: &[Topic]) -> Option<SmallVec<[Topic; 1]>> {
        let part: SmallVec<[Topic; 1]> = topics.iter().filter(|topic| self.has(topic)).cloned().collect();
        (part.len() < topics.len()).then_some(part)
    }
}

impl PartialEq for Readable {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

impl Eq for Readable {}

impl Hash for Readable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map(Arc::as_ptr).hash(state);
    }
}

impl Set {
    fn of(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for matcher in matchers {
            match matcher.into_pattern() {
                Ok(all) if all.is_all() => return Self { exact: Box::default(), patterns: Box::new([all]) },
                Ok(pattern) => patterns.push(pattern),
                Err(topic) => exact.push(topic),
            }
        }
        exact.sort_unstable();
        exact.dedup();
        patterns.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        patterns.dedup();
        Self { exact: exact.into(), patterns: patterns.into() }
    }

    fn is_all(&self) -> bool {
        self.patterns.first().is_some_and(Pattern::is_all)
    }

    fn selects(&self, topic: &Topic) -> bool {
        self.exact.binary_search(topic).is_ok() || self.patterns.iter().any(|pattern| pattern.matches(topic))
    }
}

/// All sets of the process. Not under the model checker, which has no statics: whose set is whose is no part of what it tries.
static INTERNED: LazyLock<Interned> = LazyLock::new(Interned::default);

#[derive(Debug, Default)]
struct Interned(Mutex<Sets>);

#[derive(Debug, Default)]
struct Sets {
    sets: HashSet<Shared>,
    /// Those that nobody has any more are looked for when there are so many.
    sweep_at: usize,
}

/// By what is in it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shared(Arc<Set>);

impl Borrow<Set> for Shared {
    fn borrow(&self) -> &Set {
        &self.0
    }
}

impl Interned {
    fn intern(&self, set: Set) -> Arc<Set> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Shared(known)) = sets.sets.get(&set) {
            return Arc::clone(known);
        }
        if sets.sets.len() >= sets.sweep_at {
            // only here can one that nobody has be had again
            sets.sets.retain(|Shared(set)| Arc::strong_count(set) > 1);
            sets.sweep_at = READABLE_SETS_SWEPT.max(2 * sets.sets.len());
        }
        let set = Arc::new(set);
        sets.sets.insert(Shared(Arc::clone(&set)));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(matchers: &[&str]) -> Readable {
        Readable::of(matchers.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn equal_sets_are_one_whatever_their_order_and_doubles() {
        let set = readable(&["b", "a/*", "a", "c*"]);
        assert_eq!(set, readable(&["a", "b", "b", "c*", "a/*", "a"]));
        assert_eq!((set.len(), readable(&["*", "a"]).len()), (4, 1));
        assert_ne!(set, readable(&["a", "b", "c*"]));
        assert_eq!(readable(&["a", "*", "b*"]), readable(&["*"]));
        assert_eq!(readable(&[]), Readable::default());
        // a name and a pattern are not one
        assert_ne!(readable(&["a"]), readable(&["a*"]));
    }

    #[test]
    fn one_topic_that_is_selected_is_enough_and_is_all_that_is_told() {
        let topics = ["a", "b/1", "c"].map(|name| Topic::new(name).unwrap());
        let names = |part: Option<SmallVec<[Topic; 1]>>| {
            part.map(|part| part.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let check = |matchers: &[&str], reads, part: Option<&[&str]>| {
            let set = readable(matchers);
            assert_eq!(set.reads(&topics), reads, "{matchers:?}");
            assert_eq!(names(set.part_of(&topics)), part.map(|part| part.iter().map(ToString::to_string).collect()));
        };
        check(&[], false, Some(&[]));
        check(&["d", "b/2"], false, Some(&[]));
        check(&["b/*"], true, Some(&["b/1"]));
        check(&["c", "a"], true, Some(&["a", "c"]));
        check(&["c", "a", "b/*"], true, None);
        check(&["*"], true, None);
    }

    #[test]
    fn sets_that_nobody_has_do_not_pile_up() {
        let interned = Interned::default();
        let kept: Vec<_> =
            (0..100).map(|n| interned.intern(Set::of([Topic::known(&format!("kept {n}")).into()]))).collect();
        for n in 0..10 * READABLE_SETS_SWEPT {
            drop(interned.intern(Set::of([Topic::known(&n.to_string()).into()])));
        }
        assert!(interned.0.lock().unwrap().sets.len() <= READABLE_SETS_SWEPT.max(2 * kept.len()));
        for (n, set) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(set, &interned.intern(Set::of([Topic::known(&format!("kept {n}")).into()]))));
        }
    }
}
