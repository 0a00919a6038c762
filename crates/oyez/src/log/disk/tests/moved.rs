//! A log as lines, and a log of lines.

use super::*;
use crate::limits::disk::NUMBER_MAX;
use crate::log::disk::examine::{Depth, examine};
use crate::log::disk::export::export;
use crate::log::disk::import::import;
use crate::log::disk::unfinished::Unfinished;
use crate::log::disk::volume::Volume;
use crate::log::fingerprint::once_of;
use crate::once::IdempotencyKey;

fn lines(disk: &SimulatedDisk, matcher: Option<&str>) -> String {
    let found = examine(disk, Depth::Short, &mut |_, _| ()).unwrap();
    let matcher = matcher.map(|matcher| matcher.parse::<Matcher>().unwrap());
    let epoch = Epoch::from_bits(7);
    let mut out = Vec::new();
    let written = export(&found, epoch, matcher.as_ref(), &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    assert_eq!(lines.lines().count() as u64, written);
    lines
}

fn make(lines: &str, keep_ids: bool) -> Result<SimulatedDisk, Error> {
    let disk = SimulatedDisk::default();
    let volume: Arc<dyn Volume> = Arc::new(disk.clone());
    import(&volume, &mut lines.as_bytes(), keep_ids, Epoch::from_bits(8)).map(|_| disk)
}

/// A log in two classes of topics, with everything that an event can have.
fn colourful() -> (SimulatedDisk, usize) {
    let disk = SimulatedDisk::default();
    let classes = vec![class(1 << 20), Class { topics: Some("c/*".parse().unwrap()), ..class(1 << 20) }];
    let store = Arc::new(Store::open(Arc::new(disk.clone()), settings(classes)).unwrap());
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    let topic = |name: &str| Topic::new(name).unwrap();
    let mut number = 0;
    let mut push = |batch: Vec<Submission>| {
        number += batch.len();
        let batch: Vec<Draft> = batch.into_iter().map(Draft::new).collect();
        if !writer.make_room(&batch, 0).unwrap() {
            writer.write().unwrap();
            assert!(writer.make_room(&batch, 0).unwrap());
        }
        writer.push(batch, 1_700_000_000_123 + number as u64);
        writer.write().unwrap();
    };
    for round in 0..60 {
        let event = |text: &str| Event::data(format!("{text} {round}\n\n{}", "x".repeat(round * 5)));
        push(vec![Submission::new(topic("a"), event("plain"))]);
        push(vec![Submission::new(
            topic("c/1"),
            event("other class").event("t").unwrap().retry(Duration::from_millis(7)),
        )]);
        push(vec![
            Submission::new(topic("b"), event("two topics").id(format!("own-{round}")).unwrap()).topic(topic("c/2")),
        ]);
        push(vec![
            Submission::new(topic("a"), event("keyed")).key("k 1").unwrap().ttl(Duration::from_secs(9)).unwrap(),
        ]);
        let mut batch = vec![Submission::new(topic("a"), event("once")), Submission::new(topic("a"), Event::data(""))];
        batch[0].extras_mut().once = Some(once_of(IdempotencyKey::scoped("me", "key").unwrap(), &batch));
        push(batch);
        let mut deletion = Submission::new(topic("c/1"), Event::data(""));
        deletion.extras_mut().deletes = Some(round as u64 * 8 + 2);
        push(vec![deletion]);
        push(vec![Submission::end(topic(&format!("c/end-{round}")))]);
    }
    writer.stop(0).unwrap();
    (disk, number)
}

#[test]
fn every_entry_is_a_line_in_the_order_of_the_log() {
    let (disk, number) = colourful();
    let lines = lines(&disk, None);
    let position =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["position"].as_str().unwrap().to_owned();
    let found: Vec<String> = lines.lines().map(position).collect();
    let epoch = Epoch::from_bits(7);
    assert_eq!(found, (1..=number).map(|number| format!("{epoch}:{number}")).collect::<Vec<_>>());
    let first = lines.lines().nth(3).unwrap();
    assert_eq!(
        first,
        format!(
            r#"{{"id":"{epoch}:4","data":"keyed 0\n\n","topics":["a"],"time":"2023-11-14T22:13:20.127Z","position":"{epoch}:4","key":"k 1","ttl":9000}}"#
        )
    );
}

#[test]
fn a_log_made_of_an_export_exports_the_same() {
    let (disk, number) = colourful();
    let there = lines(&disk, None);
    let made = make(&there, true).unwrap();
    assert_eq!(lines(&made, None), there);
    let store = open(&made, 1 << 20).unwrap();
    assert_eq!(store.epoch, Epoch::from_bits(7));
    // whatever the hub of these ids may have given out after them is passed by
    assert!(store.opened.head >= number as u64 + 65_536 && store.is_lost_in_a_crash(number as u64 + 1));
    // and any damage is found
    let damaged = made.after_a_kill();
    damaged.change("00-000000000001.segment", |bytes| bytes[5_000] ^= 1);
    assert!(open(&damaged, 1 << 20).is_err());
    assert_eq!(store.missed(After::Sequence(0), &matchers("*")), Missed::Nothing);
    let old = read(&open_two(&disk), "*");
    for (old, new) in old.iter().zip(read(&store, "*")) {
        assert_eq!((old.frame(), old.extras(), old.time_ms), (new.frame(), new.extras(), new.time_ms));
    }
}

fn open_two(disk: &SimulatedDisk) -> Arc<Store> {
    let classes = vec![class(1 << 20), Class { topics: Some("c/*".parse().unwrap()), ..class(1 << 20) }];
    Arc::new(Store::open(Arc::new(disk.clone()), settings(classes)).unwrap())
}

#[test]
fn without_its_ids_a_log_is_another_one_with_the_same_events() {
    let (disk, number) = colourful();
    let there = lines(&disk, Some("c/*"));
    let made = make(&there, false).unwrap();
    let store = open(&made, 1 << 20).unwrap();
    assert_eq!(store.epoch, Epoch::from_bits(8));
    let entries = read(&store, "*");
    assert_eq!(entries.len(), number * 4 / 8);
    assert_eq!(
        entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
        (1..=entries.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(store.opened.head, entries.len() as u64);
    let old: Vec<_> =
        read(&open_two(&disk), "c/*").iter().map(|entry| (entry.event().into_data(), entry.time_ms)).collect();
    let new: Vec<_> = entries.iter().map(|entry| (entry.event().into_data(), entry.time_ms)).collect();
    assert_eq!(new, old);
    // what a deletion says of the number before it is said of the new one
    let deletes = entries.iter().filter_map(|entry| Some((entry.sequence, entry.extras()?.deletes?)));
    let deletes: Vec<_> = deletes.collect();
    assert_eq!(deletes, (0..60).map(|round| (round * 4 + 3, round * 4 + 1)).collect::<Vec<_>>());
    assert!(store.find_publisher_id("own-7").unwrap().is_some());
}

#[test]
fn with_ids_kept_what_is_not_in_the_export_is_announced() {
    let (disk, _) = colourful();
    let store = open(&make(&lines(&disk, Some("b")), true).unwrap(), 1 << 20).unwrap();
    let last = read(&store, "*").last().unwrap().sequence;
    assert_eq!(store.missed(After::Sequence(1), &matchers("a")), Missed::Unknown);
    assert_eq!(store.missed(After::Sequence(last), &matchers("a")), Missed::Nothing);
}

#[test]
fn a_wrong_line_is_named_and_what_was_begun_is_not_opened() {
    let (disk, _) = colourful();
    let good = lines(&disk, None);
    let epoch = Epoch::from_bits(7);
    let cases = [
        ("no json", "line 3: it is not a line of an export: expected"),
        (
            r#"{"data":"x","topics":["a"],"time":"2023-11-14T22:13:20Z","colour":1}"#,
            "line 3: it is not a line of an export: unknown field `colour`",
        ),
        (r#"{"data":"x","topics":[],"time":"2023-11-14T22:13:20Z"}"#, "line 3: it has no topic"),
        (r#"{"data":"x","topics":["a*"],"time":"2023-11-14T22:13:20Z"}"#, "line 3: topic \"a*\""),
        (r#"{"data":"x","topics":["a"],"time":"yesterday"}"#, "line 3: time \"yesterday\""),
        (
            r#"{"data":"x","type":"oyez.gap","topics":["a"],"time":"2023-11-14T22:13:20Z"}"#,
            "line 3: event type \"oyez.gap\" is reserved",
        ),
    ];
    for (line, expected) in cases {
        let lines: String = good.lines().take(2).chain([line]).map(|line| format!("{line}\n")).collect();
        let disk = SimulatedDisk::default();
        let volume: Arc<dyn Volume> = Arc::new(disk.clone());
        let error = import(&volume, &mut lines.as_bytes(), false, Epoch::from_bits(8)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?}, not {expected:?}");
        let error = Unfinished::refuse(&disk).unwrap_err().to_string();
        assert!(error.contains("oyez log import DIR"), "{error}");
        // another import takes its place
        import(&volume, &mut good.as_bytes(), true, Epoch::from_bits(8)).unwrap();
        Unfinished::refuse(&disk).unwrap();
        assert_eq!(self::lines(&disk, None), good);
        let error = import(&volume, &mut good.as_bytes(), true, Epoch::from_bits(8)).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
    }
    let twice: String = good.lines().take(2).chain(good.lines().take(1)).map(|line| format!("{line}\n")).collect();
    let error = make(&twice, true).err().unwrap().to_string();
    assert!(error.starts_with("line 3: number 1 does not follow 2"), "{error}");
    let other = good.lines().next().unwrap().replace(&format!("\"{epoch}:1\",\"key"), "");
    let other = format!("{other}\n{}", other.replace(&epoch.to_string(), "zzzzzzzz"));
    let error = make(&other, true).err().unwrap().to_string();
    assert!(error.starts_with("line 2: position zzzzzzzz:1 is not of the epoch"), "{error}");
}

#[test]
fn a_number_that_no_log_comes_to_is_refused_and_the_largest_ones_go_on() {
    let line = |number: u64| {
        format!(
            r#"{{"id":"e0000000:{number}","data":"x","topics":["a"],"time":"2023-11-14T22:13:20Z","position":"e0000000:{number}"}}"#
        )
    };
    for number in [u64::MAX, u64::MAX - 1, NUMBER_MAX + 1] {
        let error = make(&line(number), true).err().unwrap().to_string();
        assert!(error.starts_with(&format!("line 1: number {number} is above")), "{error}");
    }
    let imported = make(&line(NUMBER_MAX), true);
    let error = imported.err().unwrap().to_string();
    assert!(error.contains("no numbers left"), "{error}");
    let disk = make(&line(NUMBER_MAX / 2), true).unwrap();
    let store = open(&disk, 1 << 20).unwrap();
    let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
    assert!(writer.make_room(&Publisher::new(1).batch(), 0).unwrap());
}

#[test]
fn an_import_that_loses_power_is_refused_or_complete() {
    let (disk, number) = colourful();
    let good = lines(&disk, None);
    let (mut refused, mut complete) = (0, 0);
    for step in 0.. {
        let disk = SimulatedDisk::default();
        disk.cut_power_at(step);
        let volume: Arc<dyn Volume> = Arc::new(disk.clone());
        let done = import(&volume, &mut good.as_bytes(), true, Epoch::from_bits(8)).is_ok();
        let after = disk.after_a_power_cut(&mut Seeded(step));
        if Unfinished::refuse(&after).is_err() {
            refused += 1;
            assert!(!done, "step {step}");
        } else if after.list().unwrap().iter().any(|name| name == "store") {
            assert_eq!(read(&open(&after, 1 << 20).unwrap(), "*").len(), number, "step {step}");
            complete += 1;
        }
        if done {
            break;
        }
    }
    assert!(refused > 20 && complete > 0, "{refused} {complete}");
}
