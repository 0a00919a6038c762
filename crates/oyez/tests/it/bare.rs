//! Streams for readers that take every block for an event and parse its data.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{
    ErrorKind, Event, Format, Hub, LastEventId, OnGap, Publish, Retention, SlowPolicy, Sse, SseBody, StreamItem,
    Subscribe, Topic,
};

use crate::web::{Client, Server, until, within};

/// A hub that keeps next to nothing, also for streams that are open: 4 MiB or 1,024 entries.
fn short_memory() -> Hub {
    Hub::builder().history(Retention::last(1)).build()
}

fn bare(hub: &Hub) -> Subscribe<Event> {
    hub.subscribe("a").bare().retry(Duration::from_secs(2))
}

async fn publish(hub: &Hub, topic: &str, data: &str) -> String {
    hub.publish(topic, Event::data(data)).await.unwrap().to_string()
}

/// Its status and what its head says of a gap, and its body.
fn parts(sse: Sse) -> (u16, Option<String>, SseBody) {
    let response = sse.into_http();
    let gap = response.headers().get("oyez-gap").map(|reason| reason.to_str().unwrap().to_owned());
    (response.status().as_u16(), gap, response.into_body())
}

async fn piece(body: &mut SseBody) -> Option<String> {
    let frame = within("a frame", body.frame()).await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

async fn text(mut body: SseBody) -> String {
    let mut text = String::new();
    while let Some(piece) = piece(&mut body).await {
        text += &piece;
    }
    text
}

/// All that a stream says that ends by itself, with its status and the gap of its head.
async fn all(subscribe: Subscribe<Event>) -> (u16, Option<String>, String) {
    let sse = subscribe.respond().await.unwrap_or_else(|error| Sse::refusal(&error, &LastEventId::none()));
    let (status, gap, body) = parts(sse);
    (status, gap, text(body).await)
}

fn is(status: u16, gap: Option<&str>, text: impl Into<String>) -> (u16, Option<String>, String) {
    (status, gap.map(str::to_owned), text.into())
}

/// Waits until the event with this data is hidden, whose time is short.
async fn expired(hub: &Hub, topic: &str, data: &str) {
    all_expired(hub, topic, &[data.to_owned()]).await;
}

/// The same of several.
async fn all_expired(hub: &Hub, topics: &str, data: &[String]) {
    let fields: Vec<_> = data.iter().map(|data| format!("\ndata: {data}\n")).collect();
    let read = || text(hub.subscribe_pattern(topics).earliest().poll().into_response().into_http().into_body());
    let gone = async {
        loop {
            let readable = read().await;
            if !fields.iter().any(|field| readable.contains(field)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within("it has had its time", gone).await;
}

fn app(hub: &Hub) -> Router {
    async fn ordinary(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        hub.subscribe("a").resume(resume).into_response()
    }
    async fn stream(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        bare(&hub).resume(resume).slow(SlowPolicy::Skip).into_response()
    }
    async fn envelope(State(hub): State<Hub>) -> Sse {
        bare(&hub).format(Format::Envelope).into_response()
    }
    async fn stays(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        bare(&hub).resume(resume).into_response().hand_over(false)
    }
    async fn silent(State(hub): State<Hub>) -> Sse {
        bare(&hub).keep_alive(Duration::from_millis(5)).into_response()
    }
    Router::new()
        .route("/ordinary", get(ordinary))
        .route("/bare", get(stream))
        .route("/envelope", get(envelope))
        .route("/stays", get(stays))
        .route("/silent", get(silent))
        .with_state(hub.clone())
}

/// A reader of the bytes as they are, which chunks are not, and the head of its response.
async fn reader(server: &Server, path: &str, headers: &str) -> (String, Client) {
    let mut client = server.connect().await;
    client.send(&format!("GET {path} HTTP/1.0\r\nhost: x\r\n{headers}\r\n")).await;
    let head = client.read_to("\r\n\r\n").await;
    (head, client)
}

#[tokio::test]
async fn only_events_with_data_are_sent_and_the_first_says_when_to_come_back() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let mut readers = Vec::new();
    // several of a kind, which are one group on the thread, beside ordinary ones; and one that stays in hyper
    for path in ["/bare", "/ordinary", "/bare", "/stays", "/ordinary"] {
        let (head, mut client) = reader(&server, path, "").await;
        assert!(!head.contains("oyez-gap"), "{head}");
        if path == "/ordinary" {
            client.read_to("\n\n").await;
        }
        readers.push((path, client));
    }
    until("all are there", || hub.stats().subscribers == 5).await;
    for round in 0..3 {
        publish(&hub, "b", "for others").await;
        let id = publish(&hub, "a", "{}").await;
        for (path, client) in &mut readers {
            let retry = if round == 0 && *path != "/ordinary" { "retry: 2000\n" } else { "" };
            assert_eq!(client.read_to("\n\n").await, format!("{retry}id: {id}\ndata: {{}}\n\n"), "{path} {round}");
        }
    }
    let end = hub.end("a").await.unwrap();
    for (path, client) in readers {
        let told = format!("id: {end}\nevent: oyez.end\ndata: {{\"topic\":\"a\"}}\n\n");
        assert_eq!(client.read_to_end().await, if path == "/ordinary" { &*told } else { "" }, "{path}");
    }
    assert_eq!(hub.stats().ended.complete, 5);
}

#[tokio::test]
async fn chunks_and_envelopes_are_those_of_others() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let mut client = server.get("/envelope").await;
    assert!(client.read_to("\r\n\r\n").await.contains("transfer-encoding: chunked"));
    until("it is there", || hub.stats().subscribers == 1).await;
    let id = publish(&hub, "a", "x").await;
    let read = client.read_to("\n\n\r\n").await;
    let event = read.strip_prefix("c\r\nretry: 2000\n\r\n").unwrap_or_else(|| panic!("{read}"));
    let (size, frame) = event.split_once("\r\n").unwrap();
    assert!(frame.starts_with(&format!("id: {id}\ndata: {{\"topics\":[\"a\"],\"time\":")), "{read}");
    assert_eq!(usize::from_str_radix(size, 16).unwrap(), frame.len() - 2);
    hub.end("a").await.unwrap();
    assert_eq!(client.read_to_end().await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_keep_alive_is_one_line_and_never_an_id() {
    let hub = Hub::new();
    let server = Server::start(app(&hub)).await;
    let (_, mut client) = reader(&server, "/silent", "").await;
    for (round, retry) in ["retry: 2000\n", ""].into_iter().enumerate() {
        // others' events pass it by
        publish(&hub, "b", "for others").await;
        let mut read = client.read_to(":\n:\n").await;
        let id = publish(&hub, "a", "1").await;
        read += &client.read_to("\n\n").await;
        let event = read.trim_start_matches(":\n");
        assert_eq!(event, format!("{retry}id: {id}\ndata: 1\n\n"), "{round}: {read:?}");
    }
}

#[tokio::test]
async fn what_is_missing_at_the_start_is_said_in_the_head() {
    let hub = short_memory();
    let server = Server::start(app(&hub)).await;
    let first = publish(&hub, "a", "1").await;
    publish(&hub, "a", "2").await;
    let last = publish(&hub, "a", "3").await;
    let event = format!("retry: 2000\nid: {last}\ndata: 3\n\n");
    for (id, reason) in [(&*first, "expired"), ("made up", "unknown"), ("k0000000:1", "epoch")] {
        for path in ["/bare", "/stays"] {
            let (head, mut client) = reader(&server, path, &format!("last-event-id: {id}\r\n")).await;
            assert!(head.starts_with("HTTP/1.") && head.contains(" 200 OK\r\n"), "{head}");
            assert_eq!(head.matches(&format!("\r\noyez-gap: {reason}\r\n")).count(), 1, "{path} {id}: {head}");
            assert_eq!(client.read_to("\n\n").await, event, "{path} {id}");
        }
        let resumed = || bare(&hub).resume(LastEventId::new(id)).poll();
        assert_eq!(all(resumed()).await, is(200, Some(reason), &*event));
        let (status, gap, body) = parts(resumed().into_response());
        assert_eq!((status, gap.as_deref(), text(body).await), (200, Some(reason), event.clone()));
        assert_eq!(all(resumed().on_gap(OnGap::Fail)).await.0, 410);
    }
    let resumed = bare(&hub).resume(LastEventId::new(&*last)).poll();
    assert_eq!(all(resumed).await, is(200, None, ""));
}

#[tokio::test]
async fn a_gap_before_the_first_event_is_told_wherever_it_lies() {
    let hub = Hub::<Event>::new();
    let first = publish(&hub, "a", "1").await;
    let brief = Publish::new(Topic::new("a").unwrap(), Event::data("2")).ttl(Duration::from_millis(1));
    hub.publish_batch(vec![brief]).await.unwrap();
    expired(&hub, "a", "2").await;
    let resumed = |id: &str| bare(&hub).resume(LastEventId::new(id)).poll();
    assert_eq!(all(resumed(&first)).await, is(200, Some("expired"), ""), "nothing follows");
    assert_eq!(all(resumed(&first).on_gap(OnGap::Fail)).await.0, 410);
    let last = publish(&hub, "a", "3").await;
    assert_eq!(all(resumed(&first)).await, is(200, Some("expired"), format!("retry: 2000\nid: {last}\ndata: 3\n\n")));

    hub.delete("a").await.unwrap();
    let next = publish(&hub, "a", "4").await;
    assert_eq!(all(resumed(&last)).await, is(200, None, format!("retry: 2000\nid: {next}\ndata: 4\n\n")));
    let before = all(resumed(&first)).await;
    assert_eq!(before, is(200, Some("deleted"), format!("retry: 2000\nid: {next}\ndata: 4\n\n")));
}

#[tokio::test]
async fn a_gap_further_on_ends_the_stream_and_the_next_one_tells_it() {
    let hub = Hub::<Event>::new();
    let (_, _, mut body) = parts(bare(&hub).respond().await.unwrap());
    let first = publish(&hub, "a", "1").await;
    assert_eq!(piece(&mut body).await.unwrap(), format!("retry: 2000\nid: {first}\ndata: 1\n\n"));
    publish(&hub, "a", "2").await;
    hub.delete("a").await.unwrap();
    let last = publish(&hub, "a", "3").await;
    assert_eq!(piece(&mut body).await, None);
    assert_eq!((hub.stats().ended.gap, hub.stats().gaps), (1, 0));
    let resumed = all(bare(&hub).resume(LastEventId::new(&*first)).poll()).await;
    assert_eq!(resumed, is(200, Some("deleted"), format!("retry: 2000\nid: {last}\ndata: 3\n\n")));
    assert_eq!(hub.stats().gaps, 1);
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_on_over_every_gap() {
    let hub = Hub::<Event>::new();
    let first = publish(&hub, "a", "0").await;
    for n in 1..40 {
        let ttl = if n % 3 == 0 { Duration::from_secs(3_600) } else { Duration::from_millis(1) };
        let event = Publish::new(Topic::new("a").unwrap(), Event::data(n.to_string())).ttl(ttl);
        hub.publish_batch(vec![event]).await.unwrap();
    }
    expired(&hub, "a", "38").await;
    let (mut id, mut data, mut gaps) = (first, Vec::new(), 0);
    for _ in 0..20 {
        let (status, gap, text) = all(bare(&hub).resume(LastEventId::new(&*id)).poll()).await;
        assert_eq!((status, gap.as_deref()), (200, Some("expired")), "behind {id}");
        gaps += 1;
        let mut fields = text.lines();
        while let Some(line) = fields.next() {
            if let Some(told) = line.strip_prefix("id: ") {
                id = told.to_owned();
                data.push(fields.next().unwrap().strip_prefix("data: ").unwrap().parse::<u32>().unwrap());
            }
        }
        if data.last() == Some(&39) {
            break;
        }
    }
    assert_eq!((data, gaps), ((1..14).map(|n| n * 3).collect(), 13), "each once, and each gap is told");
}

#[tokio::test]
async fn a_slow_reader_is_cut_at_an_events_border_and_told_when_it_comes_back() {
    let hub = short_memory();
    let server = Server::start(app(&hub)).await;
    let mut client = server.get("/bare").await;
    client.read_to("\r\n\r\n").await;
    until("it is there", || hub.stats().subscribers == 1).await;
    let data = "x".repeat(100_000);
    // far more than the kernel takes for it and the hub keeps
    for _ in 0..400 {
        publish(&hub, "a", &data).await;
    }
    let read = client.read_to_end().await;
    assert!(read.ends_with("\n\n\r\n0\r\n\r\n") && !read.contains("oyez"), "{}", &read[read.len() - 100..]);
    let id = read.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let (head, mut again) = reader(&server, "/bare", &format!("last-event-id: {id}\r\n")).await;
    assert!(head.contains("\r\noyez-gap: expired\r\n"), "{head}");
    let newest = hub.position().to_string();
    assert!(again.read_to("\n\n").await.starts_with(&format!("retry: 2000\nid: {newest}\ndata: xx")));
    let ended = hub.stats().ended;
    assert_eq!(ended.gap + ended.behind, 1);
}

#[tokio::test]
async fn where_only_ends_are_left_there_is_no_stream() {
    let hub = Hub::<Event>::new();
    let id = publish(&hub, "a", "1").await;
    hub.end("a").await.unwrap();
    hub.end("nothing").await.unwrap();
    let both = || bare(&hub).and("nothing");
    let event = format!("retry: 2000\nid: {id}\ndata: 1\n\n");
    assert_eq!(all(bare(&hub)).await, is(200, None, &*event));
    assert_eq!(all(both()).await, is(200, None, &*event));
    let resumed = || LastEventId::new(&*id);
    assert_eq!(all(bare(&hub).resume(resumed())).await, is(204, None, ""));
    assert_eq!(all(both().resume(resumed())).await, is(204, None, ""));
    let nothing = || hub.subscribe("nothing").bare();
    assert_eq!(all(nothing()).await, is(204, None, ""));
    assert_eq!(all(nothing().poll()).await, is(204, None, ""));
    assert_eq!(nothing().try_into_response().unwrap_err().kind(), ErrorKind::Ended);
    // to a filter that turns everything down it is the same
    assert_eq!(all(bare(&hub).filter(|_: &Event| false)).await, is(204, None, ""));
    // a topic that goes on may have more
    let (status, _, _) = parts(nothing().and("b").respond().await.unwrap());
    assert_eq!(status, 200);
    assert_eq!(hub.stats().refused, 0);

    let server = Server::start(app(&hub)).await;
    for path in ["/bare", "/stays"] {
        let (head, client) = reader(&server, path, &format!("last-event-id: {id}\r\n")).await;
        assert!(head.contains(" 204 No Content\r\n"), "{head}");
        assert_eq!(client.read_to_end().await, "");
    }
}

#[tokio::test]
async fn what_is_missing_before_the_end_is_said_without_a_stream() {
    let hub = Hub::<Event>::new();
    let id = publish(&hub, "a", "1").await;
    let brief = Publish::new(Topic::new("a").unwrap(), Event::data("2")).ttl(Duration::from_millis(1));
    hub.publish_batch(vec![brief]).await.unwrap();
    hub.end("a").await.unwrap();
    expired(&hub, "a", "2").await;
    let resumed = bare(&hub).resume(LastEventId::new(&*id));
    assert_eq!(all(resumed).await, is(204, Some("expired"), ""));
}

#[tokio::test]
async fn a_refusal_that_comes_late_has_the_head_of_one() {
    /// Looks through much that its filter turns down.
    fn late(hub: &Hub, resume: LastEventId) -> Subscribe<Event> {
        bare(hub).resume(resume).filter(|event: &Event| event.data_str() != "no")
    }
    async fn stream(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        late(&hub, resume).try_into_response().expect("it is not known yet")
    }
    async fn stays(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        late(&hub, resume).try_into_response().expect("it is not known yet").hand_over(false)
    }
    async fn strict(State(hub): State<Hub>, resume: LastEventId) -> Sse {
        late(&hub, resume).on_gap(OnGap::Fail).try_into_response().expect("it is not known yet")
    }
    let hub = Hub::<Event>::new();
    let start = hub.position();
    let publish = |data: &str| Publish::new(Topic::new("a").unwrap(), Event::data(data));
    for _ in 0..5 {
        hub.publish_batch((0..1_000).map(|_| publish("no")).collect()).await.unwrap();
    }
    hub.publish_batch(vec![publish("brief").ttl(Duration::from_millis(1))]).await.unwrap();
    expired(&hub, "a", "brief").await;
    hub.end("a").await.unwrap();
    let routes = Router::new().route("/", get(stream)).route("/stays", get(stays)).route("/strict", get(strict));
    let server = Server::start(routes.with_state(hub.clone())).await;
    let resumed = format!("last-event-id: {start}\r\n");
    for path in ["/", "/stays"] {
        let (head, client) = reader(&server, path, &resumed).await;
        for expected in [" 204 No Content\r\n", "\r\ncache-control: no-store\r\n", "\r\noyez-gap: expired\r\n"] {
            assert!(head.contains(expected), "{path}: {head}");
        }
        for of_a_stream in ["content-type", "x-accel-buffering", "\r\noyez: 1", "no-transform"] {
            assert!(!head.contains(of_a_stream), "{path}: {head}");
        }
        assert_eq!(client.read_to_end().await, "");
    }
    let (head, client) = reader(&server, "/strict", &resumed).await;
    for expected in [" 410 Gone\r\n", "\r\ncontent-type: application/problem+json\r\n"] {
        assert!(head.contains(expected), "{head}");
    }
    assert!(!head.contains("x-accel-buffering") && !head.contains("\r\noyez"), "{head}");
    let body = client.read_to_end().await;
    assert!(body.contains("\"status\":410") && body.contains("entries are missing: expired"), "{body}");
}

#[tokio::test]
async fn a_browser_gets_a_refusal_as_a_status() {
    const BROWSER: &str = "accept: text/event-stream\r\nsec-fetch-mode: cors\r\n";
    let hub = Hub::<Event>::new();
    let server = Server::start(app(&hub)).await;
    within("the hub drains", hub.drain(Duration::ZERO)).await;
    for (path, status) in [("/ordinary", " 200 "), ("/bare", " 503 "), ("/stays", " 503 ")] {
        let (head, _) = reader(&server, path, BROWSER).await;
        assert!(head.contains(status), "{path}: {head}");
        assert_eq!(head.contains("\r\nretry-after: "), path != "/ordinary", "{head}");
    }
}

#[tokio::test]
async fn what_has_no_place_in_it_is_refused() {
    let hub = Hub::<Event>::new();
    for subscribe in [bare(&hub).format(Format::Ndjson), bare(&hub).opening("{}")] {
        assert_eq!(subscribe.try_into_response().unwrap_err().kind(), ErrorKind::Invalid);
    }
    // inside the process there are no bytes
    publish(&hub, "a", "1").await;
    let mut stream = bare(&hub).resume(LastEventId::new("made up")).into_stream().unwrap();
    assert!(matches!(stream.next().await, Some(StreamItem::Gap(_))));
}

/// What a reader learns, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Events are missing here, for this reason first.
    Gap(String),
    Event(String),
}

fn push_gap(told: &mut Vec<Told>, reason: &str) {
    if !matches!(told.last(), Some(Told::Gap(_))) {
        told.push(Told::Gap(reason.to_owned()));
    }
}

async fn told_by_an_ordinary_stream(subscribe: Subscribe<Event>) -> Vec<Told> {
    let mut stream = subscribe.into_stream().unwrap();
    let mut told = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            StreamItem::Gap(gap) => push_gap(&mut told, gap.reason.as_str()),
            StreamItem::Event(event) => told.push(Told::Event(event.id.to_string())),
            _ => {}
        }
    }
    told
}

/// Comes back after each stream, until one has nothing new.
async fn told_by_bare_streams(subscribe: impl Fn() -> Subscribe<Event>, mut id: String) -> Vec<Told> {
    let mut told = Vec::new();
    loop {
        let (status, gap, text) = all(subscribe().resume(LastEventId::new(&*id))).await;
        assert!(matches!(status, 200 | 204), "{status}");
        if let Some(reason) = gap {
            push_gap(&mut told, &reason);
        }
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        let Some(last) = ids.last() else { return told };
        id = (*last).to_owned();
        told.extend(ids.iter().map(|id| Told::Event((*id).to_owned())));
    }
}

/// Does these things to three topics, and waits until what has a short time is over.
async fn fill(hub: &Hub, steps: &[(u8, usize)], round: &str) {
    let mut brief = Vec::new();
    for (number, (step, topic)) in steps.iter().enumerate() {
        let (name, data) = (["a", "b", "c"][*topic], format!("{round}{number}"));
        let event = Publish::new(Topic::new(name).unwrap(), Event::data(&*data));
        // what follows an end is refused
        let _ = match step {
            0 if number % 3 == 0 => hub.end(name).await.map(drop),
            1 => hub.delete(name).await.map(drop),
            2..=4 => {
                brief.push(data);
                hub.publish_batch(vec![event.ttl(Duration::from_millis(1))]).await.map(drop)
            }
            _ => hub.publish_batch(vec![event]).await.map(drop),
        };
    }
    all_expired(hub, "*", &brief).await;
}

/// Bare streams, one after the other, say from `start` on what an ordinary one does.
async fn say_the_same(hub: &Hub, start: String, matchers: &[&str], is_filtered: bool) {
    let subscribe = || {
        let subscribe = hub.subscribe_pattern(matchers[0]).poll();
        let subscribe = matchers[1..].iter().fold(subscribe, |subscribe, matcher| subscribe.and_pattern(*matcher));
        let wanted = |event: &Event| event.data_str().len() % 2 == 0;
        if is_filtered { subscribe.filter(wanted) } else { subscribe }
    };
    let resumed = subscribe().resume(LastEventId::new(&*start));
    if resumed.respond().await.is_err() {
        return; // nothing is left, or it is gone: the same for both
    }
    let expected = told_by_an_ordinary_stream(subscribe().resume(LastEventId::new(&*start))).await;
    let told = told_by_bare_streams(|| subscribe().bare(), start).await;
    assert_eq!(told, expected);
}

const MATCHERS: &[&[&str]] = &[&["a"], &["a", "b"], &["*"], &["b", "c"]];

fn wait(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn bare_streams_tell_the_events_and_the_gaps_of_an_ordinary_one(
        steps in proptest::collection::vec((0..12_u8, 0..3_usize), 1..150),
        matchers in proptest::sample::select(MATCHERS),
        is_filtered in proptest::bool::ANY,
        keeps_few in proptest::bool::ANY,
    ) {
        wait(async {
            let hub = if keeps_few { Hub::builder().history(Retention::last(20)).build() } else { Hub::new() };
            let start = hub.position().to_string();
            fill(&hub, &steps, "").await;
            say_the_same(&hub, start, matchers, is_filtered).await;
        });
    }
}

#[cfg(unix)]
proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

    #[test]
    fn they_do_so_on_disk_and_over_a_restart(
        steps in proptest::collection::vec((0..12_u8, 0..3_usize), 2..100),
        later in proptest::collection::vec((1..12_u8, 0..3_usize), 0..50),
        matchers in proptest::sample::select(MATCHERS),
        is_filtered in proptest::bool::ANY,
    ) {
        wait(async {
            let directory = crate::directory::Directory::new("bare");
            let hub = directory.open();
            let start = hub.position().to_string();
            fill(&hub, &steps, "").await;
            let hub = directory.restart(hub).await;
            fill(&hub, &later, "later ").await;
            say_the_same(&hub, start, matchers, is_filtered).await;
            hub.close().await;
        });
    }
}
