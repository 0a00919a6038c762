//! What `oyez serve` says on standard error: the lines of its log, and what people are told at the start and at the end.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::{PanicHookInfo, set_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use oyez_server::{Config, LogFormat};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::reload::Handle;

use crate::limits::{LOG_FLUSH_TIME, LOG_LINES_WAITING_MAX};

/// Takes lines from any thread. It never fails and never waits, whether standard error is a pipe that nobody reads, a terminal
/// that is gone or a file on a full disk: a thread of its own writes, and a line that finds no room or cannot be written is
/// dropped and counted. How many were dropped is logged when a line can be written again.
#[derive(Debug, Clone)]
pub(crate) struct Logger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: SyncSender<Said>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    /// Who waits wants to know that all before it is written.
    Flush(SyncSender<()>),
}

impl Logger {
    /// Lines to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static) -> Self {
        let dropped_lines = |lines| tracing::warn!(lines, "lines of the log could not be written");
        Self::new(out, dropped_lines)
    }

    fn new(out: impl Write + Send + 'static, tell: impl Fn(u64) + Send + 'static) -> Self {
        let (sender, lines) = mpsc::sync_channel(LOG_LINES_WAITING_MAX);
        let shared = Arc::new(Shared { lines: sender, dropped: AtomicU64::new(0) });
        let own = Arc::downgrade(&shared);
        let dropped =
            move |more: u64| own.upgrade().map_or(0, |own| own.dropped.fetch_add(more, Ordering::Relaxed) + more);
        let thread = thread::Builder::new().name("log".to_owned());
        // without a thread all lines are dropped
        drop(thread.spawn(move || write(&lines, out, dropped, tell)));
        Self(shared)
    }

    /// Takes all that the program logs from now on, panics included. Where nobody has said which lines, `RUST_LOG` may.
    pub(crate) fn log(&self, config: &Config, is_level_said: bool) -> LogFilter {
        let (filter, wrong) = filter(config, is_level_said);
        let writer = self.clone();
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
        // what would be said of a line that cannot be written would be said there too, by a print that panics
        let logs = logs.log_internal_errors(false);
        let filter = match config.log_format() {
            LogFormat::Json => {
                let logs = logs.json().with_filter_reloading();
                let filter = LogFilter::of(logs.reload_handle());
                logs.init();
                filter
            }
            _ => {
                let logs = logs.with_ansi(io::stderr().is_terminal()).with_target(false).with_filter_reloading();
                let filter = LogFilter::of(logs.reload_handle());
                logs.init();
                filter
            }
        };
        set_hook(Box::new(log_panic));
        if let Some(error) = wrong {
            tracing::warn!(%error, "RUST_LOG is ignored");
        }
        filter
    }

    /// Says a line of JSON like those of the log.
    pub(crate) fn say_json(&self, level: &str, fields: &Value) {
        let timestamp = format!("{:.6}", jiff::Timestamp::now());
        let line = json!({ "timestamp": timestamp, "level": level, "fields": fields, "target": "oyez" });
        self.say(format!("{line}\n").as_bytes());
    }

    /// Says a whole line, its end included.
    pub(crate) fn say(&self, line: &[u8]) {
        if self.0.lines.try_send(Said::Line(line.to_vec())).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was said is written, but not for ever: standard error may be stuck.
    pub(crate) fn flush(&self) {
        let (written, is_written) = mpsc::sync_channel(1);
        let mut waited = Duration::ZERO;
        while let Err(TrySendError::Full(_)) = self.0.lines.try_send(Said::Flush(written.clone())) {
            if waited >= LOG_FLUSH_TIME {
                return;
            }
            thread::sleep(MOMENT);
            waited += MOMENT;
        }
        drop(written);
        // it may be stuck, and then the lines are lost
        let _ = is_written.recv_timeout(LOG_FLUSH_TIME);
    }
}

impl Write for Logger {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which lines are logged; it can be changed while the program runs.
pub(crate) struct LogFilter(Box<dyn Fn(EnvFilter)>);

impl LogFilter {
    fn of<S: 'static>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Box::new(move |filter| {
            // it fails when nothing is logged any more
            let _ = handle.reload(filter);
        }))
    }

    /// From now on these lines, as [`Logger::log`] has them. `tell` logs that it is so; before, where no such line passes after.
    pub(crate) fn set(&self, config: &Config, is_level_said: bool, tell: impl Fn()) {
        let (filter, _) = filter(config, is_level_said);
        let hides = filter.max_level_hint().is_some_and(|level| level < LevelFilter::INFO);
        if hides {
            tell();
        }
        (self.0)(filter);
        if !hides {
            tell();
        }
    }
}

/// Which lines are logged, and why `RUST_LOG` does not say it although it should.
fn filter(config: &Config, is_level_said: bool) -> (EnvFilter, Option<ParseError>) {
    let common = std::env::var("RUST_LOG").ok().filter(|filter| !is_level_said && !filter.is_empty());
    let level = || EnvFilter::new(config.log_level());
    match common.map(EnvFilter::try_new) {
        None => (level(), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (level(), Some(error)),
    }
}

/// Writes what is said until nobody can say anything more. `dropped` counts, and says how many there are; `tell` is told when
/// these are more than it knows and a line was written.
fn write(lines: &Receiver<Said>, mut out: impl Write, dropped: impl Fn(u64) -> u64, tell: impl Fn(u64)) {
    let mut told = 0;
    for said in lines {
        match said {
            Said::Line(line) => match out.write_all(&line) {
                Err(_) => drop(dropped(1)),
                Ok(()) => {
                    let all = dropped(0);
                    if all > told {
                        tell(all - told);
                        told = all;
                    }
                }
            },
            Said::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// As the hook of the standard library has it, but nobody waits for standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
    tracing::error!(thread = thread::current().name(), backtrace, "{panic}");
}

const MOMENT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;

    use super::*;

    /// A terminal of which every line can be refused.
    #[derive(Clone, Default)]
    struct Terminal {
        lines: Arc<Mutex<Vec<String>>>,
        refuses: Arc<Mutex<bool>>,
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if *self.refuses.lock().unwrap() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.lines.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told_once() {
        let terminal = Terminal::default();
        let (sender, told) = mpsc::channel();
        let logger = Logger::new(terminal.clone(), move |lines| sender.send(lines).unwrap());
        let say = |refuses: bool, line: &str| {
            *terminal.refuses.lock().unwrap() = refuses;
            logger.say(line.as_bytes());
            logger.flush();
        };
        say(false, "1");
        say(true, "2");
        say(true, "3");
        say(false, "4");
        say(false, "5");
        say(true, "6");
        say(false, "7");
        assert_eq!(*terminal.lines.lock().unwrap(), ["1", "4", "5", "7"]);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn nobody_waits_for_a_terminal_that_is_stuck() {
        /// Takes a line when it is told to.
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.recv().map_err(io::Error::other)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (go, wait): (Sender<()>, _) = mpsc::channel();
        let (sender, told) = mpsc::channel();
        let logger = Logger::new(Stuck(wait), move |lines| sender.send(lines).unwrap());
        for _ in 0..LOG_LINES_WAITING_MAX + 10 {
            logger.say(b"line");
        }
        (0..=LOG_LINES_WAITING_MAX).for_each(|_| go.send(()).unwrap());
        let dropped = told.recv().unwrap();
        assert!((9..=10).contains(&dropped), "one may be in the hand of the thread: {dropped}");
    }
}
