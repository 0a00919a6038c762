//! The history stays within its bound, measured from outside.

use std::process::Child;

use oyez::{Event, Hub, IdempotencyKey, Publish, Retention, Topic};

use crate::child;

/// What a process may hold beside the history that it counts: allocator, runtime, tables that grow by doubling.
const MARGIN: u64 = 16 << 20;
const BOUND: u64 = 64 << 20;

#[test]
fn a_million_topics_published_to_nobody_stay_within_the_history() {
    check("memory::topics");
}

#[test]
fn small_events_on_one_topic_stay_within_the_history() {
    check("memory::small_events");
}

#[test]
fn events_of_a_kilobyte_stay_within_the_history() {
    check("memory::kilobytes");
}

#[test]
fn publisher_ids_stay_within_the_history() {
    check("memory::publisher_ids");
}

#[test]
fn topics_that_have_ended_stay_within_the_history() {
    check("memory::ends");
}

#[test]
fn deletions_of_topics_that_nobody_knew_stay_within_the_history() {
    check("memory::deletions");
}

#[test]
fn idempotency_keys_stay_within_their_bound() {
    let [grown, _] = run("memory::keys");
    assert!(grown <= BOUND + MARGIN, "{grown} bytes of keys");
    assert!(grown > BOUND / 2, "{grown} bytes: they are forgotten before their time");
}

/// Runs a part in a process of its own, which says in bytes: peak before, peak after, and what the hub counts.
fn check(part: &str) {
    let [grown, counted] = run(part);
    assert!(counted <= BOUND);
    assert!(counted > BOUND / 10 * 9, "the history is not full: {counted} bytes");
    assert!(grown <= BOUND + MARGIN, "{grown} bytes for a history of {counted}");
}

/// What the process has grown by and what the hub counts, in bytes.
fn run(part: &str) -> [u64; 2] {
    let output = child::run(part, 256).spawn().and_then(Child::wait_with_output).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.split_once("memory: ")).unwrap_or_else(|| panic!("{text}")).1;
    let [before, after, counted] = *line.split(' ').map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>() else {
        panic!("{line}")
    };
    let grown = after - before;
    println!("{part}: grown by {} KiB at most, {} KiB counted", grown >> 10, counted >> 10);
    [grown, counted]
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn topics() {
    measure(1_000_000, |n| Publish::new(topic(&format!("topic/{n}")), Event::data("x")));
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn small_events() {
    let (topic, data) = (topic("topic"), "x".repeat(64));
    measure(300_000, |_| Publish::new(topic.clone(), Event::data(data.as_str())));
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn kilobytes() {
    let (topic, data) = (topic("topic"), "x".repeat(1 << 10));
    measure(100_000, |_| Publish::new(topic.clone(), Event::data(data.as_str())));
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn publisher_ids() {
    let topic = topic("topic");
    measure(1_000_000, |n| Publish::new(topic.clone(), Event::data("x").id(format!("order-{n}")).unwrap()));
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn ends() {
    measure(600_000, |n| Publish::end(topic(&format!("answers/{n}"))));
}

#[test]
#[ignore = "a part that `check` runs in a process of its own"]
fn deletions() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let hub = Hub::<Event>::new();
        let before = peak();
        for n in 0..150_000 {
            hub.delete(&format!("{n:01000}")).await.unwrap();
        }
        println!("memory: {before} {} {}", peak(), hub.stats().history_bytes);
    });
}

#[test]
#[ignore = "a part that `run` runs in a process of its own"]
fn keys() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let hub = Hub::<Event>::builder().history(Retention::none()).build();
        let batch = vec![Publish::new(topic("topic"), Event::data("x"))];
        let before = peak();
        for n in 0..600_000 {
            // as long as a UUID
            let key = IdempotencyKey::new(&format!("{n:036}")).unwrap();
            hub.publish_once(key, batch.clone()).await.unwrap();
        }
        println!("memory: {before} {} {}", peak(), hub.stats().history_bytes);
    });
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn measure(number: u64, publish: impl Fn(u64) -> Publish) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let hub = Hub::<Event>::new();
        let before = peak();
        for n in 0..number {
            hub.publish_batch(vec![publish(n)]).await.unwrap();
        }
        println!("memory: {before} {} {}", peak(), hub.stats().history_bytes);
    });
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}
