//! A line of `application/x-ndjson`.

use bytes::Bytes;
use serde::Serialize;
use smallvec::SmallVec;

use crate::Topic;

/// One line of `application/x-ndjson`.
pub(crate) struct JsonLine<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) event_type: &'a str,
    pub(crate) data: &'a str,
    pub(crate) topics: &'a [Topic],
    pub(crate) time_ms: u64,
    pub(crate) retry: Option<u128>,
}

impl JsonLine<'_> {
    pub(crate) fn to_bytes(&self) -> Bytes {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
            #[serde(rename = "type")]
            event_type: &'a str,
            data: &'a str,
            topics: SmallVec<[&'a str; 4]>,
            time: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry: Option<u128>,
        }
        let fields = Fields {
            id: self.id,
            event_type: self.event_type,
            data: self.data,
            topics: self.topics.iter().map(|topic| &**topic).collect(),
            time: rfc3339(self.time_ms),
            retry: self.retry,
        };
        let mut line = serde_json::to_vec(&fields).expect("strings and numbers are JSON");
        line.push(b'\n');
        line.into()
    }
}

pub(crate) fn rfc3339(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(jiff::Timestamp::MAX))
}
