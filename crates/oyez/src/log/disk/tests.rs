//! The log on a disk that loses power, fills up, fails and is damaged.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use oyez_proto::Event;

use super::below::OnDisk;
use super::chain::Class;
use super::simulated::{Dice, SimulatedDisk};
use super::store::{Settings, Store};
use super::tail::tail_of;
use super::volume::Volume as _;
use super::writer::{Durability, Unwritten, Writer};
use crate::limits::ONCE_WINDOW;
use crate::limits::disk::{NUMBERS_PASSED_MAX, NUMBERS_PER_MS};
use crate::log::appender::OnDrop;
use crate::log::below::{Found, Wanted};
use crate::log::draft::Draft;
use crate::log::entry::Entry;
use crate::log::fingerprint::once_of;
use crate::log::gone::{After, Missed};
use crate::log::search::now;
use crate::log::{Departure, Log, Remains, Retained, Retention, Start};
use crate::matcher::{Matcher, Matchers};
use crate::once::IdempotencyKey;
use crate::position::Epoch;
use crate::readable::Readable;
use crate::submission::Submission;
use crate::{Error, Topic};

mod committed;
mod moved;
mod repaired;

/// Numbers that are the same for the same seed.
struct Seeded(u64);

impl Dice for Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }
}

/// No reader has to know.
struct Nobody;

impl OnDrop for Nobody {
    fn drop_below(&self, _: &Departure) -> Remains {
        Remains::default()
    }
}

fn class(bytes: usize) -> Class {
    Class { topics: None, retention: Retention::default().bytes(bytes).age(Duration::from_secs(1000)) }
}

fn settings(classes: Vec<Class>) -> Settings {
    Settings {
        classes,
        summary_bytes: 1 << 16,
        segment_bytes: (8 << 10, 16 << 10),
        epoch: Epoch::from_bits(7),
        compact: Matchers::default(),
        numbers_per_ms: NUMBERS_PER_MS,
    }
}

fn open(disk: &SimulatedDisk, bytes: usize) -> Result<Arc<Store>, Error> {
    Store::open(Arc::new(disk.clone()), settings(vec![class(bytes)])).map(Arc::new)
}

fn matchers(matcher: &str) -> Arc<Matchers> {
    let mut matchers = Matchers::default();
    matchers.push(matcher.parse::<Matcher>().unwrap());
    Arc::new(matchers)
}

fn read(store: &Store, matcher: &str) -> Vec<Arc<Entry>> {
    let (matchers, mut entries, mut cursor) = (matchers(matcher), Vec::new(), 0);
    let last = store.opened.head.max(1 << 40);
    loop {
        let page = Retained { entries: 7, bytes: 4 << 10 };
        match store.read(&Wanted { max: page, cursor, matchers: Arc::clone(&matchers), last, drops: u64::MAX }).unwrap()
        {
            Found::Page { entries: found, cursor: end, more } => {
                entries.extend(found);
                cursor = end;
                if !more {
                    return entries;
                }
            }
            Found::Lost { .. } => panic!("nothing is lost to one who knows of every drop"),
        }
    }
}

fn data(entry: &Entry) -> String {
    entry.event().data_str().to_owned()
}

/// A publisher of batches that remembers what became of each.
struct Publisher {
    dice: Seeded,
    number: u64,
    /// Data of all batches, and whether they were acknowledged.
    batches: Vec<(Vec<String>, Option<Vec<u64>>)>,
}

impl Publisher {
    fn new(seed: u64) -> Self {
        Self { dice: Seeded(seed), number: 0, batches: Vec::new() }
    }

    fn batch(&mut self) -> Vec<Draft> {
        let events = 1 + self.dice.below(5);
        let datas: Vec<_> = (0..events)
            .map(|_| {
                self.number += 1;
                let padding = "x".repeat(self.dice.below(600) as usize);
                format!("{} {padding}", self.number)
            })
            .collect();
        let draft = |data: &String| {
            let topic = Topic::new(["a", "b", "c/1"][(data.len() % 3).min(2)]).unwrap();
            let event = Event::data(data.clone());
            let event = if data.len() % 7 == 0 { event.id(format!("id-{}", data.len())).unwrap() } else { event };
            Draft::new(Submission::new(topic, event))
        };
        let drafts = datas.iter().map(draft).collect();
        self.batches.push((datas, None));
        drafts
    }

    /// Publishes one or several batches as one commit.
    fn commit(&mut self, writer: &mut Writer, time_ms: u64) -> Result<(), Unwritten> {
        let mut pushed = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let batch = self.batch();
            if !writer.make_room(&batch, time_ms + 1)? {
                writer.write()?;
                self.acknowledge(&mut pushed);
                assert!(writer.make_room(&batch, time_ms + 1)?, "nothing waits any more");
            }
            let entries = writer.push(batch, time_ms);
            pushed.push((self.batches.len() - 1, entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>()));
        }
        writer.write()?;
        self.acknowledge(&mut pushed);
        Ok(())
    }

    fn acknowledge(&mut self, pushed: &mut Vec<(usize, Vec<u64>)>) {
        for (at, sequences) in pushed.drain(..) {
            self.batches[at].1 = Some(sequences);
        }
    }

    /// What is in the store is the publishes in order, all that were acknowledged and are not dropped among them, batches
    /// whole.
    fn verify(&self, store: &Store, context: &str) -> Vec<u64> {
        let entries = read(store, "*");
        let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{context}: {sequences:?}");
        let found: Vec<String> = entries.iter().map(|entry| data(entry)).collect();
        let kept: BTreeSet<&String> = found.iter().collect();
        assert_eq!(kept.len(), found.len(), "{context}: something is there twice");
        let mut order = found.iter().map(|data| data.split(' ').next().unwrap().parse::<u64>().unwrap());
        let first = order.clone().next().unwrap_or(u64::MAX);
        assert!(order.by_ref().is_sorted(), "{context}");
        let all = matchers("*");
        for (datas, acknowledged) in &self.batches {
            let there = datas.iter().filter(|data| kept.contains(data)).count();
            let number: u64 = datas[0].split(' ').next().unwrap().parse().unwrap();
            if let Some(sequences) = acknowledged {
                for (data, sequence) in datas.iter().zip(sequences) {
                    let at = entries.binary_search_by_key(sequence, |entry| entry.sequence).map(|at| &entries[at]);
                    match at {
                        Ok(entry) => assert_eq!(&self::data(entry), data, "{context}: {sequence} is another event"),
                        Err(_) => {
                            let missed = store.missed(After::Sequence(sequence - 1), &all);
                            assert_ne!(missed, Missed::Nothing, "{context}: {sequence} was acknowledged and is gone");
                            assert!(number < first, "{context}: a hole");
                        }
                    }
                }
            } else {
                assert!(there == 0 || there == datas.len() || number < first, "{context}: a batch is there in part");
            }
        }
        sequences
    }
}

/// Runs a publisher until the power goes off at `step`; gives back who knows what was acknowledged, and the disk.
fn run_until(step: u64, seed: u64, bytes: usize, commits: u64) -> (Publisher, SimulatedDisk, u64) {
    let disk = SimulatedDisk::default();
    disk.cut_power_at(step);
    let mut publisher = Publisher::new(seed);
    if let Ok(store) = open(&disk, bytes) {
        let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        for time in 0..commits {
            if publisher.commit(&mut writer, time).is_err() {
                break;
            }
            if time % 3 == 0 && store.keep(time, &Nobody).is_err() {
                break;
            }
        }
    }
    let steps = disk.steps();
    (publisher, disk, steps)
}

#[test]
fn whatever_a_power_cut_takes_was_not_acknowledged() {
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    let (seeds, images) = if long { (20, 8) } else { (3, 2) };
    let mut tried = 0;
    let mut recovered = 0;
    for seed in 0..seeds {
        for bytes in [1 << 20, 64 << 10] {
            let (.., steps) = run_until(u64::MAX, seed, bytes, 40);
            for step in (seed..=steps).step_by(if long { 1 } else { 3 }) {
                let (publisher, disk, _) = run_until(step, seed, bytes, 40);
                for image in 0..images {
                    let context =
                        format!("seed {seed}, {bytes} bytes, power off at step {step} of {steps}, image {image}");
                    let after = disk.after_a_power_cut(&mut Seeded(seed * 1_000_003 + step * 31 + image));
                    let store = open(&after, bytes).unwrap_or_else(|error| panic!("{context}: {error}"));
                    let first = publisher.verify(&store, &context);
                    let given = publisher.batches.iter().filter_map(|(_, given)| given.as_ref()?.last()).max().copied();
                    assert!(store.opened.head >= given.unwrap_or(0), "{context}: a number would name two events");
                    drop(store);
                    // what recovery does is done once and for all
                    let store = open(&after.after_a_power_cut(&mut Seeded(image)), bytes).unwrap();
                    assert_eq!(publisher.verify(&store, &context), first, "{context}");
                    tried += 1;
                    recovered += first.len();
                }
            }
        }
    }
    println!("{tried} power cuts, {recovered} entries recovered");
    assert!(tried > 500 && recovered > 10 * tried, "{tried} {recovered}");
}

#[test]
fn a_log_that_lost_power_goes_on_and_loses_power_again() {
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    for seed in 0..if long { 2_000 } else { 60 } {
        let mut dice = Seeded(seed);
        let mut disk = SimulatedDisk::default();
        let mut publisher = Publisher::new(seed);
        let mut highest = 0;
        for life in 0..8 {
            let context = format!("seed {seed}, life {life}");
            let store = open(&disk, 64 << 10).unwrap_or_else(|error| panic!("{context}: {error}"));
            publisher.verify(&store, &context);
            assert!(store.opened.head >= highest, "{context}");
            let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
            disk.cut_power_at(disk.steps() + 1 + dice.below(60));
            let mut time = life * 100;
            while publisher.commit(&mut writer, time).is_ok() && store.keep(time, &Nobody).is_ok() {
                time += 1;
                if dice.below(20) == 0 {
                    let _ = writer.stop(0);
                    break;
                }
            }
            highest =
                publisher.batches.iter().filter_map(|(_, given)| given.as_ref()?.last()).max().copied().unwrap_or(0);
            disk = disk.after_a_power_cut(&mut dice);
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_wrote() {
    for seed in 0..50 {
        let disk = SimulatedDisk::default();
        let store = open(&disk, 1 << 20).unwrap();
        let mut writer = Writer::new(Arc::clone(&store), Durability::Flush);
        let mut publisher = Publisher::new(seed);
        for time in 0..20 {
            publisher.commit(&mut writer, time).unwrap();
        }
        let before = read(&store, "*").len();
        let store = open(&disk.after_a_kill(), 1 << 20).unwrap();
        assert_eq!(publisher.verify(&store, "killed").len(), before);
        // numbers go on above all that may have been given out
        assert!(store.opened.head > writer.head());
        assert!(!store.is_lost_in_a_crash(writer.head()) && store.is_lost_in_a_crash(writer.head() + 1));
        assert!(!store.is_lost_in_a_crash(store.opened.head));
    }
}

#[test]
fn the_place_after_a_crash_is_a_place_after_another_one() {
    let (_, mut disk, _) = written(17, false);
    let mut heads = Vec::new();
    for _ in 0..3 {
        disk = disk.after_a_kill();
        let store = open(&disk, 1 << 20).unwrap();
        heads.push(store.opened.head);
        let lost: Vec<_> = heads.iter().map(|head| store.is_lost_in_a_crash(*head)).collect();
        assert!(!lost.contains(&true), "{heads:?} {lost:?}");
        // numbers are reserved, and none is given out
        let mut writer = Writer::new(store, Durability::Fsync);
        assert!(writer.make_room(&Publisher::new(1).batch(), 0).unwrap());
    }
    assert!(heads.is_sorted_by(|a, b| a < b), "{heads:?}");
}

#[test]
fn a_copy_that_is_put_back_gives_out_no_number_again() {
    for is_stopped in [false, true] {
        let (_, copied, _) = written(23, is_stopped);
        let mut given: Vec<u64> = Vec::new();
        // each start is of the same copy, a little later than the one before
        for start_ms in [STOPPED_MS + 1, STOPPED_MS + 2, STOPPED_MS + 50, STOPPED_MS + 1_000_000] {
            let store = open(&copied.after_a_kill(), 1 << 20).unwrap();
            let known = store.opened.head;
            let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
            let mut publisher = Publisher::new(1);
            let batch = publisher.batch();
            assert!(writer.make_room(&batch, start_ms).unwrap());
            let batch = writer.push(batch, start_ms).iter().map(|entry| entry.sequence).collect::<Vec<_>>();
            writer.write().unwrap();
            assert!(!given.iter().any(|number| batch.contains(number)), "{batch:?} {given:?}");
            // whoever has an id of another start is told that what followed is lost; the place before is known to all
            assert!(given.iter().all(|number| store.is_lost_in_a_crash(*number)), "{given:?} {batch:?}");
            assert!(!store.is_lost_in_a_crash(known) && !store.is_lost_in_a_crash(batch[0] - 1));
            given.extend(batch);
        }
    }
}

#[test]
fn a_wrong_clock_does_not_use_up_the_numbers() {
    let (_, mut disk, _) = written(23, true);
    for start_ms in [u64::MAX, 5, u64::MAX, STOPPED_MS] {
        let store = open(&disk, 1 << 20).unwrap();
        let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        assert!(writer.make_room(&Publisher::new(1).batch(), start_ms).unwrap());
        assert!(writer.head() < 2 * NUMBERS_PASSED_MAX + 1_000_000, "{}", writer.head());
        disk = disk.after_a_kill();
    }
}

#[test]
fn numbers_of_what_was_flushed_and_lost_with_the_power_are_not_given_out_again() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::default();
        let store = open(&disk, 1 << 20).unwrap();
        let mut writer = Writer::new(Arc::clone(&store), Durability::Flush);
        let mut publisher = Publisher::new(seed);
        for time in 0..20 {
            publisher.commit(&mut writer, time).unwrap();
        }
        let given = read(&store, "*").len();
        let store = open(&disk.after_a_power_cut(&mut Seeded(seed)), 1 << 20).unwrap();
        assert!(store.opened.head >= writer.head(), "seed {seed}: {} and {}", store.opened.head, writer.head());
        lost += given - read(&store, "*").len();
    }
    assert!(lost > 0, "or nothing was tried");
}

#[test]
fn an_error_at_any_step_leaves_what_was_acknowledged() {
    for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let (.., steps) = run_until(u64::MAX, 5, 64 << 10, 30);
        for step in (1..=steps).step_by(if std::env::var_os("OYEZ_TEST_LONG").is_some() { 1 } else { 2 }) {
            let disk = SimulatedDisk::default();
            disk.fail_at(step, error);
            let mut publisher = Publisher::new(5);
            let context = format!("{error:?} at step {step}");
            if let Ok(store) = open(&disk, 64 << 10) {
                let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
                for time in 0..30 {
                    match publisher.commit(&mut writer, time) {
                        Ok(()) | Err(Unwritten::Full(_)) => {}
                        Err(Unwritten::Failed(_)) => break,
                    }
                    let _ = store.keep(time, &Nobody);
                }
            }
            for image in 0..2 {
                let after = disk.after_a_power_cut(&mut Seeded(image));
                let store = open(&after, 64 << 10).unwrap_or_else(|error| panic!("{context}: {error}"));
                publisher.verify(&store, &context);
            }
            let store = open(&disk.after_a_kill(), 64 << 10).unwrap_or_else(|error| panic!("{context}: {error}"));
            publisher.verify(&store, &context);
        }
    }
}

#[test]
fn a_full_disk_takes_events_again_when_there_is_room() {
    let disk = SimulatedDisk::default();
    let store = open(&disk, 1 << 20).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let mut publisher = Publisher::new(3);
    disk.set_room(Some(40 << 10));
    let mut full = 0;
    for time in 0..100 {
        match publisher.commit(&mut writer, time) {
            Ok(()) => {}
            Err(Unwritten::Full(_)) => full += 1,
            Err(Unwritten::Failed(error)) => panic!("{error}"),
        }
    }
    assert!(full > 10, "{full}");
    disk.set_room(None);
    publisher.commit(&mut writer, 100).unwrap();
    publisher.verify(&store, "live");
    publisher.verify(&open(&disk.after_a_kill(), 1 << 20).unwrap(), "after");
}

/// A log of several segments, the older ones with their index in a file.
fn written(seed: u64, stop: bool) -> (Publisher, SimulatedDisk, Vec<u64>) {
    let disk = SimulatedDisk::default();
    let store = open(&disk, 1 << 20).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let mut publisher = Publisher::new(seed);
    for time in 0..14 {
        publisher.commit(&mut writer, time).unwrap();
    }
    store.keep(0, &Nobody).unwrap();
    if stop {
        writer.stop(STOPPED_MS).unwrap();
    }
    let all = publisher.verify(&store, "written");
    (publisher, disk, all)
}

const STOPPED_MS: u64 = 20;

fn try_read(store: &Store) -> io::Result<Vec<u64>> {
    let (matchers, mut found, mut cursor) = (matchers("*"), Vec::new(), 0);
    let page = Retained { entries: usize::MAX, bytes: usize::MAX };
    loop {
        let wanted = Wanted { max: page, cursor, matchers: Arc::clone(&matchers), last: 1 << 40, drops: u64::MAX };
        if let Found::Page { entries, cursor: end, more } = store.read(&wanted)? {
            found.extend(entries.iter().map(|entry| entry.sequence));
            cursor = end;
            if !more {
                return Ok(found);
            }
        }
    }
}

/// Damages one byte after the other. What is read is all there was, or refused; only after a start that was not clean may
/// the last commit be cut, with a word about it.
fn flip_each_byte(stop: bool) {
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    let (publisher, disk, all) = written(11, stop);
    let last_commit = publisher.batches.iter().rev().take(4).map(|(datas, _)| datas.len()).sum::<usize>();
    let (mut refused, mut cut, mut harmless) = (0, 0, 0);
    for name in disk.list().unwrap() {
        let len = disk.content(&name).len();
        for at in (0..len).step_by(if long { 1 } else { 7 }) {
            let after = disk.after_a_kill();
            after.change(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            let context = format!("{name}, byte {at} of {len}");
            match open(&after, 1 << 20).map_err(|error| error.to_string()).and_then(|store| {
                let read = try_read(&store).map_err(|error| error.to_string())?;
                Ok((read, store.opened.torn))
            }) {
                Err(error) => {
                    assert!(error.contains("damaged") || error.contains("newer"), "{context}: {error}");
                    refused += 1;
                }
                Ok((read, _)) if read == all => harmless += 1,
                Ok((read, torn)) => {
                    assert!(!stop && torn == 1, "{context}: {} of {} entries, silently", read.len(), all.len());
                    assert!(all.starts_with(&read) && all.len() - read.len() <= last_commit, "{context}");
                    cut += 1;
                }
            }
        }
    }
    println!("{refused} refused, {cut} cut, {harmless} harmless");
    assert!(refused > 1_000 && (cut > 0) != stop && harmless > 0, "{refused} {cut} {harmless}");
}

#[test]
fn every_byte_that_is_damaged_is_found() {
    flip_each_byte(false);
}

#[test]
fn after_a_clean_stop_not_even_the_last_batch_may_be_damaged() {
    flip_each_byte(true);
}

#[test]
fn a_file_that_is_cut_anywhere_is_found() {
    let (_, disk, all) = written(12, true);
    for name in disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")) {
        let len = disk.content(&name).len();
        for at in (0..len).step_by(97) {
            let after = disk.after_a_kill();
            after.change(&name, |bytes| bytes.truncate(at));
            let read = open(&after, 1 << 20).map_err(|error| error.to_string());
            match read.and_then(|store| try_read(&store).map_err(|error| error.to_string())) {
                Err(_) => {}
                Ok(read) => assert_eq!(read, all, "{name} cut at {at} of {len}"),
            }
        }
    }
}

#[test]
fn a_missing_segment_is_found() {
    let (_, disk, _) = written(13, false);
    let names: Vec<_> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")).collect();
    assert!(names.len() > 2);
    // after an unclean stop nobody can know that the newest one was there
    for name in &names[..names.len() - 1] {
        let after = disk.after_a_kill();
        after.remove(name).unwrap();
        let error = open(&after, 1 << 20).err().expect(name).to_string();
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
}

#[test]
fn a_history_of_a_newer_version_is_refused_with_words() {
    let (_, disk, _) = written(14, true);
    disk.change("store", |bytes| {
        let body = String::from_utf8(bytes.clone()).unwrap();
        let body = body.trim_end().split_once(' ').unwrap().1.replace("\"format\":1", "\"format\":2");
        *bytes = format!("{:08x} {body}\n", crc32c::crc32c(body.as_bytes())).into_bytes();
    });
    let error = open(&disk, 1 << 20).err().unwrap().to_string();
    assert!(error.contains("newer version") && error.contains("format 2"), "{error}");
}

#[test]
fn an_index_that_is_lost_is_made_again() {
    let (publisher, disk, all) = written(15, true);
    let after = disk.after_a_kill();
    let indexes: Vec<_> = after.list().unwrap().into_iter().filter(|name| name.ends_with(".index")).collect();
    assert!(indexes.len() > 1);
    for name in &indexes {
        after.remove(name).unwrap();
    }
    let store = open(&after, 1 << 20).unwrap();
    assert_eq!(publisher.verify(&store, "without indexes"), all);
    for matcher in ["a", "b", "c/1", "c/*"] {
        let there: Vec<_> = read(&open(&disk.after_a_kill(), 1 << 20).unwrap(), matcher);
        let made: Vec<_> = read(&store, matcher);
        assert!(!made.is_empty());
        assert_eq!(
            made.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
            there.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
            "{matcher}"
        );
    }
}

#[test]
fn a_history_that_gets_old_while_nobody_publishes_is_opened_again() {
    let (_, disk, _) = written(16, true);
    let store = open(&disk, 1 << 20).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let head = store.opened.head;
    writer.leave_old_segments(10_000_000, 0).unwrap();
    store.keep(10_000_000, &Nobody).unwrap();
    assert!(read(&store, "*").is_empty(), "all of it is too old");
    let after = open(&disk.after_a_kill(), 1 << 20).unwrap();
    assert!(after.opened.head >= head && read(&after, "*").is_empty());
    writer.stop(0).unwrap();
    assert_eq!(open(&disk, 1 << 20).unwrap().opened.head, head);
}

#[test]
fn keeper_and_writer_never_take_the_same_room() {
    let disk = SimulatedDisk::default();
    let store = open(&disk, 256 << 10).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let mut publisher = Publisher::new(9);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let keeper = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                store.keep(0, &Nobody).unwrap();
            }
        })
    };
    for time in 0..2_000 {
        publisher.commit(&mut writer, time).unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    keeper.join().unwrap();
    publisher.verify(&store, "live");
    publisher.verify(&open(&disk.after_a_kill(), 256 << 10).unwrap(), "killed");
}

/// A log of two classes, the second for `x/*`, and its writer.
fn two_classes(others: Retention, own: Retention) -> (Arc<Store>, Writer) {
    two_classes_on(&SimulatedDisk::default(), others, own)
}

fn two_classes_on(disk: &SimulatedDisk, others: Retention, own: Retention) -> (Arc<Store>, Writer) {
    let topics = Some("x/*".parse().unwrap());
    let classes = vec![Class { topics: None, retention: others }, Class { topics, retention: own }];
    let store = Arc::new(Store::open(Arc::new(disk.clone()), settings(classes)).unwrap());
    let writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    (store, writer)
}

/// Publishes an event of these topics, as large as fits a few times into a segment.
fn publish(writer: &mut Writer, topics: &[&str], bytes: usize) -> u64 {
    let mut topics = topics.iter().map(|topic| Topic::new(topic).unwrap());
    let event = Event::data("x".repeat(bytes));
    let publish = topics.clone().skip(1).fold(Submission::new(topics.next().unwrap(), event), Submission::topic);
    let batch = vec![Draft::new(publish)];
    assert!(writer.make_room(&batch, 0).unwrap());
    let sequence = writer.push(batch, 0)[0].sequence;
    writer.write().unwrap();
    sequence
}

#[test]
fn what_follows_a_gap_is_the_oldest_of_all_classes() {
    let forever = Retention::default().bytes(1 << 20);
    let (disk, retentions) = (SimulatedDisk::default(), (forever.age(Duration::from_secs(1)), forever));
    let (_, mut writer) = two_classes_on(&disk, retentions.0, retentions.1);
    let first = publish(&mut writer, &["a"], 10);
    publish(&mut writer, &["a", "x/1"], 10);
    publish(&mut writer, &["b"], 10);
    publish(&mut writer, &["a", "x/1"], 10);
    writer.stop(0).unwrap();
    let (store, _) = two_classes_on(&disk, retentions.0, retentions.1);
    let tail = tail_of(&store, Matchers::default(), 1 << 20).unwrap();
    let log = Log::over(Arc::new(OnDisk(Arc::clone(&store))), store.epoch, tail);
    let begin = now(log.begin(&Start::Id("made up".into()), &matchers("a"), &Readable::default(), 0)).unwrap();
    let gap = begin.gap.unwrap();
    assert_eq!((gap.oldest, gap.position.sequence), (Some(log.position(first).event_id()), first - 1));
}

#[test]
fn what_a_class_had_lost_before_a_stream_began_is_not_counted_with_what_it_loses_now() {
    let small = Retention::default().bytes(20 << 10);
    let (store, mut writer) = two_classes(small, Retention::default().bytes(1 << 20));
    let kept = publish(&mut writer, &["x/1"], 10);
    let mut lose = |drops| {
        while store.drops() < drops {
            publish(&mut writer, &["a"], 3_000);
            store.keep(0, &Nobody).unwrap();
        }
        store.drops()
    };
    let began = lose(1);
    let all = matchers("*");
    let wanted = |drops| {
        let max = Retained { entries: 1, bytes: 1 };
        Wanted { max, cursor: kept - 1, matchers: Arc::clone(&all), last: u64::MAX, drops }
    };
    let missed = |drops| match store.read(&wanted(drops)).unwrap() {
        Found::Lost { missed, .. } => missed,
        Found::Page { .. } => panic!("something is gone"),
    };
    let before = missed(0).unwrap();
    lose(began + 1);
    assert!(missed(0).unwrap() > before);
    assert_eq!(missed(began), None);
}

#[test]
fn a_class_may_lose_older_entries_than_another_has_lost() {
    let small = Retention::default().bytes(20 << 10);
    let (store, mut writer) = two_classes(small.age(Duration::from_secs(1)), small);
    let first = publish(&mut writer, &["x/1"], 10);
    let mut number = 1;
    for topics in [&["a"], &["x/1"]] {
        let drops = store.drops();
        while store.drops() == drops {
            number += 1;
            publish(&mut writer, topics, 3_000);
            store.keep(0, &Nobody).unwrap();
        }
    }
    let kept = store.kept().entries as u64;
    // the oldest is gone as well, and counts where it is asked for only
    let missed = |after| store.missed(After::Sequence(after), &matchers("*"));
    assert_eq!(missed(first - 1), Missed::Events(number - kept));
    assert_eq!(missed(first), Missed::Unknown);
}

#[test]
fn a_segment_that_is_dropped_at_the_second_try_is_counted_once() {
    let counts = |fails: Option<u64>| {
        let disk = SimulatedDisk::default();
        let store = open(&disk, 40 << 10).unwrap();
        let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        let mut publisher = Publisher::new(3);
        (0..14).for_each(|time| publisher.commit(&mut writer, time).unwrap());
        if let Some(step) = fails {
            disk.fail_at(disk.steps() + step, io::ErrorKind::Other);
        }
        let failed = store.keep(0, &Nobody).is_err();
        store.keep(0, &Nobody).unwrap();
        (failed, store.missed(After::Sequence(0), &matchers("*")), store.drops())
    };
    let (_, missed, drops) = counts(None);
    assert!(drops > 0 && missed != Missed::Nothing);
    let failures = (1..40).filter(|step| {
        let (failed, missed_then, drops_then) = counts(Some(*step));
        assert_eq!((missed_then, drops_then), (missed, drops), "step {step}");
        failed
    });
    assert!(failures.count() > 5);
}

#[test]
fn a_start_reads_what_still_means_something() {
    let forever = || vec![Class { topics: None, retention: Retention::default() }];
    let disk = SimulatedDisk::default();
    let open = || Arc::new(Store::open(Arc::new(disk.clone()), settings(forever())).unwrap());
    let store = open();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let mut marked = Vec::new();
    let late = ONCE_WINDOW.as_millis() as u64 + 1;
    let plain = || Submission::new(Topic::new("a").unwrap(), Event::data("x".repeat(1_000)));
    for time_ms in [0, late] {
        let mut once = plain().ttl(Duration::from_secs(1)).unwrap();
        once.extras_mut().once = Some(once_of(IdempotencyKey::new(&format!("{time_ms}")).unwrap(), &[plain()]));
        let expiring = plain().ttl(Duration::from_secs(1)).unwrap();
        for (publish, counts) in [(plain().key("k").unwrap(), true), (once, time_ms == late), (expiring, false)] {
            let batch = vec![Draft::new(publish)];
            assert!(writer.make_room(&batch, 0).unwrap());
            marked.extend(writer.push(batch, time_ms).iter().filter(|_| counts).map(|entry| entry.sequence));
            writer.write().unwrap();
        }
        for _ in 0..30 {
            publish(&mut writer, &["a"], 1_000);
        }
        store.keep(time_ms, &Nobody).unwrap();
    }
    let store = open();
    let mut read = Vec::new();
    store.each_marked(|entry| read.push(entry.sequence)).unwrap();
    assert_eq!(read, marked);
    assert!(store.has_expiring().unwrap());
}
