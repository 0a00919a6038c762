//! What grants cost: one topic and many readers, each with a grant of its own, beside the same readers without.
//!
//! ```text
//! cargo run --release -p oyez-bench-peers --bin grants -- [READERS] [ROUNDS]
//! ```
//! Three servers in this process have as many readers each, over loopback sockets: `none` without grants, `public` with a
//! different grant for each reader and public entries, `private` with the same grants and private entries that all of them
//! may have. Rounds are interleaved. `paced` publishes an event when all readers have the one before, so that each delivery is
//! one write; `full` publishes as fast as it can, and deliveries coalesce. Told is the time on the processor of the fan-out
//! threads for a delivery, and its ratio to `none` in the same round; medians with least and most.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::error::Error;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use mio::{Events, Interest, Poll, Token};
use oyez::{Event, Grant, Hub, Publish, Retention, Sse, Topic};

/// As in the binary.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const PACED_EVENTS: u64 = 200;
const FULL_EVENTS: u64 = 4_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Outcome {
    let number = |at: usize, default: usize| std::env::args().nth(at).map_or(Ok(default), |text| text.parse());
    let (readers, rounds) = (number(1, 1_000)?, number(2, 9)?);
    let mut variants = Vec::new();
    for kind in [Kind::None, Kind::Public, Kind::Private] {
        variants.push(Variant::start(kind, readers).await?);
    }
    for (name, events, paced) in [("paced", PACED_EVENTS, true), ("full", FULL_EVENTS, false)] {
        let mut costs: [Vec<f64>; 3] = Default::default();
        let mut ratios: [Vec<f64>; 3] = Default::default();
        for round in 0..=rounds {
            let mut measured = [0.0; 3];
            for step in 0..3 {
                // none of them always goes first
                let at = (step + round) % 3;
                measured[at] = variants[at].round(events, paced).await?;
            }
            // the first one warms up
            for at in 0..3 * usize::from(round > 0) {
                costs[at].push(measured[at]);
                ratios[at].push(measured[at] / measured[0]);
            }
        }
        for (at, variant) in variants.iter().enumerate() {
            let (cost, ratio) = (spread(&mut costs[at], 3), spread(&mut ratios[at], 3));
            println!("{name} {:?}: {cost} us a delivery, {ratio}x", variant.kind);
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Public,
    Private,
}

struct Variant {
    kind: Kind,
    hub: Hub,
    readers: u64,
    received: Arc<AtomicU64>,
}

impl Variant {
    async fn start(kind: Kind, readers: usize) -> Outcome<Self> {
        let hub = Hub::<Event>::builder().history(Retention::default()).build();
        let app = Router::new().route("/{number}", get(subscribe)).with_state((hub.clone(), kind));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { oyez::serve(listener, app).await });
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        std::thread::Builder::new().name("readers".to_owned()).spawn(move || read(address, readers, &count).ok())?;
        while hub.stats().subscribers < readers as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { kind, hub, readers: readers as u64, received })
    }

    /// Microseconds on the processor for a delivery.
    async fn round(&self, events: u64, paced: bool) -> Outcome<f64> {
        let topic = Topic::new("bench")?;
        let (before, start) = (fan_out_time()?, self.received.load(Relaxed));
        for event in 1..=events {
            let publish = Publish::new(topic.clone(), Event::data(format!("{:x<127}{MARK}", "")));
            let publish = if self.kind == Kind::Private { publish.private() } else { publish };
            self.hub.publish_batch(vec![publish]).await?;
            if paced {
                self.have_received(start + event * self.readers).await?;
            }
        }
        self.have_received(start + events * self.readers).await?;
        let time = fan_out_time()? - before;
        Ok(time.as_nanos() as f64 / 1e3 / (events * self.readers) as f64)
    }

    async fn have_received(&self, number: u64) -> Outcome {
        let started = Instant::now();
        while self.received.load(Relaxed) < number {
            if started.elapsed() > Duration::from_secs(60) {
                return Err("readers do not get what was published".into());
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Ok(())
    }
}

async fn subscribe(State((hub, kind)): State<(Hub, Kind)>, Path(number): Path<usize>) -> Sse {
    let own = Topic::new(&format!("users/{number}")).expect("digits are a topic").into();
    let bench = Topic::new("bench").expect("it is a topic").into();
    let grant = if kind == Kind::None { Grant::public() } else { Grant::reading([own, bench]) };
    hub.subscribe("bench").grant(grant).into_response()
}

/// Reads all that comes, and counts events.
fn read(address: SocketAddr, readers: usize, count: &AtomicU64) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut sockets = Vec::with_capacity(readers);
    for number in 0..readers {
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.write_all(format!("GET /{number} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())?;
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        sockets.push(socket);
    }
    let (mut events, mut buffer) = (Events::with_capacity(1_024), vec![0; 256 << 10]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            while let Ok(bytes @ 1..) = sockets[event.token().0].read(&mut buffer) {
                let marks = memchr::memchr_iter(MARK as u8, &buffer[..bytes]).count();
                count.fetch_add(marks as u64, Relaxed);
            }
        }
    }
}

/// Time on the processor of the fan-out threads.
fn fan_out_time() -> Outcome<Duration> {
    let mut time = Duration::ZERO;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.trim() == "oyez-fanout" {
            let nanoseconds = std::fs::read_to_string(thread.join("schedstat"))?;
            time += Duration::from_nanos(nanoseconds.split(' ').next().unwrap_or_default().parse()?);
        }
    }
    Ok(time)
}

/// Median, least and most.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (low, middle, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
}

/// The last character of each event's data, and nowhere else in what is sent.
const MARK: char = '|';
