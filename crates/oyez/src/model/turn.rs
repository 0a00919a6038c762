//! One turn of a stream, and what it waits for.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::bell::Bell;
use super::engine::Engine;
use crate::Error;
use crate::log::Search;
use crate::output::{Output, Turn};
use crate::subscribe::Subscribe;
use crate::subscriber::Subscriber;
use crate::typed::Payload;

/// Something that a stream has to wait for before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Unasked,
    /// It comes when its engine is back.
    Coming,
    /// It was read just now, and is taken with the next turn.
    There,
}

/// Goes on with a stream until it says something, or waits.
pub(super) fn take_turn(
    engine: &impl Engine,
    subscriber: &mut Subscriber,
    now: Instant,
    out: &mut Vec<Output>,
) -> (Turn, Page) {
    let (mut turn, mut page) = poll(engine, subscriber, now, out);
    while has_second_look(subscriber, page, out) {
        (turn, page) = poll(engine, subscriber, now, out);
    }
    (turn, page)
}

/// A result may take a second look. The world must not change after that before the result is told, because what it says of gaps is
/// true now.
pub(super) fn has_second_look(subscriber: &Subscriber, page: Page, out: &[Output]) -> bool {
    let is_silent = out.iter().all(|output| matches!(output, Output::KeepAlive(_)));
    is_silent && page == Page::There && subscriber.has_page_of_now()
}

/// One look. A page is there at once, unless its engine is away.
pub(super) fn poll(
    engine: &impl Engine,
    subscriber: &mut Subscriber,
    now: Instant,
    out: &mut Vec<Output>,
) -> (Turn, Page) {
    let bell = Arc::new(Bell::default());
    let turn = subscriber.poll(now, &Waker::from(Arc::clone(&bell)), out);
    if !subscriber.is_fetching() {
        return (turn, Page::Unasked);
    }
    let was_there = subscriber.has_fetched();
    engine.core().log.run_searches();
    let page = if subscriber.has_fetched() { Page::There } else { Page::Coming };
    assert!(page == Page::There || engine.is_away(), "it never comes");
    let is_told = was_there || page == Page::Coming || !matches!(turn, Turn::Wait(_)) || bell.has_rung();
    assert!(is_told, "nobody says that the page is there");
    (turn, page)
}

/// Begins a stream. `Err` when it looks for its place until its engine is back.
pub(super) fn begin<T: Payload>(
    engine: &impl Engine,
    subscribe: Subscribe<T>,
    now: Instant,
    now_ms: u64,
) -> Result<Result<Subscriber, Error>, Search<Result<Subscriber, Error>>> {
    let search = match subscribe.begin_at(now, now_ms) {
        Ok(search) => search,
        Err(error) => return Ok(Err(error)),
    };
    engine.core().log.run_searches();
    match search.take(Waker::noop()) {
        Some(found) => Ok(found),
        None => Err(search),
    }
}
