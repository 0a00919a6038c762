//! `oyez serve`: what it says and logs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use crate::command::Oyez;
use crate::log::Directory;
use crate::script::PATIENCE;

/// A hub with these flags and variables, its public address and its admin's.
fn serve(flags: &[&str], variables: &[(&str, &str)]) -> (Oyez, SocketAddr, SocketAddr) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let hub = Oyez::start_with(arguments.into_iter().chain(flags.iter().copied()), variables);
    let address = |line: &str, name: &str| line.strip_prefix(name).expect("the address").parse().unwrap();
    let (public, admin) = (hub.line(), hub.line());
    (hub, address(&public, "listening on http://"), address(&admin, "admin on http://"))
}

/// Sends a request, reads the whole answer and closes.
fn ask(address: SocketAddr, request: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Ends the hub; all that it has said on standard error.
fn stop(hub: Oyez) -> String {
    hub.signal("TERM");
    hub.fails(0)
}

#[test]
fn the_log_is_json_from_its_first_line_to_its_last() {
    let (hub, address, admin) = serve(&["--log-format", "json"], &[("OYEZ_NO_SUCH", "1")]);
    let lines: Vec<Value> = stop(hub).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |line: &Value| line["fields"]["message"].as_str().unwrap().to_owned();
    assert_eq!(lines.iter().map(said).collect::<Vec<_>>(), ["unknown variable is ignored", "started", "drains"]);
    let started = &lines[1]["fields"];
    assert_eq!(started["url"], format!("http://{address}"));
    assert_eq!(started["admin"], format!("http://{admin}"));
    assert!(started["history"].as_str().unwrap().starts_with("history is in memory"), "{started}");
    assert!(
        started["publishing"].as_str().unwrap().starts_with("any program on this machine may publish"),
        "{started}"
    );
    for line in &lines {
        let timestamp: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(timestamp.as_second() > 0 && line["level"].is_string(), "{line}");
    }

    for (flags, variables) in [(&["--log-format", "json"][..], &[][..]), (&[], &[("OYEZ_LOG_FORMAT", "json")])] {
        let arguments = ["serve", "--check", "--keep", "soon"].into_iter().chain(flags.iter().copied());
        let errors = Oyez::start_with(arguments, variables).fails(78);
        let line: Value = serde_json::from_str(&errors).expect(&errors);
        assert_eq!(line["fields"]["message"], "oyez: keep = \"soon\" is not a duration such as 15s or 7d");
    }
}

#[test]
fn the_message_at_the_start_shows_what_works() {
    let publish = |address| ask(address, "POST /events/news", "hello")[..12].to_owned();
    let shown = |address| format!("  publish    curl -d hello http://{address}/events/news\n");
    let (hub, address, _) = serve(&[], &[]);
    assert_eq!(publish(address), "HTTP/1.1 200");
    let message = stop(hub);
    assert!(message.contains(&shown(address)) && !message.contains("public_urls"), "{message}");

    let (hub, address, _) = serve(&["--public-url", "https://hub.example.com"], &[]);
    assert_eq!(publish(address), "HTTP/1.1 403");
    let message = stop(hub);
    assert!(message.contains("leave public_urls out") && !message.contains(&shown(address)), "{message}");
}

#[test]
fn the_level_is_that_of_a_flag_a_variable_or_else_of_rust_log() {
    let debugs = |flags: &[&str], variables: &[(&str, &str)]| {
        let (hub, _, admin) = serve(flags, variables);
        ask(admin, "GET /healthz", "");
        stop(hub).contains("path=\"/healthz\"")
    };
    assert!(!debugs(&[], &[]));
    assert!(debugs(&["--log-level", "debug"], &[]));
    assert!(debugs(&[], &[("OYEZ_LOG_LEVEL", "info,oyez_server=debug")]));
    assert!(debugs(&[], &[("RUST_LOG", "debug")]));
    assert!(!debugs(&[], &[("RUST_LOG", "debug"), ("OYEZ_LOG_LEVEL", "info")]));
    assert!(!debugs(&["--log-level", "warn"], &[("RUST_LOG", "debug")]));

    let (hub, ..) = serve(&[], &[("RUST_LOG", "=nonsense=")]);
    let errors = stop(hub);
    assert!(errors.contains("RUST_LOG is ignored") && errors.contains("drains"), "{errors}");
    let errors = Oyez::start(["serve", "--check", "--log-level", "loud"]).fails(78);
    assert!(errors.starts_with("oyez: log_level = \"loud\" must be one of off, error, warn"), "{errors}");
}

#[test]
fn sighup_reads_the_file_again_and_streams_stay_open() {
    let directory = Directory::new("sighup");
    let file = directory.path("oyez.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("log_level = \"info\"\ndrain = \"5s\"\n");
    let (mut hub, public, _) = serve(&["--config", &file], &[]);
    let mut stream = TcpStream::connect(public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /events/news HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut stream = BufReader::new(stream).lines().map(Result::unwrap);
    assert_eq!(stream.next().unwrap(), "HTTP/1.1 200 OK");
    let mut again = |expected: &str| {
        hub.signal("HUP");
        let line = hub.says_of("configuration read again: ");
        assert_eq!(line.split_once("configuration read again: ").unwrap().1, expected);
    };

    again("it is good, and nothing in it is new");
    write("log_level = \"info\"\ndrain = 5s\n");
    let quotes = format!("it is wrong, nothing changes: {file}: line 2: drain: a text needs quotes: drain = \"…\"");
    again(&quotes);
    write("keep = \"soon\"\nlog_level = \"debug\"\n");
    again("it is wrong, nothing changes: keep = \"soon\" is not a duration such as 15s or 7d");
    write("log_level = \"info\"\ndrain = \"5s\"\n");
    again("it is good, and nothing in it is new");
    write("log_level = \"debug\"\nkeep_events = 7\n");
    again("it is good; changed now: log_level; changes at the next start: keep_events, drain");
    again("it is good; changes at the next start: keep_events, drain");
    write("log_level = \"error\"\ndrain = \"5s\"\n");
    again("it is good; changed now: log_level");

    ask(public, "POST /events/news", "still there");
    assert_eq!(stream.find(|line| line.starts_with("data")).unwrap(), "data: still there");
    let rest = stop(hub);
    assert!(!rest.contains("drains"), "errors only: {rest}");
}

#[test]
fn a_new_log_level_counts_at_once() {
    let directory = Directory::new("level");
    let file = directory.path("oyez.toml");
    std::fs::write(&file, "").unwrap();
    let (mut hub, _, admin) = serve(&["--config", &file], &[]);
    std::fs::write(&file, "log_level = \"debug\"").unwrap();
    hub.signal("HUP");
    hub.says_of("changed now: log_level");
    ask(admin, "GET /healthz", "");
    hub.says_of("path=\"/healthz\"");
    stop(hub);
}

/// The next message to a service manager.
fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn the_service_manager_is_told_of_start_sighup_and_drain() {
    let directory = Directory::new("manager");
    let (file, name) = (directory.path("oyez.toml"), directory.path("notify"));
    std::fs::write(&file, "").unwrap();
    let socket = UnixDatagram::bind(&name).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (hub, public, admin) = serve(&["--config", &file], &[("NOTIFY_SOCKET", &name)]);
    let ready = format!("READY=1\nSTATUS=listens on http://{public}");
    assert_eq!(told(&socket), ready);
    assert_eq!(ask(admin, "GET /readyz", "")[..12], *"HTTP/1.1 200");

    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    };
    for (text, end) in [("", ""), ("keep = 7d", "; the new settings are wrong: ")] {
        std::fs::write(&file, text).unwrap();
        let before = now();
        hub.signal("HUP");
        let message = told(&socket);
        let mut lines = message.lines();
        assert_eq!(lines.next(), Some("RELOADING=1"));
        let time = lines.next().unwrap().strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=now()).contains(&time), "{message}");
        assert_eq!(lines.next(), Some("STATUS=reads the settings again"));
        let message = told(&socket);
        assert!(message.starts_with(&format!("{ready}{end}")) && message.lines().count() == 2, "{message}");
    }
    hub.signal("TERM");
    assert_eq!(told(&socket).lines().next(), Some("STOPPING=1"));
    hub.fails(0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_service_manager_may_be_at_a_name_without_a_file() {
    use std::os::linux::net::SocketAddrExt;

    let name = format!("oyez-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (hub, ..) = serve(&[], &[("NOTIFY_SOCKET", &format!("@{name}"))]);
    assert_eq!(told(&socket).lines().next(), Some("READY=1"));
    stop(hub);
}

#[test]
fn a_service_manager_that_cannot_be_told_is_one_warning() {
    let (mut hub, public, _) = serve(&[], &[("NOTIFY_SOCKET", "/nowhere/notify")]);
    hub.says_of("the service manager at NOTIFY_SOCKET cannot be told");
    assert_eq!(ask(public, "POST /events/news", "hello")[..12], *"HTTP/1.1 200");
    let rest = stop(hub);
    assert!(rest.contains("drains") && !rest.contains("NOTIFY_SOCKET"), "{rest}");
}

#[cfg(target_os = "linux")]
#[test]
fn publishes_that_a_full_disk_refuses_are_counted() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let directory = Directory::new("full");
    let (hub, public, admin) = serve(&["--data", &directory.path("data")], &[]);
    let full = || ask(admin, "GET /metrics", "").contains("\noyez_http_refused_total{reason=\"full\"} 1\n");
    assert_eq!(ask(public, "POST /events/news", "kept")[..12], *"HTTP/1.1 200");
    assert!(!full());
    let pid = Pid::from_raw(hub.pid().try_into().unwrap());
    // a file that may not grow is the same to it as a disk without room
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    assert_eq!(ask(public, "POST /events/news", "refused")[..12], *"HTTP/1.1 507");
    assert!(full());
    hub.signal("KILL");
}

#[test]
fn each_request_is_logged_when_asked_for_and_a_stream_at_its_end() {
    let (hub, public, admin) = serve(&["--access-log", "--log-format", "json"], &[]);
    ask(public, "POST /events/news?key=secret", "secret data");
    ask(public, "GET /events/news?since=earliest&poll=1", "");
    ask(public, "GET /nowhere?authorization=secret", "");
    ask(public, "GET /events/news?since=nonsense*&limit=secret", "");
    ask(public, "POST /control/secret-id", "{}");
    ask(admin, "GET /healthz", "");
    let mut stream = TcpStream::connect(public).unwrap();
    stream.write_all(b"GET /events?topic=a&topic=b*&since=earliest HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    ask(public, "GET /events/other?poll=1", "");
    let log = {
        // it is still open, so it ends with the hub
        let log = stop(hub);
        drop(stream);
        log
    };
    assert!(!log.contains("secret"), "{log}");
    let mut requests: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone())
        .filter(|fields| fields["message"] == "request")
        .map(|fields| {
            assert!(fields["ms"].is_u64() && fields["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{fields}");
            let selectors = fields["selectors"].as_u64().map_or_else(String::new, |number| format!(" of {number}"));
            assert_eq!(fields["bytes"].is_null(), !selectors.is_empty(), "{fields}");
            format!(
                "{} {} {}{selectors}",
                fields["method"].as_str().unwrap(),
                fields["path"].as_str().unwrap(),
                fields["status"]
            )
        })
        .collect();
    requests.sort(); // a stream may end a little after its reader has all of it
    assert_eq!(
        requests,
        [
            "GET /events 200 of 2",
            "GET /events/news 200 of 1",
            "GET /events/news 400",
            "GET /events/other 200 of 1",
            "GET /healthz 200",
            "GET /nowhere 404",
            "POST /control/{connection} 400",
            "POST /events/news 200",
        ]
    );
}
