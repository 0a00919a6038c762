//! The topic of a request.

use std::borrow::Cow;

use oyez::Topic;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The topic that a part of a path names, decoded once.
pub(crate) fn path_topic(encoded: &str) -> Result<Cow<'_, str>, Problem> {
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map_err(|_| Problem::invalid(format!("the topic {encoded:?} is not UTF-8 after decoding")))
}

/// The topic of a publish or subscription that names none: the plain broadcast.
pub(crate) fn default_topic() -> Topic {
    Topic::new("events").expect("a valid name")
}

/// May it be ended? The broadcast and the topics of the demo are for everybody.
pub(crate) fn refuse_end(topic: &Topic) -> Result<(), Problem> {
    match ENDLESS.contains(&&**topic) {
        true => Err(Problem::invalid(format!("the topic {:?} is for everybody and cannot be ended", &**topic))),
        false => Ok(()),
    }
}

const ENDLESS: [&str; 3] = ["clock", "stock", "events"];
