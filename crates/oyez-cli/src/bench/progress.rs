//! What is going on, for whoever waits at a terminal.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// A line on standard error; nothing where that is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    round: Cell<String>,
    said: Cell<Option<Instant>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, round: Cell::default(), said: Cell::new(None) }
    }

    pub(crate) fn round(&self, round: u32, rounds: u32) {
        self.round.set(if rounds > 1 { format!("round {round} of {rounds}: ") } else { String::new() });
    }

    /// Shows a line, but not more often than an eye can follow.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.bar.is_hidden() || self.said.get().is_some_and(|said| said.elapsed() < SHOWN_FOR) {
            return;
        }
        self.said.set(Some(Instant::now()));
        let round = self.round.take();
        self.bar.set_message(format!("{round}{}", line()));
        self.round.set(round);
        self.bar.tick();
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

const SHOWN_FOR: Duration = Duration::from_millis(100);
