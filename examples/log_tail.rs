//! cargo run -p oyez-examples --bin log_tail -- app.log
//!
//! `tail -F` over HTTP, each line an event: `curl -N localhost:3000/log` shows the last ten lines and then what comes. Who
//! comes back with a `Last-Event-ID` gets exactly the lines that it has missed: `oyez sub http://localhost:3000/log` does
//! so by itself. Without a file it reads standard input: `journalctl -f | cargo run -p oyez-examples --bin log_tail`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use axum::extract::State;
use axum::{Router, routing::get};
use oyez::{Hub, LastEventId, Retention, Sse};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "-".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    let hub = Hub::<String>::builder().history(Retention::last(100_000)).build();
    let app = Router::new().route("/log", get(log)).with_state(hub.clone());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // files block: a thread of its own reads, and not a task
    thread::spawn(move || {
        if let Err(error) = read(&path, Lines { hub, line: Vec::new() }) {
            eprintln!("{path}: {error}");
            std::process::exit(1);
        }
    });
    let stop = async { tokio::signal::ctrl_c().await.expect("signals can be awaited") };
    oyez::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}

async fn log(State(hub): State<Hub<String>>, resume: LastEventId) -> Sse {
    hub.subscribe("log").last(10).resume(resume).into_response()
}

fn read(path: &str, mut lines: Lines) -> io::Result<()> {
    if path != "-" {
        return follow(path, lines);
    }
    lines.publish(&mut io::stdin().lock())?;
    lines.end() // what was said can still be read
}

/// Looks again and again whether the file has grown, was replaced or truncated. It begins with what is near its end.
fn follow(path: &str, mut lines: Lines) -> io::Result<()> {
    let begin = fs::metadata(path).map_or(0, |file| file.len().saturating_sub(BEGIN_BYTES));
    let mut file = open(path)?;
    if begin > 0 {
        file.seek(SeekFrom::Start(begin))?;
        file.skip_until(b'\n')?;
    }
    loop {
        lines.publish(&mut file)?;
        thread::sleep(PAUSE);
        let (ours, named) = (file.get_ref().metadata()?, fs::metadata(path));
        // Rotated. A program goes on writing to the old file until it is told of the new one: not before there is
        // something in the new one is the old one complete.
        let other = |named: &fs::Metadata| (named.dev(), named.ino()) != (ours.dev(), ours.ino()) && named.len() > 0;
        if named.is_ok_and(|named| other(&named)) {
            lines.publish(&mut file)?;
            lines.end()?;
            file = open(path)?;
        } else if ours.len() < file.stream_position()? {
            // Truncated, as by logrotate's `copytruncate`. What was written since the last look is gone for us.
            lines.end()?;
            file.rewind()?;
        }
    }
}

/// Waits for a file that is not there yet.
fn open(path: &str) -> io::Result<BufReader<File>> {
    loop {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => thread::sleep(PAUSE),
            opened => return opened.map(BufReader::new),
        }
    }
}

/// Makes lines an event each.
struct Lines {
    hub: Hub<String>,
    /// The last one, as long as its end has not come.
    line: Vec<u8>,
}

impl Lines {
    /// All that `input` has.
    fn publish(&mut self, input: &mut impl BufRead) -> io::Result<()> {
        loop {
            let room = LINE_BYTES_MAX - self.line.len();
            if input.take(room as u64).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(());
            }
            if self.line.ends_with(b"\n") || self.line.len() == LINE_BYTES_MAX {
                self.end()?;
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // not every log is UTF-8, but every event is
            let line = String::from_utf8_lossy(line).into_owned();
            self.hub.try_publish("log", line).map_err(io::Error::other)?;
            self.line.clear();
        }
        Ok(())
    }
}

/// Between two looks: soon enough for people, and no load.
const PAUSE: Duration = Duration::from_millis(200);
/// Enough for the last ten lines of most logs, however long the file is.
const BEGIN_BYTES: u64 = 64 << 10;
/// A longer line becomes several events. Also when each byte becomes U+FFFD, it is below the 1 MiB that the hub takes.
const LINE_BYTES_MAX: usize = 256 << 10;
