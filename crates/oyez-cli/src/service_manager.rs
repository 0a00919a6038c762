//! The service manager that started the process, such as systemd, and what it is told.
//!
//! Source: sd_notify(3).

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

use crate::limits::NOTIFY_TIME;

/// Whoever waits at `NOTIFY_SOCKET`; nobody where that is not set.
pub(crate) struct ServiceManager {
    at: Option<OsString>,
}

impl ServiceManager {
    pub(crate) fn of_environment() -> Self {
        Self { at: std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) }
    }

    /// Both listeners accept.
    pub(crate) fn ready(&mut self, status: &str) {
        self.tell(&format!("READY=1\n{}", status_line(status)));
    }

    /// Settings are read again; [`ServiceManager::ready`] is to follow.
    pub(crate) fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n{}", status_line("reads the settings again")));
    }

    /// A drain begins.
    pub(crate) fn stopping(&mut self) {
        self.tell(&format!("STOPPING=1\n{}", status_line("drains: no new connections, streams end one after another")));
    }

    /// One that cannot be told is warned of, and not told again.
    fn tell(&mut self, message: &str) {
        let Some(at) = &self.at else { return };
        if let Err(error) = send(at, message.as_bytes()) {
            tracing::warn!(socket = %at.display(), %error, "the service manager at NOTIFY_SOCKET cannot be told");
            self.at = None;
        }
    }
}

/// It may hold no line break: the next line would be another word to the manager.
fn status_line(status: &str) -> String {
    format!("STATUS={}", status.replace(['\n', '\r'], " "))
}

fn send(at: &OsStr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(NOTIFY_TIME))?;
    socket.send_to_addr(message, &address(at)?).map(drop)
}

/// A path, or a name without a file, which is written with an `@`.
fn address(at: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = at.as_bytes().strip_prefix(b"@") {
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(at)
}
