//! `oyez log` on the history of a hub.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::Oyez;

/// A directory that goes with its test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oyez-log-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A hub that keeps its history in `data`, and its URL.
fn hub(data: &str) -> (Oyez, String) {
    let hub = Oyez::start(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data]);
    let url = hub.line().strip_prefix("listening on ").expect("the address").to_owned();
    hub.prints(&["admin on http://…"]);
    (hub, url)
}

fn stop(hub: Oyez) {
    hub.signal("TERM");
    hub.ends(0, "…");
}

fn publish(url: &str, lines: std::ops::RangeInclusive<u32>) {
    let mut publisher = Oyez::start(["pub", "--lines", &format!("{url}/events/news")]);
    lines.for_each(|line| publisher.write(format!("line {line}\n")));
    publisher.end_input();
    publisher.fails(0);
}

/// All that a command prints, which ends with this status.
#[track_caller]
fn prints(status: i32, arguments: &[&str], input: &str) -> (String, String) {
    let mut oyez = Oyez::start(arguments.iter().copied());
    if !input.is_empty() {
        oyez.write(input);
    }
    oyez.end_input();
    oyez.output(status)
}

/// The only segment of a history.
fn segment(data: &str) -> PathBuf {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "segment")).expect("a segment")
}

fn flip(path: &Path, text: &str) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("the text");
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    at
}

#[test]
fn a_history_is_inspected_checked_exported_and_imported() {
    let directory = Directory::new("moved");
    let data = directory.path("data");
    let (hub, url) = hub(&data);
    publish(&url, 1..=100);

    // beside the hub
    let (json, _) = prints(0, &["log", "inspect", "--json", &data], "");
    let about: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&about["in_use"], &about["head"]), (&Value::from(true), &Value::from(100)), "{json}");
    assert_eq!(about["classes"][0]["segments"][0]["entries"], 100, "{json}");
    assert!(prints(0, &["log", "verify", &data], "").0.starts_with("no fault found: 100 entries in 1 segment\n"));
    let (beside, _) = prints(0, &["log", "export", &data], "");
    assert_eq!(beside.lines().count(), 100);
    let (_, refused) = prints(78, &["log", "repair", &data], "");
    assert!(refused.contains("is in use by process"), "{refused}");
    stop(hub);

    let (text, _) = prints(0, &["log", "inspect", &data], "");
    assert!(text.contains("newest sequence number 100") && text.contains("closed properly"), "{text}");
    let (exported, _) = prints(0, &["log", "export", &data], "");
    assert_eq!(exported, beside);
    assert_eq!(prints(0, &["log", "export", "--topic", "old*", &data], "").0, "");
    assert!(prints(0, &["log", "repair", &data], "").0.contains("nothing to repair"));

    let moved = directory.path("moved");
    assert!(prints(0, &["log", "import", "--keep-ids", &moved], &exported).0.starts_with("100 entries in the epoch "));
    assert_eq!(prints(0, &["log", "export", &moved], "").0, exported);
    let (_, refused) = prints(1, &["log", "import", "--keep-ids", &moved], "");
    assert!(refused.contains("not empty"), "{refused}");

    // and a hub goes on with it
    let (hub, url) = self::hub(&moved);
    let id = serde_json::from_str::<Value>(exported.lines().nth(97).unwrap()).unwrap()["id"].clone();
    let reader = Oyez::start([
        "sub",
        "--max-events",
        "2",
        "--last-event-id",
        id.as_str().unwrap(),
        &format!("{url}/events/news"),
    ]);
    reader.prints(&[
        r#"{"kind":"open"…"#,
        r#"{"kind":"event","type":"message","data":"line 99"…"#,
        r#"{"kind":"event","type":"message","data":"line 100"…"#,
    ]);
    drop(reader);
    stop(hub);
}

#[test]
fn a_damaged_history_is_refused_until_it_is_repaired_and_old_ids_are_told() {
    let directory = Directory::new("damaged");
    let data = directory.path("data");
    let (hub, url) = hub(&data);
    (1..=9).for_each(|line| publish(&url, line..=line));
    stop(hub);
    let (exported, _) = prints(0, &["log", "export", &data], "");
    let ids: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    let segment = segment(&data);
    let byte = flip(&segment, "line 5");
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let damaged = fs::read(&segment).unwrap();

    let refused =
        Oyez::start(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", &data]).fails(78);
    let commands = [format!("`oyez log verify {data}`"), format!("`oyez log repair {data}`")];
    assert!(commands.iter().all(|command| refused.contains(command)), "{refused}");

    let (found, told) = prints(1, &["log", "verify", &data], "");
    let place = found.strip_prefix(&format!("{name}, byte ")).expect("the file").split(':').next().unwrap();
    // the record begins before its text
    assert!((byte - 200..byte).contains(&place.parse::<usize>().unwrap()), "{found}");
    assert!(told.contains("one fault") && told.contains(&commands[1]), "{told}");
    assert!(prints(0, &["log", "inspect", &data], "").0.contains("wrong: "));

    let (would, told) = prints(1, &["log", "repair", &data], "");
    assert!(
        would.contains("8 entries would be kept")
            && would.contains("at most 1 entry would be lost, sequence numbers 5\n"),
        "{would}"
    );
    assert!(told.contains("--yes"), "{told}");
    assert_eq!(fs::read(&segment).unwrap(), damaged, "nothing is changed without --yes");
    let (was, _) = prints(0, &["log", "repair", "--yes", &data], "");
    assert!(was.contains("8 entries were kept") && was.contains("a new epoch has begun"), "{was}");
    assert_eq!(fs::read(Path::new(&data).join(format!("damaged-{name}"))).unwrap(), damaged);
    assert!(prints(0, &["log", "verify", &data], "").0.starts_with("no fault found: 8 entries"));

    let (hub, url) = self::hub(&data);
    let reader = Oyez::start([
        "sub",
        "--max-events",
        "8",
        "--last-event-id",
        ids[2].as_str().unwrap(),
        &format!("{url}/events/news"),
    ]);
    reader.prints(&[r#"{"kind":"open"…"#, r#"{"kind":"gap","reason":"epoch"…"#]);
    for line in [1, 2, 3, 4, 6, 7, 8, 9] {
        reader.prints(&[&format!(r#"{{"kind":"event","type":"message","data":"line {line}"…"#)]);
    }
    drop(reader);
    stop(hub);
}

#[test]
fn an_import_that_was_interrupted_is_not_served() {
    let directory = Directory::new("interrupted");
    let data = directory.path("data");
    let line = r#"{"data":"x","topics":["a"],"time":"2026-01-02T03:04:05.678Z"}"#;
    let (_, told) = prints(1, &["log", "import", &data], &format!("{line}\nnonsense\n"));
    assert!(told.starts_with("oyez: line 2: it is not a line of an export"), "{told}");
    let refused =
        Oyez::start(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", &data]).fails(78);
    assert!(refused.contains("an import into this history was interrupted"), "{refused}");
    prints(0, &["log", "import", &data], &format!("{line}\n"));
    let (exported, _) = prints(0, &["log", "export", &data], "");
    assert!(exported.contains(r#""data":"x","topics":["a"],"time":"2026-01-02T03:04:05.678Z""#), "{exported}");
}

#[test]
fn an_export_steers_no_terminal_and_means_the_same() {
    let directory = Directory::new("steers");
    let lines = "{\"data\":\"\u{9b}31m\u{202e}é\",\"topics\":[\"a\u{200f}\"],\"time\":\"2026-01-02T03:04:05.678Z\"}\n"
        .repeat(3);
    prints(0, &["log", "import", &directory.path("first")], &lines);
    let (exported, _) = prints(0, &["log", "export", &directory.path("first")], "");
    assert!(exported.contains(r#""data":"\u009b31m\u202eé","topics":["a\u200f"]"#), "{exported}");
    prints(0, &["log", "import", &directory.path("second")], &exported);
    let (again, _) = prints(0, &["log", "export", &directory.path("second")], "");
    let data = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].clone()).collect()
    };
    assert_eq!(data(&again), vec![Value::from("\u{9b}31m\u{202e}é"); 3]);
    assert_eq!(data(&again), data(&exported));
}

#[test]
fn what_is_no_history_is_said_so() {
    let directory = Directory::new("none");
    for command in ["inspect", "verify", "repair", "export"] {
        let (_, told) = prints(1, &["log", command, &directory.path("nowhere")], "");
        assert!(told.ends_with("nowhere is not a directory\n"), "{command}: {told}");
        let (_, told) = prints(1, &["log", command, directory.0.to_str().unwrap()], "");
        assert!(told.contains("no history"), "{command}: {told}");
    }
    assert!(prints(2, &["log", "export", "--topic", "", &directory.path("x")], "").1.contains("topic is empty"));
}
