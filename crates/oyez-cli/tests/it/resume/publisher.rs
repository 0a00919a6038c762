//! One that publishes as fast as it is answered, on one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use oyez_proto::Event;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::random::Random;
use super::reader::Progress;
use crate::script::PATIENCE;

/// What is published to.
pub(super) const TOPICS: [&str; 6] = ["a", "b", "rooms/1", "rooms/2", "rooms/1/deep", "räume/7"];

/// The data of the last event, which goes to all topics: who has read it has read everything.
pub(super) const END: &str = "the end";

/// One request and its acknowledgement.
pub(super) struct Published {
    pub(super) events: Vec<Sent>,
    pub(super) ids: Vec<String>,
}

pub(super) struct Sent {
    pub(super) topics: Vec<String>,
    data: String,
    own_id: Option<String>,
}

impl Sent {
    /// The bytes that every reader is to get of an event that is acknowledged with this id.
    pub(super) fn frame(&self, id: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        Event::data(self.data.as_str()).id(id).unwrap().encode(&mut frame);
        frame
    }

    fn json(&self) -> Value {
        let mut object = json!({ "topics": self.topics, "data": self.data });
        if let Some(id) = &self.own_id {
            object["id"] = id.as_str().into();
        }
        object
    }
}

/// Publishes `requests` times: an event by path, an event as JSON, a batch.
pub(super) fn run(
    address: SocketAddr,
    number: u64,
    mut random: Random,
    requests: u64,
    pressure: bool,
    progress: &Progress,
) -> Vec<Published> {
    let mut connection = Connection::open(address);
    let mut published = Vec::new();
    for request in 0..requests {
        let length = if random.percent(40) { 1 + random.below(20) } else { 1 };
        let events: Vec<_> = (0..length)
            .map(|event| {
                let own_id = (!pressure && random.percent(10)).then(|| format!("own-{number}-{request}-{event}"));
                sent(format!("{number}/{request}/{event} "), own_id, if pressure { 2_000 } else { 100 }, &mut random)
            })
            .collect();
        let ids = connection.publish(&events);
        assert_eq!(ids.len(), events.len());
        progress.acknowledge(&ids);
        published.push(Published { events, ids });
    }
    published
}

/// Publishes what ends the run.
pub(super) fn end(address: SocketAddr, progress: &Progress) -> Vec<Published> {
    let topics = TOPICS.iter().map(|topic| (*topic).to_owned()).collect();
    let events = vec![Sent { topics, data: END.to_owned(), own_id: None }];
    let ids = Connection::open(address).publish(&events);
    progress.end();
    vec![Published { events, ids }]
}

fn sent(name: String, own_id: Option<String>, length_max: u64, random: &mut Random) -> Sent {
    let first = *random.pick(&TOPICS);
    let second = Some(*random.pick(&TOPICS)).filter(|topic| *topic != first && random.percent(25));
    let times = usize::try_from(random.below(length_max)).unwrap();
    let filler = random.pick(&["x", "ünï", "line\n", "more\r\n"]).repeat(times);
    Sent { topics: [first].into_iter().chain(second).map(str::to_owned).collect(), data: name + &filler, own_id }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    fn publish(&mut self, events: &[Sent]) -> Vec<String> {
        match events {
            [event] if event.topics.len() == 1 => {
                let query = event.own_id.as_ref().map(|id| format!("?id={id}")).unwrap_or_default();
                let target = format!("/events/{}{query}", utf8_percent_encode(&event.topics[0], NON_ALPHANUMERIC));
                vec![text(&self.post(&target, "text/plain", &event.data)["id"])]
            }
            [event] => vec![text(&self.post("/events", "application/json", &event.json().to_string())["id"])],
            batch => {
                let lines: Vec<String> = batch.iter().map(|event| event.json().to_string()).collect();
                let answer = self.post("/events", "application/x-ndjson", &lines.join("\n"));
                answer["ids"].as_array().expect("the ids of a batch").iter().map(text).collect()
            }
        }
    }

    fn post(&mut self, target: &str, content_type: &str, body: &str) -> Value {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all((head + body).as_bytes()).unwrap();
        let lines: Vec<String> =
            self.0.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "HTTP/1.1 200 OK", "{target}: {body}");
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut answer = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

fn text(id: &Value) -> String {
    id.as_str().expect("an id").to_owned()
}
