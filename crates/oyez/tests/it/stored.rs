//! Idempotency keys, ends and expiry of a history on disk: over a restart, and when the memory has moved on.
#![cfg(unix)]

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::BodyExt;
use oyez::{
    Durability, ErrorKind, Event, Hub, IdempotencyKey, LastEventId, Position, Publish, Reason, Repair, Retention,
    Storage, StoredLog, StreamItem, Topic,
};

use crate::web::{Server, until, within};

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oyez-stored-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn open(&self) -> Hub {
        Hub::builder().open(Storage::new(&self.0).durability(Durability::Flush)).unwrap()
    }

    /// Stops the hub and starts it again.
    pub(crate) async fn restart(&self, hub: Hub) -> Hub {
        hub.close().await;
        drop(hub);
        self.open()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn publish(topic: &str, data: impl Into<String>) -> Publish {
    Publish::new(Topic::new(topic).unwrap(), Event::data(data.into()))
}

fn begun(hub: &Hub, topic: &str, id: &str) -> Option<ErrorKind> {
    hub.subscribe(topic).resume(LastEventId::new(id)).into_stream().err().map(|error| error.kind())
}

/// What a stream says up to its end, in words.
async fn all(hub: &Hub, topic: &str) -> Vec<String> {
    let mut stream = hub.subscribe(topic).into_stream().unwrap();
    let mut seen = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        seen.push(match item {
            StreamItem::Event(event) => event.value.data_str().to_owned(),
            StreamItem::End(topic) => format!("end of {topic}"),
            other => panic!("{other:?}"),
        });
    }
    seen
}

#[tokio::test]
async fn a_publish_is_once_over_a_restart() {
    let directory = Directory::new("once");
    let hub = directory.open();
    let key = IdempotencyKey::new("k").unwrap();
    let batch = vec![publish("a", "1"), publish("b", "2")];
    let first = hub.publish_once(key.clone(), batch.clone()).await.unwrap();
    let hub = directory.restart(hub).await;
    let again = hub.publish_once(key.clone(), batch).await.unwrap();
    assert!(again.replayed && again.ids == first.ids, "{again:?}");
    let error = hub.publish_once(key, vec![publish("a", "1")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert_eq!(hub.stats().published, 0);
}

#[tokio::test]
async fn a_topic_stays_ended_over_a_restart() {
    let directory = Directory::new("ended");
    let hub = directory.open();
    let first = hub.publish("a", Event::data("1")).await.unwrap();
    let end = hub.end("a").await.unwrap();
    let hub = directory.restart(hub).await;
    let error = hub.publish("a", Event::data("more")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(begun(&hub, "a", &end), Some(ErrorKind::Ended));
    assert_eq!(begun(&hub, "a", &first), None);
    assert_eq!(all(&hub, "a").await, ["1", "end of a"]);
}

#[tokio::test]
async fn a_topic_stays_ended_when_its_end_is_only_on_the_disk() {
    let directory = Directory::new("far");
    let hub = directory.open();
    let first = hub.publish("a", Event::data("1")).await.unwrap();
    let end = hub.end("a").await.unwrap();
    // more than the memory holds
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        hub.publish("b", Event::data(large.as_str())).await.unwrap();
    }
    let error = hub.publish("a", Event::data("more")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(begun(&hub, "a", &end), Some(ErrorKind::Ended));
    assert_eq!(begun(&hub, "a", &first), None);
    assert_eq!(all(&hub, "a").await, ["1", "end of a"]);
}

/// Publishes that are written with the end in one go are before it, or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_behind_an_end_that_is_being_written() {
    let directory = Directory::new("race");
    let hub = directory.open();
    for n in 0..100 {
        let topic = format!("t{n}");
        let mut publishers = Vec::new();
        for _ in 0..8 {
            let (hub, topic) = (hub.clone(), topic.clone());
            publishers.push(tokio::spawn(async move { hub.publish(&topic, Event::data("x")).await }));
        }
        let end = hub.end(&topic).await.unwrap().parse::<Position>().unwrap();
        for publisher in publishers {
            match publisher.await.unwrap() {
                Ok(id) => assert!(id.parse::<Position>().unwrap().sequence < end.sequence, "{id} is behind {end:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
            }
        }
        assert_eq!(all(&hub, &topic).await.last().map(|last| &**last), Some(&*format!("end of {topic}")));
    }
}

#[tokio::test]
async fn what_has_expired_is_hidden_over_a_restart() {
    let directory = Directory::new("ttl");
    let hub = directory.open();
    let first = hub.publish("a", Event::data("1")).await.unwrap();
    hub.publish_batch(vec![publish("a", "short").ttl(Duration::from_millis(1)).unwrap()]).await.unwrap();
    hub.publish("a", Event::data("kept")).await.unwrap();
    hub.publish_batch(vec![Publish::end(Topic::new("a").unwrap())]).await.unwrap();
    let hub = directory.restart(hub).await;
    while all(&hub, "a").await.len() > 3 {}
    assert_eq!(all(&hub, "a").await, ["1", "kept", "end of a"]);
    let mut stream = hub.subscribe("a").resume(LastEventId::new(&*first)).into_stream().unwrap();
    match within("the gap", stream.next()).await {
        Some(StreamItem::Gap(gap)) => assert_eq!((gap.reason, gap.missed), (Reason::Expired, Some(1))),
        other => panic!("{other:?}"),
    }
    let event = within("the next", stream.next()).await.and_then(StreamItem::event).unwrap();
    assert_eq!(event.value.data_str(), "kept");
}

/// A history of 2 MiB in which the oldest segments go while it is written to.
fn small(directory: &Directory) -> Hub {
    let storage = Storage::new(&directory.0).durability(Durability::Flush).keep(Retention::default().bytes(2 << 20));
    Hub::builder().compact("sensors/*".parse().unwrap()).open(storage).unwrap()
}

/// Publishes so much that everything before has left the history.
async fn push_out(hub: &Hub) {
    let before = hub.position().sequence;
    let is_gone = || hub.stats().oldest.is_some_and(|id| id.parse_position() > before);
    let mut left = 400;
    while !is_gone() {
        let batch = (0..20).map(|_| publish("noise", "x".repeat(1_000))).collect();
        hub.publish_batch(batch).await.unwrap();
        left -= 1;
        assert!(left > 0, "the history does not move on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

trait ParsePosition {
    fn parse_position(&self) -> u64;
}

impl ParsePosition for oyez::EventId {
    fn parse_position(&self) -> u64 {
        self.parse::<Position>().unwrap().sequence
    }
}

async fn datas(stream: oyez::Subscribe<Event>) -> Vec<String> {
    let mut stream = stream.poll().into_stream().unwrap();
    let mut seen = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        match item {
            StreamItem::Event(event) if &*event.topics[0] != "noise" => seen.push(event.value.data_str().to_owned()),
            StreamItem::Gap(gap) => seen.push(format!("gap: {}", gap.reason)),
            _ => {}
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_compacted_topics_outlive_their_segments_and_a_restart() {
    let directory = Directory::new("values");
    let mut hub = small(&directory);
    let start = hub.publish("before", Event::data("0")).await.unwrap();
    for (topic, key, value) in
        [("sensors/a", "x", "1"), ("sensors/a", "y", "2"), ("sensors/b", "", "3"), ("sensors/a", "x", "4")]
    {
        let event = publish(topic, value);
        let event = if key.is_empty() { event } else { event.key(key).unwrap() };
        hub.publish_batch(vec![event]).await.unwrap();
    }
    hub.publish_batch(vec![publish("other", "5").key("k").unwrap()]).await.unwrap();
    push_out(&hub).await;
    for life in 0..3 {
        let snapshot = datas(hub.subscribe("sensors/*").snapshot()).await;
        assert_eq!(snapshot, ["2", "3", "4"], "life {life}");
        // a resume misses nothing of them, and gets each that is still a value
        let resumed = datas(hub.subscribe("sensors/*").resume(LastEventId::new(&*start))).await;
        assert_eq!(resumed, ["2", "3", "4"], "life {life}");
        let resumed = datas(hub.subscribe("sensors/b").resume(LastEventId::new(&*start))).await;
        assert_eq!(resumed, ["3"], "life {life}");
        assert_eq!(datas(hub.subscribe("other").snapshot()).await, Vec::<String>::new());
        let resumed = datas(hub.subscribe("other").resume(LastEventId::new(&*start))).await;
        assert_eq!(resumed, ["gap: expired"], "life {life}");
        if life == 1 {
            push_out(&hub).await;
        }
        hub.close().await;
        drop(hub);
        hub = small(&directory);
    }
    hub.publish_batch(vec![publish("sensors/b", "6")]).await.unwrap();
    assert_eq!(datas(hub.subscribe("sensors/*").snapshot()).await, ["2", "4", "6"]);
    assert_eq!(datas(hub.subscribe("sensors/b").resume(LastEventId::new(&*start))).await, ["6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_has_left_the_disk_is_known_over_a_restart() {
    let directory = Directory::new("gone-ends");
    let mut hub = small(&directory);
    hub.publish("answer", Event::data("1")).await.unwrap();
    hub.end("answer").await.unwrap();
    push_out(&hub).await;
    for life in 0..2 {
        let kind = hub.subscribe("answer").into_stream().err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Gone), "life {life}");
        let kind = hub.publish("answer", Event::data("2")).await.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Conflict), "life {life}");
        hub.close().await;
        drop(hub);
        hub = small(&directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_are_those_that_are_not_hidden() {
    let directory = Directory::new("last");
    let mut hub = directory.open();
    for n in 1..=4 {
        hub.publish("kept", Event::data(n.to_string())).await.unwrap();
    }
    for n in 1..=100 {
        hub.publish("deleted", Event::data(n.to_string())).await.unwrap();
        let short = publish("kept", "short").ttl(Duration::from_millis(1)).unwrap();
        hub.publish_batch(vec![short]).await.unwrap();
    }
    hub.delete("deleted").await.unwrap();
    hub.publish("kept", Event::data("5")).await.unwrap();
    for life in 0..2 {
        while datas(hub.subscribe("kept").earliest()).await.len() > 5 {}
        for matcher in ["*", "kept", "k*"] {
            assert_eq!(datas(hub.subscribe(matcher).last(3)).await, ["3", "4", "5"], "life {life}, {matcher}");
        }
        assert_eq!(datas(hub.subscribe("deleted").last(3)).await, Vec::<String>::new(), "life {life}");
        assert_eq!(datas(hub.subscribe("*").last(9)).await, ["1", "2", "3", "4", "5"], "life {life}");
        hub = directory.restart(hub).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_deleted_again_when_all_that_it_had_has_left_the_disk() {
    let directory = Directory::new("again");
    let hub = small(&directory);
    hub.publish("before", Event::data("0")).await.unwrap();
    hub.publish("a", Event::data("1")).await.unwrap();
    let first = within("the first", hub.delete("a")).await.unwrap();
    push_out(&hub).await;
    let head = hub.position().sequence;
    let second = within("the second", hub.delete("a")).await.unwrap();
    assert!(second.parse::<Position>().unwrap().sequence == head + 1 && second != first);
    assert_eq!(hub.position().sequence, head + 1, "one is enough");
}

/// [`small`], and a class that is kept longer.
fn with_a_longer_class(directory: &Directory) -> Hub {
    let storage = Storage::new(&directory.0).durability(Durability::Flush).keep(Retention::default().bytes(2 << 20));
    let longer = storage.class("kept/*".parse().unwrap(), Retention::default()).unwrap();
    Hub::builder().open(longer).unwrap()
}

/// Publishes so much that everything of the first class from before has left.
async fn push_out_of_the_first_class(hub: &Hub, topic: &str) {
    let before = hub.subscribe(topic).earliest();
    assert!(!datas(before).await.is_empty());
    for _ in 0..400 {
        let batch = (0..20).map(|_| publish("noise", "x".repeat(1_000))).collect();
        hub.publish_batch(batch).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        if datas(hub.subscribe(topic).earliest()).await.is_empty() {
            return;
        }
    }
    panic!("the history does not move on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_stays_hidden_in_a_class_that_is_kept_longer_than_its_deletion() {
    let directory = Directory::new("outlived");
    let mut hub = with_a_longer_class(&directory);
    let start = hub.publish("kept/a", Event::data("before")).await.unwrap();
    hub.publish_batch(vec![publish("a", "secret").topic(Topic::new("kept/a").unwrap())]).await.unwrap();
    hub.delete("a").await.unwrap();
    hub.publish("mark", Event::data("behind the deletion")).await.unwrap();
    push_out_of_the_first_class(&hub, "mark").await;
    for _ in 0..2 {
        assert_eq!(datas(hub.subscribe("kept/a").earliest()).await, ["before", "secret"]);
        assert_eq!(datas(hub.subscribe("a").earliest()).await, Vec::<String>::new());
        let resumed = hub.subscribe("a").resume(LastEventId::new(&*start));
        assert_eq!(datas(resumed).await, ["gap: deleted"]);
        hub.close().await;
        drop(hub);
        hub = with_a_longer_class(&directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_gone_when_the_class_loses_it_that_has_it() {
    let directory = Directory::new("end-in-a-class");
    let hub = with_a_longer_class(&directory);
    // what is published together is kept together, as long as what is kept longest
    let end = Publish::end(Topic::new("b").unwrap());
    hub.publish_batch(vec![publish("kept/b", "1"), publish("b", "over"), end]).await.unwrap();
    hub.publish("mark", Event::data("behind it")).await.unwrap();
    push_out_of_the_first_class(&hub, "mark").await;
    assert_eq!(all(&hub, "b").await, ["over", "end of b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_again_when_its_first_event_has_left_stands_for_no_place() {
    let directory = Directory::new("again-after");
    let mut hub = small(&directory);
    let with_id = |data: &str| Event::data(data).id("order-7").unwrap();
    hub.publish("a", with_id("first")).await.unwrap();
    hub.publish("a", Event::data("between")).await.unwrap();
    push_out(&hub).await;
    for round in 0..2 {
        if round == 0 {
            hub.publish("a", Event::data("missed")).await.unwrap();
            hub.publish("a", with_id("again")).await.unwrap();
        }
        // whoever has it may have read the first one only: nothing is passed in silence
        let resumed = hub.subscribe("a").resume(LastEventId::new("order-7"));
        assert_eq!(datas(resumed).await, ["gap: unknown", "missed", "again"]);
        hub.close().await;
        drop(hub);
        hub = small(&directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_builder_says_is_kept_is_kept_on_disk_too() {
    let directory = Directory::new("history-of-the-builder");
    let storage = || Storage::new(&directory.0).durability(Durability::Flush);
    let little = Retention::default().bytes(2 << 20);
    let hub = Hub::builder().history(little).open(storage()).unwrap();
    let first = hub.publish("a", Event::data("first")).await.unwrap();
    push_out(&hub).await;
    hub.close().await;
    drop(hub);
    // once more, to see that both may say the same
    let hub = Hub::builder().history(little).open(storage().keep(little)).unwrap();
    let mut stream = hub.subscribe("a").earliest().into_stream().unwrap();
    hub.publish("a", Event::data("next")).await.unwrap();
    let StreamItem::Event(event) = within("an event", stream.next()).await.unwrap() else { panic!("an event") };
    assert!(event.id != first && event.value.data_str() == "next");
    hub.close().await;
    drop((hub, stream));
    let error = Hub::<Event>::builder().history(Retention::last(1)).open(storage().keep(little)).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("Storage::keep"), "{error}");
}

/// A history of which a full segment, whose index is believed at a start, is damaged in its middle: of the number that is
/// given back.
async fn damaged(directory: &Directory) -> u64 {
    let hub = directory.open();
    for number in 1..=40 {
        hub.publish("a", Event::data(format!("{number} {}", "x".repeat(50_000)))).await.unwrap();
    }
    let segment = directory.0.join("00-000000000001.segment");
    let index = segment.with_extension("index");
    until("the first segment has its index", || index.exists()).await;
    hub.close().await;
    drop(hub);
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(6).position(|window| window == b"10 xxx").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let log = StoredLog::open(&directory.0).unwrap();
    let findings = log.verify(|_, _| ()).unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let repair = Repair::plan(&directory.0, |_, _| ()).unwrap();
    let [(first, last)] = repair.lost() else { panic!("{:?}", repair.lost()) };
    assert_eq!(first, last);
    *first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_breaks_off_where_the_history_cannot_be_read() {
    let directory = Directory::new("unreadable");
    let lost = damaged(&directory).await;
    let hub = directory.open();
    for poll in [true, false] {
        let subscribe = hub.subscribe("a").earliest();
        let subscribe = if poll { subscribe.poll() } else { subscribe };
        let mut body = subscribe.into_response().into_http().into_body();
        let mut seen = String::new();
        let error = loop {
            match within("a frame", body.frame()).await {
                Some(Ok(frame)) => seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
                Some(Err(error)) => break error,
                None => panic!("it looks complete"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(within("nothing more", body.frame()).await.is_none());
        let events = seen.matches("\ndata: ").count() as u64;
        assert!(events < lost, "{events} events, of which number {lost} is damaged");
    }
    let mut stream = hub.subscribe("a").earliest().poll().into_stream().unwrap();
    let mut events = 0;
    while let Some(StreamItem::Event(_)) = within("an event", stream.next()).await {
        assert!(stream.error().is_none());
        events += 1;
    }
    assert_eq!((events < lost, stream.error().map(|error| error.kind())), (true, Some(ErrorKind::Internal)));
    let mut whole = hub.subscribe("another").poll().into_stream().unwrap();
    assert!(within("the end", whole.next()).await.is_none() && whole.error().is_none());
    assert_eq!(hub.stats().ended.storage, 3);

    // and so it is on a socket: no last chunk
    let app = axum::Router::new()
        .route("/a", axum::routing::get(|| async move { hub.subscribe("a").earliest().into_response() }));
    let server = Server::start(app).await;
    let answer = server.get("/a").await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("transfer-encoding: chunked"));
    assert!(!answer.ends_with("\r\n0\r\n\r\n"), "it looks complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_history_all_that_is_whole_is_exported_and_no_more_is_said_to_be() {
    let directory = Directory::new("exported");
    let lost = damaged(&directory).await;
    let mut lines = Vec::new();
    let exported = StoredLog::open(&directory.0).unwrap().export(None, &mut lines).unwrap();
    assert!(exported.is_incomplete && exported.findings.len() == 1, "{:?}", exported.findings);
    assert_eq!(exported.entries, 39);
    let lines = String::from_utf8(lines).unwrap();
    let datas: Vec<&str> =
        lines.lines().map(|line| line.split("\"data\":\"").nth(1).unwrap().split(' ').next().unwrap()).collect();
    let expected: Vec<String> = (1..=40).filter(|number| *number != lost).map(|number| number.to_string()).collect();
    assert_eq!(datas, expected);

    // a damaged index takes nothing from an export
    let repair = Repair::plan(&directory.0, |_, _| ()).unwrap();
    repair.carry_out().unwrap();
    drop(repair);
    let hub = directory.open();
    hub.publish("a", Event::data("41 more")).await.unwrap();
    let index = directory.0.join("00-000000000001.index");
    until("the first segment has its index again", || index.exists()).await;
    hub.close().await;
    drop(hub);
    let mut bytes = std::fs::read(&index).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    let exported = StoredLog::open(&directory.0).unwrap().export(None, &mut Vec::new()).unwrap();
    assert!(!exported.is_incomplete && exported.findings.len() == 1 && exported.entries == 40, "{exported:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_has_ended_stays_so_in_an_export_when_its_end_has_left_the_history() {
    let directory = Directory::new("gone-ends-moved");
    let hub = small(&directory);
    let first = hub.publish("before", Event::data("x")).await.unwrap();
    hub.end("answer").await.unwrap();
    hub.end("other").await.unwrap();
    push_out(&hub).await;
    hub.close().await;
    drop(hub);
    let export = |topic: Option<&str>| {
        let mut lines = Vec::new();
        let matcher = topic.map(|topic| topic.parse().unwrap());
        StoredLog::open(&directory.0).unwrap().export(matcher.as_ref(), &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    };
    let lines = export(None);
    let ends: Vec<bool> = lines.lines().map(|line| line.contains("\"end\":true")).collect();
    assert_eq!((&ends[..2], ends[2..].contains(&true)), (&[true, true][..], false));
    let times: Vec<&str> = lines.lines().map(|line| line.split("\"time\":").nth(1).unwrap()).collect();
    assert!(times.is_sorted(), "times go back");
    assert_eq!(export(Some("answer")).lines().count(), 1);

    for keep_ids in [false, true] {
        let other = Directory::new(if keep_ids { "gone-ends-there" } else { "gone-ends-anew" });
        StoredLog::import(&other.0, &mut lines.as_bytes(), keep_ids).unwrap();
        let hub = other.open();
        for topic in ["answer", "other"] {
            let kind = hub.publish(topic, Event::data("2")).await.err().map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Conflict), "{topic}, ids kept: {keep_ids}");
            assert_eq!(all(&hub, topic).await, [format!("end of {topic}")]);
        }
        hub.publish("before", Event::data("y")).await.unwrap();
        if keep_ids {
            let stream = hub.subscribe("before").resume(LastEventId::new(&*first)).poll();
            assert_eq!(datas(stream).await, ["gap: expired", "y"]);
        }
        hub.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_stays_hidden_in_an_export_when_its_deletion_has_left_the_history() {
    let directory = Directory::new("outlived-moved");
    let hub = with_a_longer_class(&directory);
    hub.publish("kept/a", Event::data("before")).await.unwrap();
    hub.publish_batch(vec![publish("a", "secret").topic(Topic::new("kept/a").unwrap())]).await.unwrap();
    hub.delete("a").await.unwrap();
    hub.publish("mark", Event::data("behind the deletion")).await.unwrap();
    push_out_of_the_first_class(&hub, "mark").await;
    hub.close().await;
    drop(hub);
    let mut lines = Vec::new();
    StoredLog::open(&directory.0).unwrap().export(None, &mut lines).unwrap();
    for keep_ids in [false, true] {
        let other = Directory::new(if keep_ids { "outlived-there" } else { "outlived-anew" });
        StoredLog::import(&other.0, &mut &lines[..], keep_ids).unwrap();
        let hub = with_a_longer_class(&other);
        assert_eq!(datas(hub.subscribe("kept/a").earliest()).await, ["before", "secret"]);
        assert_eq!(datas(hub.subscribe("a").earliest()).await, Vec::<String>::new(), "ids kept: {keep_ids}");
        hub.close().await;
    }
}
