//! Private entries reach those whose grant selects one of their topics, and nobody else.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http_body_util::BodyExt;
use oyez::{
    ErrorKind, Event, EventStream, Format, Grant, Hub, LastEventId, OnGap, Publish, Reason, Retention, SlowPolicy, Sse,
    StreamItem, Topic,
};

use crate::directory::Directory;
use crate::web::{Server, within};

const TOPICS: [&str; 5] = ["a", "b", "c/1", "c/2", "d"];
const MATCHERS: [&[&str]; 6] = [&["*"], &["a"], &["c/*"], &["a", "c/1"], &["b", "d"], &["c/2", "*"]];
const GRANTS: [&[&str]; 8] = [&[], &["*"], &["a"], &["c/*"], &["b", "c/1"], &["d", "a"], &["c/2"], &["e", "f/*"]];

/// The same numbers on every run of a seed (an LCG of Knuth's).
struct Dice(u64);

impl Dice {
    fn below(&mut self, number: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % number
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// What was published: as its readers are to see it, by texts.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    topics: Vec<&'static str>,
    private: bool,
}

fn selects(matchers: &[&str], topic: &str) -> bool {
    let one = |matcher: &&str| match matcher.strip_suffix('*') {
        Some(prefix) => topic.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || !rest.contains('/')),
        None => *matcher == topic,
    };
    matchers.iter().any(one)
}

impl Told {
    /// Its topics as a reader is to see them, if it is to have it.
    fn seen_by(&self, matchers: &[&str], grant: &[&str]) -> Option<Vec<&'static str>> {
        let known = |topic: &&&'static str| !self.private || selects(grant, topic);
        let topics: Vec<_> = self.topics.iter().filter(known).copied().collect();
        (!topics.is_empty() && self.topics.iter().any(|topic| selects(matchers, topic))).then_some(topics)
    }
}

fn grant(texts: &[&str]) -> Grant {
    Grant::reading(texts.iter().map(|text| text.parse().unwrap()))
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn private(name: &str, data: &str) -> Publish {
    Publish::new(topic(name), Event::data(data)).private()
}

async fn publish_some(hub: &Hub, dice: &mut Dice, told: &mut Vec<Told>) {
    for _ in 0..dice.below(60) {
        let mut topics = vec![TOPICS[dice.below(TOPICS.len())]];
        while dice.chance(2) {
            topics.push(TOPICS[dice.below(TOPICS.len())]);
        }
        let private = dice.chance(2);
        let mut event = Event::data(if private { "secret" } else { "open" });
        if dice.chance(3) {
            event = event.id(format!("own-{}", told.len())).unwrap();
        }
        let mut publish =
            topics[1..].iter().fold(Publish::new(topic(topics[0]), event), |publish, name| publish.also(topic(name)));
        if private {
            publish = publish.private();
        }
        let mut seen: Vec<&str> = Vec::new();
        topics.retain(|name| {
            !std::mem::replace(&mut seen.contains(name), true) && {
                seen.push(name);
                true
            }
        });
        let id = hub.publish_batch(vec![publish]).await.unwrap()[0].to_string();
        told.push(Told { id, topics, private });
    }
}

/// One subscription, from a random place, with a random grant: what it gets to the tail is what it may have.
async fn read_some(hub: &Hub, dice: &mut Dice, told: &[Told]) {
    let (matchers, rights) = (MATCHERS[dice.below(MATCHERS.len())], GRANTS[dice.below(GRANTS.len())]);
    let mut subscribe = hub.subscribe_pattern(matchers[0]).grant(grant(rights)).poll();
    for matcher in &matchers[1..] {
        subscribe = subscribe.and_pattern(*matcher);
    }
    let from = dice.below(told.len() + 2);
    let unknown = dice.chance(20);
    let last = dice.chance(5).then(|| dice.below(told.len() + 2));
    subscribe = match told.get(from) {
        _ if last.is_some() => subscribe.last(last.unwrap_or_default()),
        _ if unknown => subscribe.since_id("nobody-knows"),
        Some(entry) => subscribe.since_id(&entry.id), // whoever has an id has a place, also one of an entry it may not have
        None => subscribe.earliest(),
    };
    let from = if last.is_some() || unknown || from >= told.len() { 0 } else { from + 1 };
    let mut stream = subscribe.into_stream().unwrap();
    let mut got = Vec::new();
    while let Some(item) = within("an item", stream.next()).await {
        match item {
            StreamItem::Event(event) => {
                let topics: Vec<String> = event.topics.iter().map(ToString::to_string).collect();
                got.push((event.id.to_string(), topics, event.value.data_str() == "secret"));
            }
            StreamItem::Gap(gap) => {
                assert!(unknown && gap.reason == Reason::Unknown, "{gap:?}");
                let hides = rights != ["*"];
                assert!(!hides || gap.missed.is_none() && gap.oldest.as_ref().is_none_or(|id| !id.starts_with("own-")));
            }
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<_> = told[from..]
        .iter()
        .filter_map(|entry| {
            let topics = entry.seen_by(matchers, rights)?.iter().map(ToString::to_string).collect();
            Some((entry.id.clone(), topics, entry.private))
        })
        .collect();
    let passed_by = last.map_or(0, |number| expected.len().saturating_sub(number));
    assert_eq!(got, expected[passed_by..], "{matchers:?} {rights:?} from {from}, the last {last:?}");
}

async fn try_all(hub: &Hub, seed: u64, cases: usize) {
    let mut dice = Dice(seed);
    let mut told = Vec::new();
    while told.is_empty() {
        publish_some(hub, &mut dice, &mut told).await;
    }
    for _ in 0..cases {
        read_some(hub, &mut dice, &told).await;
    }
}

fn hubs() -> u64 {
    if std::env::var_os("OYEZ_TEST_LONG").is_some() { 1_000 } else { 50 }
}

#[tokio::test]
async fn of_fifty_thousand_grants_topics_and_ids_none_gets_a_private_entry_that_is_not_for_it() {
    for seed in 0..hubs() {
        try_all(&Hub::new(), seed, 1_000).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn as_many_of_a_history_on_disk_that_was_opened_again() {
    for seed in 0..hubs() {
        let directory = Directory::new("many");
        let mut dice = Dice(seed);
        let mut told = Vec::new();
        let hub = directory.open();
        while told.is_empty() {
            publish_some(&hub, &mut dice, &mut told).await;
        }
        hub.close().await;
        drop(hub);
        // now all of it is read from the disk
        let hub = directory.open();
        for _ in 0..1_000 {
            read_some(&hub, &mut dice, &told).await;
        }
    }
}

fn app(hub: &Hub) -> Router {
    async fn stream(State(hub): State<Hub>, Path((number, form)): Path<(usize, usize)>, resume: LastEventId) -> Sse {
        let format = [Format::Sse, Format::Envelope, Format::Ndjson][form];
        // a reader stays in hyper or has a filter, and all get the same
        let sse =
            |subscribe: oyez::Subscribe<Event>| subscribe.grant(grant(GRANTS[number])).format(format).resume(resume);
        sse(hub.subscribe_pattern("*")).into_response()
    }
    Router::new().route("/{number}/{form}", get(stream)).with_state(hub.clone())
}

/// The ends of lines are what tells whether an entry came: its data is its number.
#[tokio::test]
async fn readers_of_one_group_get_what_their_grants_say_live_and_replayed_in_every_format() {
    let hub = Hub::<Event>::new();
    let server = Server::start(app(&hub)).await;
    let entries: [(&[&'static str], bool); 7] = [
        (&["a"], true),
        (&["a"], false),
        (&["c/1", "a"], true),
        (&["d", "c/2"], true),
        (&["b"], true),
        (&["b", "c/1"], false),
        (&["a", "b", "d"], true),
    ];
    let mut live = Vec::new();
    for number in 0..GRANTS.len() {
        for form in 0..3 {
            let mut client = server.get(&format!("/{number}/{form}")).await;
            client.read_to("\r\n\r\n").await;
            live.push((number, form, client));
        }
    }
    crate::web::until("all are at the tail", || hub.stats().subscribers == live.len() as u64).await;
    let start = hub.position().to_string();
    for (number, (topics, is_private)) in entries.iter().enumerate() {
        let event = Event::data(format!("[{number}]"));
        let mut publish =
            topics[1..].iter().fold(Publish::new(topic(topics[0]), event), |publish, name| publish.also(topic(name)));
        if *is_private {
            publish = publish.private();
        }
        hub.publish_batch(vec![publish]).await.unwrap();
    }
    hub.publish("a", Event::data("[last]")).await.unwrap();
    let replayed = live.iter().map(|(number, form, _)| (*number, *form)).collect::<Vec<_>>();
    let mut read = Vec::new();
    for (number, form, mut client) in live {
        read.push((number, form, client.read_to("[last]").await));
    }
    for (number, form) in replayed {
        let mut client = server.get(&format!("/{number}/{form}?last_event_id={start}")).await;
        read.push((number, form, client.read_to("[last]").await));
    }
    for (number, form, text) in read {
        for (index, (topics, is_private)) in entries.iter().enumerate() {
            let told = Told { id: String::new(), topics: topics.to_vec(), private: *is_private };
            let seen = told.seen_by(&["*"], GRANTS[number]);
            let line = text.lines().find(|line| line.contains(&format!("[{index}]")));
            assert_eq!(
                line.is_some(),
                seen.is_some(),
                "entry {index}, grant {:?}, format {form}: {text}",
                GRANTS[number]
            );
            if let (Some(line), Some(topics), 1..) = (line, seen, form) {
                let names = serde_json::to_string(&topics).unwrap();
                assert!(line.contains(&format!("\"topics\":{names}")), "{line} for {:?}", GRANTS[number]);
            }
        }
    }
}

#[tokio::test]
async fn what_a_grant_holds_back_is_not_missed_and_not_named() {
    let short = || Hub::<Event>::builder().history(Retention::last(2)).build();
    let gap = async |hub: &Hub, id: &str, grant: Grant| {
        let mut stream = hub.subscribe("a").grant(grant).since_id(id).poll().into_stream().unwrap();
        match stream.next().await {
            Some(StreamItem::Gap(gap)) => (gap.missed, gap.oldest.map(|id| id.to_string())),
            other => panic!("{other:?}"),
        }
    };
    let plain = short();
    let first = plain.publish("a", Event::data("0")).await.unwrap();
    for number in 1..5 {
        plain.publish("a", Event::data("x").id(format!("own-{number}")).unwrap()).await.unwrap();
    }
    // nothing private was ever there: the numbers are exact
    assert_eq!(gap(&plain, &first, Grant::public()).await, (Some(2), Some("own-3".to_owned())));

    let hub = short();
    let first = hub.publish("a", Event::data("0")).await.unwrap();
    for number in 1..5 {
        let event = Event::data("x").id(format!("own-{number}")).unwrap();
        hub.publish_batch(vec![Publish::new(topic("a"), event).private()]).await.unwrap();
    }
    assert_eq!(gap(&hub, &first, Grant::all()).await, (Some(2), Some("own-3".to_owned())));
    for limited in [Grant::public(), grant(&["b"]), grant(&["a"])] {
        let (missed, oldest) = gap(&hub, &first, limited).await;
        assert_eq!(missed, None);
        assert!(oldest.is_none_or(|id| !id.starts_with("own-")));
    }
    let refused = hub.subscribe("a").since_id(&first).on_gap(OnGap::Fail).into_stream().err().unwrap();
    assert!(refused.kind() == ErrorKind::Gone && !refused.to_string().contains("own-"), "{refused}");
}

#[tokio::test]
async fn an_entry_that_expires_is_missed_by_those_who_could_have_had_it() {
    let hub = Hub::<Event>::new();
    let first = hub.publish("a", Event::data("0")).await.unwrap();
    let brief = Duration::from_millis(1);
    hub.publish_batch(vec![private("a", "1").ttl(brief)]).await.unwrap();
    let last = hub.publish("a", Event::data("2")).await.unwrap();
    tokio::time::sleep(2 * brief).await;
    for (grant, told) in [(Grant::public(), false), (grant(&["b"]), false), (grant(&["a"]), true), (Grant::all(), true)]
    {
        let mut stream = hub.subscribe("a").grant(grant).since_id(&first).poll().into_stream().unwrap();
        let mut item = stream.next().await.unwrap();
        if told {
            assert!(matches!(&item, StreamItem::Gap(gap) if gap.reason == Reason::Expired), "{item:?}");
            item = stream.next().await.unwrap();
        }
        assert_eq!(item.event().unwrap().id, last);
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn the_end_of_a_topic_ends_its_streams_and_its_event_is_for_those_who_may_have_it() {
    let hub = Hub::<Event>::new();
    let server = Server::start(app_of_one_topic(&hub)).await;
    let mut readers = Vec::new();
    for number in 0..3 {
        let mut client = server.get(&format!("/{number}")).await;
        client.read_to("\r\n\r\n").await;
        readers.push(client);
    }
    let streams: Vec<_> =
        [0, 1, 2].map(|number| hub.subscribe("a").grant(grant(GRANTS[number])).into_stream().unwrap()).into();
    crate::web::until("all are there", || hub.stats().subscribers >= 3).await;
    hub.publish_batch(vec![private("a", "secret"), Publish::end(topic("a")).private()]).await.unwrap();
    for (number, (client, mut stream)) in readers.into_iter().zip(streams).enumerate() {
        let may_have = selects(GRANTS[number], "a");
        let text = client.read_to_end().await;
        assert_eq!((text.contains("oyez.end"), text.contains("secret")), (may_have, may_have), "{text}");
        let mut items = 0;
        while within("an item", stream.next()).await.is_some() {
            items += 1;
        }
        assert_eq!(items, if may_have { 2 } else { 0 });
    }
}

fn app_of_one_topic(hub: &Hub) -> Router {
    async fn stream(State(hub): State<Hub>, Path(number): Path<usize>) -> Sse {
        hub.subscribe("a").grant(grant(GRANTS[number])).into_response()
    }
    Router::new().route("/{number}", get(stream)).with_state(hub.clone())
}

#[tokio::test]
async fn a_stream_ends_when_its_grant_expires_never_later_and_less_than_a_second_before() {
    async fn stream(State((hub, expires)): State<(Hub, SystemTime)>) -> Sse {
        hub.subscribe("a").grant(Grant::all().expires(expires)).into_response()
    }
    let hub = Hub::<Event>::new();
    let expires = SystemTime::now() + Duration::from_secs(3);
    let server = Server::start(Router::new().route("/", get(stream)).with_state((hub.clone(), expires))).await;
    let mut client = server.get("/").await;
    client.read_to("\r\n\r\n").await;
    let body = hub.subscribe("a").grant(Grant::all().expires(expires)).into_response().into_http().into_body();
    let (rest, whole) = tokio::join!(client.read_to_end(), within("the body ends", body.collect()));
    let now = SystemTime::now();
    assert!(rest.ends_with("0\r\n\r\n") && whole.is_ok(), "complete, not broken off");
    assert!(now <= expires && expires.duration_since(now).unwrap() < Duration::from_secs(1));
    crate::web::until("both are counted", || hub.stats().ended.expired == 2).await;

    let over = hub.subscribe("a").grant(Grant::all().expires(SystemTime::now())).into_stream().err().unwrap();
    assert_eq!(over.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn who_reads_is_told_to_those_who_look_and_grants_are_bounded() {
    let hub = Hub::<Event>::new();
    let mut body = hub.subscribe("a").grant(Grant::public().subject("ada")).into_response().into_http().into_body();
    body.frame().await.unwrap().unwrap();
    let streams = hub.streams(10);
    assert_eq!((streams[0].user.as_deref(), &*streams[0].topics), (Some("ada"), &["a".to_owned()][..]));
    let many = |number: usize| Grant::reading((0..number).map(|n| topic(&n.to_string()).into()));
    assert!(hub.subscribe("a").grant(many(1_000)).into_stream().is_ok());
    let error = hub.subscribe("a").grant(many(1_001)).into_stream().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_slow_reader_gets_of_the_newest_what_it_may_have() {
    let hub = Hub::<Event>::builder().history(Retention::last(1)).build();
    let mut streams = [Grant::public(), Grant::all()]
        .map(|grant| hub.subscribe("a").grant(grant).slow(SlowPolicy::Latest).into_stream().unwrap());
    // both have begun before they are left behind
    hub.publish("a", Event::data("first")).await.unwrap();
    for stream in &mut streams {
        assert_eq!(within("the first", stream.next()).await.unwrap().event().unwrap().value.data_str(), "first");
    }
    for number in 0..5_000 {
        hub.publish_batch(vec![private("a", &number.to_string())]).await.unwrap();
    }
    for stream in &mut streams {
        let gap = within("a gap", stream.next()).await;
        assert!(matches!(gap, Some(StreamItem::Gap(gap)) if gap.missed.is_none()));
    }
    let [public, all] = &mut streams;
    assert_eq!(event_behind_gaps(all).await, "4999");
    hub.publish("a", Event::data("open")).await.unwrap();
    assert_eq!([event_behind_gaps(public).await, event_behind_gaps(all).await], ["open", "open"]);
}

/// One that was behind by so much may be told of more than one gap.
async fn event_behind_gaps(stream: &mut EventStream<Event>) -> String {
    loop {
        if let Some(event) = within("an event", stream.next()).await.unwrap().event() {
            return event.value.data_str().to_owned();
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_history_on_disk_remembers_that_it_has_had_private_entries_when_they_are_gone() {
    let directory = Directory::new("remembers");
    let hub = directory.keeping(Retention::last(1));
    let first = hub.publish("a", Event::data("0")).await.unwrap();
    hub.publish_batch(vec![private("a", "secret")]).await.unwrap();
    // many segments later
    let data = "x".repeat(64 << 10);
    for _ in 0..400 {
        hub.publish("a", Event::data(&*data)).await.unwrap();
    }
    crate::web::until("the first segment is gone", || hub.stats().history_entries < 300).await;
    hub.close().await;
    drop(hub);
    let hub = directory.keeping(Retention::last(1));
    let missed = async |grant: Grant| {
        let mut stream = hub.subscribe("a").grant(grant).since_id(&first).poll().into_stream().unwrap();
        match stream.next().await {
            Some(StreamItem::Gap(gap)) => gap.missed,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(missed(Grant::public()).await, None);
    assert!(missed(Grant::all()).await.is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn an_export_and_what_is_made_of_it_keep_private_what_is() {
    let (directory, copy) = (Directory::new("exported"), Directory::new("imported"));
    let hub = directory.open();
    hub.publish_batch(vec![private("a", "secret"), Publish::new(topic("a"), Event::data("open"))]).await.unwrap();
    hub.close().await;
    drop(hub);
    let mut lines = Vec::new();
    oyez::StoredLog::open(&directory.0).unwrap().export(None, &mut lines).unwrap();
    assert!(String::from_utf8(lines.clone()).unwrap().lines().next().unwrap().contains("\"private\":true"));
    oyez::StoredLog::import(&copy.0, &mut &*lines, true).unwrap();
    let hub = copy.open();
    for (grant, expected) in [(Grant::public(), vec!["open"]), (grant(&["a"]), vec!["secret", "open"])] {
        let mut stream = hub.subscribe("a").grant(grant).earliest().poll().into_stream().unwrap();
        let mut got = Vec::new();
        while let Some(item) = stream.next().await {
            got.push(item.event().unwrap().value.data_str().to_owned());
        }
        assert_eq!(got, expected);
    }
}
