//! Broadcasts through a running `oyez serve` and prints what a delivery costs the server.
//!
//! `cargo build --release -p oyez-cli && cargo run --release -p oyez-bench-peers --bin fanout -- target/release/oyez [SUBSCRIBERS] [EVENTS] [ROUNDS]`
//!
//! All subscribers and the publisher are one process on the same machine, so deliveries per second say more about the
//! machine than about the server; server CPU seconds per million deliveries is the figure to compare.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().ok_or("usage: fanout PATH-TO-OYEZ [SUBSCRIBERS] [EVENTS] [ROUNDS]")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (subscribers, events, rounds) = (number(1_000)?, number(2_000)?, number(5)?);
    let mut costs = Vec::new();
    for round in 1..=rounds {
        let server = Server::start(&binary)?;
        let (wall, cpu, delivered) = run(&server, subscribers, events).await?;
        let expected = subscribers * events;
        let cost = cpu.as_secs_f64() / delivered as f64 * 1e6;
        println!(
            "round {round}: {delivered} of {expected} delivered in {:.2} s, {:.0} k/s, server CPU {:.2} s per million",
            wall.as_secs_f64(),
            delivered as f64 / wall.as_secs_f64() / 1e3,
            cost,
        );
        assert_eq!(delivered, expected, "lost or doubled");
        costs.push(cost);
    }
    costs.sort_by(f64::total_cmp);
    let (least, median, most) = (costs[0], costs[costs.len() / 2], costs[costs.len() - 1]);
    println!(
        "{subscribers} subscribers, {events} events of 128 bytes: median {median:.2} s per million ({least:.2}–{most:.2})"
    );
    Ok(())
}

async fn run(server: &Server, subscribers: usize, events: usize) -> Result<(Duration, Duration, usize)> {
    let mut readers = JoinSet::new();
    for _ in 0..subscribers {
        let mut stream = TcpStream::connect(&server.address).await?;
        stream.write_all(b"GET /events/bench HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut opened = Vec::new();
        while memmem::find(&opened, b"\nid: ").is_none() {
            stream.read_buf(&mut opened).await?;
        }
        readers.spawn(read(stream, events));
    }
    let before = server.cpu()?;
    let started = Instant::now();
    publish(&server.address, events).await?;
    let mut delivered = 0;
    while let Some(reader) = readers.join_next().await {
        delivered += reader??;
    }
    Ok((started.elapsed(), server.cpu()?.saturating_sub(before), delivered))
}

/// Reads until so many events have come.
async fn read(mut stream: TcpStream, events: usize) -> Result<usize> {
    let mut buffer = vec![0; 64 << 10];
    let (mut seen, mut kept) = (0, 0);
    let marker = b"\ndata: ";
    while seen < events {
        let read = stream.read(&mut buffer[kept..]).await?;
        if read == 0 {
            break;
        }
        let filled = kept + read;
        seen += memmem::find_iter(&buffer[..filled], marker).count();
        // a marker may be cut: look at its beginning again
        kept = filled.min(marker.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
    Ok(seen)
}

/// Publishes in batches of 100 over one connection, each answered before the next.
async fn publish(address: &str, events: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let line = format!("{{\"topics\":\"bench\",\"data\":\"{}\"}}\n", "x".repeat(128));
    let mut left = events;
    while left > 0 {
        let number = left.min(100);
        let body = line.repeat(number);
        let head = format!(
            "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"]}\n") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(String::from_utf8_lossy(&answer).into_owned().into());
            }
        }
        left -= number;
    }
    Ok(())
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(binary: &str) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("the server says no address")?.to_owned();
        Ok(Self { child, address })
    }

    /// User and system time so far.
    fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // behind the name, which ends with the last parenthesis, utime and stime are the 12th and 13th field, in hundredths
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
