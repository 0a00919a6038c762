//! Streams leave hyper, and nothing that a reader sees depends on it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use oyez::{Connection, Event, Format, Hub, LastEventId, Publish, Retention, Sse, Topic};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use crate::web::{Client, Server, until, within};

/// What a head says of a stream that has left hyper.
const LEFT: &str = "connection: close\r\n";

fn app(hub: &Hub) -> Router {
    async fn stream(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        hub.subscribe("a").resume(resume).into_response()
    }
    async fn stays(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").into_response().hand_over(false)
    }
    async fn two(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").earliest().limit(2).into_response()
    }
    async fn even(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").filter(|event: &Event| event.data_str().len() % 2 == 0).into_response()
    }
    async fn panics(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").filter(|_: &Event| panic!("as planned")).into_response()
    }
    async fn lines(State(hub): State<Hub>) -> Sse {
        hub.subscribe("a").format(Format::Ndjson).into_response()
    }
    Router::new()
        .route("/", get(stream))
        .route("/stays", get(stays))
        .route("/two", get(two))
        .route("/even", get(even))
        .route("/panics", get(panics))
        .route("/lines", get(lines))
        .route("/large", get(|| async { "x".repeat(8 << 20) }))
        .with_state(hub.clone())
}

#[tokio::test]
async fn the_head_is_that_of_all_layers_and_says_how_the_stream_is_framed() {
    async fn decorate(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.append("x-layer", HeaderValue::from_static("one"));
        headers.append("x-layer", HeaderValue::from_static("two"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert(HeaderName::from_static("keep-alive"), HeaderValue::from_static("timeout=5"));
        response
    }
    let hub = Hub::new();
    let server = Server::start(app(&hub).layer(middleware::from_fn(decorate))).await;
    let head = server.get("/").await.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in [
        "x-layer: one\r\n",
        "x-layer: two\r\n",
        "content-type: text/event-stream;charset=utf-8\r\n",
        "cache-control: no-store, no-transform\r\n",
        "transfer-encoding: chunked\r\n",
        LEFT,
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line:?} in {head}");
    }
    assert!(head.contains("\r\ndate: ") && head.contains(" GMT\r\n"), "{head}");
    assert!(!head.contains("keep-alive"), "{head}");
}

#[tokio::test]
async fn http_1_0_gets_the_bytes_as_they_are_until_the_connection_ends() {
    let hub = Hub::new();
    let mut server = Server::start(app(&hub)).await;
    let mut reader = server.connect().await;
    reader.send("GET / HTTP/1.0\r\nhost: x\r\n\r\n").await;
    let head = reader.read_to("\r\n\r\n").await;
    assert!(head.contains(LEFT) && !head.contains("transfer-encoding"), "{head}");
    assert!(reader.read_to("\n\n").await.starts_with("retry: "));
    let id = hub.publish("a", Event::data("hello")).await.unwrap();
    // what was acknowledged before a drain goes out before the end
    server.begin_drain();
    assert_eq!(reader.read_to_end().await, format!("id: {id}\ndata: hello\n\n"));
}

#[tokio::test]
async fn what_a_layer_has_encoded_or_the_handler_keeps_stays_in_hyper() {
    async fn encode(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("x-as-it-is"));
        response
    }
    let hub = Hub::new();
    let plain = Server::start(app(&hub)).await;
    let encoded = Server::start(app(&hub).layer(middleware::from_fn(encode))).await;
    for (server, path) in [(&plain, "/stays"), (&encoded, "/")] {
        let mut reader = server.get(path).await;
        assert!(!reader.read_to("\r\n\r\n").await.contains(LEFT), "{path}");
        hub.publish("a", Event::data(path)).await.unwrap();
        reader.read_to(&format!("data: {path}\n\n")).await;
    }
}

#[tokio::test]
async fn a_body_that_a_layer_has_replaced_is_not_taken_from_it() {
    async fn replace(request: Request, next: Next) -> Response {
        next.run(request).await.map(|_| Body::from("something else"))
    }
    let hub = Hub::new();
    let server = Server::start(app(&hub).layer(middleware::from_fn(replace))).await;
    let mut reader = server.get("/").await;
    let head = reader.read_to("\r\n\r\n").await;
    assert!(!head.contains(LEFT), "{head}");
    reader.read_to("something else").await;
    assert_eq!(hub.stats().subscribers, 0);
}

#[tokio::test]
async fn a_stream_with_an_end_leaves_its_connection_to_the_next_request() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    for n in 0..2 {
        hub.publish("a", Event::data(n.to_string())).await.unwrap();
    }
    let mut reader = server.get("/two").await;
    reader.read_to("data: 1\n\n\r\n0\r\n\r\n").await;
    reader.send("GET /two HTTP/1.1\r\nhost: x\r\n\r\n").await;
    reader.read_to("data: 1\n\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_that_is_still_being_written_is_not_lost_to_a_stream_behind_it() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let mut reader = server.connect().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    reader.send(&(request("/large") + &request("/"))).await;
    // the reader reads slowly: the kernel's buffers are full long before the large answer is written
    tokio::time::sleep(Duration::from_millis(50)).await;
    reader.read_to("\r\n\r\n").await;
    let large = reader.read_to("HTTP/1.1 200 OK\r\n").await;
    assert_eq!(large.find(|byte| byte != 'x'), Some(8 << 20), "the whole answer came first");
    reader.read_to("retry: ").await;
    hub.publish("a", Event::data("behind it")).await.unwrap();
    reader.read_to("data: behind it\n\n").await;
}

#[tokio::test]
async fn what_the_reader_sends_later_means_nothing_and_much_of_it_ends_the_stream() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let mut reader = server.get("/").await;
    reader.read_to("retry: ").await;
    reader.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    hub.publish("a", Event::data("one")).await.unwrap();
    let rest = reader.read_to("data: one\n\n").await;
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
    reader.send(&"y".repeat(5_000)).await;
    until("the talker is cut", || hub.stats().subscribers == 0).await;

    // also what came with the request and was read ahead
    let mut reader = server.connect().await;
    reader.send(&format!("GET / HTTP/1.1\r\nhost: x\r\n\r\n{}", "z".repeat(6_000))).await;
    let _ = reader.read_to_end().await;
    until("the talker is cut", || hub.stats().subscribers == 0).await;
}

#[tokio::test]
async fn the_reader_may_say_four_kibibytes_and_what_was_read_ahead_counts() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    for ahead in [0, 1_000, 4_096] {
        let mut reader = server.connect().await;
        reader.send(&format!("GET / HTTP/1.1\r\nhost: x\r\n\r\n{}", "z".repeat(ahead))).await;
        reader.read_to("retry: ").await;
        reader.send(&"y".repeat(4_096 - ahead)).await;
        // the second event is written after a look at what the socket has
        for data in ["one", "two"] {
            hub.publish("a", Event::data(data)).await.unwrap();
            reader.read_to(&format!("data: {data}\n\n")).await;
        }
        assert_eq!(hub.stats().subscribers, 1, "{ahead} bytes read ahead");
        reader.send("!").await;
        until("the talker is cut", || hub.stats().subscribers == 0).await;
    }
    assert_eq!(hub.stats().ended.left, 3);
}

#[tokio::test]
async fn a_reader_that_goes_is_gone_at_once_also_if_its_socket_was_full() {
    let hub = Hub::new();
    // nobody is cut for standing still
    let server = Server::start_with(app(&hub), |serve| serve.stall_timeout(Duration::from_secs(600))).await;
    let read = async |full: bool| {
        let mut reader = server.get("/").await;
        reader.read_to("retry: ").await;
        let lag = || hub.streams(1).first().map_or(0, |stream| stream.lag);
        while full && lag() < 20 {
            hub.publish("a", Event::data("x".repeat(100_000))).await.unwrap();
            tokio::task::yield_now().await;
        }
        reader
    };
    for full in [false, true] {
        let reader = read(full).await;
        reader.stream.set_zero_linger().unwrap();
        drop(reader);
        until("the one that has reset is gone", || hub.stats().subscribers == 0).await;

        let mut reader = read(full).await;
        reader.stream.shutdown().await.unwrap();
        until("the one that has half-closed is gone", || hub.stats().subscribers == 0).await;
    }
    assert_eq!(hub.stats().ended.left, 4);
}

#[tokio::test]
async fn a_stream_with_a_filter_gets_what_passes_and_a_panic_ends_that_stream_only() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let mut even = server.get("/even").await;
    let mut plain = server.get("/").await;
    let panics = server.get("/panics").await;
    for reader in [&mut even, &mut plain] {
        assert!(reader.read_to("retry: ").await.contains(LEFT));
    }
    until("all are there", || hub.stats().subscribers == 3).await;
    for data in ["1", "22", "333", "4444"] {
        hub.publish("a", Event::data(data)).await.unwrap();
    }
    let read = even.read_to("data: 4444\n\n").await;
    assert!(read.contains("data: 22\n\n") && !read.contains("data: 1\n") && !read.contains("333"), "{read}");
    assert!(plain.read_to("data: 4444\n\n").await.contains("data: 333\n\n"));
    assert!(panics.read_to_end().await.ends_with("0\r\n\r\n"));
    assert_eq!((hub.stats().subscribers, hub.stats().ended.panic), (2, 1));
}

#[tokio::test]
async fn lines_are_chunks_as_well() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let (mut first, mut second) = (server.get("/lines").await, server.get("/lines").await);
    for reader in [&mut first, &mut second] {
        assert!(reader.read_to("\r\n1\r\n\n\r\n").await.contains(LEFT));
    }
    for n in 0..50 {
        hub.publish("a", Event::data(n.to_string())).await.unwrap();
    }
    for reader in [&mut first, &mut second] {
        let text = reader.read_to("\"data\":\"49\"").await;
        let numbers: Vec<_> = text.split("\"data\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(numbers, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_resume_goes_from_history_to_live_without_a_seam() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let first = hub.publish("a", Event::data("0")).await.unwrap();
    let mut readers = Vec::new();
    for n in 1..400 {
        hub.publish("a", Event::data(n.to_string())).await.unwrap();
        if n % 40 == 0 {
            let mut reader = server.connect().await;
            reader.send(&format!("GET / HTTP/1.1\r\nhost: x\r\nlast-event-id: {first}\r\n\r\n")).await;
            readers.push(reader);
        }
    }
    for mut reader in readers {
        let text = reader.read_to("data: 399\n\n").await;
        let numbers: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(numbers, (1..400).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_counted_and_harms_nobody() {
    let hub = Hub::new();
    let server = Server::start_with(app(&hub), |serve| serve.stall_timeout(Duration::from_millis(300))).await;
    let mut stopped = server.get("/").await;
    stopped.read_to("retry: ").await;
    let mut reading = server.get("/").await;
    reading.read_to("retry: ").await;
    let data = "x".repeat(100_000);
    let mut published = 0;
    while hub.stats().ended.stalled == 0 {
        hub.publish("a", Event::data(format!("{published} {data}"))).await.unwrap();
        reading.read_to(&format!("data: {published} ")).await;
        published += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(published < 4_000, "never cut");
    }
    assert_eq!((hub.stats().ended.stalled, hub.stats().subscribers), (1, 1));
    // what the kernel had taken for it still arrives, then the connection ends in the middle of a frame
    assert!(!stopped.read_to_end().await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn descriptors_come_back() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for round in 0..10 {
        let mut readers = Vec::new();
        for n in 0..40 {
            let mut reader = server.get("/").await;
            if n % 2 == 0 {
                reader.read_to("retry: ").await;
            }
            readers.push(reader);
        }
        drop(readers);
        until("all have gone", || hub.stats().subscribers == 0 && open() <= before + 2).await;
        assert!(hub.stats().ended.left >= 20 * (round + 1));
    }
}

#[tokio::test]
async fn a_reader_whose_topic_was_quiet_while_the_log_passed_by_has_missed_nothing() {
    let hub = Hub::builder().history(Retention::last(1)).build();
    let server = Server::start(app(&hub)).await;
    let mut reader = server.get("/").await;
    reader.read_to("retry: ").await;
    until("it is there", || hub.stats().subscribers == 1).await;
    for round in 0..3 {
        for _ in 0..3_000 {
            hub.publish("b", Event::data("for others")).await.unwrap();
        }
        hub.publish("a", Event::data(round.to_string())).await.unwrap();
        let read = reader.read_to(&format!("data: {round}\n\n")).await;
        assert!(!read.contains("gap"), "{read}");
    }
    assert_eq!((hub.stats().gaps, hub.stats().ended.behind), (0, 0));
}

/// An app whose `/own` streams are written by hand, and the other ends of those.
fn by_hand() -> (Router, mpsc::UnboundedReceiver<Connection>) {
    let (opened, connections) = mpsc::unbounded_channel();
    let own = move || async move {
        let (connection, response) = Connection::open();
        opened.send(connection).unwrap();
        response
    };
    (Router::new().route("/own", get(own)), connections)
}

#[tokio::test]
async fn a_stream_written_by_hand_leaves_too_and_ends_behind_what_was_sent() {
    let (app, mut connections) = by_hand();
    let server = Server::start(app).await;
    let mut reader = server.get("/own").await;
    let connection = within("it opens", connections.recv()).await.unwrap();
    // nothing was sent yet, and the reader knows that it is connected
    assert!(reader.read_to("\r\n\r\n2\r\n:\n\r\n").await.contains(LEFT));
    for n in 0..1_000 {
        connection.send(Event::data(n.to_string())).await.unwrap();
    }
    connection.comment("over").await.unwrap();
    connection.close();
    let text = reader.read_to_end().await;
    let numbers: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(numbers, (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(text.ends_with(": over\n\n\r\n0\r\n\r\n"), "{text}");
    assert!(connection.send(Event::data("late")).await.is_err());
}

#[tokio::test]
async fn who_writes_by_hand_waits_for_the_reader_and_hears_that_it_has_gone() {
    let (app, mut connections) = by_hand();
    let server = Server::start(app).await;
    let reader = server.get("/own").await;
    let connection = within("it opens", connections.recv()).await.unwrap();
    let data = "x".repeat(100_000);
    let mut sent = 0;
    // what the kernel takes for a reader that reads nothing is bounded, and so is what waits here
    while tokio::time::timeout(Duration::from_millis(500), connection.send(Event::data(&*data))).await.is_ok() {
        sent += 1;
        assert!(sent < 1_000, "nobody has taken that");
    }
    drop(reader);
    within("the writer hears of it", connection.closed()).await;
    assert!(connection.send(Event::data("late")).await.is_err());
}

#[tokio::test]
async fn a_drain_ends_streams_written_by_hand() {
    let (app, mut connections) = by_hand();
    let mut server = Server::start(app).await;
    let reader = server.get("/own").await;
    let connection = within("it opens", connections.recv()).await.unwrap();
    connection.send(Event::data("last")).await.unwrap();
    server.begin_drain();
    let text = reader.read_to_end().await;
    assert!(text.ends_with("data: last\n\n\r\n0\r\n\r\n"), "{text}");
    within("the writer hears of it", connection.closed()).await;
    server.ended().await;
}

#[tokio::test]
async fn readers_that_come_back_at_many_places_while_more_is_published_get_it_all_once() {
    const EVENTS: usize = 3_000;
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    // several runs of the size of a write behind each other
    let data = |n: usize| format!("{n} {}", "x".repeat(n % 300));
    let mut ids = Vec::new();
    for n in 0..EVENTS {
        ids.push(hub.publish("a", Event::data(data(n))).await.unwrap());
    }
    let mut readers = Vec::new();
    for n in 0..60 {
        let after = n % 20 * EVENTS / 20;
        let mut reader = server.connect().await;
        reader.send(&format!("GET / HTTP/1.1\r\nhost: x\r\nlast-event-id: {}\r\n\r\n", ids[after])).await;
        hub.publish("a", Event::data(data(EVENTS + n))).await.unwrap();
        readers.push((after, reader));
    }
    let last = EVENTS + 59;
    for (after, mut reader) in readers {
        let text = reader.read_to(&format!("data: {}\n\n", data(last))).await;
        let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(found, (after + 1..=last).map(data).collect::<Vec<_>>());
    }
    assert_eq!(hub.stats().gaps, 0);
}

/// A short write may end between two events as well as within one: then nothing waits but the cursor.
#[tokio::test]
async fn readers_slower_than_the_history_they_resume_get_it_all_without_a_keep_alive_to_help() {
    const EVENTS: usize = 150_000;
    let hub = Hub::new();
    let quiet = |State(hub): State<Hub>| async move {
        hub.subscribe("a").earliest().keep_alive(Duration::ZERO).into_response()
    };
    let server = Server::start(Router::new().route("/", get(quiet)).with_state(hub.clone())).await;
    let topic = Topic::new("a").unwrap();
    for batch in 0..EVENTS / 1_000 {
        let event = |n: usize| Publish::new(topic.clone(), Event::data(n.to_string()));
        hub.publish_batch((batch * 1_000..(batch + 1) * 1_000).map(event).collect()).await.unwrap();
    }
    let last = format!("data: {}\n\n", EVENTS - 1);
    let readers = (0..4).map(|_| {
        let (address, last) = (server.address, last.clone());
        tokio::spawn(async move {
            let socket = TcpSocket::new_v4().unwrap();
            // or the kernel takes all of it in the reader's place
            socket.set_recv_buffer_size(16 << 10).unwrap();
            let mut reader = Client::new(socket.connect(address).await.unwrap());
            reader.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            let (mut events, mut tail) = (0, Vec::new());
            let mut bytes = vec![0; 8 << 10];
            while !tail.ends_with(last.as_bytes()) {
                let number = within("more of it", reader.stream.read(&mut bytes)).await.unwrap();
                assert_ne!(number, 0, "cut after {events} events");
                tail.extend_from_slice(&bytes[..number]);
                // whole chunks only: the rest is looked at with what comes
                while let Some(end) = tail.windows(4).position(|window| window == b"\n\n\r\n") {
                    if tail[..end].windows(6).any(|window| window == b"data: ") {
                        let data = String::from_utf8_lossy(&tail[..end]);
                        assert!(data.ends_with(&format!("data: {events}")), "{data} is not event {events}");
                        events += 1;
                    }
                    if events == EVENTS {
                        return;
                    }
                    tail.drain(..end + 4);
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
}
