//! What is made of a damaged log.

use super::*;
use crate::log::disk::examine::{Depth, Examination, examine};
use crate::log::disk::repair::{Drawn, Plan};
use crate::log::disk::unfinished::Unfinished;
use crate::log::disk::values;
use crate::log::disk::walk::each_record;

fn look(disk: &SimulatedDisk) -> Examination {
    examine(disk, Depth::Full, &mut |_, _| ()).unwrap()
}

fn plan(found: &Examination) -> Plan {
    let mut plan = Plan::new(found).unwrap();
    plan.remove_indexes(found);
    plan
}

const NEW: u64 = 99;

fn repair(disk: &SimulatedDisk) -> Plan {
    let found = look(disk);
    let plan = plan(&found);
    plan.carry_out(disk, &found, Drawn { epoch: Epoch::from_bits(NEW), now_ms: 50 }).unwrap();
    plan
}

/// What a repair has kept of what was acknowledged, and what it has told.
struct Outcome {
    /// Batches that are gone.
    lost: Vec<usize>,
    plan: Plan,
}

/// Repairs the log, opens it, and looks whether it is what was there: each entry under its own number, batches whole, the
/// loss told, and nothing left to repair.
#[track_caller]
fn check(publisher: &Publisher, disk: &SimulatedDisk, context: &str) -> Outcome {
    let before = open(&disk.after_a_kill(), 1 << 20).map(|store| try_read(&store));
    let found = look(disk);
    if !matches!(before, Ok(Ok(_))) {
        assert!(!found.findings.is_empty(), "{context}: a start refuses it, and nothing is found");
    }
    let plan = repair(disk);
    let store = open(disk, 1 << 20).unwrap_or_else(|error| panic!("{context}: {error}"));
    let entries = read(&store, "*");
    let mut lost = Vec::new();
    for (at, (datas, given)) in publisher.batches.iter().enumerate() {
        let Some(given) = given else { continue };
        let there = |number: &u64| entries.binary_search_by_key(number, |entry| entry.sequence).map(|at| &entries[at]);
        let kept: Vec<_> = given.iter().map(there).collect();
        for (data, entry) in datas.iter().zip(&kept) {
            assert!(entry.is_err() || entry.is_ok_and(|entry| self::data(entry) == *data), "{context}: another event");
        }
        if kept.iter().any(Result::is_err) {
            assert!(kept.iter().all(Result::is_err), "{context}: batch {at} is there in part");
            lost.push(at);
        }
    }
    let kept: usize = publisher.batches.iter().map(|(datas, _)| datas.len()).sum();
    let gone: usize = lost.iter().map(|at| publisher.batches[*at].0.len()).sum();
    assert_eq!(entries.len(), kept - gone, "{context}: something that was not published");
    assert_eq!(plan.entries as usize, entries.len(), "{context}");
    if before.is_err() && !lost.is_empty() {
        assert!(plan.changes_epoch, "{context}: an id could name two events");
        for number in lost.iter().filter_map(|at| publisher.batches[*at].1.as_ref()).flatten() {
            let is_told = plan.lost.iter().any(|(first, last)| (*first..=*last).contains(number));
            assert!(is_told, "{context}: {number} is lost, told are {:?}", plan.lost);
            assert_ne!(store.missed(After::Sequence(number - 1), &matchers("a")), Missed::Nothing, "{context}");
            assert!(store.opened.head >= *number, "{context}");
        }
    }
    let epoch = if plan.changes_epoch { Epoch::from_bits(NEW) } else { Epoch::from_bits(7) };
    assert_eq!(store.epoch, epoch, "{context}");
    let found = look(disk);
    assert!(found.findings.is_empty(), "{context}: {:?}", found.findings);
    assert!(self::plan(&found).is_empty(), "{context}: it is repaired twice");
    // and it goes on
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    assert!(writer.make_room(&Publisher::new(1).batch(), 0).unwrap());
    let next = writer.push(Publisher::new(1).batch(), 60)[0].sequence;
    assert!(entries.last().is_none_or(|last| last.sequence < next), "{context}");
    writer.write().unwrap();
    assert!(read(&store, "*").len() > entries.len(), "{context}");
    Outcome { lost, plan }
}

#[test]
fn what_a_start_takes_is_found_to_be_well_and_needs_no_repair() {
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    for seed in 0..if long { 10 } else { 2 } {
        for bytes in [1 << 20, 64 << 10] {
            let (.., steps) = run_until(u64::MAX, seed, bytes, 40);
            for step in (seed..=steps).step_by(if long { 1 } else { 7 }) {
                let (_, disk, _) = run_until(step, seed, bytes, 40);
                let after = disk.after_a_power_cut(&mut Seeded(seed * 1_000_003 + step));
                let found = look(&after);
                assert_eq!(found.findings, [], "seed {seed}, step {step}, {bytes} bytes");
                if !found.is_empty() {
                    assert!(plan(&found).is_empty(), "seed {seed}, step {step}");
                }
            }
        }
    }
}

/// Flips bytes of the files that `is_wanted`, one after the other.
fn flip(stop: bool, is_wanted: impl Fn(&str) -> bool, mut each: impl FnMut(&str, usize, &Outcome)) {
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    let (publisher, disk, _) = written(11, stop);
    for name in disk.list().unwrap().into_iter().filter(|name| is_wanted(name)) {
        let content = disk.content(&name);
        for at in (0..content.len()).step_by(if long { 1 } else { 41 }) {
            let after = disk.after_a_kill();
            after.change(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            let damaged = after.content(&name);
            let outcome = check(&publisher, &after, &format!("{name}, byte {at} of {}", content.len()));
            if outcome.plan.damaged.contains(&name) {
                assert_eq!(after.content(&format!("damaged-{name}")), damaged, "it is kept beside as it was");
            }
            each(&name, at, &outcome);
        }
    }
}

#[test]
fn of_a_damaged_segment_all_but_what_is_damaged_is_kept() {
    for stop in [true, false] {
        let (mut one, mut two, mut all) = (0, 0, 0);
        flip(
            stop,
            |name| name.ends_with(".segment"),
            |name, at, outcome| match outcome.lost.len() {
                0 => {}
                1 => one += 1,
                // the one after it cannot be told from the rest of the damaged one
                2 => {
                    assert_eq!(outcome.lost[0] + 1, outcome.lost[1]);
                    two += 1;
                }
                _ => {
                    assert!(at < 4096, "{name}, byte {at}: {:?}", outcome.lost);
                    all += 1;
                }
            },
        );
        println!("stop {stop}: one batch {one}, two {two}, a segment {all}");
        assert!(one > 10 * two && one > 200 && two > 0 && all > 0, "{one} {two} {all}");
    }
}

#[test]
fn a_damaged_index_is_made_anew_and_nothing_is_lost() {
    let mut repaired = 0;
    flip(
        true,
        |name| name.ends_with(".index"),
        |name, at, outcome| {
            assert!(outcome.lost.is_empty() && !outcome.plan.changes_epoch, "{name}, byte {at}");
            repaired += usize::from(!outcome.plan.is_empty());
        },
    );
    assert!(repaired > 10, "{repaired}");
}

#[test]
fn a_damaged_store_costs_the_epoch_and_no_entry() {
    flip(
        true,
        |name| name == "store",
        |_, at, outcome| {
            assert!(outcome.lost.is_empty() && outcome.plan.changes_epoch, "byte {at}");
        },
    );
    let (publisher, disk, _) = written(11, false);
    disk.remove("store").unwrap();
    assert!(check(&publisher, &disk, "store is missing").plan.changes_epoch);
}

/// A log of which the older segments have been dropped.
fn shortened() -> (SimulatedDisk, Vec<u64>) {
    let disk = SimulatedDisk::default();
    let store = open(&disk, 64 << 10).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let mut publisher = Publisher::new(4);
    for time in 0..60 {
        publisher.commit(&mut writer, time).unwrap();
        store.keep(time, &Nobody).unwrap();
    }
    writer.stop(0).unwrap();
    let numbers: Vec<u64> = read(&store, "*").iter().map(|entry| entry.sequence).collect();
    assert!(numbers[0] > 50, "{numbers:?}");
    (disk, numbers)
}

#[test]
fn without_what_is_known_of_dropped_segments_every_resume_before_them_is_told() {
    let (disk, numbers) = shortened();
    for damage in ["missing", "damaged", "a segment more is missing"] {
        let after = disk.after_a_kill();
        match damage {
            "missing" => after.remove("dropped").unwrap(),
            "damaged" => after.change("dropped", |bytes| bytes[3] ^= 1),
            _ => {
                let first = after.list().unwrap().into_iter().find(|name| name.ends_with(".segment")).unwrap();
                after.remove(&first).unwrap();
            }
        }
        assert!(!look(&after).findings.is_empty(), "{damage}");
        assert!(repair(&after).changes_epoch, "{damage}");
        let store = open(&after, 64 << 10).unwrap_or_else(|error| panic!("{damage}: {error}"));
        let kept: Vec<u64> = read(&store, "*").iter().map(|entry| entry.sequence).collect();
        assert!(numbers.ends_with(&kept) && (damage.starts_with('a') || kept == numbers), "{damage}");
        for topic in ["a", "nobody/knows/this"] {
            assert_eq!(store.missed(After::Sequence(kept[0] - 2), &matchers(topic)), Missed::Unknown, "{damage}");
            assert_eq!(store.missed(After::Time(0), &matchers(topic)), Missed::Unknown, "{damage}");
        }
        assert!(look(&after).findings.is_empty() && plan(&look(&after)).is_empty(), "{damage}");
    }
}

#[test]
fn of_damaged_values_those_that_are_whole_are_kept() {
    let (_, disk, _) = written(11, true);
    let entries = read(&open(&disk.after_a_kill(), 1 << 20).unwrap(), "*");
    values::save(&disk, &entries[..5]).unwrap();
    let at = disk.content("values").windows(4).position(|window| window == b"xxxx").unwrap();
    disk.change("values", |bytes| bytes[at] ^= 1);
    assert!(values::read(&disk, Epoch::from_bits(7)).is_err());
    assert!(repair(&disk).changes_epoch);
    let kept = values::read(&disk, Epoch::from_bits(7)).unwrap();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|kept| entries.iter().any(|entry| entry.frame() == kept.frame())));
    assert!(look(&disk).findings.is_empty());
}

#[test]
fn damage_in_what_a_repair_has_written_is_found() {
    let (_, disk, _) = written(11, false);
    let last = disk.list().unwrap().into_iter().rfind(|name| name.ends_with(".segment")).unwrap();
    // so many that what is left moves by more than the last batch is long
    disk.change(&last, |bytes| [4096 + 60, 6_000, 7_500].into_iter().for_each(|at| bytes[at] ^= 1));
    assert!(repair(&disk).changes_epoch);
    let found = look(&disk);
    let segment = found.chains[0].segments.last().unwrap();
    let mut batches = vec![4096];
    each_record(&*segment.file, segment.head.unwrap(), &segment.walked, |at, record| {
        batches.extend(Some((at + record.head.len) as usize).filter(|_| record.head.place.rest == 0));
        Ok(())
    })
    .unwrap();
    assert!(batches.len() > 4, "{batches:?}");
    // after a start that was not clean the last batch alone may be a write that was cut off
    for at in (4096..batches[batches.len() - 2]).step_by(31) {
        let after = disk.after_a_kill();
        after.change(&last, |bytes| bytes[at] ^= 1);
        let error = open(&after, 1 << 20).err().unwrap_or_else(|| panic!("byte {at} of {batches:?}")).to_string();
        assert!(error.contains(&last), "{error}");
    }
}

#[test]
fn a_missing_segment_is_lost_and_its_neighbours_are_not() {
    for stop in [true, false] {
        let (publisher, disk, all) = written(13, stop);
        let names: Vec<_> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")).collect();
        for name in &names[..names.len() - usize::from(!stop)] {
            let after = disk.after_a_kill();
            after.remove(name).unwrap();
            let outcome = check(&publisher, &after, name);
            assert!(outcome.plan.changes_epoch && !outcome.lost.is_empty(), "{name}");
            let kept = all.len() - outcome.lost.iter().map(|at| publisher.batches[*at].0.len()).sum::<usize>();
            assert!(kept > all.len() / 3, "{name}: {kept} of {}", all.len());
        }
    }
}

#[test]
fn of_a_file_that_was_cut_the_beginning_is_kept() {
    let (publisher, disk, _) = written(12, true);
    for name in disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")) {
        for at in (0..disk.content(&name).len()).step_by(997) {
            let after = disk.after_a_kill();
            after.change(&name, |bytes| bytes.truncate(at));
            check(&publisher, &after, &format!("{name} cut at {at}"));
        }
    }
}

#[test]
fn a_page_of_zeros_takes_what_was_in_it() {
    let (publisher, disk, _) = written(16, true);
    let mut lost = 0;
    for name in disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")) {
        for at in (0..disk.content(&name).len()).step_by(4096) {
            let after = disk.after_a_kill();
            after.change(&name, |bytes| bytes.iter_mut().skip(at).take(4096).for_each(|byte| *byte = 0));
            lost += check(&publisher, &after, &format!("{name}, zeros at {at}")).lost.len();
        }
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn a_repair_that_loses_power_is_begun_again_and_until_then_no_hub_opens_it() {
    let (publisher, disk, _) = written(17, true);
    let names: Vec<_> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")).collect();
    let damage = |disk: &SimulatedDisk| {
        disk.change(&names[1], |bytes| bytes[6_000] ^= 1);
        disk.remove(&names[2]).unwrap();
        disk.sync().unwrap();
    };
    let whole = disk.after_a_kill();
    damage(&whole);
    let from = whole.steps();
    repair(&whole);
    let kept: Vec<u64> = read(&open(&whole, 1 << 20).unwrap(), "*").iter().map(|entry| entry.sequence).collect();
    for step in from..whole.steps() {
        for image in 0..4 {
            let context = format!("power off at step {step} of {from} to {}, image {image}", whole.steps());
            let after = disk.after_a_kill();
            damage(&after);
            let found = look(&after);
            after.cut_power_at(after.steps() + step - from);
            let done = plan(&found).carry_out(&after, &found, Drawn { epoch: Epoch::from_bits(NEW), now_ms: 50 });
            assert!(done.is_err(), "{context}");
            let after = after.after_a_power_cut(&mut Seeded(step * 7 + image));
            let refused = Unfinished::refuse(&after).is_err();
            match open(&after.after_a_kill(), 1 << 20) {
                Ok(store) if !refused => assert_eq!(store.epoch, Epoch::from_bits(NEW), "{context}"),
                _ => {}
            }
            repair(&after);
            Unfinished::refuse(&after).unwrap();
            let store = open(&after, 1 << 20).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(store.epoch, Epoch::from_bits(NEW), "{context}");
            let read: Vec<u64> = read(&store, "*").iter().map(|entry| entry.sequence).collect();
            assert_eq!(read, kept, "{context}");
            publisher_numbers(&publisher, &store);
        }
    }
}

/// Each entry is what was published under its number.
fn publisher_numbers(publisher: &Publisher, store: &Store) {
    let given = publisher.batches.iter().filter_map(|(datas, given)| Some(datas.iter().zip(given.as_ref()?)));
    let given: std::collections::HashMap<u64, &String> =
        given.flatten().map(|(data, number)| (*number, data)).collect();
    for entry in read(store, "*") {
        assert_eq!(given.get(&entry.sequence).map(|data| data.as_str()), Some(&*data(&entry)));
    }
}

#[test]
fn where_nothing_says_how_much_is_lost_no_number_is_told() {
    let (publisher, disk, _) = written(11, true);
    let mut names: Vec<String> = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".segment")).collect();
    names.sort_unstable();
    let last = names.last().unwrap();
    let after = disk.after_a_kill();
    after.change(last, |bytes| bytes[10] ^= 1);
    let told = plan(&look(&after));
    assert!(!told.lost.is_empty() && told.lost_after.is_none(), "the clean stop says where it ended: {told:?}");

    after.remove("store").unwrap();
    let found = look(&after);
    let before = found.last();
    let told = plan(&found);
    assert_eq!((&told.lost[..], told.lost_after, told.changes_epoch), (&[][..], Some(before), true));
    repair(&after);
    let entries = read(&open(&after, 1 << 20).unwrap(), "*");
    assert_eq!(entries.last().map(|entry| entry.sequence), Some(before));
    let published: usize = publisher.batches.iter().map(|(datas, _)| datas.len()).sum();
    assert!(entries.len() < published);
}
