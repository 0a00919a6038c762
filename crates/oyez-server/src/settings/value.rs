//! Values that are known to be good, and what is said where they are not.

use std::path::PathBuf;
use std::time::Duration;

use oyez::{Durability, Matcher, SlowPolicy};
use url::Url;

use super::class::ClassSettings;
use super::error::ConfigError;
use super::setting::{Setting, Unsaid};
use super::written::{Text, Written};
use crate::limits::COMPACT_MAX;
use crate::units;

/// A value that is known to be good, made of one as people write it.
pub(crate) trait Value<W>: Sized {
    /// Checks what was written for the setting `key`, which the refusal names.
    fn check(key: &str, written: W) -> Result<Self, ConfigError>;

    /// What it is without a default, if it can be anything then.
    fn unsaid() -> Option<Self> {
        None
    }
}

impl Setting {
    /// Checks what was said; where nothing was, the default counts as if someone had written it.
    pub(crate) fn check<W: Written, T: Value<W>>(&self, said: Option<W>) -> Result<T, ConfigError> {
        let written = match (said, self.default) {
            (Some(said), _) => Some(said),
            (None, Unsaid::Is(default)) => Some(W::from_words(vec![default.to_owned()]).map_err(ConfigError::new)?),
            (None, Unsaid::Depends(_) | Unsaid::Nothing) => None,
        };
        match written {
            Some(written) => T::check(self.key, written),
            None => T::unsaid().ok_or_else(|| ConfigError::new(format!("{} is missing", self.key))),
        }
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// How durable an acknowledged publish is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Memory,
    Disk(Durability),
}

impl<W, T: Value<W>> Value<W> for Option<T> {
    fn check(key: &str, written: W) -> Result<Self, ConfigError> {
        T::check(key, written).map(Some)
    }

    fn unsaid() -> Option<Self> {
        Some(None)
    }
}

impl Value<Self> for bool {
    fn check(_: &str, written: Self) -> Result<Self, ConfigError> {
        Ok(written)
    }

    fn unsaid() -> Option<Self> {
        Some(false)
    }
}

impl Value<String> for Duration {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        units::duration(&text)
            .ok_or_else(|| ConfigError::new(format!("{key} = {text:?} is not a duration such as 15s or 7d")))
    }
}

impl Value<String> for PathBuf {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        if text.is_empty() {
            let message = format!("{key} is empty; name a directory, or leave it out for history in memory");
            return Err(ConfigError::new(message));
        }
        Ok(text.into())
    }
}

impl Value<String> for Level {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        match &*text {
            "memory" => Ok(Self::Memory),
            "flush" => Ok(Self::Disk(Durability::Flush)),
            "fsync" => Ok(Self::Disk(Durability::Fsync)),
            other => Err(ConfigError::new(format!("{key} = {other:?} must be one of memory, flush, fsync"))),
        }
    }
}

impl Value<String> for SlowPolicy {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        match &*text {
            "disconnect" => Ok(Self::Disconnect),
            "skip" => Ok(Self::Skip),
            "latest" => Ok(Self::Latest),
            other => Err(ConfigError::new(format!("{key} = {other:?} must be one of disconnect, skip, latest"))),
        }
    }
}

impl Value<Text> for usize {
    fn check(key: &str, written: Text) -> Result<Self, ConfigError> {
        quantity(key, written, "a number such as 1000", |text| text.parse().ok())
    }
}

impl Value<Text> for Size {
    fn check(key: &str, written: Text) -> Result<Self, ConfigError> {
        quantity(key, written, "a size such as 1000 or 64MiB", units::bytes).map(Self)
    }
}

impl Value<Vec<String>> for Vec<Matcher> {
    fn check(key: &str, patterns: Vec<String>) -> Result<Self, ConfigError> {
        let number = patterns.len();
        if number > COMPACT_MAX {
            return Err(ConfigError::new(format!("{key}: {number} patterns, at most {COMPACT_MAX} are allowed")));
        }
        let matcher = |pattern: &String| pattern.parse().map_err(|error| ConfigError::new(format!("{key}: {error}")));
        patterns.iter().map(matcher).collect()
    }

    fn unsaid() -> Option<Self> {
        Some(Self::new())
    }
}

impl Value<Vec<String>> for Vec<Url> {
    fn check(key: &str, texts: Vec<String>) -> Result<Self, ConfigError> {
        let url = |text: &String| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            url.ok_or_else(|| ConfigError::new(format!("{key}: {text:?} is not a URL such as https://hub.example.com")))
        };
        texts.iter().map(url).collect()
    }

    fn unsaid() -> Option<Self> {
        Some(Self::new())
    }
}

/// What the classes say is checked where the rest is known that they differ from.
impl Value<Self> for Vec<ClassSettings> {
    fn check(_: &str, classes: Self) -> Result<Self, ConfigError> {
        Ok(classes)
    }

    fn unsaid() -> Option<Self> {
        Some(Self::new())
    }
}

fn quantity(
    key: &str,
    written: Text,
    what: &str,
    parse: impl FnOnce(&str) -> Option<usize>,
) -> Result<usize, ConfigError> {
    let refused = |text: &dyn std::fmt::Display| ConfigError::new(format!("{key} = {text} is not {what}"));
    match written {
        Text::Number(number) => usize::try_from(number).map_err(|_| refused(&number)),
        Text::Text(text) => parse(&text).ok_or_else(|| refused(&format!("{text:?}"))),
    }
}
