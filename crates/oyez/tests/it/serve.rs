//! `oyez::serve` over real sockets.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use oyez::{BodyTimeout, Event, Hub, LastEventId, Sse};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::child;
use crate::directory::Directory;
use crate::web::{Client, Server, until, within};

const SHORT: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::MAX;

fn streams(hub: &Hub) -> Router {
    async fn stream(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        hub.subscribe("a").resume(resume).into_response()
    }
    Router::new().route("/", get(stream)).route("/plain", get(|| async { "the page" })).with_state(hub.clone())
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let server =
        Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(SHORT).idle_timeout(NEVER)).await;
    assert_eq!(server.connect().await.read_to_end().await, "");
    let mut half = server.connect().await;
    half.send("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(half.read_to_end().await, "");
}

#[tokio::test]
async fn the_head_of_a_later_request_has_no_longer_than_that_of_the_first() {
    let second = Duration::from_secs(1);
    let server =
        Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(second).idle_timeout(NEVER)).await;
    for half in ["GET / HTTP/1.1\r\nhost:", "G", "GET / HTTP/1.1\r\nhost: x\r\n\r"] {
        let mut client = server.get("/plain").await;
        client.read_to("the page").await;
        client.send(half).await;
        assert_eq!(client.read_to_end().await, "", "{half:?}");
    }
}

#[tokio::test]
async fn a_head_may_come_in_any_pieces() {
    let server = Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(NEVER)).await;
    let request = "GET /plain HTTP/1.1\r\nhost: x\r\n\r\n";
    for at in 1..request.len() {
        let mut client = server.connect().await;
        // the first head, a later one, and one in the same piece as the end of another
        for _ in 0..2 {
            client.send(&request[..at]).await;
            tokio::task::yield_now().await;
            client.send(&request[at..]).await;
            client.read_to("the page").await;
        }
        client.send(&format!("\r\n{request}{}", &request[..at])).await;
        client.read_to("the page").await;
        client.send(&format!("{}{request}", &request[at..])).await;
        client.read_to("the page").await;
        client.read_to("the page").await;
    }
}

#[tokio::test]
async fn what_cannot_become_a_head_is_refused_at_once() {
    let server = Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(NEVER)).await;
    for begins in ["\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/1.1\r\nhost: \0", "GET / HTTP/1.1\n"] {
        let mut first = server.connect().await;
        first.send(begins).await;
        assert!(first.read_to_end().await.starts_with("HTTP/1.1 400 "), "{begins:?}");
        let mut later = server.get("/plain").await;
        later.read_to("the page").await;
        later.send(begins).await;
        assert!(later.read_to_end().await.starts_with("HTTP/1.1 400 "), "{begins:?}");
    }
    // and one that is longer than any
    let mut long = server.connect().await;
    long.send(&format!("GET / HTTP/1.1\r\na: {}", "x".repeat(16 << 10))).await;
    assert!(long.read_to_end().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn empty_lines_do_not_put_off_the_end_of_the_first_head() {
    let server =
        Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(SHORT).idle_timeout(NEVER)).await;
    let mut client = server.connect().await;
    let mut lines = 0;
    let mut closed = [0];
    // for as long as it takes them
    while let Err(error) = client.stream.try_read(&mut closed) {
        if error.kind() != std::io::ErrorKind::WouldBlock || client.stream.write_all(b"\r\n").await.is_err() {
            break;
        }
        lines += 1;
        tokio::time::sleep(SHORT / 20).await;
    }
    assert!(lines > 1);
}

#[tokio::test]
async fn a_drain_waits_for_half_a_head_and_for_nobody_who_has_sent_nothing() {
    let mut server = Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(NEVER)).await;
    let (silent, mut half) = (server.connect().await, server.connect().await);
    half.send("GET /plain HTTP/1.1\r\nhost:").await;
    let mut after = server.get("/plain").await;
    after.read_to("the page").await; // those before it were accepted, and most likely read
    tokio::task::yield_now().await;
    server.begin_drain();
    assert_eq!(silent.read_to_end().await, "");
    half.send(" x\r\n\r\n").await;
    let answer = half.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("the page"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn a_connection_is_idle_for_the_idle_timeout() {
    let server =
        Server::start_with(streams(&Hub::new()), |serve| serve.header_timeout(SHORT).idle_timeout(SHORT)).await;
    let answer = server.get("/plain").await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("the page"), "{answer}");
}

#[tokio::test]
async fn a_stream_outlives_the_header_and_idle_timeouts() {
    let hub = Hub::new();
    let server = Server::start_with(streams(&hub), |serve| serve.header_timeout(SHORT).idle_timeout(SHORT)).await;
    let mut stream = server.get("/").await;
    stream.read_to("retry: ").await;
    // both have passed when they have closed these
    server.connect().await.read_to_end().await;
    server.get("/plain").await.read_to_end().await;
    hub.publish("a", Event::data("still here")).await.unwrap();
    stream.read_to("data: still here\n\n").await;
}

#[tokio::test]
async fn a_silent_body_is_given_up_unless_its_handler_lifts_the_timeout() {
    async fn read(request: Request) -> (StatusCode, String) {
        if request.uri().path() == "/patient" {
            request.extensions().get::<BodyTimeout>().unwrap().set(NEVER);
        }
        match request.into_body().collect().await {
            Ok(body) => (StatusCode::OK, String::from_utf8(body.to_bytes().to_vec()).unwrap()),
            Err(error) => (StatusCode::REQUEST_TIMEOUT, error.to_string()),
        }
    }
    let app = Router::new().route("/", post(read)).route("/patient", post(read));
    let server = Server::start_with(app, |serve| serve.body_timeout(SHORT)).await;
    let mut patient = server.connect().await;
    patient.send("POST /patient HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab").await;
    let mut silent = server.connect().await;
    silent.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab").await;
    silent.read_to("HTTP/1.1 408").await;
    silent.read_to("no byte of the request's body").await;
    patient.send("cd").await;
    patient.read_to("abcd").await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_a_body_reaches_who_still_sends() {
    async fn refuse() -> (StatusCode, &'static str) {
        (StatusCode::PAYLOAD_TOO_LARGE, "too large, and why")
    }
    async fn begin(request: Request) -> (StatusCode, &'static str) {
        let _ = request.into_body().frame().await;
        refuse().await
    }
    let app = Router::new().route("/", post(refuse)).route("/begun", post(begin));
    let server = Server::start(app).await;
    let megabyte = vec![b'x'; 1 << 20];
    for (path, framing, first) in [
        ("/", "content-length: 16777216", ""),
        ("/", "transfer-encoding: chunked", "1000000\r\n"),
        ("/begun", "content-length: 16777216", "x"),
        ("/begun", "transfer-encoding: chunked", "1000000\r\nx"),
    ] {
        let mut client = server.connect().await;
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n{first}")).await;
        // it looks for an answer when it has sent all that it has at hand
        for _ in 0..8 {
            client.stream.write_all(&megabyte).await.unwrap_or_else(|error| panic!("{path} {framing}: {error}"));
        }
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("too large, and why"), "{answer}");
    }
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nno colon\r\n\r\n").await;
    for _ in 0..8 {
        client.stream.write_all(&megabyte).await.unwrap();
    }
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_who_was_refused_and_stays() {
    async fn refuse() -> StatusCode {
        StatusCode::FORBIDDEN
    }
    let app = Router::new().route("/", post(refuse));
    let mut server = Server::start_with(app, |serve| serve.drain(NEVER)).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\nx").await;
    client.read_to("HTTP/1.1 403").await;
    server.begin_drain();
    // it goes on as if nothing had been said
    let sending = tokio::spawn(async move { while client.stream.write_all(b"x").await.is_ok() {} });
    server.ended().await;
    sending.await.unwrap();
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let hub = Hub::new();
    let server = Server::start(streams(&hub)).await;
    let mut client = server.connect().await;
    let plain = "GET /plain HTTP/1.1\r\nhost: x\r\n\r\n";
    client
        .send(&[plain, "GET /none HTTP/1.1\r\nhost: x\r\n\r\n", plain, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"].concat())
        .await;
    for expected in ["HTTP/1.1 200", "the page", "HTTP/1.1 404", "HTTP/1.1 200", "the page", "HTTP/1.1 200", "retry: "]
    {
        client.read_to(expected).await;
    }
}

#[tokio::test]
async fn head_has_the_headers_and_no_stream() {
    let hub = Hub::new();
    let server = Server::start(streams(&hub)).await;
    let mut client = server.connect().await;
    client.send("HEAD / HTTP/1.1\r\nhost: x\r\n\r\nGET /plain HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let head = client.read_to("\r\n\r\n").await;
    assert!(head.contains("content-type: text/event-stream;charset=utf-8\r\n"), "{head}");
    assert!(client.read_to("the page").await.starts_with("HTTP/1.1 200"));
    assert_eq!((hub.stats().subscribers, hub.stats().ended.left), (0, 0));
}

#[tokio::test]
async fn a_half_closed_connection_ends_its_stream() {
    let hub = Hub::new();
    let server = Server::start(streams(&hub)).await;
    let mut client = server.get("/").await;
    client.read_to("retry: ").await;
    client.stream.shutdown().await.unwrap();
    client.read_to_end().await;
    until("the subscriber leaves", || hub.stats().subscribers == 0 && hub.stats().ended.left == 1).await;
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_connection_only() {
    async fn panics() {
        panic!("as planned");
    }
    let hub = Hub::new();
    let server = Server::start(streams(&hub).route("/panic", get(panics))).await;
    let mut stream = server.get("/").await;
    stream.read_to("retry: ").await;
    assert_eq!(server.get("/panic").await.read_to_end().await, "");
    hub.publish("a", Event::data("still here")).await.unwrap();
    stream.read_to("data: still here\n\n").await;
    server.get("/plain").await.read_to("the page").await;
}

#[tokio::test]
async fn heads_that_are_too_large_or_wrong_are_refused() {
    let server = Server::start(streams(&Hub::new())).await;
    let field = format!("x: {}\r\n", "y".repeat(1_000));
    let many = "x: y\r\n".repeat(150);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", field.repeat(70)), "431"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        ("nonsense\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".into(), "400"),
    ] {
        let mut client = server.connect().await;
        // the server may answer and close before it has read all of it
        let _ = client.stream.write_all(request.as_bytes()).await;
        client.read_to(&format!("HTTP/1.1 {status}")).await;
    }
}

#[tokio::test]
async fn each_request_knows_its_peer() {
    async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
        peer.to_string()
    }
    let server = Server::start(Router::new().route("/", get(peer))).await;
    let mut client = server.get("/").await;
    let own = client.stream.local_addr().unwrap().to_string();
    client.read_to(&own).await;
}

#[tokio::test]
async fn a_full_server_lets_connections_wait() {
    let hub = Hub::new();
    let server = Server::start_with(streams(&hub), |serve| serve.connections_max(1)).await;
    let mut first = server.get("/").await;
    first.read_to("retry: ").await;
    let mut second = server.get("/plain").await;
    drop(first);
    second.read_to("the page").await;
}

#[tokio::test]
async fn a_drain_ends_streams_at_a_frame_border() {
    let hub = Hub::new();
    let mut server = Server::start_with(streams(&hub), |serve| serve.drain(Duration::from_secs(10))).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = server.get("/").await;
        client.read_to("\n\n").await;
        clients.push(client);
    }
    let id = hub.publish("a", "last").await.unwrap();
    for client in &mut clients {
        client.read_to(&format!("id: {id}\ndata: last\n\n")).await;
    }
    server.begin_drain();
    for client in clients {
        // the last chunk, and nothing else
        assert_eq!(client.read_to_end().await, "\r\n0\r\n\r\n");
    }
    server.ended().await;
    assert_eq!((hub.stats().subscribers, hub.stats().ended.drain), (0, 100));
}

#[tokio::test]
async fn a_drain_finishes_plain_requests_and_closes_the_rest() {
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asks, answers) = (Arc::clone(&asked), Arc::clone(&answer));
    let slow = move || {
        let (asks, answers) = (Arc::clone(&asks), Arc::clone(&answers));
        async move {
            asks.notify_one();
            answers.notified().await;
            "finished"
        }
    };
    let app = streams(&Hub::new()).route("/slow", get(slow));
    let mut server = Server::start_with(app, |serve| serve.drain(Duration::from_secs(60))).await;
    let mut plain = server.get("/slow").await;
    asked.notified().await;
    let fresh = server.connect().await;
    let mut idle = server.get("/plain").await;
    idle.read_to("the page").await;
    server.begin_drain();
    // the connections that wait for nothing close at once, and nobody gets in
    assert_eq!(idle.read_to_end().await, "");
    assert_eq!(fresh.read_to_end().await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
    answer.notify_one();
    plain.read_to("finished").await;
    server.ended().await;
}

#[tokio::test]
async fn a_stream_that_is_made_while_the_drain_begins_ends_too() {
    let hub = Hub::<Event>::new();
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asks, answers, streams) = (Arc::clone(&asked), Arc::clone(&answer), hub.clone());
    let slow = move || {
        let (asks, answers, streams) = (Arc::clone(&asks), Arc::clone(&answers), streams.clone());
        async move {
            asks.notify_one();
            answers.notified().await;
            streams.subscribe("a").into_response()
        }
    };
    let app = Router::new().route("/", get(slow));
    let mut server = Server::start_with(app, |serve| serve.drain(Duration::from_secs(60))).await;
    let stream = server.get("/").await;
    asked.notified().await;
    let address = server.address;
    server.begin_drain();
    until("the drain has begun", || std::net::TcpStream::connect(address).is_err()).await;
    answer.notify_one();
    let text = stream.read_to_end().await;
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    server.ended().await;
}

#[tokio::test]
async fn other_endless_bodies_are_cut_at_the_end_of_the_window() {
    async fn endless() -> Body {
        struct Endless(bool);
        impl http_body::Body for Endless {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
                if std::mem::replace(&mut self.0, true) {
                    return std::task::Poll::Pending;
                }
                std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"for ever")))))
            }
        }
        Body::new(Endless(false))
    }
    let app = Router::new().route("/", get(endless));
    let mut server = Server::start_with(app, |serve| serve.drain(SHORT)).await;
    let mut client = server.get("/").await;
    client.read_to("for ever").await;
    server.begin_drain();
    let rest = client.read_to_end().await;
    assert_eq!(rest, "\r\n", "cut, not ended");
    server.ended().await;
}

#[tokio::test]
async fn at_the_descriptor_limit_streams_live_and_accepting_resumes() {
    let mut child = child::run("serve::with_few_descriptors", 40).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned())).unwrap();
    let connect = async || Client::new(TcpStream::connect(&address).await.unwrap());
    let mut stream = connect().await;
    stream.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.read_to("retry: ").await;
    let mut control = connect().await;
    let mut crowd = Vec::new();
    // some of these are served, the others wait in the kernel's queue
    for _ in 0..60 {
        crowd.push(connect().await);
    }
    loop {
        control.send("GET /is-full HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if control.read_to(" end").await.contains("is full: true") {
            break;
        }
    }
    control.send("GET /publish HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.read_to("data: at the limit\n\n").await;
    drop(crowd);
    let mut late = connect().await;
    late.send("GET /is-full HTTP/1.1\r\nhost: x\r\n\r\n").await;
    late.read_to(" end").await;
    drop(child.stdin.take()); // its sign to stop
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "a part of `at_the_descriptor_limit_streams_live_and_accepting_resumes`, which limits its descriptors"]
fn with_few_descriptors() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let hub = Hub::new();
        let publisher = hub.clone();
        let publish = move || {
            let publisher = publisher.clone();
            async move { publisher.publish("a", Event::data("at the limit")).await.unwrap().to_string() }
        };
        let is_full = || async { format!("is full: {} end", std::fs::File::open("/dev/null").is_err()) };
        let app = streams(&hub).route("/publish", get(publish)).route("/is-full", get(is_full));
        let server = Server::start(app).await;
        println!("listening on {}", server.address);
        let stopped = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
        until("the parent says stop", || stopped.is_finished()).await;
    });
}

#[tokio::test]
async fn a_request_that_upgrades_is_its_handlers() {
    async fn echo(mut request: Request) -> axum::response::Response {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut socket = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            let mut said = [0; 5];
            tokio::io::AsyncReadExt::read_exact(&mut socket, &mut said).await.unwrap();
            socket.write_all(&said).await.unwrap();
        });
        let upgraded = [("connection", "upgrade"), ("upgrade", "echo")];
        axum::response::IntoResponse::into_response((StatusCode::SWITCHING_PROTOCOLS, upgraded))
    }
    let server = Server::start(Router::new().route("/", get(echo))).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await;
    assert!(client.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    // no head, and no text at all
    client.send("\0GET\n").await;
    client.read_to("\0GET\n").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_stream_on_a_unix_socket_is_the_same() {
    use tokio::io::AsyncReadExt;
    use tokio::net::unix::SocketAddr as UnixAddress;

    async fn peer(_: ConnectInfo<UnixAddress>) -> &'static str {
        "known"
    }
    let directory = Directory::new("unix");
    std::fs::create_dir_all(&directory.0).unwrap();
    let path = directory.0.join("socket");
    let hub = Hub::<Event>::new();
    let app = streams(&hub).route("/peer", get(peer));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serve = tokio::spawn(oyez::serve(listener, app).with_graceful_shutdown(stopped).into_future());

    let mut asks = tokio::net::UnixStream::connect(&path).await.unwrap();
    asks.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("an answer", asks.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("known"), "{answer}");

    let mut reads = tokio::net::UnixStream::connect(&path).await.unwrap();
    reads.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("the stream is open", || hub.stats().subscribers == 1).await;
    hub.publish("a", "hello").await.unwrap();
    let mut got = String::new();
    while !got.contains("data: hello\n") {
        got.push(char::from(within("the event", reads.read_u8()).await.unwrap()));
    }
    stop.send(()).unwrap();
    // a drain ends it properly: the last chunk comes
    within("the end", reads.read_to_string(&mut got)).await.unwrap();
    assert!(got.ends_with("0\r\n\r\n"), "{got:?}");
    within("the server ends", serve).await.unwrap().unwrap();
}

#[tokio::test]
async fn plain_axum_ends_its_streams_when_the_hub_drains() {
    let hub = Hub::<Event>::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = {
        let hub = hub.clone();
        async move {
            stopped.await.unwrap();
            hub.drain(Duration::from_millis(10)).await;
        }
    };
    let server = tokio::spawn(axum::serve(listener, streams(&hub)).with_graceful_shutdown(shutdown).into_future());
    let mut reader = TcpStream::connect(address).await.unwrap();
    reader.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("the stream is open", || hub.stats().subscribers == 1).await;
    stop.send(()).unwrap();
    let mut got = String::new();
    within("the end", tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut got)).await.unwrap();
    assert!(got.ends_with("0\r\n\r\n"), "{got:?}");
    within("the server ends", server).await.unwrap().unwrap();
}
