use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::example::{Example, Stream};

const LOG_TAIL: &str = env!("CARGO_BIN_EXE_log_tail");
const FROM_THE_START: &[&str] = &["Last-Event-ID: earliest"];

#[test]
fn each_line_once_and_in_order_over_reconnection_rotation_and_truncation() {
    let folder = Folder::new("rotation");
    let path = folder.0.join("app.log");
    let mut log = create(&path);
    write(&mut log, 1..=20);
    let example = Example::start_with(LOG_TAIL, &[path.to_str().unwrap()]);
    let mut all = example.open("/log", FROM_THE_START);
    expect(&mut all, 1..=20);
    expect(&mut example.open("/log", &[]), 11..=20);

    write!(log, "line 2").unwrap();
    log.flush().unwrap();
    let mut reader = example.open("/log", &[]);
    write!(log, "1\nline 22\n").unwrap();
    expect(&mut reader, 11..=21);
    let (last, line) = reader.event();
    assert_eq!(line, "line 22");
    drop(reader);

    // rotated while nobody reads; whoever writes notices later than we might
    write(&mut log, 23..=24);
    fs::rename(&path, path.with_extension("log.1")).unwrap();
    let mut next = create(&path);
    expect(&mut all, 21..=24);
    for number in 25..=30 {
        write(&mut log, number..=number);
        expect(&mut all, number..=number);
    }
    write(&mut log, 31..=40);
    drop(log);
    write(&mut next, 41..=50);
    let mut reader = example.open("/log", &[&format!("Last-Event-ID: {last}")]);
    expect(&mut reader, 23..=50);

    next.set_len(0).unwrap();
    write(&mut next, 51..=52);
    expect(&mut reader, 51..=52);
    fs::remove_file(&path).unwrap();
    write(&mut next, 53..=53);
    expect(&mut reader, 53..=53);
    drop(next);
    write(&mut create(&path), 54..=54);
    expect(&mut reader, 54..=54);

    expect(&mut all, 31..=54);
    example.stop("INT");
    reader.ends();
}

#[test]
fn lines_as_they_come_in_real_logs() {
    let folder = Folder::new("lines");
    let path = folder.0.join("app.log");
    let missing = path.to_str().unwrap();
    let example = Example::start_with(LOG_TAIL, &[missing]);
    let mut reader = example.open("/log", &[]);
    let long = "x".repeat(300_000);
    let mut log = create(&path);
    log.write_all(b"dos\r\n\n\xff\xfe\n  data: x\nid: 7\n").unwrap();
    writeln!(log, "{long}\n你好").unwrap();
    for expected in ["dos", "", "\u{fffd}\u{fffd}", "  data: x", "id: 7"] {
        assert_eq!(reader.data(), expected);
    }
    assert_eq!([reader.data(), reader.data()].concat(), long);
    assert_eq!(reader.data(), "你好");
}

#[test]
fn a_long_file_is_followed_from_near_its_end() {
    let folder = Folder::new("long");
    let path = folder.0.join("app.log");
    let mut log = create(&path);
    write(&mut log, 1..=100_000);
    let example = Example::start_with(LOG_TAIL, &[path.to_str().unwrap()]);
    let mut reader = example.open("/log", FROM_THE_START);
    let line = reader.data();
    let first: usize = line.strip_prefix("line ").and_then(|number| number.parse().ok()).expect(&line);
    assert!((90_000..99_000).contains(&first), "{first}");
    expect(&mut reader, first + 1..=100_000);
}

#[test]
fn standard_input_can_be_read_after_its_end() {
    let mut example = Example::start_with(LOG_TAIL, &["-"]);
    let mut input = example.input();
    let mut live = example.open("/log", &[]);
    writeln!(input, "one").unwrap();
    assert_eq!(live.data(), "one");
    write!(input, "two\nthree").unwrap();
    drop(input);
    assert_eq!([live.data(), live.data()], ["two", "three"]);
    let mut late = example.open("/log", &[]);
    assert_eq!([late.data(), late.data(), late.data()], ["one", "two", "three"]);
}

fn write(log: &mut File, numbers: impl Iterator<Item = usize>) {
    let lines: String = numbers.map(|number| format!("line {number}\n")).collect();
    log.write_all(lines.as_bytes()).unwrap();
}

#[track_caller]
fn expect(reader: &mut Stream, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        assert_eq!(reader.data(), format!("line {number}"));
    }
}

/// Opened as programs open their logs: each write goes to the end.
fn create(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// A folder of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oyez-log-tail-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
