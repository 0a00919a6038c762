//! The disk, as what a log stands on.

use std::io;
use std::sync::Arc;

use super::chain::newest_of;
use super::damage::unreadable;
use super::store::Store;
use crate::Error;
use crate::log::below::{Answer, Below, Figures, Found, Wanted};
use crate::log::gone::{After, Missed};
use crate::log::step::give_way;
use crate::matcher::Matchers;

/// The store of a log, whose answers block the thread that polls them. Each gives way before it does.
pub(crate) struct OnDisk(pub(crate) Arc<Store>);

impl OnDisk {
    /// What `look` says, on a thread for searches.
    fn answer<T: Send + 'static>(&self, look: impl FnOnce(&Store) -> io::Result<T> + Send + 'static) -> Answer<T> {
        let store = Arc::clone(&self.0);
        Box::pin(async move {
            give_way().await;
            look(&store).map_err(unreadable)
        })
    }
}

impl Below for OnDisk {
    fn oldest(&self) -> Option<u64> {
        self.0.oldest()
    }

    fn drops(&self) -> u64 {
        self.0.drops()
    }

    fn missed(&self, after: After, matchers: &Matchers) -> Missed {
        self.0.missed(after, matchers)
    }

    fn is_lost_in_a_crash(&self, sequence: u64) -> bool {
        self.0.is_lost_in_a_crash(sequence)
    }

    fn find(&self, id: &str) -> Answer<Option<u64>> {
        let id = id.to_owned();
        self.answer(move |store| store.find_publisher_id(&id))
    }

    fn before_time(&self, ms: u64) -> Answer<u64> {
        self.answer(move |store| store.before_time(ms))
    }

    fn newest(&self, number: usize, matchers: &Arc<Matchers>) -> Answer<Vec<u64>> {
        Box::pin(newest(Arc::clone(&self.0), number, Arc::clone(matchers)))
    }

    fn read(&self, wanted: Wanted) -> Answer<Found> {
        self.answer(move |store| store.read(&wanted))
    }

    fn figures(&self) -> Figures {
        Figures { kept: self.0.kept(), topics: self.0.topics(), torn: self.0.opened.torn }
    }

    fn release(&self) {
        self.0.volume.release();
    }
}

/// The numbers of the newest entries that match, newest first, at most so many: segment by segment, each of which may have to be
/// looked through.
async fn newest(store: Arc<Store>, number: usize, matchers: Arc<Matchers>) -> Result<Vec<u64>, Error> {
    let mut newest: Vec<u64> = Vec::new();
    for chain in &store.chains {
        let mut left = number;
        for segment in chain.behind(0).iter().rev() {
            give_way().await;
            let found = newest_of(segment, left, &matchers).map_err(unreadable)?;
            left = left.saturating_sub(found.len());
            newest.extend(found);
            if left == 0 {
                break;
            }
        }
    }
    newest.sort_unstable_by(|a, b| b.cmp(a));
    newest.dedup();
    newest.truncate(number);
    Ok(newest)
}
