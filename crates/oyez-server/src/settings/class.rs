//! A class of topics, as it is written in the file.

use serde::Deserialize;

use super::written::{Kind, Text, Written};

/// How long the topics of a pattern are kept. What is not said is as for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSettings {
    /// A topic or a pattern of topics.
    pub topics: String,
    /// Age of the oldest event kept, such as `1h`.
    pub keep: Option<String>,
    /// Bytes on the disk, such as `100MiB`.
    pub keep_bytes: Option<Text>,
    /// Number of events kept.
    pub keep_events: Option<Text>,
}

impl Written for Vec<ClassSettings> {
    const KIND: Kind = Kind::Table;

    fn from_words(_: Vec<String>) -> Result<Self, String> {
        Err("it can be set in the file only".to_owned())
    }
}
