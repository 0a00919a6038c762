//! What a history on disk costs, beside a loop that writes and syncs and does nothing else.
//!
//! ```text
//! cargo run --release -p oyez-bench-peers --bin durable -- append DIR [ROUNDS]
//! cargo run --release -p oyez-bench-peers --bin durable -- cpu DIR [EVENTS] [BATCH] [PUBLISHERS]
//! cargo run --release -p oyez-bench-peers --bin durable -- fill DIR EVENTS
//! cargo run --release -p oyez-bench-peers --bin durable -- open DIR
//! cargo run --release -p oyez-bench-peers --bin durable -- resume HOST:PORT EVENTS [SAMPLES]
//! cargo run --release -p oyez-bench-peers --bin durable -- publish HOST:PORT BATCH [CONNECTIONS]
//! ```
//! `append` interleaves rounds of the loop and of a hub at the same batch sizes; `cpu` tells the time on the processor that an
//! event costs, by thread, which a busy machine changes less than rates; `fill` makes a history of busy topics and of
//! one that is quiet; `open` opens it, and reads all of it as one subscriber; `resume` asks a server that serves it
//! for what comes behind random ids, and tells the time to the first event; `publish` sends it events, one request in flight on
//! each connection, and tells how many it takes a second.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use oyez::{Durability, Event, Hub, Publish, Retention, Storage, StreamItem, Topic};

/// As in the binary.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome = Result<(), Box<dyn Error>>;

/// Bytes of data of each event.
const DATA: usize = 128;
/// What an event of that size takes on disk.
const RECORD: usize = 184;
const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
const ROUND: Duration = Duration::from_millis(700);

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match (arguments.first().map(String::as_str), arguments.get(1)) {
        (Some("append"), Some(directory)) => runtime.block_on(append(Path::new(directory), number(2, 9)?)),
        (Some("cpu"), Some(directory)) => {
            let (events, batch, publishers) = (number(2, 2_000_000)?, number(3, 100)?, number(4, 1)?);
            runtime.block_on(cpu(Path::new(directory), events, batch, publishers))
        }
        (Some("fill"), Some(directory)) => runtime.block_on(fill(Path::new(directory), number(2, 10_000_000)?)),
        (Some("open"), Some(directory)) => runtime.block_on(open(Path::new(directory))),
        (Some("resume"), Some(address)) => resume(address, number(2, 10_000_000)? as u64, number(3, 1_000)?),
        (Some("publish"), Some(address)) => publish(address, number(2, 1)?, number(3, 64)?),
        _ => Err("durable append DIR | cpu DIR | fill DIR EVENTS | open DIR | resume HOST:PORT EVENTS".into()),
    }
}

async fn append(directory: &Path, rounds: usize) -> Outcome {
    std::fs::create_dir_all(directory)?;
    for batch in BATCHES {
        let mut ratios: [Vec<f64>; 2] = Default::default();
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            let raw = raw_loop(&directory.join("raw"), batch)?;
            rates[0].push(raw);
            for (at, publishers) in [1, 4].into_iter().enumerate() {
                let hub = hub_loop(&directory.join("hub"), batch, publishers).await?;
                rates[at + 1].push(hub);
                ratios[at].push(hub / raw);
            }
        }
        println!(
            "batch {batch:>5}: loop {} events/s, hub {} ({}x), 4 publishers {} ({}x)",
            spread(&mut rates[0], 0),
            spread(&mut rates[1], 0),
            spread(&mut ratios[0], 2),
            spread(&mut rates[2], 0),
            spread(&mut ratios[1], 2)
        );
    }
    Ok(())
}

/// Median, least and most.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (low, middle, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
}

/// Events per second of a loop that writes batches to a file that is there already, and syncs.
fn raw_loop(path: &Path, batch: usize) -> Result<f64, Box<dyn Error>> {
    let len = 64 << 20;
    let file: File = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() < len {
        file.write_all_at(&vec![0; len as usize], 0)?;
        file.sync_all()?;
    }
    let bytes = vec![b'x'; batch * RECORD];
    let (started, mut at, mut events) = (Instant::now(), 0, 0);
    while started.elapsed() < ROUND {
        if at + bytes.len() as u64 > len {
            at = 0;
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        events += batch;
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

async fn hub_loop(directory: &Path, batch: usize, publishers: usize) -> Result<f64, Box<dyn Error>> {
    let _ = std::fs::remove_dir_all(directory);
    let hub = Hub::<Event>::builder().open(Storage::new(directory))?;
    // a history that has begun: segments are there
    publish_for(&hub, batch, Duration::from_millis(100)).await?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let hub = hub.clone();
            tokio::spawn(async move { publish_for(&hub, batch, ROUND).await.map_err(|error| error.to_string()) })
        })
        .collect();
    let mut events = 0;
    for task in tasks {
        events += task.await??;
    }
    let rate = events as f64 / started.elapsed().as_secs_f64();
    hub.close().await;
    Ok(rate)
}

async fn publish_for(hub: &Hub<Event>, batch: usize, time: Duration) -> Result<usize, oyez::Error> {
    let (started, mut events) = (Instant::now(), 0);
    let topic = Topic::new("bench")?;
    while started.elapsed() < time {
        events += hub.publish_batch(batch_of(batch, &topic)).await?.len();
    }
    Ok(events)
}

async fn cpu(directory: &Path, events: usize, batch: usize, publishers: usize) -> Outcome {
    let _ = std::fs::remove_dir_all(directory);
    let hub = Hub::<Event>::builder().open(Storage::new(directory))?;
    // until the tail in memory is full and segments have their size
    publish_number(&hub, 1_000, 500).await?;
    let (started, before) = (Instant::now(), thread_times()?);
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let hub = hub.clone();
            let number = events / publishers / batch;
            tokio::spawn(async move { publish_number(&hub, batch, number).await.map_err(|error| error.to_string()) })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let (elapsed, after) = (started.elapsed(), thread_times()?);
    hub.close().await;
    std::fs::remove_dir_all(directory)?;
    // what this program itself does for an event
    let own = Instant::now();
    let topic = Topic::new("bench")?;
    (0..events / batch).for_each(|_| drop(std::hint::black_box(batch_of(batch, &topic))));
    let nanoseconds = |time: Duration| time.as_nanos() as f64 / events as f64;
    let threads = after.iter().map(|(name, time)| (name, *time - before.get(name).copied().unwrap_or_default()));
    let threads: Vec<_> = threads.filter(|(_, time)| nanoseconds(*time) >= 1.0).collect();
    print!("{:.0} ns an event", nanoseconds(threads.iter().map(|(_, time)| *time).sum()));
    threads.iter().for_each(|(name, time)| print!(", {name} {:.0}", nanoseconds(*time)));
    let rate = events as f64 / elapsed.as_secs_f64();
    println!("; making the events {:.0}; {rate:.0} events/s", nanoseconds(own.elapsed()));
    Ok(())
}

/// Time on the processor of the threads of each name.
fn thread_times() -> Result<BTreeMap<String, Duration>, Box<dyn Error>> {
    let mut times = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        let name = std::fs::read_to_string(thread.join("comm"))?.trim().to_owned();
        let nanoseconds = std::fs::read_to_string(thread.join("schedstat"))?;
        let nanoseconds = nanoseconds.split(' ').next().unwrap_or_default().parse()?;
        *times.entry(name).or_default() += Duration::from_nanos(nanoseconds);
    }
    Ok(times)
}

async fn publish_number(hub: &Hub<Event>, batch: usize, number: usize) -> Result<(), oyez::Error> {
    let topic = Topic::new("bench")?;
    for _ in 0..number {
        hub.publish_batch(batch_of(batch, &topic)).await?;
    }
    Ok(())
}

fn batch_of(batch: usize, topic: &Topic) -> Vec<Publish> {
    (0..batch).map(|_| Publish::new(topic.clone(), Event::data("x".repeat(DATA)))).collect()
}

fn storage(directory: &Path) -> Storage {
    Storage::new(directory).durability(Durability::Flush).keep(Retention::default().bytes(16 << 30))
}

async fn fill(directory: &Path, events: usize) -> Outcome {
    let hub = Hub::<Event>::builder().open(storage(directory))?;
    let topics: Vec<Topic> = (0..1_000).map(|n| Topic::new(&format!("busy/{n}"))).collect::<Result<_, _>>()?;
    let quiet = Topic::new("quiet")?;
    let started = Instant::now();
    for first in (0..events).step_by(1_000) {
        let batch = (first..events.min(first + 1_000)).map(|n| {
            let is_quiet = n % (events / 100).max(1) == 0;
            let topic = if is_quiet { quiet.clone() } else { topics[n * 7 % topics.len()].clone() };
            Publish::new(topic, Event::data(format!("{n:0>100}")))
        });
        hub.publish_batch(batch.collect()).await?;
    }
    println!("{events} events in {:.1} s, the last is {}", started.elapsed().as_secs_f64(), hub.position());
    hub.close().await;
    Ok(())
}

async fn open(directory: &Path) -> Outcome {
    let started = Instant::now();
    let hub = Hub::<Event>::builder().open(storage(directory))?;
    println!("open in {:.3} s: {} entries", started.elapsed().as_secs_f64(), hub.stats().history_entries);
    for matcher in ["*", "quiet", "busy/7", "*/7"] {
        let started = Instant::now();
        let mut stream = hub.subscribe_pattern(matcher).earliest().poll().into_stream()?;
        let mut events = 0;
        while let Some(item) = stream.next().await {
            if let StreamItem::Event(_) = item {
                events += 1;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{matcher}: {events} events in {seconds:.3} s, {:.0} a second", f64::from(events) / seconds);
    }
    Ok(())
}

fn resume(address: &str, events: u64, samples: usize) -> Outcome {
    let epoch = {
        let head = ask(address, "/events/none?poll=1&since=earliest", None)?.1;
        let id = head.lines().find_map(|line| line.strip_prefix("id: ")).ok_or("the stream tells no id")?;
        id.split(':').next().unwrap_or_default().to_owned()
    };
    for topic in ["*", "quiet", "busy/7", "busy/*"] {
        let mut times = Vec::new();
        let mut seed = 1u64;
        for _ in 0..samples {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let id = format!("{epoch}:{}", (seed >> 20) % (events * 99 / 100));
            times.push(ask(address, &format!("/events?topic={topic}"), Some(&id))?.0.as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{topic}: first event after {:.2} ms (median), {:.2} (p99), {:.2} (worst)",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

fn publish(address: &str, batch: usize, connections: usize) -> Outcome {
    let data = "x".repeat(DATA);
    let (target, kind, body) = if batch == 1 {
        ("/events/bench", "text/plain", data)
    } else {
        let line = format!("{{\"topics\":\"bench\",\"data\":\"{data}\"}}\n");
        ("/events", "application/x-ndjson", line.repeat(batch))
    };
    let len = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}"
    );
    let started = Instant::now();
    let send = || -> Result<usize, std::io::Error> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut answers, mut piece) = (0, vec![0; 1 << 18]);
        while started.elapsed() < 4 * ROUND {
            stream.write_all(request.as_bytes())?;
            // an answer ends with the brace of its JSON and a line end
            let mut read = 0;
            loop {
                read += stream.read(&mut piece[read..])?;
                if piece[..read].ends_with(b"}\n") || piece[..read].ends_with(b"}") {
                    break;
                }
            }
            if !piece.starts_with(b"HTTP/1.1 200") {
                return Err(std::io::Error::other(String::from_utf8_lossy(&piece[..read]).into_owned()));
            }
            answers += 1;
        }
        Ok(answers)
    };
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<Result<usize, _>>()
    })?;
    println!("{:.0}", (answers * batch) as f64 / started.elapsed().as_secs_f64());
    Ok(())
}

/// The time from the connection to the first event, and all that was read until then.
fn ask(address: &str, target: &str, last_event_id: Option<&str>) -> Result<(Duration, String), Box<dyn Error>> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let id = last_event_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n{id}Connection: close\r\n\r\n")?;
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let len = stream.read(&mut piece)?;
        read.extend_from_slice(&piece[..len]);
        let text = String::from_utf8_lossy(&read);
        if len == 0 || text.contains("\ndata:") {
            return Ok((started.elapsed(), text.into_owned()));
        }
    }
}
