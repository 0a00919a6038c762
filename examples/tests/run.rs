//! Every example as its user meets it: started as a process, used over HTTP, stopped by a signal.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

#[test]
fn axum_hub() {
    let example = Example::start(env!("CARGO_BIN_EXE_axum_hub"));
    let berlin = "Authorization: Bearer berlin";
    let order = |region: &str, total: u32| {
        let (status, id) = example.post(&format!("/orders/{region}"), &format!("{{\"total\":{total}}}"));
        assert_eq!(status, 200, "{id}");
        id
    };
    let mut large = example.open("/orders/*?over=100", &[berlin]);
    let first = order("eu", 250);
    order("eu", 50);
    order("us", 300);
    let last = order("eu", 200);
    assert_eq!(large.event(), (first.clone(), r#"{"total":250}"#.to_owned()));
    assert_eq!(large.event(), (last.clone(), r#"{"total":200}"#.to_owned()), "neither small ones nor another region's");

    let mut again = example.open("/orders/eu", &[berlin, &format!("Last-Event-ID: {first}")]);
    assert_eq!(again.event().1, r#"{"total":50}"#);
    assert_eq!(again.event(), (last, r#"{"total":200}"#.to_owned()));
    assert_eq!(example.ask("GET", "/orders/us", &[berlin], "").0, 403);
    assert_eq!(example.ask("GET", "/orders/eu", &[], "").0, 403);
    assert_eq!(example.post("/orders/e*", "{\"total\":1}").0, 400);
    let (_, metrics) = example.ask("GET", "/metrics", &[], "");
    for line in
        ["oyez_subscribers 2\n", "oyez_published_total 4\n", "oyez_delivered_total 4\n", "oyez_refused_total 2\n"]
    {
        assert!(metrics.contains(line), "{line:?} in {metrics}");
    }

    example.stop("TERM");
    large.ends();
    again.ends();
}

#[test]
fn chat() {
    let example = Example::start(env!("CARGO_BIN_EXE_chat"));
    let (status, page) = example.ask("GET", "/", &[], "");
    assert!(status == 200 && page.contains("new EventSource("), "{page}");
    let hello = r#"{"from":"ann","text":"hello <b>&amp;</b> 你好\n"}"#;
    assert_eq!(example.post("/rooms/lobby", hello).0, 204);
    assert_eq!(example.post("/rooms/other", r#"{"from":"eve","text":"not here"}"#).0, 204);
    let mut bob = example.open("/rooms/lobby", &[]);
    let (id, said) = bob.event();
    assert_eq!(said, hello, "who comes later sees what was said");
    drop(bob);

    let answer = r#"{"from":"ann","text":"where are you?"}"#;
    assert_eq!(example.post("/rooms/lobby", answer).0, 204);
    let mut bob = example.open("/rooms/lobby", &[&format!("Last-Event-ID: {id}")]);
    assert_eq!(bob.event().1, answer, "who comes back gets what was said meanwhile, once");
    assert_eq!(example.post("/rooms/lobby", r#"{"text":"anonymous"}"#).0, 422);
    assert_eq!(example.ask("POST", "/rooms/lobby", &["Content-Type: text/plain"], hello).0, 415);
}

#[test]
fn progress() {
    let example = Example::start(env!("CARGO_BIN_EXE_progress"));
    assert!(example.ask("GET", "/", &[], "").1.contains("<progress"));
    let mut report = example.open("/report", &[]);
    for percent in (0..100).step_by(10) {
        assert_eq!(report.event().1, format!("{{\"percent\":{percent}}}"));
    }
    assert_eq!(report.event().1, "42 pages");
    report.ends();
    example.prints("the report is done");

    let mut report = example.open("/report", &[]);
    report.event();
    drop(report);
    example.prints("the report is given up: the connection is closed");
}

/// A running example.
struct Example {
    process: Child,
    lines: Receiver<String>,
    address: String,
}

impl Example {
    fn start(program: &str) -> Self {
        let mut process = Command::new(program).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut example = Self { process, lines, address: String::new() };
        let line = example.lines.recv_timeout(PATIENCE).expect("its address");
        line.strip_prefix("listening on http://").expect("its address").clone_into(&mut example.address);
        example
    }

    #[track_caller]
    fn prints(&self, expected: &str) {
        assert_eq!(self.lines.recv_timeout(PATIENCE).as_deref(), Ok(expected));
    }

    fn post(&self, path: &str, json: &str) -> (u16, String) {
        self.ask("POST", path, &["Content-Type: application/json"], json)
    }

    /// Status and body of an answer that ends.
    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut stream = self.send(method, path, headers, body);
        let mut answer = String::new();
        stream.reader.read_to_string(&mut answer).unwrap();
        (stream.status, answer)
    }

    /// A stream that has told where it begins.
    fn open(&self, path: &str, headers: &[&str]) -> Stream {
        let mut stream = self.send("GET", path, headers, "");
        assert_eq!(stream.status, 200);
        stream.block();
        stream
    }

    /// Asks as HTTP/1.0, so that the answer has no chunks and ends with the connection.
    fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Stream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut reader = BufReader::new(socket);
        let head: Vec<_> = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        Stream { reader, status: head[0].split(' ').nth(1).unwrap().parse().unwrap() }
    }

    /// Sends a signal, by which it must end well and soon.
    #[track_caller]
    fn stop(mut self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        // the channel closes with the standard output, and that with the process
        assert_eq!(self.lines.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it does not end");
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The body of an answer.
struct Stream {
    reader: BufReader<TcpStream>,
    status: u16,
}

impl Stream {
    /// Id and data of the next event.
    #[track_caller]
    fn event(&mut self) -> (String, String) {
        loop {
            let block = self.block();
            let field = |name: &str| block.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                return (field("id: ").unwrap_or_default(), data);
            }
        }
    }

    #[track_caller]
    fn ends(&mut self) {
        assert_eq!(self.block(), [""; 0], "it goes on");
    }

    /// The lines before the next empty one, or none at the end.
    fn block(&mut self) -> Vec<String> {
        self.reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
    }
}

/// Long enough for a loaded machine; nothing waits for it unless a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
