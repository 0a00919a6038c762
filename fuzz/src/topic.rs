//! Topics and patterns against their rules read aloud.

use bolero::check;
use oyez::{ErrorKind, Matcher, Topic};

use crate::choices::Choices;

#[test]
fn any_text_is_a_topic_or_not() {
    check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        check_text(&text);
        check_text(&text.repeat(40));
    });
}

/// Few symbols, so that a good part of the topics is selected.
#[test]
fn patterns_select_what_they_say() {
    check!().for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let pattern = choices.join(&["a", "*", "/", "ab", "**", "é", "{", ":"], 12);
        let Ok(pattern) = std::str::from_utf8(&pattern) else { return };
        let Ok(matcher) = pattern.parse::<Matcher>() else { return };
        assert_eq!(matcher.to_string(), pattern);
        for _ in 0..8 {
            let topic = choices.join(&["a", "b", "/", "ab", "aaa", "é", "{", ":"], 16);
            let Ok(topic) = Topic::new(&String::from_utf8_lossy(&topic)) else { continue };
            assert_eq!(matcher.matches(&topic), selects(pattern, &topic), "{pattern:?} {topic:?}");
        }
    });
}

fn check_text(text: &str) {
    let good = !text.is_empty() && !text.chars().any(char::is_control);
    match Topic::new(text) {
        Ok(topic) => assert!(good && text.len() <= 1_024 && !text.contains('*') && &*topic == text, "{text:?}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!good || text.len() > 1_024 || text.contains('*'), "{text:?}: {error}");
        }
    }
    let bytes_max = if text.contains('*') { 4_096 } else { 1_024 };
    match text.parse::<Matcher>() {
        Ok(matcher) => {
            assert!(good && text.len() <= bytes_max, "{text:?}");
            assert_eq!(matcher.exact().is_some(), !text.contains('*'), "{text:?}");
        }
        Err(error) => assert!(!good || text.len() > bytes_max, "{text:?}: {error}"),
    }
}

/// `*` alone is all; inside, it is a run without `/`, empty or not.
fn selects(pattern: &str, topic: &str) -> bool {
    fn run(pattern: &[u8], topic: &[u8]) -> bool {
        match pattern.split_first() {
            None => topic.is_empty(),
            Some((b'*', [b'*', ..])) => run(&pattern[1..], topic),
            Some((b'*', behind)) => {
                let reach = topic.iter().position(|byte| *byte == b'/').unwrap_or(topic.len());
                (0..=reach).any(|end| run(behind, &topic[end..]))
            }
            Some((literal, behind)) => topic.first() == Some(literal) && run(behind, &topic[1..]),
        }
    }
    pattern == "*" || run(pattern.as_bytes(), topic.as_bytes())
}
