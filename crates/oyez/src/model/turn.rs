//! One turn of a stream, and what it waits for.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::bell::Bell;
use super::engine::Engine;
use crate::output::{Output, Turn};
use crate::subscriber::Subscriber;

/// Something that a stream has to wait for before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Unasked,
    /// It comes when its engine is back.
    Coming,
    /// It was read just now, and is taken with the next turn.
    There,
}

/// Goes on with a stream until it says something, or waits. A page is waited for, unless its engine is away.
pub(super) fn take_turn(
    engine: &impl Engine,
    subscriber: &mut Subscriber,
    now: Instant,
    out: &mut Vec<Output>,
) -> (Turn, Page) {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut turn = subscriber.poll(now, &waker, out);
    let mut page = wait(engine, subscriber, &bell);
    // what was found below may take a second look, in which the world does not change: what it says of gaps is true now
    let is_silent = |out: &[Output]| out.iter().all(|output| matches!(output, Output::KeepAlive(_)));
    while is_silent(out) && page == Page::There && subscriber.has_page_of_now() {
        turn = subscriber.poll(now, &waker, out);
        page = wait(engine, subscriber, &bell);
    }
    (turn, page)
}

fn wait(engine: &impl Engine, subscriber: &Subscriber, bell: &Bell) -> Page {
    if !subscriber.is_fetching() {
        return Page::Unasked;
    }
    while !subscriber.has_fetched() {
        if engine.is_away() {
            return Page::Coming;
        }
        bell.wait();
    }
    Page::There
}
