//! `oyez pub`.

use std::fmt::Write as _;
use std::fs;

use crate::command::Oyez;
use crate::script::{Connection, Server, nowhere};

#[test]
fn an_event_from_an_argument_with_options_anywhere() {
    let server = Server::new();
    let oyez = Oyez::start([
        "pub",
        "--event",
        "t",
        &server.url("/events/news"),
        "-H",
        "X-Own: 1",
        "hello é",
        "--retry",
        "1000",
        "--id",
        "m-1",
    ]);
    let mut connection = server.accept();
    assert_eq!(connection.request_line(), "POST /events/news?event=t&id=m-1&retry=1000 HTTP/1.1");
    assert_eq!((connection.text(), connection.header("x-own")), ("hello é", Some("1")));
    connection.answer("200 OK", "content-type: application/json\r\n", "{\"id\":\"m-1\"}");
    oyez.prints(&["m-1"]);
    oyez.ends(0, "");
}

#[test]
fn an_event_from_standard_input_or_a_file_is_exact() {
    let server = Server::new();
    let mut oyez = Oyez::start(["pub", &server.url("/events/news")]);
    oyez.write("line 1\nline 2\n");
    oyez.end_input();
    let mut connection = server.accept();
    assert_eq!(connection.text(), "line 1\nline 2\n");
    connection.answer("200 OK", "", "{\"id\":\"k:1\"}");
    oyez.prints(&["k:1"]);
    oyez.ends(0, "");

    let file = std::env::temp_dir().join(format!("oyez-pub-{}", std::process::id()));
    fs::write(&file, "from a file").unwrap();
    let oyez = Oyez::start(["pub", &server.url("/events/news"), "--file", file.to_str().unwrap()]);
    let mut connection = server.accept();
    assert_eq!(connection.text(), "from a file");
    connection.answer("200 OK", "", "{\"id\":\"k:2\"}");
    oyez.prints(&["k:2"]);
    oyez.ends(0, "");
    fs::remove_file(file).unwrap();
}

#[test]
fn what_goes_wrong_is_one_clear_line_and_status_1() {
    let server = Server::new();
    let oyez = Oyez::start(["pub", &server.url("/events/a*"), "x"]);
    let problem = "{\"detail\":\"a topic holds no *: \\\"a*\\\"\"}";
    server.accept().answer("400 Bad Request", "content-type: application/problem+json\r\n", problem);
    oyez.ends(1, "oyez: the server answered 400 Bad Request: a topic holds no *: \"a*\"\n");

    let nowhere = nowhere();
    let oyez = Oyez::start(["pub", &format!("http://{nowhere}/events/x"), "x"]);
    oyez.ends(1, &format!("oyez: cannot connect to {nowhere}: Connection refused (os error 111)\n"));

    let mut oyez = Oyez::start(["pub", &server.url("/events/x")]);
    oyez.write(b"ab\xff");
    oyez.end_input();
    oyez.ends(1, "oyez: standard input is not UTF-8 at byte 2: publish binary data as base64\n");
    Oyez::start(["pub", &server.url("/"), "--file", "/nowhere"]).ends(1, "oyez: /nowhere: No such file…");
    assert!(!server.is_asked());
}

/// The data of the lines of a batch for the topic `app/log`.
fn batch(connection: &Connection) -> Vec<String> {
    assert_eq!(connection.request_line(), "POST /events HTTP/1.1");
    assert_eq!(connection.header("content-type"), Some("application/x-ndjson"));
    let line = |line: &str| {
        let data = line.strip_prefix("{\"topics\":\"app/log\",\"data\":").and_then(|rest| rest.strip_suffix('}'));
        serde_json::from_str(data.unwrap_or_else(|| panic!("{line}"))).unwrap()
    };
    connection.text().lines().map(line).collect()
}

fn acknowledge(connection: &mut Connection) {
    connection.answer_and_stay("200 OK", "content-type: application/json\r\n", "{\"ids\":[]}");
}

fn lines(server: &Server) -> Oyez {
    Oyez::start(["pub", &server.url("/events/app%2Flog"), "--lines"])
}

#[test]
fn lines_are_published_while_the_input_is_open() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("one\ntwo \"é\" 中文\r\n");
    let mut connection = server.accept();
    assert_eq!(batch(&connection), ["one", "two \"é\" 中文"]);
    acknowledge(&mut connection);
    oyez.write("thr");
    oyez.write("ee\n\nlast");
    connection.read_request();
    assert_eq!(batch(&connection), ["three", ""]);
    acknowledge(&mut connection);
    oyez.end_input();
    connection.read_request();
    assert_eq!(batch(&connection), ["last"]);
    acknowledge(&mut connection);
    oyez.ends(0, "");
}

#[test]
fn ten_thousand_lines_arrive_once_and_in_order_in_bounded_batches() {
    let server = Server::new();
    let mut oyez = lines(&server);
    let mut input = String::new();
    (0..10_000).for_each(|n| writeln!(input, "line {n} 中文").unwrap());
    let writer = std::thread::spawn(move || {
        oyez.write(input);
        oyez.end_input();
        oyez
    });
    let mut connection = server.accept();
    let mut found = Vec::new();
    loop {
        let lines = batch(&connection);
        assert!(lines.len() <= 1_000);
        found.extend(lines);
        acknowledge(&mut connection);
        if found.len() >= 10_000 {
            break;
        }
        connection.read_request();
    }
    assert!(found.iter().enumerate().all(|(n, line)| *line == format!("line {n} 中文")));
    assert_eq!(found.len(), 10_000);
    writer.join().unwrap().ends(0, "");
}

#[test]
fn a_batch_stays_within_a_mebibyte_but_for_a_single_line() {
    let server = Server::new();
    let mut oyez = lines(&server);
    let (long, longer) = ("\"".repeat(300_000), "x".repeat(2_000_000));
    let input = format!("{long}\n{long}\n{longer}\nshort\n");
    let writer = std::thread::spawn(move || {
        oyez.write(input);
        oyez.end_input();
        oyez
    });
    let mut connection = server.accept();
    let mut found = Vec::new();
    loop {
        let lines = batch(&connection);
        assert!(connection.body.len() <= 1_048_576 || lines.len() == 1);
        found.extend(lines.iter().map(String::len));
        acknowledge(&mut connection);
        if found.len() >= 4 {
            break;
        }
        connection.read_request();
    }
    assert_eq!(found, [300_000, 300_000, 2_000_000, 5]);
    writer.join().unwrap().ends(0, "");
}

#[test]
fn without_an_answer_it_says_what_is_certain_and_sends_nothing_again() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("1\n2\n");
    let mut connection = server.accept();
    acknowledge(&mut connection);
    oyez.write("3\n4\n5\n");
    connection.read_request();
    assert_eq!(batch(&connection), ["3", "4", "5"]);
    drop(connection);
    oyez.ends(1, "oyez: 2 lines are certain; lines 3 to 5 may be published or not (no answer came from 127.0.0.1:…");
    assert!(!server.is_asked());
}

#[test]
fn a_refusal_says_what_is_certain_and_what_to_do() {
    for (status, headers, expected) in [
        (
            "503 Service Unavailable",
            "retry-after: 7\r\n",
            "oyez: 1 line is certain; line 2 and what follows are not published (the server answered 503 Service \
             Unavailable): go on from line 2 after 7 s\n",
        ),
        (
            "413 Content Too Large",
            "",
            "oyez: 1 line is certain; line 2 and what follows are not published: the server answered 413 Payload Too \
             Large\n",
        ),
    ] {
        let server = Server::new();
        let mut oyez = lines(&server);
        oyez.write("1\n");
        let mut connection = server.accept();
        acknowledge(&mut connection);
        oyez.write("2\n");
        connection.read_request();
        connection.answer(status, headers, "");
        oyez.ends(1, expected);
    }
    let nowhere = nowhere();
    let mut oyez = Oyez::start(["pub", "--lines", &format!("http://{nowhere}/events/x")]);
    oyez.write("1\n2\n");
    let told = "(cannot connect to 127.0.0.1:";
    oyez.ends(1, &format!("oyez: 0 lines are certain; lines 1 to 2 and what follows are not published {told}…"));
}

#[test]
fn a_line_that_is_not_utf_8_is_named_after_those_before_it() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write(b"1\n2\n\xff\n4\n");
    let mut connection = server.accept();
    assert_eq!(batch(&connection), ["1", "2"]);
    acknowledge(&mut connection);
    oyez.ends(1, "oyez: 2 lines are certain; line 3 is not UTF-8 (--lossy replaces such bytes)\n");
}

#[test]
fn ctrl_c_publishes_what_waits_and_ends_cleanly() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("1\n");
    let mut connection = server.accept();
    oyez.signal("INT"); // while the batch is under way
    acknowledge(&mut connection);
    oyez.ends(0, "");
}

#[test]
fn type_and_reconnection_time_go_with_each_line() {
    let server = Server::new();
    let mut oyez = Oyez::start(["pub", "--lines", "--event", "log", "--retry", "5", &server.url("/events")]);
    oyez.write("x\n");
    oyez.end_input();
    let mut connection = server.accept();
    assert_eq!(connection.text(), "{\"topics\":\"events\",\"data\":\"x\",\"event\":\"log\",\"retry\":5}\n");
    acknowledge(&mut connection);
    oyez.ends(0, "");
}
