//! EventSource over TCP.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oyez_client::{ErrorKind, EventId, EventSource, EventSourceBuilder, Format};

use crate::say::say;
use crate::script::{PATIENCE, Server, nowhere};

/// Reads a stream in a thread of its own.
struct Reader(Receiver<String>);

impl Reader {
    fn start(builder: EventSourceBuilder) -> Self {
        let (sender, items) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut source = builder.build().unwrap();
                while let Some(item) = source.next().await {
                    if sender.send(say(&item)).is_err() {
                        return;
                    }
                }
                drop(sender.send("over".to_owned()));
            });
        });
        Self(items)
    }

    /// The next items are exactly these; `…` stands for any end of one.
    #[track_caller]
    fn yields(&self, expected: &[&str]) {
        for expected in expected {
            let found = self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing, not {expected:?}"));
            match expected.strip_suffix('…') {
                Some(start) => assert!(found.starts_with(start), "{found:?}, not {expected:?}"),
                None => assert_eq!(found, *expected),
            }
        }
    }
}

/// Waits are as short as they can be.
fn builder(url: &str) -> EventSourceBuilder {
    EventSource::builder(url).unwrap().initial_delay(Duration::ZERO)
}

#[test]
fn the_request_is_that_of_an_event_source() {
    let server = Server::new();
    let own = builder(&server.url("/x?a=b c#part")).header("X-Own", "ä").unwrap();
    let _reader = Reader::start(own);
    let connection = server.accept();
    assert_eq!(connection.request_line(), "GET /x?a=b%20c HTTP/1.1");
    assert_eq!(connection.header("accept"), Some("text/event-stream"));
    assert_eq!(connection.header("cache-control"), Some("no-cache"));
    assert_eq!(connection.header("x-own"), Some("ä"));
    assert_eq!(connection.header("accept-encoding"), Some("identity"));
    for absent in ["last-event-id", "content-length", "content-type", "authorization", "cookie"] {
        assert_eq!(connection.header(absent), None, "{absent}");
    }
}

#[test]
fn own_headers_replace_the_default_ones() {
    let server = Server::new();
    let own =
        builder(&server.url("/")).header("accept", "text/x").unwrap().header("cache-control", "no-store").unwrap();
    let _reader = Reader::start(own);
    let connection = server.accept();
    assert_eq!(connection.header("accept"), Some("text/x"));
    assert_eq!(connection.header("cache-control"), Some("no-store"));
}

#[test]
fn a_stream_cut_in_a_block_is_resumed_after_the_last_whole_one() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")).last_event_id(EventId::new("0").unwrap()));
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("0"));
    connection.open();
    connection.send("id: ä\ndata: 1\n\ndata: 2\n\nid: lost\ndata: 3\n");
    drop(connection);
    reader.yields(&["open 200", "message \"1\" ä", "message \"2\" ä", "disconnected: the stream ended"]);
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("ä"));
    connection.open_with("content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n");
    connection.send("a\r\ndata: 3\r\n\r\n\r\nff\r\ndata: cut within a chunk");
    drop(connection);
    reader.yields(&["open 200", "message \"3\" ä", "disconnected: the stream broke off"]);
    let mut connection = server.accept();
    connection.open();
    connection.send("id\n\ndata: 4\n\n");
    reader.yields(&["open 200", "message \"4\" -"]);
    drop(connection);
    assert_eq!(server.accept().header("last-event-id"), None);
}

#[test]
fn a_204_is_the_normal_end() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")));
    let mut connection = server.accept();
    connection.open_with("content-type: text/event-stream\r\noyez: 1\r\n");
    connection.send("retry: 0\nid: e:1\n\nevent: oyez.end\nid: e:2\ndata: {\"topic\":\"t\"}\n\n");
    drop(connection);
    reader.yields(&["open 200", "end", "disconnected: the stream ended"]);
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("e:2"));
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
    reader.yields(&["over"]);
}

#[test]
fn only_the_hub_has_words_of_its_own() {
    let words = "event: oyez.gap\ndata: {\"reason\":\"expired\",\"requested\":\"a:1\",\"oldest\":\"a:5\",\"missed\":3}\n\n\
                 event: oyez.gap\ndata: what\n\nevent: oyez.open\ndata: {}\n\nevent: oyez.end\ndata: {}\n\n";
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")));
    let mut connection = server.accept();
    connection.open_with("content-type: text/event-stream\r\nOyez: 1\r\n");
    connection.send(words);
    reader.yields(&["open 200", "gap expired Some(\"a:1\") Some(\"a:5\") Some(3)", "gap  None None None"]);
    reader.yields(&["session {}", "end"]);
    drop(connection);
    reader.yields(&["disconnected: …"]);
    let mut connection = server.accept();
    connection.open();
    connection.send(words);
    reader.yields(&["open 200", "oyez.gap …", "oyez.gap \"what\" -", "oyez.open \"{}\" -", "oyez.end \"{}\" -"]);
}

#[test]
fn answers_that_open_no_stream_are_final() {
    for (status, headers, body, expected) in [
        ("200 OK", "content-type: text/html\r\n", "", "Refused: the server answered with the type \"text/html\"…"),
        ("200 OK", "", "", "Refused: the server answered with the type \"\", which is no event stream"),
        ("206 Partial Content", "content-type: text/event-stream\r\n", "", "Refused: the server answered 206 …"),
        ("404 Not Found", "", "", "Refused: the server answered 404 Not Found"),
        ("404 Not Found", "content-type: text/plain\r\n", "no such page\n", "Refused: …: no such page"),
        (
            "410 Gone",
            "content-type: application/problem+json\r\n",
            r#"{"title":"gone","detail":"topic \"x\" has ended"}"#,
            "Refused: the server answered 410 Gone: topic \"x\" has ended",
        ),
        ("301 Moved", "", "", "Refused: the server answered 301 Moved Permanently: a redirect without a location"),
        ("302 Found", "location: \r\n", "", "Refused: the server answered 302 Found: a redirect without a location"),
        ("302 Found", "location: ftp://x/\r\n", "", "Refused: a redirect leads nowhere: \"ftp://x/\": its scheme …"),
        (
            "401 Unauthorized",
            "content-type: application/json\r\n",
            r#"{"error":"token expired"}"#,
            "Refused: the server answered 401 Unauthorized: token expired",
        ),
        (
            "200 OK",
            "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
            "\u{1f}",
            "Refused: the server encodes the stream with \"gzip\", which was not asked for",
        ),
    ] {
        let server = Server::new();
        let reader = Reader::start(builder(&server.url("/")));
        server.accept().answer(status, headers, body);
        match expected.split_once("…:") {
            Some((start, end)) => {
                let found = reader.0.recv_timeout(PATIENCE).unwrap();
                assert!(found.starts_with(start) && found.ends_with(end), "{found}");
            }
            None => reader.yields(&[expected]),
        }
        reader.yields(&["over"]);
        assert!(!server.is_asked());
    }
}

#[test]
fn a_refusal_that_never_ends_its_body_is_told_all_the_same() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")));
    let mut connection = server.accept();
    connection.send("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\r\n");
    while connection.try_send([b'x'; 4_096]).is_ok() {}
    reader.yields(&["Refused: the server answered 400 Bad Request: xxx…", "over"]);
}

#[test]
fn overload_and_errors_of_the_server_pass() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")));
    for (status, told) in [
        ("503 Service Unavailable", "disconnected: the server answered 503 Service Unavailable"),
        ("429 Too Many Requests", "disconnected: the server answered 429 Too Many Requests"),
        ("500 Internal Server Error", "disconnected: the server answered 500 Internal Server Error"),
    ] {
        server.accept().answer(status, "retry-after: 0\r\n", "");
        reader.yields(&[told]);
    }
    let mut connection = server.accept();
    connection.open();
    connection.send("data: at last\n\n");
    reader.yields(&["open 200", "message \"at last\" -"]);
}

#[test]
fn redirects_are_followed_and_credentials_stay_with_their_origin() {
    let (here, there) = (Server::new(), Server::new());
    let own = builder(&here.url("/1"))
        .header("Authorization", "Bearer secret")
        .and_then(|own| own.header("Cookie", "secret=1"))
        .and_then(|own| own.header("X-Own", "kept"))
        .unwrap();
    let reader = Reader::start(own);
    here.accept().answer("307 Temporary Redirect", "location: /2\r\n", "");
    let mut second = here.accept();
    assert_eq!(second.request_line(), "GET /2 HTTP/1.1");
    assert_eq!(second.header("authorization"), Some("Bearer secret"));
    assert_eq!(second.header("cookie"), Some("secret=1"));
    second.answer("301 Moved Permanently", &format!("location: {}\r\n", there.url("/3")), "");
    let mut third = there.accept();
    assert_eq!(third.request_line(), "GET /3 HTTP/1.1");
    assert_eq!((third.header("authorization"), third.header("cookie")), (None, None));
    assert_eq!(third.header("x-own"), Some("kept"));
    assert_eq!(third.header("accept"), Some("text/event-stream"));
    drop(second);
    // back home they do not return: whoever sent us may have chosen the place
    third.answer("302 Found", &format!("location: {}\r\n", here.url("/4")), "");
    let mut fourth = here.accept();
    assert_eq!((fourth.request_line(), fourth.header("authorization")), ("GET /4 HTTP/1.1", None));
    fourth.open();
    fourth.send("id: 1\ndata: x\n\n");
    reader.yields(&["open 200", "message \"x\" 1"]);
    drop(fourth);
    // a reconnection starts where the caller said
    let again = here.accept();
    assert_eq!(again.request_line(), "GET /1 HTTP/1.1");
    assert_eq!(again.header("authorization"), Some("Bearer secret"));
    assert_eq!(again.header("last-event-id"), Some("1"));
}

#[test]
fn cookies_are_kept_for_their_origin_if_asked_for() {
    let (server, other) = (Server::new(), Server::new());
    let own = builder(&server.url("/x")).cookies(true).header("Cookie", "mine=1").unwrap();
    let reader = Reader::start(own);
    server.accept().answer("503 Service Unavailable", "set-cookie: node=a; Path=/\r\nretry-after: 0\r\n", "");
    let mut connection = server.accept();
    assert_eq!(connection.header("cookie"), Some("mine=1; node=a"));
    connection.answer(
        "307 Temporary Redirect",
        &format!("location: {}\r\nset-cookie: node=b; path=/\r\n", other.url("/")),
        "",
    );
    let mut connection = other.accept();
    assert_eq!(connection.header("cookie"), None);
    connection.open_with("content-type: text/event-stream\r\nset-cookie: theirs=1\r\n");
    drop(connection);
    assert_eq!(server.accept().header("cookie"), Some("mine=1; node=b"));
    drop(reader);
}

#[test]
fn cookies_are_not_kept_unless_asked_for() {
    let server = Server::new();
    let _reader = Reader::start(builder(&server.url("/x")));
    server.accept().open_with("content-type: text/event-stream\r\nset-cookie: node=a\r\n");
    assert_eq!(server.accept().header("cookie"), None);
}

#[test]
fn a_mistaken_scheme_is_final_and_told_in_our_words() {
    for (scheme, answer, told) in [
        ("https", "HTTP/1.1 400 Bad Request\r\n\r\n", "no TLS is spoken there; for plain HTTP say http://"),
        ("http", "\u{15}\u{3}\u{1}\0\u{2}\u{2}F", "no HTTP is spoken there; for TLS say https://"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let mut beginning = [0; 16];
                drop(std::io::Read::read_exact(&mut socket, &mut beginning));
                drop(std::io::Write::write_all(&mut socket, answer.as_bytes()));
                // what is still unread would make a reset of the close
                drop(socket.shutdown(std::net::Shutdown::Write));
                drop(std::io::copy(&mut socket, &mut std::io::sink()));
            }
        });
        let mut source = EventSource::builder(&format!("{scheme}://{address}/")).unwrap().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(source.next()).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        assert_eq!(cause.to_string(), told);
    }
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")));
    for _ in 0..6 {
        server.accept().answer("308 Permanent Redirect", "location: /\r\n", "");
    }
    reader.yields(&["Refused: too many redirects in a row", "over"]);
    assert!(!server.is_asked());
}

#[test]
fn method_and_body_go_with_every_attempt() {
    let server = Server::new();
    let own = builder(&server.url("/")).method("REPORT".parse().unwrap()).body("{}");
    let _reader = Reader::start(own.header("content-type", "application/json").unwrap());
    for _ in 0..2 {
        let mut connection = server.accept();
        assert_eq!((connection.request_line(), connection.text()), ("REPORT / HTTP/1.1", "{}"));
        assert_eq!(connection.header("content-type"), Some("application/json"));
        connection.open();
    }
}

#[test]
fn an_event_or_a_line_without_end_costs_no_more_than_the_bound() {
    for start in ["data: ", "data: x\n", "id: ", ": "] {
        let server = Server::new();
        let bound = builder(&server.url("/")).event_bytes_max(100_000).comments(true);
        let reader = Reader::start(bound);
        let mut connection = server.accept();
        connection.open();
        connection.send(start);
        let line = if start.ends_with('\n') { "data: x\n" } else { "xxxxxxxx" };
        while connection.try_send(line.repeat(1_000)).is_ok() {}
        reader.yields(&["open 200", "TooLarge: event is larger than 100000 bytes", "over"]);
        assert!(!server.is_asked());
    }
}

#[test]
fn a_silent_stream_is_given_up() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")).read_timeout(Duration::from_millis(300)));
    server.accept().wait_for_close(); // no head came
    let silent = "disconnected: no byte came for 300ms";
    reader.yields(&[silent]);
    let mut is_open = false;
    while !is_open {
        let mut connection = server.accept();
        // it may have given up already
        drop(connection.try_open());
        connection.wait_for_close();
        let item = reader.0.recv_timeout(PATIENCE).unwrap();
        is_open = item == "open 200";
        assert!(is_open || item == silent, "{item}");
    }
    reader.yields(&[silent]);
}

#[test]
fn so_many_attempts_and_no_more() {
    let nowhere = nowhere();
    let reader = Reader::start(builder(&format!("http://{nowhere}/")).attempts_max(NonZeroU32::new(2).unwrap()));
    let told = format!("disconnected: cannot connect to {nowhere}");
    let final_words = format!("Unavailable: 2 attempts in a row failed (cannot connect to {nowhere})");
    reader.yields(&[&told, &final_words, "over"]);
}

#[test]
fn comments_come_if_asked_for() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")).comments(true));
    let mut connection = server.accept();
    connection.open();
    connection.send(": hi\n\n:\n\n");
    reader.yields(&["open 200", "comment \"hi\"", "comment \"\""]);
}

#[test]
fn newline_delimited_json_resumes_by_the_ids_in_its_lines() {
    let server = Server::new();
    let reader = Reader::start(builder(&server.url("/")).format(Format::Lines));
    let mut connection = server.accept();
    assert_eq!(connection.header("accept"), Some("application/x-ndjson"));
    connection.open_with("content-type: application/x-ndjson\r\n");
    connection.send("{\"id\":\"a:1\",\"type\":\"t\"}\n\n{\"id\":\"a:2\",\"retry\":5}\nnot JSON\n{\"id\":\"a:3\"");
    drop(connection);
    reader.yields(&["open 200", "line {\"id\":\"a:1\",\"type\":\"t\"} t", "line {\"id\":\"a:2\",\"retry\":5} -"]);
    reader.yields(&["line not JSON -", "disconnected: the stream ended"]);
    assert_eq!(server.accept().header("last-event-id"), Some("a:2"));
}

#[test]
fn headers_are_asked_for_with_each_attempt_and_stay_at_their_origin() {
    let (server, other) = (Server::new(), Server::new());
    let asked = Arc::new(AtomicU32::new(0));
    let own = builder(&server.url("/")).header("x-token", "old").unwrap().header("x-own", "1").unwrap();
    let reader = Reader::start(own.last_event_id(EventId::new("7").unwrap()).headers_with(move |attempt| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            Ok([("x-token", format!("{number} after {}", attempt.failures))])
        }
    }));
    let mut connection = server.accept();
    assert_eq!((connection.header("x-token"), connection.header("x-own")), (Some("0 after 0"), Some("1")));
    assert_eq!(connection.header("last-event-id"), Some("7"));
    connection.answer("307 Temporary Redirect", "location: /there\r\n", "");
    // the same attempt at the same origin
    let mut connection = server.accept();
    assert_eq!((connection.request_line(), connection.header("x-token")), ("GET /there HTTP/1.1", Some("0 after 0")));
    connection.answer("307 Temporary Redirect", &format!("location: {}\r\n", other.url("/")), "");
    // at another origin what was fetched for the first is not sent
    let mut connection = other.accept();
    assert_eq!((connection.header("x-token"), connection.header("x-own")), (Some("old"), Some("1")));
    connection.answer("503 Service Unavailable", "", "");
    reader.yields(&["disconnected: the server answered 503 Service Unavailable"]);
    let mut connection = server.accept();
    assert_eq!((connection.header("x-token"), connection.header("last-event-id")), (Some("1 after 1"), Some("7")));
    connection.open();
    drop(connection);
    reader.yields(&["open 200", "disconnected: the stream ended"]);
    assert_eq!(server.accept().header("x-token"), Some("2 after 0"));
}

#[test]
fn headers_that_cannot_be_had_are_a_failed_attempt_and_such_as_cannot_be_sent_are_the_end() {
    let server = Server::new();
    let (sender, answers) = mpsc::channel::<Result<&str, &str>>();
    let answers = Mutex::new(answers);
    let reader = Reader::start(builder(&server.url("/")).headers_with(move |_| {
        let answer = answers.lock().unwrap().recv().unwrap();
        async move { Ok([("authorization", answer?)]) }
    }));
    sender.send(Err("the login is away")).unwrap();
    reader.yields(&["disconnected: no headers for the request"]);
    assert!(!server.is_asked());
    sender.send(Ok("Bearer t")).unwrap();
    let connection = server.accept();
    assert_eq!(connection.header("authorization"), Some("Bearer t"));
    drop(connection);
    reader.yields(&["disconnected: no answer from …"]);
    sender.send(Ok("Bearer t\n")).unwrap();
    reader.yields(&["Invalid: the value of header \"authorization\" holds a control character", "over"]);
    assert!(!server.is_asked());
}

#[test]
fn a_client_of_ones_own_connects_with_its_own_settings() {
    let server = Server::new();
    let client = reqwest::Client::builder().user_agent("mine").redirect(reqwest::redirect::Policy::none()).no_proxy();
    let reader = Reader::start(builder(&server.url("/")).client(client.build().unwrap()));
    let mut connection = server.accept();
    assert_eq!(
        (connection.header("user-agent"), connection.header("accept")),
        (Some("mine"), Some("text/event-stream"))
    );
    connection.answer("307 Temporary Redirect", "location: /there\r\n", "");
    let mut connection = server.accept();
    assert_eq!((connection.request_line(), connection.header("user-agent")), ("GET /there HTTP/1.1", Some("mine")));
    connection.open();
    connection.send("data: 1\n\n");
    reader.yields(&["open 200", "message \"1\" -"]);
}
