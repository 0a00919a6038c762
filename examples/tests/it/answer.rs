use crate::example::{Example, Stream};

const QUESTION: &str = r#"{"question":"Why is the sky blue?"}"#;

#[test]
fn an_answer_is_read_from_anywhere_to_its_end_without_loss_or_double() {
    let example = Example::start(env!("CARGO_BIN_EXE_answer"));
    assert!(example.ask("GET", "/", &[], "").1.contains("EventSource"));
    assert_eq!(example.post("/answers", QUESTION).0, 202);
    let mut reader = example.open("/answers/1", &[]);
    let begun: Vec<_> = (0..5).map(|_| reader.event()).collect();
    drop(reader); // the page is reloaded

    let mut reloaded = example.open("/answers/1", &[]);
    let (third, _) = begun[2].clone();
    let mut back = example.open("/answers/1", &[&format!("Last-Event-ID: {third}")]);
    let (all, end) = rest(&mut reloaded);
    assert_eq!(all.len(), 60);
    assert!(begun.iter().map(|(_, token)| token).eq(&all[..5]));
    assert_eq!(rest(&mut back), (all[3..].to_vec(), end.clone()));

    // when all is over as well
    assert_eq!(rest(&mut example.open("/answers/1", &[])), (all.clone(), end.clone()));
    let text = all.concat();
    assert!(text.starts_with("Well, ") && text.ends_with('.') && text.lines().count() == 3, "{text}");
    let has_all = format!("Last-Event-ID: {end}");
    assert_eq!(example.ask("GET", "/answers/1", &[&has_all], ""), (204, String::new()), "an EventSource stays away");

    assert_eq!(example.post("/answers", QUESTION).0, 202);
    let mut second = example.open("/answers/2", &[]);
    assert_eq!(rest(&mut second).0, all, "the same question, the same answer");
    assert_eq!(example.ask("GET", "/answers/3", &[], "").0, 404);
    assert_eq!(example.post("/answers", r#"{"question":" "}"#).0, 422);
    assert_eq!(example.post("/answers", r#"{}"#).0, 422);

    assert_eq!(example.post("/answers", QUESTION).0, 202);
    let mut cut = example.open("/answers/3", &[]);
    cut.next();
    example.stop("INT");
    let tokens: Vec<_> = std::iter::from_fn(|| cut.data_or_end()).collect();
    assert!(tokens.iter().all(|token| !token.contains("topic")), "who is cut off can tell: no end has come");
}

/// The tokens up to the end, and its id; then the stream is over.
fn rest(stream: &mut Stream) -> (Vec<String>, String) {
    let mut tokens = Vec::new();
    loop {
        let event = stream.next();
        if event.kind == "oyez.end" {
            stream.ends();
            return (tokens, event.id);
        }
        tokens.push(event.data);
    }
}
