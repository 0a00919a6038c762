//! Costly reads, in counted work: each step is bounded, and no lock is held between two steps.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use oyez_proto::Event;

use crate::Topic;
use crate::limits::{DELETIONS_KEPT, MISSED_WALK, RECENTLY_LOST, STEP_WORK};
use crate::log::begin::Start;
use crate::log::log::Log;
use crate::log::page::{Behind, Page};
use crate::log::{Batch, Bounds, Retention};
use crate::matcher::{COMPARED, Matchers};
use crate::position::Epoch;
use crate::readable::Readable;
use crate::submission::Submission;

const ENTRIES: usize = 20_000;
const PATTERNS: usize = 100;
/// A step may look at one entry more than fits, with all patterns.
const STEP_COMPARED_MAX: usize = STEP_WORK + PATTERNS * (PATTERN_BYTES + TOPIC_BYTES);
const PATTERN_BYTES: usize = 60;
const TOPIC_BYTES: usize = 40;

/// Ordinary entries, and patterns that almost match them.
fn world(keyed: bool) -> (Arc<Log>, Arc<Matchers>) {
    let log = Log::new(Epoch::from_bits(1), Retention::default(), Bounds::default(), Matchers::default());
    for number in 0..ENTRIES {
        let publish = publish(&format!("orders/{}/items/item{number}", number % 100));
        append(&log, if keyed { publish.key("k").unwrap() } else { publish });
    }
    (Arc::new(log), almost())
}

fn almost() -> Arc<Matchers> {
    let mut matchers = Matchers::default();
    for number in 0..PATTERNS {
        let pattern = format!("o*r*d*e*r*s*/*/*i*t*e*m*17{number}s");
        assert!(pattern.len() <= PATTERN_BYTES);
        matchers.push(pattern.parse().unwrap());
    }
    Arc::new(matchers)
}

fn publish(topic: &str) -> Submission {
    assert!(topic.len() <= TOPIC_BYTES);
    Submission::new(Topic::new(topic).unwrap(), Event::data("x"))
}

fn append(log: &Log, publish: Submission) {
    log.append(Batch::new(vec![publish], None), 1).unwrap();
}

/// Runs a search step by step, with a publish between two steps. Returns how much was compared: the most in one step, and in all.
fn steps<T>(log: &Log, search: impl Future<Output = T>) -> (T, usize, usize) {
    let mut search = pin!(search);
    let (mut most, mut all) = (0, 0);
    loop {
        let before = COMPARED.get();
        let polled = search.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let compared = COMPARED.get() - before;
        (most, all) = (most.max(compared), all + compared);
        match polled {
            Poll::Ready(found) => return (found, most, all),
            // this would wait for ever if the search held the lock
            Poll::Pending => append(log, publish("other")),
        }
    }
}

#[track_caller]
fn check((most, all): (usize, usize)) {
    assert!(most <= STEP_COMPARED_MAX, "{most} bytes compared in one step, {all} in all");
    assert!(all > ENTRIES * PATTERNS, "it was not looked through: {all}");
}

#[test]
fn where_a_stream_begins_is_looked_for_in_bounded_steps() {
    for start in [Start::Last(1), Start::Id("never published".into()), Start::Id("zzzzzzzz:7".into())] {
        let (log, matchers) = world(false);
        let (begun, most, all) = steps(&log, log.begin(&start, &matchers, &Readable::default(), 1));
        let begin = begun.unwrap();
        let resumes = matches!(start, Start::Id(_));
        assert!(begin.gap.is_some_and(|gap| gap.oldest.is_none()) == resumes, "nothing matches");
        check((most, all));
    }
}

#[test]
fn a_snapshot_begins_in_bounded_steps() {
    let (log, matchers) = world(true);
    let (begun, most, all) = steps(&log, log.begin(&Start::Snapshot, &matchers, &Readable::default(), 1));
    assert!(begun.unwrap().values.is_none());
    check((most, all));
}

#[test]
fn what_is_missed_of_many_topics_is_settled_in_bounded_steps() {
    let log = Log::new(Epoch::from_bits(1), Retention::last(1), Bounds::default(), Matchers::default());
    // all of the topics are remembered
    for number in 0..3_000 {
        append(&log, publish(&format!("orders/{}/items/item{number}", number % 100)));
    }
    // with so few patterns every dropped topic may be tried
    let mut matchers = Matchers::default();
    matchers.push("o*r*d*e*r*s*/*/*i*t*e*m*17s".parse().unwrap());
    let start = Start::Id(log.position(0).to_string());
    let (_, most, all) = steps(&log, log.begin(&start, &Arc::new(matchers), &Readable::default(), 1));
    assert!(most <= STEP_COMPARED_MAX && all > 2 * STEP_WORK, "{most} {all}");
}

#[test]
fn with_more_topics_than_may_be_asked_a_reader_by_patterns_is_told_that_it_may_have_missed_something() {
    for (topics, is_told) in [(MISSED_WALK - 100, false), (MISSED_WALK + 100, true)] {
        let log = Log::new(Epoch::from_bits(1), Retention::last(topics + 1), Bounds::default(), Matchers::default());
        for _ in 0..3 * RECENTLY_LOST {
            append(&log, publish("other"));
        }
        for number in 0..topics {
            append(&log, publish(&format!("orders/{number}")));
        }
        let mut matchers = Matchers::default();
        matchers.push("rooms/*".parse().unwrap());
        let start = Start::Id(log.position(0).to_string());
        let (begun, ..) = steps(&log, log.begin(&start, &Arc::new(matchers), &Readable::default(), 1));
        let gap = begun.unwrap().gap;
        assert_eq!(gap.map(|gap| gap.missed), is_told.then_some(None), "{topics} topics");
    }
}

#[test]
fn deletions_are_looked_through_in_bounded_steps() {
    let (log, matchers) = world(false);
    for number in 0..DELETIONS_KEPT {
        let topic = Topic::new(&format!("orders/{}/items/item{number}", number % 100)).unwrap();
        log.append(Batch::deletion(topic, 0), 1).unwrap();
    }
    let start = Start::Id(log.position(0).to_string());
    let (begun, most, all) = steps(&log, log.begin(&start, &matchers, &Readable::default(), 1));
    assert!(!begun.unwrap().deleted && most <= STEP_COMPARED_MAX && all > DELETIONS_KEPT * PATTERNS, "{most} {all}");
}

#[test]
fn whoever_reads_looks_at_no_more_than_a_step_and_the_rest_is_searched_elsewhere() {
    let (log, matchers) = world(false);
    let before = COMPARED.get();
    let page = log.read(Behind { cursor: 0, known: 0 }, &matchers, 0);
    let compared = COMPARED.get() - before;
    assert!(compared <= 2 * STEP_COMPARED_MAX, "{compared}");
    let Page::Later(search) = page else { panic!("it is not read to its end at once") };
    search.wait();
    assert!(COMPARED.get() - before == compared, "not on this thread");
}
