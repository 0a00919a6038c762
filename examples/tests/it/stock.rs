use serde_json::Value;

use crate::example::{Event, Example};

#[test]
fn quotes_by_symbol_by_change_and_after_a_break() {
    let example = Example::start(env!("CARGO_BIN_EXE_stock"));
    assert!(example.ask("GET", "/", &[], "").1.contains("new EventSource("));
    let from_the_start = ["Last-Event-ID: earliest"];
    let mut moved = example.open("/quotes/*?change=0.2", &from_the_start);
    let moved: Vec<Event> = (0..6).map(|_| moved.next()).collect();

    let mut all = example.open("/quotes/*", &from_the_start);
    let mut seen = vec![all.next()];
    while seen.last().unwrap().id != moved[5].id {
        seen.push(all.next());
    }
    let filtered: Vec<_> = seen.iter().filter(|event| quote(event)["change"].as_f64().unwrap().abs() >= 0.2).collect();
    assert_eq!(filtered, moved.iter().collect::<Vec<_>>());
    assert!(seen.iter().all(|event| quote(event)["price"].as_f64().unwrap() > 0.0));

    let bells: Vec<_> = seen.iter().filter(|event| quote(event)["symbol"] == "BELL").collect();
    let mut bell = example.open("/quotes/BELL", &from_the_start);
    for expected in &bells {
        assert_eq!(&bell.next(), *expected);
    }
    let mut back = example.open("/quotes/*", &[&format!("Last-Event-ID: {}", seen[1].id)]);
    for expected in &seen[2..] {
        assert_eq!(&back.next(), expected, "exactly what was missed");
    }
    let mut page = example.open("/quotes/*", &[]);
    assert_eq!(page.next(), seen[0], "a chart begins with the last quotes");
    assert_eq!(example.ask("GET", "/quotes/NOPE", &[], "").0, 404);
    example.stop("INT");
}

fn quote(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}
