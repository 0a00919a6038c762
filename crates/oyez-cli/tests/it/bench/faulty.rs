//! A hub of one topic that makes one mistake.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::script::{Connection, Server};

/// What the hub does at the fourth event of a run, whose sequence number is 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Lose,
    Double,
    /// Sends it after the fifth.
    Swap,
    /// Sends half of it.
    Damage,
    /// Closes the first stream that is open.
    Cut,
    /// Delivers nothing, ever.
    Deaf,
}

pub(super) struct FaultyHub {
    url: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    fault: Fault,
    streams: Mutex<Vec<Connection>>,
    held: Mutex<String>,
    last_publish: Mutex<(String, String)>,
    subscribed: AtomicUsize,
    stop: AtomicBool,
}

impl FaultyHub {
    pub(super) fn start(fault: Fault) -> Self {
        let server = Server::new();
        let shared = Arc::new(Shared {
            fault,
            streams: Mutex::default(),
            held: Mutex::default(),
            last_publish: Mutex::default(),
            subscribed: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let url = server.url("/stream");
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    if let Some(connection) = server.accept_within(Duration::from_millis(20)) {
                        shared.serve(connection);
                    }
                }
            }
        });
        Self { url, shared, accepting: Some(accepting) }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// How many streams were opened.
    pub(super) fn subscribed(&self) -> usize {
        self.shared.subscribed.load(Ordering::Relaxed)
    }

    /// Head and body of the latest publish.
    pub(super) fn last_publish(&self) -> (String, String) {
        self.shared.last_publish.lock().unwrap().clone()
    }
}

impl Drop for FaultyHub {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // a panic there is one of the test, unless it fails already
        if self.accepting.take().unwrap().join().is_err() && !thread::panicking() {
            panic!("the hub panicked");
        }
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, mut connection: Connection) {
        if connection.request_line().starts_with("GET ") {
            connection.open();
            self.subscribed.fetch_add(1, Ordering::Relaxed);
            self.streams.lock().unwrap().push(connection);
            return;
        }
        let shared = Arc::clone(self);
        // ends when the publisher closes its connection
        thread::spawn(move || {
            loop {
                let body = connection.text().to_owned();
                shared.publish(&body);
                *shared.last_publish.lock().unwrap() = (connection.head.clone(), body);
                if connection.try_send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err()
                    || !connection.try_read_request()
                {
                    return;
                }
            }
        });
    }

    fn publish(&self, data: &str) {
        let payload = data.find("oyez.").map(|at| &data[at..]).unwrap();
        let event = format!("data: {payload}\n\n");
        let is_fourth = payload[21..29] == *"00000003";
        match self.fault {
            Fault::Deaf => {}
            Fault::Lose if is_fourth => {}
            Fault::Double if is_fourth => self.send(&event.repeat(2)),
            Fault::Swap if is_fourth => *self.held.lock().unwrap() = event,
            Fault::Damage if is_fourth => self.send(&format!("data: {}\n\n", &payload[..64])),
            Fault::Cut if is_fourth => {
                drop(self.streams.lock().unwrap().remove(0));
                self.send(&event);
            }
            _ => {
                let held = std::mem::take(&mut *self.held.lock().unwrap());
                self.send(&(event + &held));
            }
        }
    }

    fn send(&self, bytes: &str) {
        // who has closed its stream gets no more
        self.streams.lock().unwrap().retain_mut(|stream| stream.try_send(bytes).is_ok());
    }
}
