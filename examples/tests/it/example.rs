//! An example as its user meets it: started as a process, used over HTTP, stopped by a signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A running example.
pub(crate) struct Example {
    process: Child,
    lines: Receiver<String>,
    address: String,
}

impl Example {
    pub(crate) fn start(program: &str) -> Self {
        Self::start_with(program, &[])
    }

    /// With arguments in front of its address.
    pub(crate) fn start_with(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg("127.0.0.1:0").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut example = Self { process, lines, address: String::new() };
        let line = example.lines.recv_timeout(PATIENCE).expect("its address");
        line.strip_prefix("listening on http://").expect("its address").clone_into(&mut example.address);
        example
    }

    /// Its standard input, which ends when this is dropped.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.process.stdin.take().unwrap()
    }

    pub(crate) fn post(&self, path: &str, json: &str) -> (u16, String) {
        self.ask("POST", path, &["Content-Type: application/json"], json)
    }

    /// Status and body of an answer that ends.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> (u16, String) {
        let mut stream = self.send(method, path, headers, body.as_ref());
        let mut answer = String::new();
        stream.reader.read_to_string(&mut answer).unwrap();
        (stream.status, answer)
    }

    /// A stream that has told where it begins.
    #[track_caller]
    pub(crate) fn open(&self, path: &str, headers: &[&str]) -> Stream {
        let mut stream = self.send("GET", path, headers, b"");
        assert_eq!(stream.status, 200);
        // where a hub's stream begins; one that is written by hand may have said something by now
        let first = stream.block();
        stream.first = Some(first).filter(|block| is_event(block));
        stream
    }

    /// Asks as HTTP/1.0, so that the answer has no chunks and ends with the connection.
    fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Stream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        write!(socket, "{method} {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n")
            .unwrap();
        socket.write_all(body).unwrap();
        let mut reader = BufReader::new(socket);
        let head: Vec<_> = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        Stream { reader, first: None, status: head[0].split(' ').nth(1).unwrap().parse().unwrap() }
    }

    /// Sends a signal, by which it must end well and soon.
    #[track_caller]
    pub(crate) fn stop(mut self, signal: &str) {
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
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
    /// What was read to see that it is open.
    first: Option<Vec<String>>,
    status: u16,
}

/// An event, and how many bytes it took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) bytes: usize,
}

impl Stream {
    /// The next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.next_or_end().expect("the stream has ended")
    }

    fn next_or_end(&mut self) -> Option<Event> {
        loop {
            let block = self.block();
            if block.is_empty() {
                return None;
            }
            let field =
                |name: &str| block.iter().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>().join("\n");
            if is_event(&block) {
                let bytes = block.iter().map(|line| line.len() + 1).sum::<usize>() + 1;
                return Some(Event { id: field("id: "), kind: field("event: "), data: field("data: "), bytes });
            }
        }
    }

    /// Id and data of the next event.
    #[track_caller]
    pub(crate) fn event(&mut self) -> (String, String) {
        let Event { id, data, .. } = self.next();
        (id, data)
    }

    /// Data of the next event.
    #[track_caller]
    pub(crate) fn data(&mut self) -> String {
        self.next().data
    }

    /// Data of the next event, if there is one.
    pub(crate) fn data_or_end(&mut self) -> Option<String> {
        self.next_or_end().map(|event| event.data)
    }

    #[track_caller]
    pub(crate) fn ends(&mut self) {
        assert_eq!(self.block(), [""; 0], "it goes on");
    }

    /// The lines before the next empty one, or none at the end.
    fn block(&mut self) -> Vec<String> {
        if let Some(first) = self.first.take() {
            return first;
        }
        self.reader
            .by_ref()
            .lines()
            .map(|line| line.expect("a line in time"))
            .take_while(|line| !line.is_empty())
            .collect()
    }
}

fn is_event(block: &[String]) -> bool {
    block.iter().any(|line| line.starts_with("data: "))
}

/// Long enough for a loaded machine; nothing waits for it unless a test fails. Less than the keep-alives are apart, which
/// would let a read wait for ever.
const PATIENCE: Duration = Duration::from_secs(10);
