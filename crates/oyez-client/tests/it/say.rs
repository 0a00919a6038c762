//! Items in words, so that a test compares lines.

use oyez_client::{Error, Item};

pub(crate) fn say(item: &Result<Item, Error>) -> String {
    match item {
        Ok(Item::Open { status }) => format!("open {status}"),
        Ok(Item::Event { event, last_event_id }) => {
            let event_type = event.event_type().unwrap_or("message");
            format!("{event_type} {:?} {}", event.data_str(), last_event_id.as_deref().unwrap_or("-"))
        }
        Ok(Item::Comment(text)) => format!("comment {text:?}"),
        Ok(Item::Line { text, event_type }) => format!("line {text} {}", event_type.as_deref().unwrap_or("-")),
        Ok(Item::Gap(gap)) => format!("gap {} {:?} {:?} {:?}", gap.reason, gap.requested, gap.oldest, gap.missed),
        Ok(Item::End(_)) => "end".to_owned(),
        Ok(Item::Session(event)) => format!("session {}", event.data_str()),
        Ok(Item::Disconnected { error, .. }) => format!("disconnected: {error}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => {
            let source = std::error::Error::source(error).map_or_else(String::new, |source| format!(" ({source})"));
            format!("{:?}: {error}{source}", error.kind())
        }
    }
}
