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
    let ids: Vec<String> = (0..connection.text().lines().count()).map(|number| format!("\"k:{number}\"")).collect();
    let answer = format!("{{\"ids\":[{}]}}", ids.join(","));
    connection.answer_and_stay("200 OK", "content-type: application/json\r\n", &answer);
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
    connection = server.next(connection);
    assert_eq!(batch(&connection), ["three", ""]);
    acknowledge(&mut connection);
    oyez.end_input();
    connection = server.next(connection);
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
        connection = server.next(connection);
    }
    assert!(found.iter().enumerate().all(|(n, line)| *line == format!("line {n} 中文")));
    assert_eq!(found.len(), 10_000);
    writer.join().unwrap().ends(0, "");
}

#[test]
fn a_batch_stays_within_a_mebibyte_but_for_a_single_line() {
    let server = Server::new();
    let mut oyez = lines(&server);
    let (long, longer) = ("\"".repeat(300_000), "\"".repeat(1_000_000));
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
        connection = server.next(connection);
    }
    assert_eq!(found, [300_000, 300_000, 1_000_000, 5]);
    writer.join().unwrap().ends(0, "");
}

fn name(connection: &Connection) -> String {
    let name = connection.header("idempotency-key").expect("a batch has a name");
    assert!((1..=128).contains(&name.len()), "{name}");
    name.to_owned()
}

#[test]
fn a_batch_is_sent_again_under_its_name_until_it_is_answered() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("1\n2\n");
    let mut connection = server.accept();
    let first = name(&connection);
    acknowledge(&mut connection);
    oyez.write("3\n4\n5\n");
    connection = server.next(connection);
    let (second, body) = (name(&connection), connection.body.clone());
    assert_ne!(first, second);
    drop(connection); // read, and perhaps published
    oyez.write("later\n");
    let mut connection = server.accept();
    assert_eq!((name(&connection), &connection.body), (second.clone(), &body));
    connection.answer("503 Service Unavailable", "retry-after: 0\r\n", "");
    oyez.write("later\n");
    let mut connection = server.accept();
    assert_eq!((name(&connection), batch(&connection)), (second.clone(), vec!["3".into(), "4".into(), "5".into()]));
    acknowledge(&mut connection);
    oyez.end_input();
    let mut later = Vec::new();
    while later.len() < 2 {
        connection = server.next(connection);
        assert!(![&first, &second].contains(&&name(&connection)));
        later.extend(batch(&connection));
        acknowledge(&mut connection);
    }
    assert_eq!(later, ["later"; 2], "what comes meanwhile waits");
    oyez.ends(0, "oyez: lines 3 to 5 not answered yet (no answer came from 127.0.0.1:…");
}

#[test]
fn a_refusal_ends_it_and_says_what_is_certain() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("1\n");
    let mut connection = server.accept();
    acknowledge(&mut connection);
    oyez.write("2\n");
    connection = server.next(connection);
    connection.answer("403 Forbidden", "", "");
    oyez.ends(
        1,
        "oyez: 1 line is published; line 2 and the following lines are not: the server answered 403 Forbidden\n",
    );
}

#[test]
fn a_refusal_after_no_answer_leaves_open_what_is_published() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write("1\n");
    drop(server.accept());
    server.accept().answer("401 Unauthorized", "", "");
    let errors = oyez.fails(1);
    let last = errors.lines().last().unwrap();
    assert_eq!(
        last,
        "oyez: 0 lines are published; line 1 may or may not be published (the server answered 401 Unauthorized): read \
         the topic, then continue after its last line"
    );
}

#[test]
fn without_a_hub_ctrl_c_ends_it_and_nothing_is_published() {
    let nowhere = nowhere();
    let mut oyez = Oyez::start(["pub", "--lines", &format!("http://{nowhere}/events/x")]);
    oyez.write("1\n2\n");
    oyez.end_input();
    oyez.says("oyez: lines 1 to 2 not answered yet (cannot connect to 127.0.0.1:");
    oyez.signal("INT");
    let errors = oyez.fails(1);
    let last = errors.lines().last().unwrap();
    assert!(last.starts_with("oyez: 0 lines are published; lines 1 to 2 and the following lines are not: "), "{last}");
}

#[test]
fn a_line_that_is_not_utf_8_is_named_and_left_out() {
    let server = Server::new();
    let mut oyez = lines(&server);
    oyez.write(b"1\n2\n\xff\n4\n");
    oyez.end_input();
    let mut connection = server.accept();
    assert_eq!(batch(&connection), ["1", "2", "4"]);
    acknowledge(&mut connection);
    oyez.ends(
        1,
        "oyez: line 3 is not UTF-8 (--lossy replaces such bytes); it is skipped\n\
         oyez: 3 lines are published; 1 line was skipped\n",
    );
}

#[test]
fn a_line_that_is_too_large_is_named_and_left_out_and_the_rest_goes_on() {
    let server = Server::new();
    let mut oyez = lines(&server);
    // no event at all, and one that is too large for this hub: over 1,000 bytes
    let (huge, large) = ("x".repeat(1024 * 1024 + 1), "y".repeat(1_000));
    let writer = std::thread::spawn(move || {
        oyez.write(format!("1\n{huge}\n3\n4\n{large}\n6\n"));
        oyez.end_input();
        oyez
    });
    let mut found = Vec::new();
    let mut connection = server.accept();
    loop {
        if connection.body.len() > 1_000 {
            connection.answer("413 Content Too Large", "", "");
        } else {
            found.extend(batch(&connection));
            acknowledge(&mut connection);
        }
        if found.last().is_some_and(|line| line == "6") {
            break;
        }
        connection = server.next(connection);
    }
    assert_eq!(found, ["1", "3", "4", "6"]);
    writer.join().unwrap().ends(
        1,
        "oyez: line 2 is longer than 1048576 bytes; it is skipped\n\
         oyez: line 5 is too large for the hub (the server answered 413 Payload Too Large); it is skipped\n\
         oyez: 4 lines are published; 2 lines were skipped\n",
    );
}

#[test]
fn what_is_no_hub_is_told_although_it_says_200() {
    let server = Server::new();
    let page = "<html><title>Log in</title>\u{1b}[2J";
    let oyez = Oyez::start(["pub", &server.url("/events/news"), "x"]);
    server.accept().answer("200 OK", "content-type: text/html\r\n", page);
    let told =
        "with the type \"text/html\", which is no acknowledgement of a hub: \"<html><title>Log in</title>\\u{1b}[2J\"";
    oyez.ends(1, &format!("oyez: the server answered 200 OK {told}\n"));

    let mut oyez = lines(&server);
    oyez.write("1\n");
    server.accept().answer("200 OK", "content-type: text/html\r\n", page);
    oyez.ends(
        1,
        &format!(
            "oyez: 0 lines are published; line 1 and the following lines are not: the server answered 200 OK {told}\n"
        ),
    );

    let oyez = Oyez::start(["pub", &server.url("/events/news"), "x"]);
    server.accept().answer("200 OK", "", "{\"id\":\"\\u001b[2J\\u009b\\u202e\"}");
    // no hub gives such an id: no client could send it back
    let told = r#"which is no acknowledgement of a hub: "{\"id\":\"\\u001b[2J\\u009b\\u202e\"}""#;
    oyez.ends(1, &format!("oyez: the server answered 200 OK, {told}\n"));
}

#[test]
fn a_url_without_a_topic_is_told_where_topics_are() {
    let server = Server::new();
    let oyez = Oyez::start(["pub", &server.url("/").replace("://", "://me:secret@"), "x"]);
    server.accept().answer("405 Method Not Allowed", "content-type: text/plain\r\n", "POST is not allowed here");
    let url = server.url("");
    oyez.ends(
        1,
        &format!("oyez: the server answered 405 Method Not Allowed: POST is not allowed here; the URL of a topic of a hub is {url}/events/TOPIC\n"),
    );
}

#[test]
fn a_dash_is_standard_input_and_this_machine_needs_no_scheme() {
    let server = Server::new();
    let url = server.url("/events/news");
    let short = url.strip_prefix("http://").unwrap();
    for arguments in [&["pub", short, "-"][..], &["pub", short, "--file", "-"], &["pub", short]] {
        let mut oyez = Oyez::start(arguments.iter().copied());
        oyez.write("from a pipe");
        oyez.end_input();
        let mut connection = server.accept();
        assert_eq!(connection.text(), "from a pipe");
        connection.answer("200 OK", "", "{\"id\":\"k:1\"}");
        oyez.prints(&["k:1"]);
        oyez.ends(0, "");
    }
    let mut oyez = Oyez::start(["pub", "--lines", "--file", "-", &format!("{short}/x")]);
    oyez.write("1\n");
    oyez.end_input();
    let mut connection = server.accept();
    assert!(connection.text().contains("\"topics\":\"news/x\""), "{}", connection.text());
    acknowledge(&mut connection);
    oyez.ends(0, "");
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
