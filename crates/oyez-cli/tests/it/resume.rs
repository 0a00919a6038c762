//! Many publish, many read, and readers vanish and come back: what each connection was told is exactly the part of the
//! log that it asked for, in order and once, and what it was told live is byte for byte what a replay tells.
//!
//! `OYEZ_SEED` repeats the choices of a run that failed, not its timing; `OYEZ_TEST_LONG=1` is ten times as much.

mod checker;
pub(crate) mod hub;
mod publisher;
mod random;
mod reader;

use std::sync::Arc;
use std::thread;

use checker::{Log, Reason};
use hub::Hub;
use publisher::Published;
use random::{Seed, is_long};
use reader::{Habit, Reader, Start, Transcript};

#[test]
fn every_connection_gets_exactly_its_part_of_the_log() {
    // with many keep-alives that say how far the cursor is, many resumes begin there
    let run = Run::of(&["--keep-alive", "10ms"], Work { requests: 60, readers: 60, pressure: false });
    let log = run.read_log();
    run.check_publishes(&log);
    let gaps: Vec<_> = run.transcripts.iter().flat_map(|transcript| transcript.check(&log)).collect();
    assert!(gaps.is_empty(), "holes where nothing was dropped: {gaps:?}");
    run.hub.stop();
    let live = run.transcripts.iter().filter(|transcript| transcript.start == Start::Live).count();
    let events: usize = run.transcripts.iter().map(Transcript::events).sum();
    println!("{} entries, {} connections, {live} of them live, {events} events", log.len(), run.transcripts.len());
    assert!(live >= 60 && run.transcripts.len() >= 200 && events >= 10_000, "too little happened");
}

#[test]
fn every_hole_is_announced_once_and_what_follows_is_exact() {
    let flags = ["--keep-alive", "10ms", "--keep-events", "200", "--slow", "skip"];
    let run = Run::of(&flags, Work { requests: 60, readers: 32, pressure: true });
    // the hub keeps too little of the log to be asked: its acknowledgements say where each event stands
    let log = Log::of_acknowledged(run.published.iter().flatten());
    run.check_publishes(&log);
    let gaps: Vec<_> = run.transcripts.iter().flat_map(|transcript| transcript.check(&log)).collect();
    run.hub.stop();
    for reason in [Reason::Expired, Reason::Unknown, Reason::Epoch, Reason::Policy] {
        let number = gaps.iter().filter(|found| **found == reason).count();
        println!("{number} holes: {reason:?}");
        assert!(number > 0, "no hole of this kind in {} connections", run.transcripts.len());
    }
}

#[derive(Clone, Copy)]
struct Work {
    /// Of each publisher.
    requests: u64,
    readers: u64,
    /// The hub drops most of the log: events are large, some readers sleep, some come with ids that never were.
    /// Otherwise some events have ids of their publishers' own.
    pressure: bool,
}

/// A hub, all that was published to it and all that was read from it.
struct Run {
    hub: Hub,
    /// The requests of each publisher, in its order; those of the last one end the run.
    published: Vec<Vec<Published>>,
    transcripts: Vec<Transcript>,
}

impl Run {
    fn of(flags: &[&str], work: Work) -> Self {
        let seed = Seed::of_this_run();
        let hub = Hub::start(flags);
        let progress = Arc::new(reader::Progress::default());
        let requests = work.requests * if is_long() { 10 } else { 1 };
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let (address, random, progress) = (hub.address(), seed.random(number), Arc::clone(&progress));
                thread::spawn(move || {
                    progress.wait_for_readers(work.readers as usize);
                    publisher::run(address, number, random, requests, work.pressure, &progress)
                })
            })
            .collect();
        let readers: Vec<_> = (0..work.readers)
            .map(|number| {
                let habit = match work.pressure {
                    false => Habit::Wanders,
                    true if number % 8 == 0 => Habit::Sleeps,
                    true => Habit::WandersFar,
                };
                let reader = Reader::new(hub.address(), habit, seed.random(1_000 + number), Arc::clone(&progress));
                thread::spawn(move || reader.run())
            })
            .collect();
        let mut published: Vec<_> = publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
        published.push(publisher::end(hub.address(), &progress));
        let transcripts = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        Self { hub, published, transcripts }
    }

    fn read_log(&self) -> Log {
        let replay = |format| reader::replay(self.hub.address(), format);
        Log::of_replay(&replay("sse"), &replay("ndjson"))
    }

    /// What was acknowledged is in the log, and nothing else; each publisher's events in its order, batches in one piece.
    fn check_publishes(&self, log: &Log) {
        let mut number = 0;
        for requests in &self.published {
            let mut before = 0;
            for published in requests {
                for (index, (id, event)) in published.ids.iter().zip(&published.events).enumerate() {
                    let sequence = log.find(id).expect("what was acknowledged is in the log");
                    assert_eq!(log.entry(sequence), (&event.topics[..], &event.frame(id)[..]), "{id}");
                    assert!(if index == 0 { sequence > before } else { sequence == before + 1 }, "{id} after {before}");
                    before = sequence;
                    number += 1;
                }
            }
        }
        assert_eq!(log.len(), number, "the log has what was acknowledged, and nothing else");
    }
}

const PUBLISHERS: u64 = 8;
