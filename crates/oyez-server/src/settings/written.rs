//! Values as people write them: in the file, in a variable, after a flag.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

/// A value as people write it. Whether it makes sense is looked at later, when it is known which source decides.
pub(crate) trait Written: DeserializeOwned {
    /// How many words it is.
    const KIND: Kind;

    /// Reads the words of a flag or a variable: one, or any number for a list.
    fn from_words(words: Vec<String>) -> Result<Self, String>;
}

/// How many words a setting is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// One word: `--keep-alive 15s`.
    Word,
    /// True or false; the flag alone is true.
    Truth,
    /// Any number of words: the flag is repeated, a variable has commas between them.
    List,
    /// A table, which only the file can hold.
    Table,
}

/// A number or a text: `keep_events = 1000` and `keep_bytes = "1GiB"` are both natural.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub enum Text {
    /// `1000`
    Number(u64),
    /// `"1GiB"`
    Text(String),
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// What one source says of one setting.
pub(crate) enum Said<'a> {
    /// The words of a flag or a variable.
    Words(Vec<String>),
    /// A value of the file.
    Toml(ValueDeserializer<'a>),
}

/// Why it cannot be read, and where in the file.
pub(crate) struct Unread {
    pub(crate) reason: String,
    pub(crate) place: Option<Range<usize>>,
}

impl Said<'_> {
    pub(crate) fn read<W: Written>(self) -> Result<W, Unread> {
        match self {
            Self::Words(words) => W::from_words(words).map_err(|reason| Unread { reason, place: None }),
            Self::Toml(value) => W::deserialize(value)
                .map_err(|error| Unread { reason: error.message().to_owned(), place: error.span() }),
        }
    }
}

impl Written for String {
    const KIND: Kind = Kind::Word;

    fn from_words(words: Vec<String>) -> Result<Self, String> {
        words.into_iter().next_back().ok_or_else(|| "a value is missing".to_owned())
    }
}

impl Written for Text {
    const KIND: Kind = Kind::Word;

    fn from_words(words: Vec<String>) -> Result<Self, String> {
        String::from_words(words).map(Self::Text)
    }
}

impl Written for bool {
    const KIND: Kind = Kind::Truth;

    fn from_words(words: Vec<String>) -> Result<Self, String> {
        match &*String::from_words(words)? {
            "1" | "true" | "yes" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "off" => Ok(false),
            other => Err(format!("{other:?} must be true or false")),
        }
    }
}

impl Written for Vec<String> {
    const KIND: Kind = Kind::List;

    fn from_words(words: Vec<String>) -> Result<Self, String> {
        Ok(words)
    }
}
