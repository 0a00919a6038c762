//! The floor: what broadcasting costs when a server does nothing but one `send` for each socket and event.
//!
//! `cargo run --release -p oyez-bench-peers --bin floor`, then `oyez bench fanout --subscribe URL/{topic} --publish URL/{topic}`.
//!
//! One thread, no history, no ids, no limits; a reader whose socket is full loses the event. `GET /x` subscribes to `x`, `GET /x,y` to
//! both, `POST /x` sends its body to all that read `x`. Nobody should serve with it; everything that a hub adds is to be seen against it.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut floor = Floor { poll: Poll::new()?, peers: Slab::new(), topics: HashMap::new() };
    floor.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1_024);
    loop {
        floor.poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener);
            } else if !floor.read(event.token().0) {
                floor.remove(event.token().0);
            }
        }
    }
}

struct Floor {
    poll: Poll,
    peers: Slab<Peer>,
    /// The sockets that read a topic.
    topics: HashMap<String, Vec<usize>>,
}

struct Peer {
    socket: TcpStream,
    read: Vec<u8>,
    /// What it reads, once it does: a topic, or several with commas between them.
    topics: Option<String>,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((mut socket, _)) = listener.accept() {
            let key = self.peers.vacant_key();
            let registered = self.poll.registry().register(&mut socket, Token(key), Interest::READABLE);
            if registered.is_ok() && socket.set_nodelay(true).is_ok() {
                self.peers.insert(Peer { socket, read: Vec::new(), topics: None });
            }
        }
    }

    /// False when the peer has gone.
    fn read(&mut self, key: usize) -> bool {
        let Some(peer) = self.peers.get_mut(key) else { return true };
        let mut chunk = [0; 16 << 10];
        loop {
            match peer.socket.read(&mut chunk) {
                Ok(0) => return false,
                Ok(number) => peer.read.extend_from_slice(&chunk[..number]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if peer.topics.is_some() {
            peer.read = Vec::new();
            return true;
        }
        let mut read = std::mem::take(&mut peer.read);
        let mut used = 0;
        while let Some((request, length)) = Request::parse(&read[used..]) {
            self.answer(key, &request);
            used += length;
        }
        read.drain(..used);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.read = if read.is_empty() { Vec::new() } else { read };
        }
        true
    }

    fn answer(&mut self, key: usize, request: &Request<'_>) {
        if request.is_get {
            for topic in request.topics.split(',') {
                self.topics.entry(topic.to_owned()).or_default().push(key);
            }
            self.peers[key].topics = Some(request.topics.to_owned());
            let _ = self.peers[key].socket.write(HEAD);
            return;
        }
        let mut frame = b"data: ".to_vec();
        frame.extend_from_slice(request.body);
        frame.extend_from_slice(b"\n\n");
        let mut chunk = format!("{:x}\r\n", frame.len()).into_bytes();
        chunk.extend_from_slice(&frame);
        chunk.extend_from_slice(b"\r\n");
        for reader in self.topics.get(request.topics).into_iter().flatten() {
            let _ = self.peers[*reader].socket.write(&chunk);
        }
        let _ = self.peers[key].socket.write(ANSWER);
    }

    fn remove(&mut self, key: usize) {
        let Some(peer) = self.peers.try_remove(key) else { return };
        for topic in peer.topics.iter().flat_map(|topics| topics.split(',')) {
            let Some(readers) = self.topics.get_mut(topic) else { continue };
            readers.retain(|reader| *reader != key);
            if readers.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}

struct Request<'a> {
    is_get: bool,
    topics: &'a str,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request at the beginning of `bytes`, and how long it is, once all of it is there.
    fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let head_end = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
        let mut words = head.split(' ');
        let (method, topics) = (words.next()?, words.next()?.trim_start_matches('/'));
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let end = head_end + length.unwrap_or_default();
        let body = bytes.get(head_end..end)?;
        Some((Request { is_get: method == "GET", topics, body }, end))
    }
}

const LISTENER: Token = Token(usize::MAX);
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
