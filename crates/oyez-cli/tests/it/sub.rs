//! `oyez sub`.

use crate::command::Oyez;
use crate::script::{Server, nowhere};

/// `oyez sub` with waits as short as they can be.
fn sub<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Oyez {
    Oyez::start(["sub", "--initial-delay-ms", "0", "--no-jitter"].into_iter().chain(arguments))
}

const OPEN: &str = r#"{"kind":"open","status":200}"#;
const ENDED: &str = r#"{"kind":"error","error":"the stream ended"}"#;

#[test]
fn a_stream_from_the_first_event_to_204() {
    let server = Server::new();
    let url = server.url("/events/x?a=1");
    let oyez = sub([
        "--since",
        "10m",
        url.as_str(),
        "--last",
        "5",
        "-H",
        "Authorization: Bearer x",
        "--until",
        "k:9 é",
        "--comments",
    ]);
    let mut connection = server.accept();
    assert_eq!(connection.request_line(), "GET /events/x?a=1&since=10m&last=5&until=k%3A9+%C3%A9 HTTP/1.1");
    assert_eq!(connection.header("accept"), Some("text/event-stream"));
    assert_eq!(connection.header("cache-control"), Some("no-cache"));
    assert_eq!(connection.header("authorization"), Some("Bearer x"));
    assert_eq!((connection.header("accept-encoding"), connection.header("last-event-id")), (Some("identity"), None));
    connection.open_with("content-type: text/event-stream\r\noyez: 1\r\n");
    connection.send("retry: 100\nid: k:1\n\n: hello\n\nevent: t\ndata: a\ndata: b\n\n");
    oyez.prints(&[
        OPEN,
        r#"{"kind":"comment","comment":"hello"}"#,
        r#"{"kind":"event","type":"t","data":"a\nb","id":"k:1"}"#,
    ]);
    connection.send("id: k:2\nretry: 100\ndata: \"é\u{1b}\n\n");
    oyez.prints(&[r#"{"kind":"event","type":"message","data":"\"é\u001b","id":"k:2","retry":100}"#]);
    connection.send(
        "event: oyez.gap\nid: k:4\ndata: {\"reason\":\"expired\",\"requested\":\"k:2\",\"oldest\":\"k:5\",\"missed\":2}\n\n\
         event: oyez.gap\ndata: {\"reason\":\"epoch\",\"missed\":null}\n\nevent: oyez.end\nid: k:9\ndata: {\"topic\":\"y\"}\n\n",
    );
    oyez.prints(&[
        r#"{"kind":"gap","reason":"expired","requested":"k:2","oldest":"k:5","missed":2}"#,
        r#"{"kind":"gap","reason":"epoch","requested":null,"oldest":null,"missed":null}"#,
        r#"{"kind":"end"}"#,
    ]);
    drop(connection);
    oyez.prints(&[ENDED]);
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("k:9"));
    connection.answer("204 No Content", "", "");
    oyez.ends(0, "");
}

#[test]
fn the_end_of_all_topics_of_the_url_is_the_end_whether_or_not_the_server_says_so_again() {
    let end = |topic: &str| format!("event: oyez.end\nid: k:{topic}\ndata: {{\"topic\":\"{topic}\"}}\n\n");
    let server = Server::new();
    let oyez = sub([server.url("/events/1?topic=2").as_str()]);
    let mut connection = server.accept();
    connection.open_with("content-type: text/event-stream\r\noyez: 1\r\n");
    connection.send(format!("retry: 100\n\n{}", end("2")));
    oyez.prints(&[OPEN, r#"{"kind":"end"}"#]);
    drop(connection); // the other has not ended, so it comes back
    oyez.prints(&[ENDED]);
    let mut connection = server.accept();
    connection.open_with("content-type: text/event-stream\r\noyez: 1\r\n");
    connection.send(format!("data: x\n\n{}", end("1")));
    oyez.prints(&[OPEN, r#"{"kind":"event","type":"message","data":"x","id":"k:2"}"#, r#"{"kind":"end"}"#]);
    oyez.ends(0, ""); // the connection is still open

    let oyez = sub([server.url("/events/1").as_str(), "--format", "ndjson"]);
    let mut connection = server.accept();
    connection.open_with("content-type: application/x-ndjson\r\n");
    connection.send("{\"type\":\"oyez.end\",\"id\":\"k:1\",\"data\":\"{\\\"topic\\\":\\\"1\\\"}\"}\n");
    oyez.prints(&[OPEN, r#"{"kind":"end","type":"oyez.end","id":"k:1","data":"{\"topic\":\"1\"}"}"#]);
    oyez.ends(0, "");
}

#[test]
fn what_passes_is_told_and_tried_again() {
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--last-event-id", "7", "-X", "REPORT", "--data", "{}"]);
    for _ in 0..2 {
        let mut connection = server.accept();
        assert_eq!((connection.request_line(), connection.text()), ("REPORT / HTTP/1.1", "{}"));
        assert_eq!(connection.header("last-event-id"), Some("7"));
        connection.answer("503 Service Unavailable", "content-type: text/plain\r\n", "busy");
        oyez.prints(&[r#"{"kind":"error","error":"the server answered 503 Service Unavailable: busy","status":503}"#]);
    }
    server.accept().open();
    oyez.prints(&[OPEN, ENDED]);
}

#[test]
fn a_final_answer_is_one_clear_line_and_status_1() {
    let problem = "content-type: application/problem+json\r\n";
    for (status, headers, body, told, of) in [
        (
            "404 Not Found",
            problem,
            r#"{"detail":"no topic \"x\""}"#,
            r#"the server answered 404 Not Found: no topic \"x\""#,
            404,
        ),
        ("401 Unauthorized", "", "", "the server answered 401 Unauthorized", 401),
        (
            "200 OK",
            "content-type: text/html\r\n",
            "",
            r#"the server answered with the type \"text/html\", which is no event stream"#,
            200,
        ),
    ] {
        let server = Server::new();
        let url = server.url("/x");
        let oyez = sub([format!("{url}?authorization=secret").as_str()]);
        server.accept().answer(status, headers, body);
        oyez.prints(&[&format!(r#"{{"kind":"error","error":"{told}","status":{of}}}"#)]);
        oyez.ends(1, &format!("oyez: {url}: {}\n", told.replace("\\\"", "\"")));
    }
}

#[test]
fn refused_connections_are_attempts() {
    let nowhere = nowhere();
    let oyez = sub([format!("http://{nowhere}/").as_str(), "--max-attempts", "2"]);
    let told = format!("cannot connect to {nowhere}: Connection refused (os error 111)");
    oyez.prints(&[&format!(r#"{{"kind":"error","error":"{told}"}}"#)]);
    oyez.prints(&[&format!(r#"{{"kind":"error","error":"2 attempts in a row failed: {told}"}}"#)]);
    oyez.ends(1, &format!("oyez: http://{nowhere}/: 2 attempts in a row failed: {told}\n"));
}

#[test]
fn max_events_counts_events_only() {
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--max-events", "2", "--comments"]);
    let mut connection = server.accept();
    connection.open();
    connection.send(": a\n: b\n: c\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n");
    let comment = r#"{"kind":"comment",…"#;
    oyez.prints(&[OPEN, comment, comment, comment]);
    oyez.prints(&[r#"{"kind":"event","type":"message","data":"1","id":""}"#, r#"{"kind":"event",…"#]);
    oyez.ends(0, "");
    connection.wait_for_close();
}

#[test]
fn ctrl_c_and_sigterm_end_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let server = Server::new();
        let oyez = sub([server.url("/").as_str()]);
        let mut connection = server.accept();
        connection.open();
        oyez.prints(&[OPEN]);
        oyez.signal(signal);
        oyez.ends(0, "");
        connection.wait_for_close();
    }
}

#[test]
fn sigusr1_reconnects_at_once() {
    let server = Server::new();
    let oyez = Oyez::start(["sub", &server.url("/"), "--initial-delay-ms", "3600000"]);
    let mut connection = server.accept();
    connection.open();
    connection.send("id: 1\ndata: x\n\n");
    oyez.prints(&[OPEN, r#"{"kind":"event","type":"message","data":"x","id":"1"}"#]);
    oyez.signal("USR1");
    connection.wait_for_close();
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("1"));
    connection.answer("500 Internal Server Error", "", "");
    oyez.prints(&[r#"{"kind":"error","error":"the server answered 500 Internal Server Error","status":500}"#]);
    oyez.signal("USR1"); // it waits for an hour
    server.accept().open();
    oyez.prints(&[OPEN]);
}

#[test]
fn each_url_is_a_stream_of_its_own() {
    let (first, second) = (Server::new(), Server::new());
    let oyez = sub([first.url("/a").as_str(), second.url("/b").as_str()]);
    let mut one = first.accept();
    one.open();
    let from = |url: String, rest: &str| format!("{{{rest},\"url\":\"{url}\"}}");
    oyez.prints(&[&from(first.url("/a"), r#""kind":"open","status":200"#)]);
    let mut two = second.accept();
    two.open();
    two.send("data: 2\n\n");
    oyez.prints(&[&from(second.url("/b"), r#""kind":"open","status":200"#)]);
    oyez.prints(&[&from(second.url("/b"), r#""kind":"event","type":"message","data":"2","id":"""#)]);
    one.send("data: 1\n\n");
    oyez.prints(&[&from(first.url("/a"), r#""kind":"event","type":"message","data":"1","id":"""#)]);
    drop(one);
    oyez.prints(&[&from(first.url("/a"), r#""kind":"error","error":"the stream ended""#)]);
    first.accept().answer("204 No Content", "", "");
    two.send("data: 3\n\n"); // the other goes on
    oyez.prints(&[&from(second.url("/b"), r#""kind":"event","type":"message","data":"3","id":"""#)]);
    drop(two);
    oyez.prints(&[&from(second.url("/b"), r#""kind":"error","error":"the stream ended""#)]);
    second.accept().answer("204 No Content", "", "");
    oyez.ends(0, "");
}

#[test]
fn of_several_streams_no_password_is_printed() {
    let (first, second) = (Server::new(), Server::new());
    let secret = |server: &Server| server.url("/a").replace("://", "://me:secret@");
    let oyez = sub([secret(&first).as_str(), &secret(&second)]);
    let connection = first.accept();
    assert_eq!(connection.header("authorization"), Some("Basic bWU6c2VjcmV0"));
    let mut connection = connection;
    connection.open();
    oyez.prints(&[&format!(r#"{{"kind":"open","status":200,"url":"{}"}}"#, first.url("/a"))]);
    second.accept().answer("404 Not Found", "", "");
    oyez.prints(&[&format!(
        r#"{{"kind":"error","error":"the server answered 404 Not Found","status":404,"url":"{}"}}"#,
        second.url("/a")
    )]);
    oyez.ends(1, &format!("oyez: {}: the server answered 404 Not Found\n", second.url("/a")));
}

#[test]
fn a_balancer_gets_its_cookie_back() {
    let server = Server::new();
    let url = server.url("/x");
    let _oyez = sub([url.strip_prefix("http://").unwrap()]);
    server.accept().open_with("content-type: text/event-stream\r\nset-cookie: node=a; Path=/; HttpOnly\r\n");
    assert_eq!(server.accept().header("cookie"), Some("node=a"));
}

#[test]
fn what_a_server_sends_does_not_steer() {
    let steers = "\u{1b}[2J\u{9b}31m\u{202e}";
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--format", "ndjson", "--json"]);
    let mut connection = server.accept();
    connection.open_with("content-type: application/x-ndjson\r\n");
    connection.send(format!("{steers}\n{{\"data\":\"{steers}\"}}\n{{\"data\":\"\u{9b}\u{202e}\"}}\n"));
    let shown = "\\u001b[2J\\u009b31m\\u202e";
    let event = r#"{"kind":"event","data":"\u009b\u202e"}"#;
    oyez.prints(&[OPEN, shown, &format!("{{\"data\":\"{shown}\"}}"), event]);

    let oyez = sub([server.url("/").as_str(), "--json"]);
    let mut connection = server.accept();
    connection.open();
    connection.send(format!("event: {steers}\ndata: {steers}\n\n"));
    oyez.prints(&[OPEN, &format!(r#"{{"kind":"event","type":"{shown}","data":"{shown}","id":""}}"#)]);

    let oyez = sub([server.url("/").as_str()]);
    let problem = "{\"detail\":\"no\u{202e}\u{9b}\"}";
    server.accept().answer("403 Forbidden", "content-type: application/json\r\n", problem);
    oyez.prints(&[r#"{"kind":"error","error":"the server answered 403 Forbidden: no\u202e","status":403}"#]);
    oyez.ends(1, &format!("oyez: {}: the server answered 403 Forbidden: no\\u{{202e}}\n", server.url("/")));
}

#[test]
fn newline_delimited_json_keeps_its_fields_and_gets_a_kind() {
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--format", "ndjson", "--max-events", "2"]);
    let mut connection = server.accept();
    assert_eq!(connection.header("accept"), Some("application/x-ndjson"));
    connection.open_with("content-type: application/x-ndjson\r\n");
    connection
        .send("{\"id\":\"k:1\", \"type\":\"t\",\"data\":\"é\"}\n\n\n{\"type\":\"oyez.gap\",\"id\":\"k:2\"}\n{\"id\":");
    oyez.prints(&[
        OPEN,
        r#"{"kind":"event","id":"k:1", "type":"t","data":"é"}"#,
        r#"{"kind":"gap","type":"oyez.gap","id":"k:2"}"#,
    ]);
    drop(connection);
    oyez.prints(&[ENDED]);
    let mut connection = server.accept();
    assert_eq!(connection.header("last-event-id"), Some("k:2"));
    connection.open_with("content-type: application/x-ndjson\r\n");
    connection.send("{}\n");
    oyez.prints(&[OPEN, "{}"]);
    oyez.ends(0, "");
}

#[test]
fn an_event_beyond_the_bound_is_status_1() {
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--max-event-bytes", "1000"]);
    let mut connection = server.accept();
    connection.open();
    connection.send(format!("data: {}", "x".repeat(2_000)));
    oyez.prints(&[OPEN, r#"{"kind":"error","error":"event is larger than 1000 bytes"}"#]);
    oyez.ends(1, &format!("oyez: {}: event is larger than 1000 bytes\n", server.url("/")));
}

#[test]
fn silence_beyond_the_read_timeout_reconnects() {
    let server = Server::new();
    let oyez = sub([server.url("/").as_str(), "--read-timeout-ms", "300"]);
    let silent = r#"{"kind":"error","error":"no byte came for 300ms"}"#;
    let mut is_open = false;
    while !is_open {
        let mut connection = server.accept();
        // it may have given up already
        drop(connection.try_open());
        connection.wait_for_close();
        let line = oyez.line();
        is_open = line == OPEN;
        assert!(is_open || line == silent, "{line}");
    }
    oyez.prints(&[silent]);
    server.accept();
}

#[test]
fn a_closed_pipe_ends_it_quietly_even_if_nothing_more_comes() {
    let server = Server::new();
    let script = format!("'{}' sub {} | head -n 1; echo $?", env!("CARGO_BIN_EXE_oyez"), server.url("/"));
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut connection = server.accept();
    connection.open();
    connection.wait_for_close();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{OPEN}\n0\n"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
