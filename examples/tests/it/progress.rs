use crate::example::{Example, Stream};

#[test]
fn a_job_can_be_followed_from_anywhere_to_its_end() {
    let example = Example::start(env!("CARGO_BIN_EXE_progress"));
    assert!(example.ask("GET", "/", &[], "").1.contains("<progress"));
    assert_eq!(example.post("/jobs", r#"{"pages":4}"#).0, 202);
    let mut reader = example.open("/jobs/1", &[]);
    let (first, percent) = reader.event();
    assert_eq!(percent, "0");
    assert_eq!(reader.data(), "25");
    drop(reader); // the page is reloaded

    let mut reloaded = example.open("/jobs/1", &[]);
    assert_eq!(rest(&mut reloaded), ["0", "25", "50", "75", "4 pages"]);
    let mut back = example.open("/jobs/1", &[&format!("Last-Event-ID: {first}")]);
    assert_eq!(rest(&mut back), ["25", "50", "75", "4 pages"]);

    let mut late = example.open("/jobs/1", &[]);
    let end = std::iter::repeat_with(|| late.next()).find(|event| event.kind == "oyez.end").unwrap();
    late.ends();
    let has_all = format!("Last-Event-ID: {}", end.id);
    assert_eq!(example.ask("GET", "/jobs/1", &[&has_all], ""), (204, String::new()), "an EventSource stays away");

    assert_eq!(example.ask("GET", "/jobs/2", &[], "").0, 404);
    assert_eq!(example.post("/jobs", r#"{"pages":0}"#).0, 422);
    assert_eq!(example.ask("POST", "/jobs", &["Content-Type: text/plain"], r#"{"pages":4}"#).0, 415);
    assert_eq!(example.post("/jobs", r#"{"pages":1000}"#).0, 202);
    let mut long = example.open("/jobs/2", &[&has_all]);
    long.next();
    example.stop("INT");
    rest(&mut long);
}

fn rest(stream: &mut Stream) -> Vec<String> {
    std::iter::from_fn(|| stream.data_or_end()).filter(|data| !data.contains("topic")).collect()
}
