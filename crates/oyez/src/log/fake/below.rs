//! The server, as what a log stands on.

use std::sync::Arc;

use super::server::Server;
use crate::log::Retained;
use crate::log::below::{Answer, Below, Figures, Found, Wanted};
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::matcher::Matchers;

pub(crate) struct OnServer(pub(crate) Arc<Server>);

impl OnServer {
    /// What `look` finds when the server answers.
    fn answer<T: Send + 'static>(&self, look: impl FnOnce(&Server) -> T + Send + 'static) -> Answer<T> {
        let server = Arc::clone(&self.0);
        Box::pin(async move {
            server.answers().await?;
            Ok(look(&server))
        })
    }
}

impl Below for OnServer {
    fn oldest(&self) -> Option<u64> {
        self.0.kept().entries.first_key_value().map(|(oldest, _)| *oldest)
    }

    fn drops(&self) -> u64 {
        self.0.kept().drops
    }

    fn missed(&self, after: After, matchers: &Matchers) -> Missed {
        self.0.missed(after, matchers, 0)
    }

    fn is_lost_in_a_crash(&self, _: u64) -> bool {
        false
    }

    fn find(&self, id: &str) -> Answer<Option<u64>> {
        let id = id.to_owned();
        self.answer(move |server| {
            let has_id = |entry: &&Arc<Entry>| entry.publisher_id.as_ref().is_some_and(|own| **own == *id);
            let first = server.kept().entries.values().find(has_id).map(|entry| entry.sequence);
            first.filter(|_| !server.has_left(&id))
        })
    }

    fn before_time(&self, ms: u64) -> Answer<u64> {
        self.answer(move |server| {
            let kept = server.kept();
            let earlier = kept.entries.values().rev().find(|entry| entry.time_ms < ms);
            earlier.map_or(0, |entry| entry.sequence)
        })
    }

    fn newest(&self, number: usize, matchers: &Arc<Matchers>) -> Answer<Vec<u64>> {
        let matchers = Arc::clone(matchers);
        self.answer(move |server| {
            let kept = server.kept();
            let newest = kept.entries.values().rev().filter(|entry| is_match(entry, &matchers));
            newest.take(number).map(|entry| entry.sequence).collect()
        })
    }

    fn read(&self, wanted: Wanted) -> Answer<Found> {
        self.answer(move |server| server.read(&wanted))
    }

    fn figures(&self) -> Figures {
        let kept = self.0.kept();
        let bytes = kept.entries.values().map(|entry| entry.cost()).sum();
        Figures { kept: Retained { entries: kept.entries.len(), bytes }, ..Figures::default() }
    }
}

impl Server {
    fn read(&self, wanted: &Wanted) -> Found {
        let Wanted { max, cursor, matchers, last, drops } = wanted;
        let missed = self.missed(After::Sequence(*cursor), matchers, *drops);
        let kept = self.kept();
        if missed != Missed::Nothing {
            return Found::Lost { missed: missed.number(), drops: kept.drops };
        }
        let mut page: Vec<Arc<Entry>> = Vec::new();
        for (sequence, entry) in kept.entries.range(cursor + 1..).take_while(|(sequence, _)| *sequence <= last) {
            if page.len() == max.entries {
                return Found::Page { entries: page, cursor: sequence - 1, more: true };
            }
            if is_match(entry, matchers) {
                page.push(Arc::clone(entry));
            }
        }
        Found::Page { entries: page, cursor: *last, more: false }
    }
}

fn is_match(entry: &Entry, matchers: &Matchers) -> bool {
    !entry.deletes() && entry.topics.iter().any(|topic| matchers.matches(topic))
}
