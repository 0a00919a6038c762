//! Reading the log: a page at a time, after a cursor.

use std::sync::Arc;

use crate::gap::Reason;
use crate::limits::{PAGE_BYTES, PAGE_BYTES_BELOW, PAGE_ENTRIES, PAGE_ENTRIES_BELOW, SEARCH_STEPS};
use crate::log::Retained;
use crate::log::below::{Found, Wanted};
use crate::log::deletions::{Deleted, Hidden};
use crate::log::entry::Entry;
use crate::log::gone::{After, Missed};
use crate::log::log::Log;
use crate::log::page::{Behind, Later, Lost, Moment, Page, PageBuilder, Read};
use crate::log::search::Search;
use crate::log::snapshot::Snapshot;
use crate::log::step::{Step, give_way};
use crate::log::tail::Tail;
use crate::matcher::Matchers;
use crate::sync::RwLockReadGuard;

impl Log {
    /// Reads the next matching entries after a place: at most a page. It does one step at most; a longer read comes later. `drops`
    /// is the number of drops of which the stream already knows.
    pub(crate) fn read(self: &Arc<Self>, from: Behind, matchers: &Arc<Matchers>, drops: u64) -> Page {
        let mut from = from;
        // with many patterns a step covers only a few entries: a reader with a large lag takes no step here
        let is_costly = Step::is_short(matchers) && from.cursor.saturating_add(PAGE_ENTRIES as u64) < self.head();
        let read = if is_costly { None } else { self.read_tail(PAGE, from, matchers) };
        if let Some(read) = read {
            let Read { entries, cursor, more, .. } = read;
            if !(entries.is_empty() && more) {
                return Page::Read { entries, cursor, more, gap: None };
            }
            from.cursor = cursor; // most entries are skipped, so this may take long
        }
        if let Some(search) = self.read_ahead(from.cursor, matchers, drops) {
            return Page::Later(search);
        }
        let (log, matchers) = (Arc::clone(self), Arc::clone(matchers));
        self.later(async move {
            if is_costly {
                give_way().await;
            }
            log.read_on(from, &matchers).await
        })
    }

    /// [`Log::read`] of the tail alone, with a page of another size. `None` if the tail alone cannot tell what comes next.
    pub(crate) fn read_tail(&self, page: Retained, from: Behind, matchers: &Matchers) -> Option<Read> {
        self.tail.read().read(page, from, matchers)
    }

    /// Begins to read the entries below the tail after `cursor`, if there is storage.
    pub(crate) fn read_ahead(&self, cursor: u64, matchers: &Arc<Matchers>, drops: u64) -> Option<Search<Later>> {
        let last = self.tail.read().front() - 1;
        if !self.below.keeps() || cursor >= last {
            return None;
        }
        let found = self.below.read(Wanted { max: PAGE_BELOW, cursor, matchers: Arc::clone(matchers), last, drops });
        Some(self.searches.begin(async move { Later::Found(found.await) }))
    }

    /// The result of a read that took longer, for a stream at that place. `None` if the stream must read again, because entries of
    /// the result may have been hidden or dropped since.
    pub(crate) fn take(self: &Arc<Self>, later: Later, from: Behind, matchers: &Arc<Matchers>) -> Option<Page> {
        Some(match later {
            Later::Page(page, moment) => return (moment == self.moment()).then_some(page),
            Later::Found(Ok(found)) => {
                let (log, matchers) = (Arc::clone(self), Arc::clone(matchers));
                self.later(async move { log.take_found(found, from, &matchers).await })
            }
            Later::Found(Err(error)) => Page::Failed(error),
        })
    }

    /// Reads the next matching values of `snapshot` after `cursor`, as [`Log::read`] reads the log.
    pub(crate) fn read_values(self: &Arc<Self>, cursor: u64, snapshot: &Snapshot, matchers: &Arc<Matchers>) -> Page {
        if let Some(read) = self.tail.read().read_values(PAGE, cursor, snapshot, matchers) {
            let Read { entries, cursor, more, .. } = read;
            return Page::Read { entries, cursor, more, gap: None };
        }
        let (log, matchers, snapshot) = (Arc::clone(self), Arc::clone(matchers), *snapshot);
        self.later(async move { log.read_values_on(cursor, snapshot, &matchers).await })
    }

    /// A page that may take more than one step; most take one.
    fn later(self: &Arc<Self>, page: impl Future<Output = Page> + Send + 'static) -> Page {
        let moment = self.moment();
        let search = self.searches.begin(async move { Later::Page(page.await, moment) });
        match search.at_once() {
            Ok(Later::Page(page, _)) => page,
            Ok(found) => Page::Later(Search::of(found)),
            Err(search) => Page::Later(search),
        }
    }

    fn moment(&self) -> Moment {
        Moment { deletion: self.newest_deletion(), drops: self.below.drops() }
    }

    /// The next page if the tail alone cannot tell: something was deleted, or in a log in memory the place was dropped.
    async fn read_on(&self, from: Behind, matchers: &Arc<Matchers>) -> Page {
        let read = self.read_over_nothing(from, matchers).await;
        self.page(read, from.cursor, 0, matchers).await
    }

    /// Reads after any place, without the storage below.
    pub(super) async fn read_over_nothing(&self, from: Behind, matchers: &Matchers) -> Result<Read, Lost> {
        let Behind { cursor, known } = from;
        loop {
            let deletion = self.newest_deletion();
            let hidden = self.hidden_after(cursor, known, matchers).await;
            let place = Behind { cursor, known: deletion };
            if let Some(read) = self.read_unless_gone(place, hidden, matchers).await {
                return Ok(read);
            }
            let (gone, missed, values) = {
                let tail = self.tail.read();
                let gone = tail.front() - 1;
                if deletion != self.newest_deletion() || cursor >= gone {
                    continue;
                }
                if self.below.keeps() {
                    // entries left the tail meanwhile: they are read from below
                    return Ok(PageBuilder::new(PAGE).finish(cursor, true));
                }
                let missed = tail.missed(After::Sequence(cursor), matchers, gone + 1);
                (gone, missed, tail.values_after(cursor, gone))
            };
            let lost = |reason, missed: Missed| Lost { reason, missed: missed.number(), cursor: gone, values };
            let missed = missed.settle(matchers).await;
            if missed != Missed::Nothing {
                return Err(lost(Reason::Policy, missed));
            }
            if let Some(hidden) = hidden.filter(|hidden| hidden.last <= gone) {
                return Err(lost(Reason::Deleted, hidden.missed));
            }
            let mut page = PageBuilder::new(PAGE);
            let snapshot = values.map(|(_, snapshot)| snapshot);
            let read_into = |snapshot| self.tail.read().facts.latest.read_into(&mut page, cursor, &snapshot, matchers);
            let stopped = snapshot.and_then(read_into);
            if deletion == self.newest_deletion() {
                return Ok(page.finish(stopped.unwrap_or(gone), true));
            }
        }
    }

    /// Reads the tail after a place, unless the place was dropped or something was deleted since `known`. The page ends at the last
    /// hidden entry.
    async fn read_unless_gone(&self, from: Behind, hidden: Option<Hidden>, matchers: &Matchers) -> Option<Read> {
        let read = if matchers.is_exact() {
            let (tail, end) = self.tail_unless_gone(from, hidden)?;
            tail.read_up_to(PAGE, from.cursor, end, matchers)
        } else {
            self.scan(from, hidden, matchers).await?
        };
        let hidden = hidden.filter(|_| !read.more);
        Some(Read { hidden, more: read.more || hidden.is_some(), ..read })
    }

    /// Searches the tail for entries that patterns select, a few at a time and without the lock, until some are found or many were
    /// looked at.
    async fn scan(&self, from: Behind, hidden: Option<Hidden>, matchers: &Matchers) -> Option<Read> {
        let (mut page, mut step, mut steps) = (PageBuilder::new(PAGE), Step::of(matchers), 0);
        let mut cursor = from.cursor;
        loop {
            let (some, end) = {
                let (tail, end) = self.tail_unless_gone(Behind { cursor, ..from }, hidden)?;
                (tail.some_after(cursor, end), end)
            };
            if some.is_empty() {
                return Some(page.finish(end, false));
            }
            for entry in &some {
                if page.is_full() || (step.is_over() && (!page.is_empty() || steps == SEARCH_STEPS)) {
                    return Some(page.finish(cursor, true));
                }
                if step.is_over() {
                    steps += 1;
                    step.give_way(matchers).await;
                }
                step.look_at(&entry.topics);
                let is_match = matchers.select(entry.topics.iter()) && self.tail.read().facts.is_match(entry, matchers);
                page.push(Some(entry).filter(|_| is_match));
                cursor = entry.sequence;
            }
        }
    }

    /// The tail, and the end of a page after this place, if all of the page is in the tail.
    fn tail_unless_gone(&self, from: Behind, hidden: Option<Hidden>) -> Option<(RwLockReadGuard<'_, Tail>, u64)> {
        let tail = self.tail.read();
        if from.known != self.newest_deletion() || from.cursor + 1 < tail.front() {
            return None;
        }
        let end = hidden.map_or(tail.head, |hidden| hidden.last);
        Some((tail, end))
    }

    /// The entries found below, for a stream at that place; the tail follows.
    async fn take_found(&self, found: Found, from: Behind, matchers: &Arc<Matchers>) -> Page {
        let Behind { cursor, known } = from;
        let (mut entries, mut end) = match found {
            Found::Page { entries, cursor: end, .. } => (entries, end),
            Found::Lost { missed, drops } => {
                let lost = Lost { reason: Reason::Policy, missed, cursor, values: None };
                return self.page(Err(lost), cursor, drops, matchers).await;
            }
        };
        let mut step = Step::of(matchers);
        loop {
            let deletion = self.newest_deletion();
            let hidden = self.hidden_after(cursor, known, matchers).await.filter(|hidden| hidden.last <= end);
            end = hidden.map_or(end, |hidden| hidden.last);
            entries.retain(|entry| entry.sequence <= end);
            self.retain_matching(&mut entries, matchers, &mut step).await;
            let read = {
                let tail = self.tail.read();
                if deletion != self.newest_deletion() {
                    continue;
                }
                let mut page = PageBuilder::new(PAGE_BELOW);
                let remaining = tail.remaining(cursor, end);
                let values = &tail.facts.latest;
                let stopped = remaining.and_then(|values_of| values.read_into(&mut page, cursor, &values_of, matchers));
                let stopped = stopped.filter(|stopped| *stopped < end);
                merged(entries, page, stopped.unwrap_or(end), hidden.filter(|_| stopped.is_none()))
            };
            return self.page(Ok(read), cursor, 0, matchers).await;
        }
    }

    /// Keeps the entries that still match by one of these topics. The storage does not know which entries are hidden.
    pub(super) async fn retain_matching(&self, entries: &mut Vec<Arc<Entry>>, matchers: &Matchers, step: &mut Step) {
        let is_hidden = |entry: &Arc<Entry>| {
            let deletions = &self.tail.read().facts.deletions;
            entry.deletes() || entry.topics.iter().any(|topic| deletions.hides(topic, entry.sequence))
        };
        let mut at = 0;
        while at < entries.len() {
            if is_hidden(&entries[at]) {
                step.give_way_when_over(matchers).await;
                step.look_at(&entries[at].topics);
                if !self.tail.read().facts.is_match(&entries[at], matchers) {
                    entries.remove(at);
                    continue;
                }
            }
            at += 1;
        }
    }

    async fn read_values_on(&self, cursor: u64, snapshot: Snapshot, matchers: &Arc<Matchers>) -> Page {
        let lost =
            |reason, values| Lost { reason, missed: None, cursor: snapshot.upto, values: Some((cursor, values)) };
        let (loss, again) = {
            let tail = self.tail.read();
            (tail.lost_values(cursor, &snapshot, matchers), tail.snapshot_again(&snapshot))
        };
        let read = if loss.settle(matchers).await != Missed::Nothing {
            Err(lost(Reason::Policy, again))
        } else {
            let hidden = self.hidden_after(cursor, snapshot.known, matchers).await;
            match hidden.filter(|hidden| hidden.last <= snapshot.upto) {
                Some(_) => Err(lost(Reason::Deleted, Snapshot { known: again.known, ..snapshot })),
                None => Ok(self.tail.read().facts.latest.read(PAGE, cursor, &snapshot, matchers)),
            }
        };
        self.page(read, cursor, 0, matchers).await
    }

    /// The page of what was read after `cursor`, with its gap.
    async fn page(&self, read: Result<Read, Lost>, cursor: u64, drops: u64, matchers: &Arc<Matchers>) -> Page {
        match read {
            Ok(Read { entries, cursor, more, hidden: None }) => Page::Read { entries, cursor, more, gap: None },
            Ok(Read { entries, hidden: Some(hidden), .. }) => self.hidden_page(entries, hidden, cursor, matchers).await,
            Err(lost) => {
                let (mut gap, values) = self.gap(lost, self.position(cursor).to_string(), matchers).await;
                if self.below.keeps() && self.below.drops() != drops {
                    gap.missed = None; // more was dropped since it was counted
                }
                Page::Lost { gap, values, drops }
            }
        }
    }

    /// The page of `entries`, after which come hidden ones.
    async fn hidden_page(
        &self,
        entries: Vec<Arc<Entry>>,
        hidden: Hidden,
        cursor: u64,
        matchers: &Arc<Matchers>,
    ) -> Page {
        let Hidden { last, missed } = hidden;
        let lost = Lost { reason: Reason::Deleted, missed: missed.number(), cursor: last, values: None };
        let requested = entries.last().map_or(cursor, |entry| entry.sequence);
        let (mut gap, _) = self.gap(lost, self.position(requested).to_string(), matchers).await;
        let next = self.hidden_after(last, 0, matchers).await;
        let tells_of_both = next.is_some_and(|next| next.last <= gap.position.sequence);
        // entries may have been dropped below since this was read
        if tells_of_both || self.below.missed(After::Sequence(last), matchers) != Missed::Nothing {
            gap.missed = None;
        }
        Page::Read { entries, cursor: gap.position.sequence, more: true, gap: Some(gap) }
    }

    /// The first hidden entries after `cursor` that a reader has to be told of, because of deletions after `known`.
    async fn hidden_after(&self, cursor: u64, known: u64, matchers: &Matchers) -> Option<Hidden> {
        let deleted = self.tail.read().facts.deletions.after(cursor, known);
        Deleted::first(deleted, matchers).await.map(|(hidden, _)| hidden)
    }

    /// Whether a reader after this place has to be told of a deletion.
    pub(super) async fn is_hidden_after(&self, cursor: u64, known: u64, matchers: &Matchers) -> bool {
        self.hidden_after(cursor, known, matchers).await.is_some()
    }
}

/// Entries and values up to the number `end`, in the order of the log.
fn merged(mut entries: Vec<Arc<Entry>>, values: PageBuilder, end: u64, hidden: Option<Hidden>) -> Read {
    let values = values.finish(end, true).entries;
    entries.retain(|entry| entry.sequence <= end);
    if !values.is_empty() {
        entries.extend(values);
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries.dedup_by_key(|entry| entry.sequence);
    }
    Read { entries, cursor: end, more: true, hidden }
}

/// The page of one turn of a stream.
pub(super) const PAGE: Retained = Retained { entries: PAGE_ENTRIES, bytes: PAGE_BYTES };
/// The page of one read below, which runs while the stream takes the previous one.
pub(crate) const PAGE_BELOW: Retained = Retained { entries: PAGE_ENTRIES_BELOW, bytes: PAGE_BYTES_BELOW };
