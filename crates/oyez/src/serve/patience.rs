//! Who takes nothing, told apart from who takes little.
//!
//! The kernel's timeout (`TCP_USER_TIMEOUT`) finds a peer that is gone, and also cuts a reader whose window is closed most of the time
//! though it takes bytes steadily. So it is off from the moment that a socket is full until all has been sent, and meanwhile this says
//! who takes nothing: by the bytes that the kernel has still to send.

use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::limits::serve::PATIENCE_LOOKS;
#[cfg(target_os = "linux")]
use crate::limits::serve::{NOT_SENT_BYTES, UNSENT_BYTES_MAX};

/// What is known of a reader whose socket was full.
#[derive(Debug)]
pub(crate) struct Patience {
    /// The reader has taken nothing since then, as far as was seen.
    since: Instant,
    /// So many bytes would have to be sent still if it had taken nothing since it was looked at last.
    unsent: Option<u32>,
}

/// What a look at a socket found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The kernel has sent all.
    Drained,
    /// There is something to take.
    Waits,
    /// There was something to take for the whole stall time, and nothing was taken.
    TookNothing,
}

impl Patience {
    /// The socket is full. One that is not TCP has no options.
    pub(crate) fn begin(socket: Option<&SockRef<'_>>, now: Instant) -> Self {
        if let Some(socket) = socket {
            set_kernel_timeout(socket, None);
        }
        Self { since: now, unsent: None }
    }

    /// The socket takes more again: the reader has taken something.
    pub(crate) fn has_been_read(&mut self, now: Instant) {
        self.since = now;
    }

    /// The kernel has taken so many bytes, be the reader there or not.
    pub(crate) fn has_written(&mut self, bytes: usize) {
        if let Some(unsent) = &mut self.unsent {
            *unsent = unsent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Looks what the reader has taken. When all is sent the kernel's timeout is `stall` again.
    pub(crate) fn look(&mut self, socket: Option<&SockRef<'_>>, stall: Duration, now: Instant) -> Seen {
        // where nobody says it, a reader has taken something when its socket takes more
        let unsent = socket.and_then(unsent);
        if let (Some(socket), Some(0)) = (socket, unsent) {
            set_kernel_timeout(socket, Some(stall));
            return Seen::Drained;
        }
        let has_taken = match (unsent, self.unsent) {
            (Some(now), Some(before)) => now < before,
            // the first look knows no more than that there is something
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.unsent = unsent;
        if has_taken {
            self.since = now;
        }
        match now.saturating_duration_since(self.since) >= stall {
            true => Seen::TookNothing,
            false => Seen::Waits,
        }
    }

    /// When to look next.
    pub(crate) fn next_look(stall: Duration, now: Instant) -> Option<Instant> {
        now.checked_add(stall / PATIENCE_LOOKS)
    }
}

/// After how long the kernel gives up on a peer that acknowledges nothing; never is none.
#[cfg(target_os = "linux")]
fn set_kernel_timeout(socket: &SockRef<'_>, timeout: Option<Duration>) {
    if let Err(error) = socket.set_tcp_user_timeout(timeout) {
        tracing::debug!(%error, "a socket option is not available");
    }
}

#[cfg(not(target_os = "linux"))]
fn set_kernel_timeout(_: &SockRef<'_>, _: Option<Duration>) {}

/// The bytes that the kernel has taken and not sent yet. It says whether they are fewer than a bound, which is searched for: a
/// socket is writable when twice as many are below `TCP_NOTSENT_LOWAT`.
#[cfg(target_os = "linux")]
fn unsent(socket: &SockRef<'_>) -> Option<u32> {
    let (mut low, mut high) = (0, UNSENT_BYTES_MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        match is_unsent_below(socket, middle + 1) {
            Ok(true) => high = middle,
            Ok(false) => low = middle + 1,
            Err(_) => break,
        }
    }
    let is_known = socket.set_tcp_notsent_lowat(NOT_SENT_BYTES).is_ok() && low == high;
    is_known.then_some(low)
}

#[cfg(target_os = "linux")]
fn is_unsent_below(socket: &SockRef<'_>, bytes: u32) -> std::io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    socket.set_tcp_notsent_lowat(2 * bytes - 1)?;
    let mut sockets = [PollFd::new(&**socket, PollFlags::OUT)];
    poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(sockets[0].revents().contains(PollFlags::OUT))
}

/// Nobody else says it: then a reader has taken something when its socket takes more.
#[cfg(not(target_os = "linux"))]
fn unsent(_: &SockRef<'_>) -> Option<u32> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::clock;
    use crate::serve::transport::tune;

    const STALL: Duration = Duration::from_secs(30);

    /// A socket that is full, and its reader.
    fn full() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        tune(&listener, STALL);
        let reader = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        reader.set_recv_buffer_size(8 << 10).unwrap();
        reader.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.write(&[0; 1_000]).is_ok() {}
        (socket, reader.into())
    }

    fn take(reader: &mut TcpStream, bytes: usize) {
        reader.read_exact(&mut vec![0; bytes]).unwrap();
    }

    #[test]
    fn who_takes_little_is_told_from_who_takes_nothing_by_what_is_still_to_be_sent() {
        let (mut socket, mut reader) = full();
        let start = clock::now();
        let mut patience = Patience::begin(Some(&SockRef::from(&socket)), start);
        let timeout = |socket: &TcpStream| SockRef::from(socket).tcp_user_timeout().unwrap();
        assert_eq!(timeout(&socket), None, "the kernel would cut it");
        let mut now = start;
        let mut look = |patience: &mut Patience, socket: &TcpStream, seconds: u64| {
            now += Duration::from_secs(seconds);
            patience.look(Some(&SockRef::from(socket)), STALL, now)
        };
        assert_eq!(look(&mut patience, &socket, 5), Seen::Waits);
        for _ in 0..3 {
            let before = patience.unsent.unwrap();
            take(&mut reader, 9_000);
            while unsent(&SockRef::from(&socket)).unwrap() >= before {
                std::thread::yield_now(); // the window is told a moment later
            }
            assert_eq!(look(&mut patience, &socket, 29), Seen::Waits, "it has taken something");
        }
        assert_eq!(look(&mut patience, &socket, 29), Seen::Waits);
        assert_eq!(look(&mut patience, &socket, 1), Seen::TookNothing);
        let before = patience.unsent.unwrap();
        let written = socket.write(&[0; 100]).unwrap();
        patience.has_written(written);
        assert_eq!(look(&mut patience, &socket, 1), Seen::TookNothing, "what we write it has not taken");
        assert_eq!(patience.unsent, Some(before + 100));
        assert_eq!(timeout(&socket), None);

        let mut drain = reader.try_clone().unwrap();
        let drained = std::thread::spawn(move || drain.read_to_end(&mut Vec::new()).unwrap());
        while look(&mut patience, &socket, 0) != Seen::Drained {
            std::thread::yield_now();
        }
        assert_eq!(timeout(&socket), Some(STALL));
        assert_eq!(SockRef::from(&socket).tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES);
        drop(socket);
        assert!(drained.join().unwrap() > 9_000);
    }
}
