//! Topic patterns with `*`.

use std::sync::Arc;

use memchr::{memchr, memmem};

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

    /// Takes each literal between two `*` at the first place where it stands: a later `*` can make up for that, since
    /// the text between two such places holds no `/`. So the time is linear in pattern and topic, whoever wrote them.
    pub(crate) fn matches(&self, topic: &str) -> bool {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + self.0.len() + topic.len());
        if self.is_all() {
            return true;
        }
        let mut literals = self.0.as_bytes().split(|byte| *byte == b'*');
        let first = literals.next().unwrap_or_default();
        let Some(rest) = topic.as_bytes().strip_prefix(first) else { return false };
        let Some(last) = literals.next_back() else { return rest.is_empty() };
        let Some(rest) = rest.strip_suffix(last) else { return false };

        let slash = |from: usize| memchr(b'/', &rest[from..]).map_or(rest.len(), |at| from + at);
        let mut at = 0;
        let mut run_end = slash(0);
        for literal in literals.filter(|literal| !literal.is_empty()) {
            let reach = rest.len().min(run_end + literal.len());
            let Some(found) = memmem::find(&rest[at..reach], literal) else { return false };
            at += found + literal.len();
            if at > run_end {
                run_end = slash(at);
            }
        }
        run_end == rest.len()
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes of patterns and topics that this thread has compared.
    pub(crate) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The definition, in exponential time: does this exact name or pattern select `topic`?
#[cfg(test)]
pub(crate) fn selects(matcher: &str, topic: &str) -> bool {
    fn run(pattern: &[u8], topic: &[u8]) -> bool {
        match (pattern.split_first(), topic.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                run(rest, topic) || topic.split_first().is_some_and(|(byte, tail)| *byte != b'/' && run(pattern, tail))
            }
            (Some((p, rest)), Some((t, tail))) => p == t && run(rest, tail),
            _ => false,
        }
    }
    matcher == "*" || run(matcher.as_bytes(), topic.as_bytes())
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
        let pattern = Pattern::new(&format!("*{}b", "a".repeat(500))).unwrap();
        assert!(!pattern.matches(&"a".repeat(1_000)));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*]{1,8}", topic in "[ab/]{1,10}") {
            prop_assert_eq!(Pattern::new(&pattern).unwrap().matches(&topic), selects(&pattern, &topic));
        }
    }
}
