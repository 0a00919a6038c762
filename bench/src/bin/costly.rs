//! Readers that ask for much, and what the others feel of it.
//!
//! ```text
//! cargo run --release -p oyez-bench-peers --bin costly -- OYEZ [ROUNDS]
//! ```
//! Starts `OYEZ serve`, fills it with ordinary events, and publishes a few hundred a second to one topic with some ordinary readers. Their
//! latency, from when an event was due, is taken with nobody else there and with each kind of costly reader beside them, in turn within a
//! round; the ratio of the two p99 is what others pay. The case *nobody* is two quiet phases: what the ratio is worth on this machine.
//! Three rounds take a minute and a half.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Events before it begins: what the history of a hub with the usual settings holds of them.
const EVENTS: usize = 138_000;
const BATCH: usize = 1_000;
/// Of one reader; the server takes no more.
const PATTERNS: usize = 100;
const SUBSCRIBERS: usize = 8;
const RATE: f64 = 300.0;
const PHASE: Duration = Duration::from_secs(3);
/// A hub that lets everybody wait for longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a costly reader looks whether its phase is over.
const LOOK: Duration = Duration::from_millis(100);
/// What a reader that resumes stays for: its stream looks through the history meanwhile.
const STAY: Duration = Duration::from_millis(500);

const CASES: [(&str, Beside); 4] = [
    ("nobody", Beside { readers: 0, asks: Asks::Last }),
    ("last=1&poll=1, 1 in a loop", Beside { readers: 1, asks: Asks::Last }),
    ("last=1&poll=1, 16 in a loop", Beside { readers: 16, asks: Asks::Last }),
    ("resume from another epoch, 8", Beside { readers: 8, asks: Asks::Resume }),
];

/// Who is there beside the ordinary readers.
#[derive(Clone, Copy)]
struct Beside {
    readers: usize,
    asks: Asks,
}

#[derive(Clone, Copy)]
enum Asks {
    /// For the last event that matches, of which there is none.
    Last,
    /// For what came after an id that this hub did not make.
    Resume,
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().ok_or("costly OYEZ [ROUNDS]")?;
    let rounds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let hub = Hub::start(&binary)?;
    hub.fill()?;
    let mut bench = Bench::begin(hub)?;
    let mut pairs: Vec<Vec<Pair>> = CASES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (at, (name, beside)) in CASES.into_iter().enumerate() {
            let pair = bench.pair(beside, round % 2 == 1)?;
            println!("{:>2} {name}: {}", round + 1, pair.told());
            pairs[at].push(pair);
        }
    }
    tell(&pairs);
    Ok(())
}

fn tell(pairs: &[Vec<Pair>]) {
    println!("\n{SUBSCRIBERS} readers of {RATE} events/s; median (least–most) of the rounds");
    println!("| beside them | p50 ms | p99 ms | p99, quiet ms | p99 ÷ quiet | answers | refused |");
    println!("| --- | --: | --: | --: | --: | --: | --: |");
    for ((name, _), pairs) in CASES.iter().zip(pairs) {
        let of = |figure: fn(&Pair) -> f64, digits| spread(pairs.iter().map(figure).collect(), digits);
        let [p50, p99] = [of(|pair| pair.with.p50, 2), of(|pair| pair.with.p99, 2)];
        let [quiet, ratio] = [of(|pair| pair.quiet.p99, 2), of(Pair::ratio, 2)];
        let [answers, refused] = [of(|pair| pair.asked.answers as f64, 0), of(|pair| pair.asked.refused as f64, 0)];
        println!("| {name} | {p50} | {p99} | {quiet} | {ratio} | {answers} | {refused} |");
    }
}

/// One phase without and one with somebody beside, in milliseconds.
struct Pair {
    quiet: Latency,
    with: Latency,
    asked: Asked,
}

/// What the costly readers got meanwhile.
#[derive(Clone, Copy, Default)]
struct Asked {
    answers: usize,
    refused: usize,
}

#[derive(Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Asked {
    fn and(self, other: Self) -> Self {
        Self { answers: self.answers + other.answers, refused: self.refused + other.refused }
    }
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.with.p99 / self.quiet.p99
    }

    fn told(&self) -> String {
        let Self { quiet, with, asked: Asked { answers, refused } } = self;
        let latencies =
            format!("p50 {:.2} to {:.2} ms, p99 {:.2} to {:.2} ms", quiet.p50, with.p50, quiet.p99, with.p99);
        format!("{latencies}, {:.2} times; {answers} answers, {refused} refused", self.ratio())
    }
}

/// The ordinary readers and their publisher.
struct Bench {
    hub: Hub,
    publisher: TcpStream,
    /// Phase and latency of each event, from all readers.
    came: Receiver<(usize, Duration)>,
    start: Instant,
    phase: usize,
}

impl Bench {
    fn begin(hub: Hub) -> Outcome<Self> {
        let (start, (sender, came)) = (Instant::now(), mpsc::channel());
        for _ in 0..SUBSCRIBERS {
            let mut stream = BufReader::new(hub.get("/events/prices", "")?);
            // it is subscribed when its head is there
            while stream.by_ref().lines().next().transpose()?.is_some_and(|line| !line.is_empty()) {}
            let sender = sender.clone();
            thread::spawn(move || follow(stream, start, &sender));
        }
        let publisher = hub.connect()?;
        let mut bench = Self { hub, publisher, came, start, phase: 0 };
        // the first phase warms up, and shows that all of them read
        bench.measure(CASES[0].1)?;
        Ok(bench)
    }

    fn pair(&mut self, beside: Beside, is_quiet_last: bool) -> Outcome<Pair> {
        let nobody = Beside { readers: 0, ..beside };
        let [first, second] = if is_quiet_last { [beside, nobody] } else { [nobody, beside] };
        let (first, second) = (self.measure(first)?, self.measure(second)?);
        let [(quiet, _), (with, asked)] = if is_quiet_last { [second, first] } else { [first, second] };
        Ok(Pair { quiet, with, asked })
    }

    /// Publishes for a phase and lets the hub come to rest. What was due while it was held is published late, and then nobody costly is
    /// there any more.
    fn measure(&mut self, beside: Beside) -> Outcome<(Latency, Asked)> {
        self.phase += 1;
        let (hub, stop) = (&self.hub, AtomicBool::new(false));
        let events = (RATE * PHASE.as_secs_f64()) as usize;
        let asked = thread::scope(|scope| {
            let stop = &stop;
            let costly: Vec<_> =
                (0..beside.readers).map(|number| scope.spawn(move || ask_on(hub, beside.asks, number, stop))).collect();
            scope.spawn(|| {
                thread::sleep(PHASE);
                stop.store(true, Ordering::Relaxed);
            });
            let begun = self.start.elapsed();
            let publish = |event| {
                let due = begun + Duration::from_secs_f64(event as f64 / RATE);
                thread::sleep(due.saturating_sub(self.start.elapsed()));
                let data = format!("{} {}", self.phase, due.as_nanos());
                publish(&self.publisher, "/events/prices", "text/plain", &data)
            };
            (0..events).try_for_each(publish)?;
            let asked = costly.into_iter().map(|reader| reader.join().unwrap_or_default());
            Ok::<_, io::Error>(asked.fold(Asked::default(), Asked::and))
        })?;
        let latency = self.collect(events * SUBSCRIBERS)?;
        self.hub.rest()?;
        Ok((latency, asked))
    }

    fn collect(&self, number: usize) -> Outcome<Latency> {
        let mut times = Vec::with_capacity(number);
        while times.len() < number {
            let (phase, latency) = self.came.recv_timeout(PATIENCE).map_err(|_| "an event did not come")?;
            if phase == self.phase {
                times.push(latency.as_secs_f64() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        Ok(Latency { p50: at(0.5), p99: at(0.99) })
    }
}

/// Reads a stream of `PHASE DUE` to its end.
fn follow(stream: BufReader<TcpStream>, start: Instant, sender: &Sender<(usize, Duration)>) -> Option<()> {
    for line in stream.lines() {
        let now = start.elapsed();
        let line = line.ok()?;
        let Some((phase, due)) = line.strip_prefix("data: ").and_then(|data| data.split_once(' ')) else { continue };
        let due = Duration::from_nanos(due.parse().ok()?);
        sender.send((phase.parse().ok()?, now.saturating_sub(due))).ok()?;
    }
    None
}

/// Asks again and again until the phase is over; what is under way then is given up.
fn ask_on(hub: &Hub, asks: Asks, number: usize, stop: &AtomicBool) -> Asked {
    let mut asked = Asked::default();
    while !stop.load(Ordering::Relaxed) {
        match ask(hub, asks, number, stop) {
            Ok(()) => asked.answers += 1,
            Err(_) if stop.load(Ordering::Relaxed) => {}
            Err(_) => {
                asked.refused += 1;
                thread::sleep(LOOK);
            }
        }
    }
    asked
}

/// One costly request.
fn ask(hub: &Hub, asks: Asks, number: usize, stop: &AtomicBool) -> Outcome {
    let mut target = "/events?".to_owned();
    for pattern in 0..PATTERNS {
        write!(target, "topic=o*r*d*e*r*s*/*/*i*t*e*m*17{}s&", number * PATTERNS + pattern)?;
    }
    match asks {
        Asks::Last => wait(&hub.get(&format!("{target}last=1&poll=1"), "Connection: close\r\n")?, stop, |_| false),
        Asks::Resume => {
            let stream = hub.get(&target, "Last-Event-ID: k4f9zq71:5\r\n")?;
            // the head and the first event, which says that something may be missing
            wait(&stream, stop, |read| read.windows(2).filter(|pair| pair == b"\n\n").count() > 0)?;
            thread::sleep(STAY);
            Ok(())
        }
    }
}

/// Reads until `done`, or to the end.
fn wait(mut stream: &TcpStream, stop: &AtomicBool, done: impl Fn(&[u8]) -> bool) -> Outcome {
    stream.set_read_timeout(Some(LOOK))?;
    let (mut read, mut piece) = (Vec::new(), [0; 4_096]);
    while !done(&read) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => read.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !stop.load(Ordering::Relaxed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if read.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(String::from_utf8_lossy(&read).into()) }
}

/// The server, ended when it is dropped.
struct Hub {
    process: Child,
    address: String,
}

impl Hub {
    fn start(binary: &str) -> Outcome<Self> {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut process = Command::new(binary).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let address = lines.find_map(|line| Some(line.ok()?.strip_prefix("listening on http://")?.to_owned()));
        let mut hub = Self { process, address: String::new() };
        hub.address = address.ok_or("it does not say where it listens")?;
        Ok(hub)
    }

    fn fill(&self) -> Outcome {
        let stream = self.connect()?;
        for first in (0..EVENTS).step_by(BATCH) {
            let line =
                |n: usize| format!("{{\"topics\":\"orders/{}/items/item{n}\",\"data\":\"{n:0>100}\"}}\n", n % 1_000);
            let batch: String = (first..first + BATCH).map(line).collect();
            publish(&stream, "/events", "application/x-ndjson", &batch)?;
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn get(&self, target: &str, headers: &str) -> io::Result<TcpStream> {
        let mut stream = self.connect()?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")?;
        Ok(stream)
    }

    /// Waits until it does nothing: what was asked of it may go on when nobody waits for it any more.
    fn rest(&self) -> Outcome {
        let begun = Instant::now();
        loop {
            let before = self.ticks()?;
            thread::sleep(2 * LOOK);
            match self.ticks()? - before {
                0 | 1 => return Ok(()),
                _ if begun.elapsed() > PATIENCE => return Err("the hub does not come to rest".into()),
                _ => {}
            }
        }
    }

    /// Its time on the processor, in hundredths of a second.
    fn ticks(&self) -> Outcome<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // behind the name, which may hold anything, user and system time are the 12th and 13th field
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        Ok(fields.map(str::parse::<u64>).sum::<Result<_, _>>()?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // an error says that it has ended already
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One publish and its answer, which ends with the brace of its JSON.
fn publish(mut stream: &TcpStream, target: &str, kind: &str, body: &str) -> io::Result<()> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    while !answer.trim_ascii_end().ends_with(b"}") {
        let length = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..length]);
        if length == 0 || !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
        }
    }
    Ok(())
}

/// Median, least and most.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let Some((low, high)) = values.first().zip(values.last()) else { return "—".to_owned() };
    format!("{:.digits$} ({low:.digits$}–{high:.digits$})", values[values.len() / 2])
}
