//! What tells a running command to stop or to reconnect from outside.

use std::future::pending;
use std::process;
use std::time::Duration;

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

#[cfg(unix)]
pub(crate) struct Stop {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Stop {
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = of(&mut self.interrupt) => {}
            () = of(&mut self.terminate) => {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Stop;

#[cfg(not(unix))]
impl Stop {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// SIGUSR1, where there is such a thing.
pub(crate) struct Reconnect(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Reconnect {
    #[cfg(unix)]
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::user_defined1()).ok())
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Self {
        Self()
    }

    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        of(&mut self.0).await;
        #[cfg(not(unix))]
        pending::<()>().await;
    }
}

#[cfg(unix)]
async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        // a signal that cannot be listened to never comes
        None => pending().await,
    }
}

/// Resolves when whoever reads standard output is gone: `oyez sub URL | head -1` ends although no further event
/// comes that could fail to be written.
#[cfg(unix)]
pub(crate) async fn reader_gone() {
    use std::os::fd::AsFd;
    use tokio::io::Interest;
    use tokio::net::unix::pipe::Sender;
    // only watched, never written to, so it may stay a blocking one; a file cannot be watched, and has no reader
    let watched = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    let Ok(output) = watched else { return pending().await };
    if output.ready(Interest::ERROR).await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(not(unix))]
pub(crate) async fn reader_gone() {
    pending().await
}
