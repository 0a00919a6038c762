//! `oyez serve` as a process.

use std::net::SocketAddr;

use crate::command::Oyez;

pub(crate) struct Hub {
    process: Oyez,
    address: SocketAddr,
}

impl Hub {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let process = Oyez::start(arguments.into_iter().chain(flags.iter().copied()));
        let listening = process.line();
        let address = listening.strip_prefix("listening on http://").expect("the address").parse().unwrap();
        process.prints(&["admin on http://…"]);
        Self { process, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn stop(self) {
        self.process.signal("TERM");
        self.process.ends(0, "…");
    }
}
