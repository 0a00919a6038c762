//! Names that were probably meant.

use super::setting::Setting;
use super::table::SETTINGS;

/// The variable that was probably meant by one that nobody knows, such as `OYEZ_LISTEN` by `OYEZ_LISTN`.
#[must_use]
pub fn similar_variable(name: &str) -> Option<String> {
    let variables: Vec<String> = SETTINGS.iter().filter_map(Setting::variable).collect();
    nearest(name, variables.iter().map(String::as_str)).map(str::to_owned)
}

/// The key that was probably meant by one that nobody knows.
pub(crate) fn similar_key(key: &str) -> Option<&'static str> {
    nearest(key, SETTINGS.iter().map(|setting| setting.key))
}

/// The name that is at most every third letter away.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|name| (distance(word, name), name)).min()?;
    (near.0 <= near.1.len().min(word.len()) / 3).then_some(near.1)
}

/// How many letters have to be put in, left out or replaced (Levenshtein's distance).
fn distance(left: &str, right: &str) -> usize {
    // how far the beginning of `left` that was read is from each beginning of `right`
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for letter in left.bytes() {
        let mut next = vec![row[0] + 1];
        for (at, other) in right.bytes().enumerate() {
            let replaced = row[at] + usize::from(other != letter);
            next.push(replaced.min(row[at + 1] + 1).min(next[at] + 1));
        }
        row = next;
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_the_number_of_changes() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("listn", "listen", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn what_was_meant_is_named_and_what_is_nothing_like_it_is_not() {
        assert_eq!(similar_key("listn"), Some("listen"));
        assert_eq!(similar_key("keepalive"), Some("keep_alive"));
        assert_eq!(similar_key("max_connections"), None);
        assert_eq!(similar_key("x"), None);
        assert_eq!(similar_variable("OYEZ_LISTN").as_deref(), Some("OYEZ_LISTEN"));
    }
}
