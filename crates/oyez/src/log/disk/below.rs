//! The disk as the storage below a tail.

use std::io;
use std::sync::Arc;

use super::damage::unreadable;
use super::segment::Segment;
use super::store::Store;
use crate::log::below::{Answer, Below, Figures, Found, Wanted};
use crate::log::gone::{After, Missed};
use crate::log::step::{Step, give_way};
use crate::matcher::Matchers;
use crate::{Error, Topic};

/// The store of a log. Its answers block the thread that polls them, and give way before they do.
pub(crate) struct OnDisk(pub(crate) Arc<Store>);

impl OnDisk {
    /// Runs `look` on a search thread.
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
        Figures {
            kept: self.0.kept(),
            topics: self.0.topics(),
            torn: self.0.opened.torn,
            syncs: self.0.syncs.number(),
            sync_time: self.0.syncs.time(),
        }
    }

    fn release(&self) {
        self.0.volume.release();
    }
}

/// The numbers of the newest entries that match, newest first, at most `number`. Goes segment by segment; each may need a full
/// scan.
async fn newest(store: Arc<Store>, number: usize, matchers: Arc<Matchers>) -> Result<Vec<u64>, Error> {
    let mut newest: Vec<u64> = Vec::new();
    for chain in &store.chains {
        let mut left = number;
        for segment in chain.after(0).iter().rev() {
            give_way().await;
            let found = newest_of(segment, left, &matchers).await?;
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

/// The numbers of the newest matching entries of a segment, at most `number`.
async fn newest_of(segment: &Segment, number: usize, matchers: &Matchers) -> Result<Vec<u64>, Error> {
    if matchers.is_all() {
        return segment.newest(number).map_err(unreadable);
    }
    let mut newest = Vec::new();
    for topic in names_of(segment, matchers).await? {
        newest.extend(segment.newest_of(&topic, number).map_err(unreadable)?);
    }
    newest.sort_unstable();
    newest.dedup();
    let surplus = newest.len().saturating_sub(number);
    newest.drain(..surplus);
    Ok(newest)
}

/// The selected topics of a segment. Patterns are tried without the lock of its index.
async fn names_of(segment: &Segment, matchers: &Matchers) -> Result<Vec<Topic>, Error> {
    if matchers.is_exact() {
        return Ok(matchers.exact.to_vec());
    }
    let mut names = segment.topics().map_err(unreadable)?;
    let (mut step, mut selected) = (Step::of(matchers), 0);
    for at in 0..names.len() {
        step.give_way_when_over(matchers).await;
        step.look_at(&names[at..=at]);
        if matchers.matches(&names[at]) {
            names.swap(selected, at);
            selected += 1;
        }
    }
    names.truncate(selected);
    Ok(names)
}
