//! `oyez bench` against a hub that is right, against servers that are not, and against what is no SSE server at all.

mod faulty;

use std::process::Command;

use serde_json::Value;

use crate::bench::faulty::{Fault, FaultyHub};
use crate::command::Oyez;
use crate::resume::hub::Hub;
use crate::script::{Connection, Server, nowhere};

/// Runs a scenario against a hub of ours, which must be found right, and gives its report.
#[track_caller]
fn measure(scenario: &str, arguments: &str) -> Value {
    let hub = Hub::start(&[]);
    let url = format!("http://{}/events/{{topic}}", hub.address());
    let arguments = arguments.replace("PID", &hub.pid().to_string());
    let bench = start(scenario, &url, &arguments);
    let report: Value = serde_json::from_str(&bench.line()).unwrap();
    bench.ends(0, "");
    hub.stop();
    assert_eq!((&report["scenario"], &report["correct"]), (&scenario.into(), &true.into()), "{report}");
    report
}

/// A `--timeout` that is never reached where all is well.
const PATIENT: &str = "60s";

fn start(scenario: &str, url: &str, arguments: &str) -> Oyez {
    let fixed = ["bench", scenario, "--json", "--subscribe", url, "--warmup", "0s"];
    Oyez::start(fixed.into_iter().chain(arguments.split_whitespace()))
}

/// The figures with these names are whole numbers, and these.
#[track_caller]
fn check_counts(report: &Value, expected: &[(&str, u64)]) {
    for (name, expected) in expected {
        assert_eq!(report["figures"][name].as_u64(), Some(*expected), "{name}: {report}");
    }
}

/// The figures with these names were measured.
#[track_caller]
fn check_measured(report: &Value, names: &[&str]) {
    for name in names {
        assert!(report["figures"][name].as_f64().is_some_and(|value| value >= 0.0), "{name}: {report}");
    }
}

#[test]
fn fanout_counts_every_delivery_and_times_it() {
    let report = measure("fanout", "-n 20 --rate 200 --events 30 --pid PID");
    check_counts(&report, &[("published", 30), ("deliveries", 600), ("lost", 0), ("doubled", 0), ("out_of_order", 0)]);
    check_measured(&report, &["latency_p50_ms", "latency_p99_ms", "latency_max_ms", "server_cpu_s_per_million"]);
    assert_eq!(report["parameters"]["subscribers"], 20);
    // 30 events at 200/s: the last one is not due before 145 ms
    assert!(report["figures"]["time_s"].as_f64().unwrap() >= 0.145, "{report}");
}

#[test]
fn without_a_process_id_its_figures_are_null() {
    let report = measure("fanout", "-n 2 --rate 200 --events 2");
    assert!(report["figures"]["server_cpu_s_per_million"].is_null(), "{report}");
}

#[test]
fn throughput_publishes_in_batches() {
    let report = measure("throughput", "-n 10 --batch 50 --events 520");
    check_counts(&report, &[("published", 520), ("deliveries", 5_200)]);
}

#[test]
fn the_order_of_one_topic_is_checked_for_each_connection() {
    let report = measure("throughput", "-n 10 --connections 6 --events 301");
    check_counts(&report, &[("published", 301), ("deliveries", 3_010), ("lost", 0), ("out_of_order", 0)]);
}

#[test]
fn throughput_ends_with_its_time() {
    let report = measure("throughput", "-n 3 --duration 300ms");
    let [published, deliveries] = ["published", "deliveries"].map(|name| report["figures"][name].as_u64().unwrap());
    assert!(published > 0 && deliveries == 3 * published, "{report}");
}

#[test]
fn topics_are_spread_over_connections() {
    let report = measure("topics", "-n 20 --rate 2000 --events 110 --connections 3");
    check_counts(&report, &[("published", 110), ("deliveries", 110), ("lost", 0), ("out_of_order", 0)]);
    assert_eq!(report["parameters"]["topics"], 20);
}

/// Two topics for each of ten subscribers, whose names are put together by `separator`.
fn start_with_two_topics_each(hub: &Hub, separator: &str, scenario: &str, timeout: &str) -> Oyez {
    let [subscribe, publish] =
        ["?topic={topic}", "/{topic}"].map(|place| format!("http://{}/events{place}", hub.address()));
    let arguments = ["--topics", "5", "--topics-each", "2", "--topic-separator", separator, "--publish", &publish];
    let given = "-n 10 --rate 500 --events 20 --duration 100ms --connections 3 --timeout";
    let arguments = arguments.into_iter().chain(given.split_whitespace()).chain([timeout]);
    Oyez::start(["bench", scenario, "--json", "--warmup", "0s", "--subscribe", &subscribe].into_iter().chain(arguments))
}

#[test]
fn a_subscriber_of_several_topics_gets_each_once_and_in_order() {
    let hub = Hub::start(&[]);
    for scenario in ["fanout", "idle", "churn"] {
        let bench = start_with_two_topics_each(&hub, "&topic=", scenario, PATIENT);
        let report: Value = serde_json::from_str(&bench.line()).unwrap();
        bench.ends(0, "");
        assert_eq!((&report["correct"], &report["parameters"]["topics_each"]), (&true.into(), &2.into()), "{report}");
        if scenario == "fanout" {
            // each event has the four readers of its topic
            let counts = [("published", 20), ("deliveries", 80), ("expected", 80), ("lost", 0), ("strayed", 0)];
            check_counts(&report, &counts);
        }
    }
    hub.stop();
}

#[test]
fn a_topic_that_a_stream_leaves_out_is_told() {
    let hub = Hub::start(&[]);
    // a hub passes this parameter over, so that it takes the first topic and not the second
    start_with_two_topics_each(&hub, "&_=", "fanout", "3s").ends(
        1,
        &format!(
            "oyez: http://{}/events?topic={{topic}}: events were published and 10 of 10 streams got none of some topic \
             in 3s: do --subscribe and --publish name the same topic?\n",
            hub.address()
        ),
    );
    hub.stop();
}

#[test]
fn a_server_of_several_processes_is_added_up() {
    let report = measure("idle", "-n 2 --duration 100ms --pid PID --pid PID");
    let once = measure("idle", "-n 2 --duration 100ms --pid PID");
    let [twice, once] = [report, once].map(|report| report["figures"]["server_rss_after_mib"].as_f64().unwrap());
    assert!(twice > 1.5 * once, "{twice} {once}");
}

#[test]
fn resumed_streams_get_the_rest_once() {
    let report = measure("resume", "-n 10 --events 50");
    check_counts(&report, &[("resumed", 10), ("deliveries", 490), ("expected", 490), ("lost", 0), ("doubled", 0)]);
    check_measured(&report, &["catch_up_p50_ms", "catch_up_max_ms"]);
}

#[test]
fn readers_that_stop_are_told_apart() {
    let report = measure("slow", "-n 20 --rate 200 --size 4096 --duration 1s");
    check_counts(&report, &[("healthy", 18), ("stopped", 2), ("lost", 0), ("stopped_silent", 0)]);
    let fates = ["stopped_complete", "stopped_gap", "stopped_cut"];
    assert_eq!(fates.map(|name| report["figures"][name].as_u64().unwrap()).iter().sum::<u64>(), 2, "{report}");
    check_measured(&report, &["latency_p99_ratio", "latency_before_p99_ms"]);
}

#[test]
fn a_reader_that_stopped_is_told_of_its_hole() {
    let hub = Hub::start(&["--keep-events", "10", "--slow", "skip"]);
    let url = format!("http://{}/events/{{topic}}", hub.address());
    // 10 MB for each reader, more than the sockets between hold
    let bench = start("slow", &url, "-n 10 --rate max --events 200 --size 50000 --window 5");
    let report: Value = serde_json::from_str(&bench.line()).unwrap();
    bench.ends(0, "");
    check_counts(&report, &[("stopped", 1), ("stopped_gap", 1), ("stopped_complete", 0), ("lost", 0)]);
    hub.stop();
}

#[test]
fn churn_opens_as_many_connections_as_asked() {
    let report = measure("churn", "-n 4 --events 50 --pid PID");
    check_counts(&report, &[("connections", 50), ("failures", 0)]);
    check_measured(&report, &["connections_per_s", "server_cpu_us_per_connection", "head_p50_ms"]);
}

#[test]
fn idle_streams_are_held_and_weighed() {
    let report = measure("idle", "-n 50 --opening 7 --duration 200ms --pid PID");
    check_counts(&report, &[("opened", 50), ("cut", 0)]);
    check_measured(&report, &["memory_per_subscriber_bytes", "server_rss_after_mib", "server_cpu_s"]);
}

#[test]
fn rounds_are_told_with_their_spread() {
    let report = measure("fanout", "-n 2 --rate 500 --events 5 --rounds 3");
    check_counts(&report, &[("published", 15), ("deliveries", 30)]);
    assert_eq!(report["rounds"].as_array().unwrap().len(), 3);
    let [least, most] = [0, 1].map(|at| report["spread"]["latency_p50_ms"][at].as_f64().unwrap());
    let median = report["figures"]["latency_p50_ms"].as_f64().unwrap();
    assert!(least <= median && median <= most, "{report}");
}

#[test]
fn a_table_is_for_people() {
    let hub = Hub::start(&[]);
    let url = format!("http://{}/events/{{topic}}", hub.address());
    let bench = Oyez::start(["bench", "fanout", "-n", "2", "--events", "2", "--warmup", "0s", "--subscribe", &url]);
    bench.prints(&[&format!("fanout {url}"), "  streams opened                                        2"]);
    while bench.line() != "  CPU time and memory of the server: give --pid" {}
    bench.ends(0, "");
    hub.stop();
}

/// What is found of a hub with this fault, which two subscribers get ten events from.
#[track_caller]
fn check_fault(fault: Fault, counts: &[(&str, u64)], told: &str) {
    let hub = FaultyHub::start(fault);
    // what is missing is waited for until nothing has come for so long
    let timeout = if counts.contains(&("lost", 0)) && fault != Fault::Damage { PATIENT } else { "3s" };
    let bench = start("fanout", &hub.url(), &format!("-n 2 --rate 500 --events 10 --timeout {timeout}"));
    let report: Value = serde_json::from_str(&bench.line()).unwrap();
    bench.ends(1, &format!("oyez: not right: {told}\n"));
    assert_eq!(report["correct"], false);
    check_counts(&report, counts);
}

#[test]
fn a_lost_event_is_found() {
    check_fault(Fault::Lose, &[("lost", 2), ("deliveries", 18), ("doubled", 0)], "2 deliveries lost");
}

#[test]
fn a_doubled_event_is_found() {
    check_fault(Fault::Double, &[("doubled", 2), ("lost", 0)], "2 deliveries doubled");
}

#[test]
fn swapped_events_are_found() {
    let counts = [("out_of_order", 2), ("lost", 0), ("doubled", 0)];
    check_fault(Fault::Swap, &counts, "2 deliveries out of order");
}

#[test]
fn a_damaged_event_is_found() {
    check_fault(Fault::Damage, &[("damaged", 2), ("lost", 0)], "2 deliveries damaged");
}

#[test]
fn a_cut_stream_is_found() {
    check_fault(Fault::Cut, &[("cut", 1), ("lost", 7)], "7 deliveries lost, 1 streams cut");
}

#[test]
fn a_hub_that_delivers_nothing_is_told_before_any_load() {
    let hub = FaultyHub::start(Fault::Deaf);
    let url = hub.url();
    start("fanout", &url, "-n 2 --timeout 3s").ends(
        1,
        &format!(
            "oyez: {url}: events were published and 1 of 1 streams got none in 3s: \
             do --subscribe and --publish name the same topic?\n"
        ),
    );
    assert_eq!(hub.subscribed(), 1, "one probe and no load");
}

#[test]
fn bodies_and_headers_are_what_the_server_wants() {
    let hub = FaultyHub::start(Fault::None);
    let bench = Oyez::start([
        "bench",
        "fanout",
        "--json",
        "-n",
        "2",
        "--events",
        "3",
        "--rate",
        "500",
        "--warmup",
        "0s",
        "--subscribe",
        &hub.url(),
        "--publish-body",
        "topic={topic}&data={data}",
        "-H",
        "Authorization: reader",
        "--publish-header",
        "Content-Type: application/x-www-form-urlencoded",
        "--publish-header",
        "Authorization: writer",
        "--publish-method",
        "PUT",
    ]);
    let report: Value = serde_json::from_str(&bench.line()).unwrap();
    bench.ends(0, "");
    check_counts(&report, &[("deliveries", 6)]);
    let (head, body) = hub.last_publish();
    assert!(head.starts_with("PUT /stream HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: writer\r\n") && !head.contains("reader"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert!(body.starts_with("topic=bench-") && body.contains("&data=oyez."), "{body}");
}

/// What is said of a server that answers its first connection like this; it is asked nothing more.
#[track_caller]
fn check_refused(answer: impl FnOnce(&mut Connection), told: &str) {
    let server = Server::new();
    let url = server.url("/x");
    let timeout = if told.contains("within 2s") { "2s" } else { PATIENT };
    let bench = start("idle", &url, &format!("--no-publish -n 100 --timeout {timeout}"));
    let mut connection = server.accept();
    answer(&mut connection);
    connection.wait_for_close();
    bench.ends(1, &format!("oyez: {url}: {told}"));
    assert!(!server.is_asked(), "load was put on it");
}

#[test]
fn what_is_no_sse_server_is_told() {
    check_refused(
        |connection| connection.answer("404 Not Found", "", "no such page"),
        "not an event stream but 404 Not Found, \"no such page\": is this the URL of a stream? Set it with --subscribe URL\n",
    );
    check_refused(
        |connection| connection.answer("200 OK", "content-type: text/html\r\n", "<html>"),
        "not an SSE server: content-type \"text/html\", not text/event-stream: \"<html>\"\n",
    );
    check_refused(
        |connection| connection.answer("302 Found", "location: /y\r\n", ""),
        "not an event stream but 302 Found to \"/y\": use that URL\n",
    );
    check_refused(
        |connection| connection.send("SSH-2.0-OpenSSH_9.2\r\n"),
        "not an SSE server: what it says is not HTTP/1.1: \"SSH-2.0-OpenSSH_9.2\"\n",
    );
    check_refused(
        |connection| connection.open_with("content-type: text/event-stream\r\ncontent-encoding: gzip\r\n"),
        "the stream is encoded with \"gzip\", which was not asked for\n",
    );
    check_refused(
        |connection| connection.send(format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(3_000))),
        "the head of the answer does not end: not an SSE server\n",
    );
    check_refused(
        |connection| connection.answer("404 \u{1b}[2J\u{202e}", "", "\u{9b}"),
        "not an event stream but 404 \\u{1b}[2J…",
    );
    check_refused(|_| {}, "no head of an answer within 2s: is it an HTTP server, and is it overloaded?\n");
    check_refused(
        |connection| connection.finish(),
        "the connection was closed without an answer: is it an HTTP server?\n",
    );
}

#[test]
fn nobody_there_is_told() {
    let url = format!("http://{}/", nowhere());
    let told = "nothing listens there: start the server (oyez serve) or set --subscribe URL";
    start("idle", &url, "").ends(1, &format!("oyez: {url}: {told}\n"));
}

#[test]
fn a_publish_that_is_refused_is_told() {
    let server = Server::new();
    let url = server.url("/x");
    let bench = start("fanout", &url, "-n 2");
    let mut subscriber = server.accept();
    subscriber.open();
    server.accept().answer("403 Forbidden", "", "not you");
    bench.ends(1, &format!("oyez: {url}: publishing failed: 403 Forbidden: \"not you\"\n"));
}

#[track_caller]
fn check_usage(arguments: &str, told: &str) {
    Oyez::start(["bench"].into_iter().chain(arguments.split_whitespace())).ends(2, told);
}

#[test]
fn a_server_elsewhere_is_left_alone() {
    check_usage(
        "idle --subscribe http://192.0.2.1/",
        "oyez: http://192.0.2.1/ is not on this machine: load on somebody else's server is an attack; for your own, add --yes-this-server-is-mine\n",
    );
    check_usage("fanout --publish http://192.0.2.1/", "oyez: http://192.0.2.1/ is not on this machine: …");
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_opened() {
    check_usage("", "error: …");
    check_usage("everything", "error: invalid value 'everything'…");
    check_usage(
        "idle --subscribe https://127.0.0.1/",
        "oyez: not a URL that can be measured: \"https://127.0.0.1/\": …",
    );
    check_usage("fanout --rate 0", "error: invalid value '0' for '--rate <EVENTS/S>'…");
    check_usage("fanout --duration 10", "error: invalid value '10' for '--duration <TIME>'…");
    check_usage("fanout --size 46", "oyez: --size is 47 to 1048576 bytes, not 46\n");
    check_usage("fanout -n 2 --topics 3", "oyez: 3 topics for 2 subscribers: some topics would have no subscriber\n");
    check_usage(
        "fanout --topics 2 --topics-each 3 --topic-separator ,",
        "oyez: 3 topics for each subscriber, and --topics is 2\n",
    );
    check_usage("fanout --topics 2 --topics-each 2", "oyez: --topics-each needs --topic-separator\n");
    check_usage(
        "slow --topics 2 --topics-each 2 --topic-separator ,",
        "oyez: slow has one topic: leave --topics-each out\n",
    );
    check_usage("fanout --topic-separator #", "error: invalid value '#' for '--topic-separator <TEXT>'…");
    check_usage("topics --subscribe http://127.0.0.1/", "oyez: 1000 topics need {topic} in --subscribe\n");
    check_usage("throughput --no-publish", "oyez: throughput has to publish: leave --no-publish out\n");
    check_usage("fanout --publish-body {topic}", "oyez: --publish-body needs {data}\n");
    check_usage(
        "fanout --batch 2 --publish http://127.0.0.1/x",
        "oyez: --batch without --publish-body is for oyez serve…",
    );
    check_usage("fanout -H nothing", "oyez: not a header, which is 'Name: value': \"nothing\"\n");
    check_usage("fanout --pid 4294967295", "oyez: --pid 4294967295: …");
}

#[test]
fn more_streams_than_open_files_are_refused() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 200; exec \"$0\" bench idle -n 137", env!("CARGO_BIN_EXE_oyez")]);
    let output = limited.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.starts_with("oyez: 137 subscribers need 201 open files, and the limit of one process is 200 here"),
        "{told}"
    );
    assert!(told.contains("--subscribers 136"), "{told}");
}
