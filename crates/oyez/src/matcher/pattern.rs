//! Topic patterns with `*`.

use std::sync::Arc;

use crate::Error;
use crate::limits::PATTERN_BYTES_MAX;
use crate::topic::check_text;

/// `*` alone selects all topics; inside, each `*` stands for a run, empty or not, without `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern(Arc<str>);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        check_text("topic pattern", text, PATTERN_BYTES_MAX)?;
        Ok(Self(text.into()))
    }

    pub(crate) fn all() -> Self {
        Self("*".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_all(&self) -> bool {
        &*self.0 == "*"
    }

    /// Time is at most |pattern| × |topic|: one place to go back to is enough, since a later `*` can do whatever an
    /// earlier one could, unless a `/` lies between, which neither may cross.
    pub(crate) fn matches(&self, topic: &str) -> bool {
        if self.is_all() {
            return true;
        }
        let (pattern, topic) = (self.0.as_bytes(), topic.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut back: Option<(usize, usize)> = None; // behind the last `*`, and how far its run reaches
        loop {
            match (pattern.get(p), topic.get(t)) {
                (None, None) => return true,
                (Some(b'*'), _) => {
                    p += 1;
                    back = Some((p, t));
                }
                (Some(expected), Some(found)) if expected == found => {
                    p += 1;
                    t += 1;
                }
                _ => match back {
                    // the run takes one byte more, unless that is the `/` it may not cross
                    Some((behind, reach)) if topic.get(reach).is_some_and(|byte| *byte != b'/') => {
                        back = Some((behind, reach + 1));
                        p = behind;
                        t = reach + 1;
                    }
                    _ => return false,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = Pattern::new(pattern).unwrap();
        for topic in yes {
            assert!(pattern.matches(topic), "{pattern:?} should match {topic:?}");
        }
        for topic in no {
            assert!(!pattern.matches(topic), "{pattern:?} should not match {topic:?}");
        }
    }

    #[test]
    fn a_star_is_a_run_without_slash() {
        check("*", &["a", "a/b", "/"], &[]);
        check("a/*", &["a/", "a/b"], &["a", "a/b/c", "b/a/c"]);
        check("*/b", &["a/b", "/b"], &["a/a/b", "b"]);
        check("a*c*e", &["ace", "abcde", "accce"], &["a/ce", "abcd"]);
        check("**", &["a", ""], &["a/b"]);
        check("*/*", &["a/b", "/"], &["a", "a/b/c"]);
        check("新*/聞", &["新/聞", "新x/聞"], &["新/x/聞"]);
        check("{id}:*", &["{id}:7"], &["7:7"]);
    }

    #[test]
    fn an_unfriendly_pattern_ends() {
        let pattern = Pattern::new(&"*a".repeat(2_000)).unwrap();
        assert!(!pattern.matches(&"a".repeat(1_000)));
    }

    fn oracle(pattern: &[u8], topic: &[u8]) -> bool {
        match (pattern.split_first(), topic.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                oracle(rest, topic)
                    || topic.split_first().is_some_and(|(byte, tail)| *byte != b'/' && oracle(pattern, tail))
            }
            (Some((p, rest)), Some((t, tail))) => p == t && oracle(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*]{1,8}", topic in "[ab/]{1,10}") {
            let all = pattern == "*";
            let matches = Pattern::new(&pattern).unwrap().matches(&topic);
            prop_assert_eq!(matches, all || oracle(pattern.as_bytes(), topic.as_bytes()));
        }
    }
}
