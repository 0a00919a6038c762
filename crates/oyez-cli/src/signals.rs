//! What tells a running command to stop or to reconnect from outside.

use std::future::pending;
use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::process;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Turns true at the first SIGINT or SIGTERM. A command that does not end within `grace` after that, or gets a second
/// signal, is ended with `status`: it may be stuck in a write to a pipe that nobody reads. Needs a runtime that runs
/// tasks while the main thread is blocked.
pub(crate) fn stop(grace: Duration, status: i32) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    let mut signals = Stop::new();
    tokio::spawn(async move {
        signals.next().await;
        sender.send_replace(true);
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = signals.next() => {}
        }
        process::exit(status);
    });
    receiver
}

/// Resolves when `stop` has turned true.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}

pub(crate) struct Stop {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = of(&mut self.interrupt) => {}
            () = of(&mut self.terminate) => {}
        }
    }
}

/// SIGUSR1.
pub(crate) struct Reconnect(Option<Signal>);

impl Reconnect {
    pub(crate) fn new() -> Self {
        Self(signal(SignalKind::user_defined1()).ok())
    }

    pub(crate) async fn next(&mut self) {
        of(&mut self.0).await;
    }
}

/// SIGHUP, which does not end the process from now on.
pub(crate) struct Hangup {
    signal: Option<Signal>,
    has_terminal: bool,
}

impl Hangup {
    pub(crate) fn new() -> Self {
        Self { signal: signal(SignalKind::hangup()).ok(), has_terminal: std::io::stdin().is_terminal() }
    }

    pub(crate) async fn next(&mut self) {
        of(&mut self.signal).await;
    }

    /// Does it come from a terminal that was closed? Then nobody wants the configuration read again.
    pub(crate) fn is_of_terminal(&self) -> bool {
        // a terminal that is gone is none any more
        self.has_terminal && !std::io::stdin().is_terminal()
    }
}

/// From now on a file that would grow beyond the limit of the process (`ulimit -f`) is an error of the write, as a full disk is, and
/// does not end the process.
pub(crate) fn survive_file_limit() {
    let signal = signal(SignalKind::from_raw(SIGXFSZ));
    debug_assert!(signal.is_ok(), "it can be listened to");
    // who listens once has it listened to for good
    drop(signal);
}

/// The same number on Linux, macOS and the BSDs, but for MIPS, which we do not build for.
const SIGXFSZ: i32 = 25;

async fn of(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        // a signal that cannot be listened to never comes
        None => pending().await,
    }
}

/// Resolves when whoever reads standard output is gone: `oyez sub URL | head -1` ends although no further event
/// comes that could fail to be written.
pub(crate) async fn reader_gone() {
    // only watched, never written to, so it may stay a blocking one; a file cannot be watched, and has no reader
    let watched = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    let Ok(output) = watched else { return pending().await };
    if output.ready(Interest::ERROR).await.is_err() {
        pending::<()>().await;
    }
}
