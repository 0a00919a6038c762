//! `bare=1`: streams for readers that take every block for an event and parse its data.

use oyez_server::Text;

use crate::harness::{Answer, Caller, Hosted, head};

/// The body but for the reconnection time, which is drawn.
fn after_retry(body: &str) -> &str {
    let (retry, rest) = body.strip_prefix("retry: ").unwrap_or_else(|| panic!("{body:?}")).split_once('\n').unwrap();
    let retry: u64 = retry.parse().unwrap();
    assert!((2_000..=5_000).contains(&retry), "{retry}");
    rest
}

/// A reader of the bytes as they are, which chunks are not.
struct Reader {
    caller: Caller,
    read: String,
}

impl Reader {
    /// Asks for a stream; tells the head of the response.
    async fn open(server: &Hosted, target: &str, headers: &[&str]) -> (Answer, Self) {
        let mut caller = server.connect().await;
        caller.send(head("GET", target, headers).replace("HTTP/1.1", "HTTP/1.0")).await;
        let mut reader = Self { caller, read: String::new() };
        let head = reader.read_to("\r\n\r\n").await;
        (Answer(head), reader)
    }

    /// What comes up to the end of `part`.
    async fn read_to(&mut self, part: &str) -> String {
        loop {
            if let Some(at) = self.read.find(part) {
                let rest = self.read.split_off(at + part.len());
                return std::mem::replace(&mut self.read, rest);
            }
            self.read += &self.caller.read_until("\n").await;
        }
    }

    /// What comes up to the end.
    async fn rest(mut self) -> String {
        self.read + &self.caller.answer().await.0
    }
}

#[tokio::test]
async fn a_stream_is_events_with_data_and_comment_lines() {
    let server = Hosted::with(|settings| settings.keep_alive = Some("20ms".to_owned())).await;
    let (answer, mut reader) = Reader::open(&server, "/events/a?bare=1", &[]).await;
    assert_eq!((answer.status(), answer.header("oyez"), answer.header("oyez-gap")), (200, Some("1"), None));
    let silence = reader.read_to(":\n:\n").await;
    assert_eq!(silence.replace(":\n", ""), "", "nothing but comments");
    server.post("/events/b", &[], "for others").await.id();
    reader.read_to(":\n:\n").await;
    let id = server.post("/events/a?event=token", &[], "{}\n{}").await.id();
    let read = reader.read_to("\n\n").await;
    let event = read.trim_start_matches(":\n");
    assert_eq!(
        after_retry(event).trim_end_matches(":\n"),
        format!("id: {id}\nevent: token\ndata: {{}}\ndata: {{}}\n\n")
    );
    let read = reader.read_to(":\n:\n").await;
    assert_eq!(read.replace(":\n", ""), "");
    let end = server.post("/events/a?end", &[], "last").await;
    let last = end.json()["id"].as_str().unwrap().to_owned();
    let rest = reader.rest().await;
    assert_eq!(rest.replace(":\n", ""), format!("id: {last}\ndata: last\n\n"), "the end is the end");
}

#[tokio::test]
async fn it_stands_beside_ordinary_streams_of_the_same_topic() {
    const PATTERN: &str = "/events/*?bare=true";
    let server = Hosted::start().await;
    let mut readers = Vec::new();
    for target in ["/events/a?bare=1", "/events/a", "/events/a?bare=1&envelope=1", "/events/a?bare", PATTERN] {
        let (_, reader) = Reader::open(&server, target, &[]).await;
        readers.push((target, reader));
    }
    while server.hub.stats().subscribers < readers.len() as u64 {
        tokio::task::yield_now().await;
    }
    let first = server.post("/events/a", &[], "1").await.id();
    let second = server.post("/events/a", &[], "2").await.id();
    server.post("/events/a?end", &[], "").await;
    server.post("/events/last", &[], "x").await;
    for (target, mut reader) in readers {
        let body = match target {
            // it goes on: no end is told, and none ends it
            PATTERN => reader.read_to("data: x\n\n").await,
            _ => reader.rest().await,
        };
        let is_ordinary = target == "/events/a";
        assert_eq!(body.contains("oyez"), is_ordinary, "{target}: {body}");
        assert_eq!(body.matches("retry: ").count(), 1, "{target}: {body}");
        let ids = body.matches("id: ").count();
        assert_eq!(body.matches("data: ").count(), if is_ordinary { ids - 1 } else { ids }, "{target}: {body}");
        assert!(body.contains(&format!("id: {first}\n")) && body.contains(&format!("id: {second}\n")), "{body}");
    }
}

#[tokio::test]
async fn a_gap_at_the_start_is_in_the_head() {
    let server = Hosted::with(|settings| settings.keep_events = Some(Text::Text("2".to_owned()))).await;
    let mut ids = Vec::new();
    for data in ["1", "2", "3", "4"] {
        ids.push(server.post("/events/a", &[], data).await.id());
    }
    let kept = format!("id: {}\ndata: 3\n\nid: {}\ndata: 4\n\n", ids[2], ids[3]);
    for (id, reason) in [(&*ids[0], "expired"), ("k0000000:1", "epoch"), ("made up", "unknown")] {
        let header = format!("Last-Event-ID: {id}");
        let answer = server.get("/events/a?bare=1&poll=1", &[&header]).await;
        assert_eq!((answer.status(), answer.header("oyez-gap")), (200, Some(reason)), "{answer:?}");
        assert_eq!(after_retry(&answer.body()), kept);
        let answer = server.get("/events/a?bare=1&poll=1&on_gap=fail", &[&header]).await;
        assert_eq!((answer.status(), answer.header("oyez-gap")), (410, None), "{answer:?}");
        // also on the fan-out thread
        let (answer, mut reader) = Reader::open(&server, "/events/a?bare=1", &[&header]).await;
        assert_eq!((answer.status(), answer.header("oyez-gap")), (200, Some(reason)), "{answer:?}");
        let read = reader.read_to("data: 4\n\n").await;
        assert_eq!(after_retry(&read), kept);
    }
    // where nothing is missing it goes on after the id, and says no more than the events
    let answer = server.get("/events/a?bare=1&poll=1", &[&format!("Last-Event-ID: {}", ids[2])]).await;
    assert_eq!((answer.status(), answer.header("oyez-gap")), (200, None));
    assert_eq!(after_retry(&answer.body()), format!("id: {}\ndata: 4\n\n", ids[3]));
    let answer = server.get("/events/a?bare=1&poll=1", &[&format!("Last-Event-ID: {}", ids[3])]).await;
    assert_eq!((answer.status(), &*answer.body()), (200, ""));
    // HEAD says what GET does
    let request = head("HEAD", "/events/a?bare=1", &[&format!("Last-Event-ID: {}", ids[0])]);
    assert_eq!(server.ask(request).await.header("oyez-gap"), Some("expired"));
}

#[tokio::test]
async fn a_gap_further_on_ends_the_stream_between_two_events_and_the_next_one_tells_it() {
    let server = Hosted::with(|settings| {
        settings.keep_events = Some(Text::Text("1".to_owned()));
        settings.slow = Some("skip".to_owned());
    })
    .await;
    let (_, reader) = Reader::open(&server, "/events/a?bare=1", &[]).await;
    while server.hub.stats().subscribers < 1 {
        tokio::task::yield_now().await;
    }
    // far more than the kernel takes for it and the hub keeps
    let data = "x".repeat(500_000);
    for _ in 0..80 {
        server.post("/events/a", &[], &data).await.id();
    }
    let newest = server.hub.position().to_string();
    let read = reader.rest().await;
    assert!(read.ends_with("x\n\n") && !read.contains("oyez"), "{}", &read[read.len().saturating_sub(99)..]);
    let id = read.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    assert_ne!(id, newest);
    let answer = server.get("/events/a?bare=1&poll=1", &[&format!("Last-Event-ID: {id}")]).await;
    assert_eq!((answer.status(), answer.header("oyez-gap")), (200, Some("expired")));
    assert_eq!(after_retry(&answer.body()), format!("id: {newest}\ndata: {data}\n\n"));
}

#[tokio::test]
async fn where_only_ends_are_left_it_is_204() {
    let server = Hosted::start().await;
    let id = server.post("/events/a?end", &[], "1").await.id();
    server.post("/events/empty?end", &[], "").await;
    let resumed = format!("Last-Event-ID: {id}");
    for (target, headers) in [
        ("/events/a?bare=1", &[&*resumed][..]),
        ("/events?topic=a&topic=empty&bare=1", &[&resumed]),
        ("/events/a?bare=1&poll=1", &[&resumed, "Accept: text/event-stream", "Sec-Fetch-Mode: cors"]),
        ("/events/empty?bare=1", &[]),
    ] {
        let answer = server.get(target, headers).await;
        assert_eq!(
            (answer.status(), &*answer.body(), answer.header("oyez-gap")),
            (204, "", None),
            "{target}: {answer:?}"
        );
    }
    let answer = server.get("/events/a?bare=1", &[]).await;
    assert_eq!((answer.status(), after_retry(&answer.body())), (200, &*format!("id: {id}\ndata: 1\n\n")));
    // what is missing before the end is told with it
    let first = server.post("/events/b", &[], "1").await.id();
    server.post("/events/b?ttl=1ms", &[], "2").await.id();
    server.post("/events/b?end", &[], "").await;
    std::thread::sleep(std::time::Duration::from_millis(5));
    let answer = server.get("/events/b?bare=1", &[&format!("Last-Event-ID: {first}")]).await;
    assert_eq!((answer.status(), answer.header("oyez-gap")), (204, Some("expired")));
}

#[tokio::test]
async fn refusals_are_statuses_for_a_browser_too() {
    const BROWSER: [&str; 2] = ["Accept: text/event-stream", "Sec-Fetch-Mode: cors"];
    let server = Hosted::start().await;
    server.hub.drain(std::time::Duration::ZERO).await;
    let answer = server.get("/events/a", &BROWSER).await;
    assert_eq!(answer.status(), 200, "an ordinary one is told when to come back");
    let answer = server.get("/events/a?bare=1", &BROWSER).await;
    assert_eq!((answer.status(), answer.header("retry-after").is_some()), (503, true), "{answer:?}");
}

#[tokio::test]
async fn what_has_no_place_in_it_is_refused() {
    let server = Hosted::start().await;
    for (query, word) in [
        ("bare=1&control=1", "control=1"),
        ("bare=1&alive=15s", "alive"),
        ("bare=1&format=ndjson", "NDJSON"),
        ("bare=yes", "bare"),
    ] {
        let answer = server.get(&format!("/events/a?{query}"), &[]).await;
        assert_eq!(answer.status(), 400, "{query}: {answer:?}");
        assert!(answer.detail().contains(word), "{query}: {answer:?}");
    }
    let answer = server.get("/events/a?bare=1", &["Accept: application/x-ndjson"]).await;
    assert_eq!(answer.status(), 400, "{answer:?}");
    assert_eq!(server.get("/events/a?bare=0&poll=1", &[]).await.body().matches("id: ").count(), 1, "it is off");
}
