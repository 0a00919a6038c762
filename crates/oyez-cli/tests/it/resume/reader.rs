//! One that reads, vanishes in the middle of something, and comes back from somewhere.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use memchr::memmem;
use oyez_proto::{Decoder, Event, Item};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::publisher::END;
use super::random::Random;
use crate::script::PATIENCE;

/// How a reader behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Comes and goes, and begins wherever it likes.
    Wanders,
    /// As well with ids that this log never gave.
    WandersFar,
    /// Stops reading until much has been published, and then goes on.
    Sleeps,
}

/// Where a connection asks to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    Live,
    Behind(String),
}

/// What one connection asked for and what it was told.
pub(super) struct Transcript {
    pub(super) matchers: &'static [&'static str],
    pub(super) start: Start,
    /// What came whole, each block with its blank line.
    pub(super) blocks: Vec<Vec<u8>>,
    /// Everything that there was has come.
    pub(super) complete: bool,
}

impl Transcript {
    pub(super) fn events(&self) -> usize {
        self.blocks.iter().filter(|block| is_event(block)).count()
    }

    fn last_event_id(&self) -> Option<String> {
        self.blocks.iter().rev().find_map(|block| id(block))
    }
}

/// Has a block data? That is all that makes it an event.
pub(super) fn is_event(block: &[u8]) -> bool {
    memmem::find(block, b"\ndata").is_some()
}

/// The event of a block.
pub(super) fn event(mut block: &[u8]) -> Event {
    match Decoder::new().next(&mut block) {
        Ok(Some(Item::Event(event))) => event,
        other => panic!("{other:?} is no event"),
    }
}

/// The last event id that a block sets.
pub(super) fn id(mut block: &[u8]) -> Option<String> {
    let mut decoder = Decoder::new();
    while decoder.next(&mut block).unwrap().is_some() {}
    decoder.last_event_id().map(ToString::to_string)
}

/// What readers and publishers know of each other.
#[derive(Default)]
pub(super) struct Progress {
    /// Readers whose first stream has opened.
    opened: AtomicUsize,
    ids: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Progress {
    pub(super) fn acknowledge(&self, ids: &[String]) {
        self.ids.lock().unwrap().extend_from_slice(ids);
    }

    /// Waits until so many readers read: a reader that is late misses nothing, and a run wants holes.
    pub(super) fn wait_for_readers(&self, readers: usize) {
        while self.opened.load(Ordering::SeqCst) < readers {
            thread::sleep(MOMENT);
        }
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn random_id(&self, random: &mut Random) -> Option<String> {
        let ids = self.ids.lock().unwrap();
        (!ids.is_empty()).then(|| random.pick(&ids).clone())
    }
}

pub(super) struct Reader {
    address: SocketAddr,
    habit: Habit,
    random: Random,
    progress: Arc<Progress>,
    has_opened: bool,
}

impl Reader {
    pub(super) fn new(address: SocketAddr, habit: Habit, random: Random, progress: Arc<Progress>) -> Self {
        Self { address, habit, random, progress, has_opened: false }
    }

    /// Connects again and again until all is published, and then once more to read the rest.
    pub(super) fn run(mut self) -> Vec<Transcript> {
        let matchers = if self.habit == Habit::Sleeps { &["*"] } else { *self.random.pick(&SUBSCRIPTIONS) };
        let mut transcripts: Vec<Transcript> = Vec::new();
        loop {
            let is_over = self.progress.is_over();
            let last = transcripts.last().and_then(Transcript::last_event_id);
            if let (true, Some(last)) = (is_over, last.clone()) {
                transcripts.push(self.connect(matchers, Start::Behind(last), true));
                return transcripts;
            }
            let start = self.start(last);
            transcripts.push(self.connect(matchers, start, false));
        }
    }

    fn start(&mut self, last: Option<String>) -> Start {
        let id = match self.random.below(20) {
            0..=8 => last,
            9..=12 => self.progress.random_id(&mut self.random),
            13 if self.habit == Habit::WandersFar => Some((*self.random.pick(&STRANGE_IDS)).to_owned()),
            _ => None,
        };
        id.map_or(Start::Live, Start::Behind)
    }

    fn connect(&mut self, matchers: &'static [&'static str], start: Start, poll: bool) -> Transcript {
        let mut stream = Stream::open(self.address, matchers, &start, poll, &mut self.random);
        let mut left = self.random.below(120);
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        let mut silence = Duration::ZERO;
        loop {
            match stream.next() {
                Next::Block(block) => {
                    silence = Duration::ZERO;
                    let is_event = is_event(&block);
                    let is_end = is_event && block.ends_with(format!("\ndata: {END}\n\n").as_bytes());
                    blocks.push(block);
                    if !self.has_opened {
                        self.has_opened = true;
                        self.progress.opened.fetch_add(1, Ordering::SeqCst);
                    }
                    match self.habit {
                        _ if poll => {}
                        _ if is_end => break,
                        // a keep-alive: nothing is left, and nothing will come. Who has slept reads old ones
                        Habit::Wanders | Habit::WandersFar
                            if !is_event && blocks.len() > 1 && self.progress.is_over() =>
                        {
                            break;
                        }
                        _ if !is_event => {}
                        Habit::Sleeps if left > 0 => {
                            self.sleep();
                            left = 0;
                        }
                        Habit::Sleeps => {}
                        Habit::Wanders | Habit::WandersFar if left == 0 => break,
                        Habit::Wanders | Habit::WandersFar => left -= 1,
                    }
                }
                Next::Nothing => {
                    silence += MOMENT;
                    assert!(silence < PATIENCE, "silence: {matchers:?} from {start:?}");
                }
                Next::End => {
                    assert!(poll, "the server ended a stream of {matchers:?} from {start:?}");
                    break;
                }
            }
        }
        Transcript { matchers, start, blocks, complete: poll }
    }

    /// Until all is published, but not so long that the server gives the reader up, which it does after 30 s.
    fn sleep(&self) {
        let mut slept = Duration::ZERO;
        while !self.progress.is_over() && slept < SLEEP_MAX {
            thread::sleep(MOMENT);
            slept += MOMENT;
        }
    }
}

/// All that the log holds, as the body of an answer.
pub(super) fn replay(address: SocketAddr, format: &str) -> Vec<u8> {
    let mut answer = request(address, &format!("topic=*&poll=1&format={format}"), "");
    answer.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut body = Vec::new();
    answer.read_to_end(&mut body).unwrap();
    body
}

enum Next {
    Block(Vec<u8>),
    /// Nothing has come for a moment.
    Nothing,
    End,
}

struct Stream {
    reader: BufReader<TcpStream>,
    bytes: Vec<u8>,
    /// Bytes that were handed out.
    taken: usize,
}

impl Stream {
    fn open(address: SocketAddr, matchers: &[&str], start: &Start, poll: bool, random: &mut Random) -> Self {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let mut query: String = matchers.iter().map(|matcher| format!("&topic={}", encoded(matcher))).collect();
        let mut header = String::new();
        if let Start::Behind(id) = start {
            match random.below(3) {
                0 => query.push_str(&format!("&since={}", encoded(id))),
                1 => query.push_str(&format!("&last_event_id={}", encoded(id))),
                _ => header = format!("Last-Event-ID: {id}\r\n"),
            }
        }
        if poll {
            query.push_str("&poll=1");
        }
        Self { reader: request(address, &query, &header), bytes: Vec::new(), taken: 0 }
    }

    fn next(&mut self) -> Next {
        loop {
            let rest = &self.bytes[self.taken..];
            // a keep-alive is a line of its own
            let end = if rest.starts_with(b":\n") { Some(0) } else { memmem::find(rest, b"\n\n") };
            if let Some(end) = end {
                let block = rest[..end + 2].to_vec();
                self.taken += block.len();
                return Next::Block(block);
            }
            self.bytes.drain(..std::mem::take(&mut self.taken));
            let mut chunk = [0; 8_192];
            match self.reader.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.bytes.is_empty(), "ended inside a block: {:?}", String::from_utf8_lossy(&self.bytes));
                    return Next::End;
                }
                Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Next::Nothing;
                }
                Err(error) => panic!("a stream broke: {error}"),
            }
        }
    }
}

/// Asks as HTTP/1.0, so that the answer has no chunks, and reads the head of the answer.
fn request(address: SocketAddr, query: &str, header: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET /events?{query} HTTP/1.0\r\nHost: localhost\r\n{header}\r\n").unwrap();
    let mut reader = BufReader::new(socket);
    let head: Vec<String> = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert!(head[0].ends_with(" 200 OK"), "{query}: {head:?}");
    reader.get_ref().set_read_timeout(Some(MOMENT)).unwrap();
    reader
}

/// What readers subscribe to.
const SUBSCRIPTIONS: [&[&str]; 8] = [
    &["*"],
    &["a"],
    &["räume/7"],
    &["a", "b"],
    &["rooms/*"],
    &["rooms/1", "rooms/1/deep", "b"],
    &["r*/*", "a"],
    &["rooms/1", "r*s/1*"],
];

/// Ids of another log, and of nobody.
const STRANGE_IDS: [&str; 2] = ["k4f9zq71:5", "nobody's"];

/// How long a reader waits before it looks again whether something has come or the run is over.
const MOMENT: Duration = Duration::from_millis(50);

const SLEEP_MAX: Duration = Duration::from_secs(10);
