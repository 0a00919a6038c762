//! Where settings come from: the file, the environment, flags.

use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::error::ConfigError;
use super::mistake::{no_toml, not_a_value};
use super::nearest::similar_key;
use super::not_yet::{is_not_yet, not_yet};
use super::setting::{PREFIX, Setting};
use super::table::{SETTINGS, Settings};
use super::written::{Kind, Said};

impl Settings {
    /// Reads `oyez.toml`.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has a key that is unknown or not in this build.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(format!("{name}: {error}")))?;
        Self::from_toml(&text).map_err(|error| ConfigError::new(format!("{name}: {error}")))
    }

    pub(crate) fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| in_line(text, error.span(), &no_toml(text, &error)))?;
        let mut entries: Vec<_> = table.into_inner().into_iter().collect();
        // as they stand in the file, so that the first that is wrong is told
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut settings = Self::default();
        for (key, value) in entries {
            let (place, key) = (key.span(), key.into_inner());
            match settings.note(&key, Said::Toml(value.into())) {
                Ok(true) => {}
                Ok(false) => return Err(in_line(text, Some(place), &unknown(&key).to_string())),
                Err(unread) => {
                    let place = unread.place.unwrap_or(place);
                    let message = not_a_value(text, &key, Some(&place), &unread.reason);
                    return Err(in_line(text, Some(place), &message));
                }
            }
        }
        Ok(settings)
    }

    /// Reads `OYEZ_…` variables; lists are separated by commas. Returns the names it does not know as well: they may be
    /// another program's.
    ///
    /// # Errors
    /// When a variable, Mercure's names included, asks for what this build does not have, or is not a truth value where one is needed.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<(Self, Vec<String>), ConfigError> {
        let mut settings = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in variables {
            if name.starts_with("MERCURE_") && !value.is_empty() {
                return Err(ConfigError::new(format!("{name} is set, but Mercure is not in this build yet; unset it")));
            }
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.is_variable(&name)) {
                settings.note_words(setting, &name, words(setting, value))?;
            } else if let Some(key) = name.strip_prefix(PREFIX) {
                if is_not_yet(&key.to_ascii_lowercase()) {
                    return Err(not_yet(&name));
                }
                unknown.push(name);
            }
        }
        Ok((settings, unknown))
    }

    /// Notes what the flag of a setting says: as many words as it was given values, `true` for a switch.
    ///
    /// # Errors
    /// When it is not a truth value where one is needed.
    pub fn flag(&mut self, setting: &Setting, words: Vec<String>) -> Result<(), ConfigError> {
        self.note_words(setting, setting.key, words)
    }

    fn note_words(&mut self, setting: &Setting, name: &str, words: Vec<String>) -> Result<(), ConfigError> {
        let noted = self.note(setting.key, Said::Words(words));
        noted.map(|_| ()).map_err(|unread| ConfigError::new(format!("{name}: {}", unread.reason)))
    }
}

/// A variable has one value; a list has commas in it.
fn words(setting: &Setting, value: String) -> Vec<String> {
    match setting.kind {
        Kind::List => value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        Kind::Word | Kind::Truth | Kind::Table => vec![value],
    }
}

fn unknown(key: &str) -> ConfigError {
    if is_not_yet(key) {
        return not_yet(key);
    }
    ConfigError::new(match similar_key(key) {
        Some(similar) => format!("unknown key {key}; did you mean {similar}?"),
        None => {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
            format!("unknown key {key}; known are {}", known.join(", "))
        }
    })
}

/// What is wrong with the file, in one line, with the line of the file where it is known.
fn in_line(text: &str, place: Option<Range<usize>>, message: &str) -> ConfigError {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    ConfigError::new(match place.and_then(|place| text.get(..place.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    })
}

#[cfg(test)]
mod tests {
    use super::super::written::Text;
    use super::*;

    #[test]
    fn flags_beat_environment_beats_file() {
        let file = Settings::from_toml("keep_events = 1\nslow = 'skip'\ndemo = true\ncompact = ['a']").unwrap();
        let variables = [
            ("OYEZ_KEEP_EVENTS", "2"),
            ("OYEZ_DEMO", "0"),
            ("OYEZ_COMPACT", "rows/*, b"),
            ("OYEZ_LISTN", "x"),
            ("PATH", "/bin"),
        ];
        let (env, unknown) =
            Settings::from_env(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        assert_eq!(unknown, ["OYEZ_LISTN"]);
        let flags = Settings { keep_events: Some(Text::Number(3)), ..Settings::default() };
        let settings = flags.over(env).over(file);
        assert_eq!(settings.keep_events, Some(Text::Number(3)));
        assert_eq!(settings.demo, Some(false));
        assert_eq!(settings.slow.as_deref(), Some("skip"));
        assert_eq!(settings.compact, Some(vec!["rows/*".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn every_row_is_taken_from_flag_and_variable_and_file() {
        for setting in SETTINGS {
            let (word, toml) = match setting.kind {
                Kind::Word => ("1", "1"),
                Kind::Truth => ("true", "true"),
                Kind::List => ("1", "['1']"),
                Kind::Table => continue,
            };
            let mut flags = Settings::default();
            flags.flag(setting, vec![word.to_owned()]).unwrap();
            let variables = setting.also.iter().map(ToString::to_string).chain(setting.variable());
            for variable in variables {
                assert_eq!(Settings::from_env([(variable, word.to_owned())]).unwrap(), (flags.clone(), vec![]));
            }
            assert_eq!(flags.changed(&Settings::default()), [setting.key]);
            // a text has to be written as one in the file
            let file = [toml.to_owned(), format!("'{toml}'")].map(|toml| format!("{} = {toml}", setting.key));
            assert!(file.iter().any(|file| Settings::from_toml(file).is_ok_and(|file| file == flags)), "{file:?}");
        }
    }

    #[test]
    fn variables_for_what_is_missing_are_refused() {
        for name in ["OYEZ_LOG", "OYEZ_TLS_KEY", "MERCURE_PUBLISHER_JWT_KEY"] {
            let error = Settings::from_env([(name.to_owned(), "x".to_owned())]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_variable_that_is_wrong_is_named() {
        let error = Settings::from_env([("OYEZ_PAGE".to_owned(), "maybe".to_owned())]).unwrap_err().to_string();
        assert_eq!(error, "OYEZ_PAGE: \"maybe\" must be true or false");
    }

    #[test]
    fn a_key_that_is_unknown_is_told_with_what_was_meant() {
        let refused = |toml: &str| Settings::from_toml(toml).unwrap_err().to_string();
        assert_eq!(refused("demo = true\nlistn = 1"), "line 2: unknown key listn; did you mean listen?");
        assert!(refused("x = 1").starts_with("line 1: unknown key x; known are listen, admin, keep, "));
        assert_eq!(refused("tls_cert = 'a'"), "line 1: tls_cert is not in this build yet; leave it out");
        assert_eq!(refused("slow = 7"), "line 1: slow: is the number 7; it must be a text: slow = \"7\"");
        assert_eq!(refused("keep_bytes = true"), "line 1: keep_bytes: expected a number or a text");
        assert_eq!(refused("zebra = 1\nadmn = 1"), refused("zebra = 1"));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_with_its_key_and_without_its_text() {
        for (toml, expected) in [
            ("keep = 7d", "line 1: keep: a text needs quotes: keep = \"…\""),
            ("demo = true\nlisten = 127.0.0.1:9000", "line 2: listen: a text needs quotes: listen = \"…\""),
            ("slow = skip # late", "line 1: slow: a text needs quotes: slow = \"…\""),
            ("data = /var/lib/oyez\n", "line 1: data: a text needs quotes: data = \"…\""),
            ("cors = [https://a.example]", "line 1: cors: a text needs quotes: cors = [\"…\"]"),
            ("[[class]]\ntopics = jobs/*", "line 2: topics: a text needs quotes: topics = \"…\""),
            ("listen 9000", "line 1: listen: no value; write listen = …"),
            ("listen: 9000", "line 1: listen: no value; write listen = …"),
            ("listen = \"secret", "line 1: listen: invalid basic string, expected `\"`"),
            ("demo = 'yes'", "line 1: demo: is a text; it must be true or false, without quotes"),
            ("compact = 'a'", "line 1: compact: is a text; it must be a list: compact = [\"…\"]"),
            ("cors = [1]", "line 1: cors: is the number 1; it must be a text: cors = \"1\""),
            ("keep = ['7d']", "line 1: keep: is a list; it must be one text in quotes"),
            ("keep = true", "line 1: keep: is true; it must be a text: keep = \"true\""),
            ("[class]\ntopics = 'a'", "line 1: class: is a table; it must be a list of tables: [[class]]"),
            (
                "[[class]]\ntopics = 'a'\nkeep = 7",
                "line 3: class: keep: is the number 7; it must be a text: keep = \"7\"",
            ),
        ] {
            assert_eq!(Settings::from_toml(toml).unwrap_err().to_string(), expected, "{toml}");
        }
    }
}
