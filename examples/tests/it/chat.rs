use crate::example::Example;

const HELLO: &str = r#"{"from":"ann","text":"hello <b>&amp;</b> 你好\n"}"#;

#[test]
fn who_comes_later_and_who_comes_back_miss_nothing() {
    let example = Example::start(env!("CARGO_BIN_EXE_chat"));
    let (status, page) = example.ask("GET", "/", &[], "");
    assert!(status == 200 && page.contains("new EventSource("), "{page}");
    assert_eq!(example.post("/rooms/lobby", HELLO).0, 204);
    assert_eq!(example.post("/rooms/other", r#"{"from":"eve","text":"not here"}"#).0, 204);
    let mut bob = example.open("/rooms/lobby", &[]);
    assert_eq!(bob.data(), said(HELLO));
    let (id, here) = bob.event();
    assert_eq!(here, people(1));
    drop(bob);

    let mut ann = example.open("/rooms/lobby", &[&format!("Last-Event-ID: {id}")]);
    // bob's leaving and ann's coming may be seen in either order
    while ann.data() != people(1) {}
    let answer = r#"{"from":"ann","text":"where are you?"}"#;
    assert_eq!(example.post("/rooms/lobby", answer).0, 204);
    let (id, line) = ann.event();
    assert_eq!(line, said(answer));
    drop(ann);
    assert_eq!(example.post("/rooms/lobby", HELLO).0, 204);
    let mut bob = example.open("/rooms/lobby", &[&format!("Last-Event-ID: {id}")]);
    let missed = std::iter::repeat_with(|| bob.data()).find(|line| line.contains("said"));
    assert_eq!(missed.unwrap(), said(HELLO), "what was said meanwhile, once");
    example.stop("INT");
    while bob.data_or_end().is_some_and(|line| !line.contains("said")) {}
}

#[test]
fn a_room_is_told_how_many_are_in_it() {
    let example = Example::start(env!("CARGO_BIN_EXE_chat"));
    let mut ann = example.open("/rooms/rust", &[]);
    assert_eq!(ann.data(), people(1));
    let _other = example.open("/rooms/music", &[]);
    let mut bob = example.open("/rooms/rust", &[]);
    assert_eq!(ann.data(), people(2));
    assert_eq!([bob.data(), bob.data()], [people(1), people(2)]);
    drop(bob);
    assert_eq!(ann.data(), people(1));
}

#[test]
fn what_is_no_message_and_no_room_is_refused() {
    let example = Example::start(env!("CARGO_BIN_EXE_chat"));
    assert_eq!(example.post("/rooms/lobby", r#"{"text":"anonymous"}"#).0, 422);
    assert_eq!(example.ask("POST", "/rooms/lobby", &["Content-Type: text/plain"], HELLO).0, 415);
    assert_eq!(example.ask("GET", "/rooms/*", &[], "").0, 400, "nobody listens everywhere");
    assert_eq!(example.post("/rooms/*", HELLO).0, 400);
}

fn said(message: &str) -> String {
    message.replacen('{', r#"{"kind":"said","#, 1)
}

fn people(number: usize) -> String {
    format!(r#"{{"kind":"here","people":{number}}}"#)
}
