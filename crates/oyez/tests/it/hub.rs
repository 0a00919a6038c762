//! Publish, subscribe, resume.

use std::time::Duration;

use http_body_util::BodyExt;
use oyez::{
    ErrorKind, Event, Hub, IdempotencyKey, LastEventId, Publish, Retention, Sse, StreamControl, Subscribe, Topic,
};
use tokio::time::timeout;

use crate::web::within;

/// The text of a response whose stream ends by itself.
async fn text(sse: Sse) -> String {
    let bytes = sse.into_http().into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_poll_answers_what_there_is_and_ends() {
    let hub = Hub::<Event>::new();
    let first = hub.publish("a", Event::data("1")).await.unwrap();
    hub.publish("b", Event::data("2")).await.unwrap();
    let third = hub.publish("a", Event::data("3").event("t").unwrap()).await.unwrap();
    let (epoch, _) = first.split_once(':').unwrap();

    let retry = std::time::Duration::from_secs(3);
    let got = text(hub.subscribe("a").earliest().poll().retry(retry).into_response()).await;
    assert_eq!(
        got,
        format!("retry: 3000\nid: {epoch}:0\n\nid: {first}\ndata: 1\n\nid: {third}\nevent: t\ndata: 3\n\n")
    );
}

#[tokio::test]
async fn a_resume_behind_a_dropped_entry_is_told_so() {
    let hub = Hub::<Event>::builder().history(Retention::last(2)).build();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(hub.publish("a", Event::data(n.to_string())).await.unwrap());
    }
    let resume = LastEventId::new(ids[0].to_string());
    let got = text(hub.subscribe("a").resume(resume).poll().into_response()).await;
    let gap = format!(r#"{{"reason":"expired","requested":"{}","oldest":"{}","missed":2}}"#, ids[0], ids[3]);
    assert!(got.contains(&format!("event: oyez.gap\nid: {}\ndata: {gap}\n\n", ids[2])), "{got}");
    assert!(got.ends_with(&format!("id: {}\ndata: 3\n\nid: {}\ndata: 4\n\n", ids[3], ids[4])), "{got}");
}

#[tokio::test]
async fn a_publish_sent_again_has_its_ids_even_when_they_have_left_the_history() {
    let hub = Hub::<Event>::builder().history(Retention::none()).build();
    let publish = |data: &str| Publish::new(Topic::new("a").unwrap(), Event::data(data));
    let batch = vec![publish("1"), Publish::new(Topic::new("b").unwrap(), Event::data("2").id("mine").unwrap())];
    let key = IdempotencyKey::new("k").unwrap();
    let first = hub.publish_once(key.clone(), batch.clone()).await.unwrap();
    hub.publish("a", Event::data("between")).await.unwrap();
    let again = hub.publish_once(key.clone(), batch).await.unwrap();
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.ids, again.ids);
    assert_eq!(&*again.ids[1], "mine");
    let error = hub.publish_once(key, vec![publish("1")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert_eq!(hub.stats().published, 3);
}

/// Several publishers, and readers that leave in the middle of things and come back with the last id they have got.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_reconnect_anywhere_get_the_log_once_and_in_order() {
    const PUBLISHERS: usize = 4;
    let long = std::env::var_os("OYEZ_TEST_LONG").is_some();
    let events: usize = if long { 100_000 } else { 5_000 };
    let hub = Hub::<String>::new();
    let start = hub.position().to_string();
    let readers: Vec<_> = (0..16u64)
        .map(|reader| {
            let (hub, start) = (hub.clone(), start.clone());
            let (matcher, wanted) = if reader % 2 == 0 { ("*", PUBLISHERS * events) } else { ("topic/1", events) };
            tokio::spawn(async move {
                let mut random = reader;
                let mut got: Vec<(u64, String)> = Vec::new();
                let mut last = start;
                while got.len() < wanted {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let mut stream = hub.subscribe_pattern(matcher).since_id(&last).into_stream().unwrap();
                    for _ in 0..(random >> 33) % 300 {
                        if got.len() == wanted {
                            break;
                        }
                        let event = stream.next().await.unwrap().event().expect("no gap: everything is kept");
                        last = event.id.to_string();
                        got.push((event.position.sequence, event.value.to_string()));
                    }
                }
                (matcher, got)
            })
        })
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let hub = hub.clone();
            tokio::spawn(async move {
                for number in 0..events {
                    let text = format!("{publisher} {number}");
                    hub.publish(format!("topic/{publisher}"), text).await.unwrap();
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let mut log = Vec::new();
    let mut replay = hub.subscribe_pattern("*").earliest().poll().into_stream().unwrap();
    while let Some(item) = replay.next().await {
        let event = item.event().unwrap();
        log.push((event.position.sequence, event.value.to_string()));
    }
    for reader in readers {
        let (matcher, got) = within("a reader", reader).await.unwrap();
        let wanted = log.iter().filter(|(_, text)| matcher == "*" || text.starts_with("1 "));
        assert!(got.iter().eq(wanted), "{matcher}: live and replay differ");
    }
}

#[tokio::test]
async fn open_streams_are_listed_the_one_that_lags_most_first() {
    let hub = Hub::<Event>::new();
    let peer = "127.0.0.1:7".parse().unwrap();
    let mut live = hub.subscribe("a").and_pattern("b/*").peer(peer).into_stream().unwrap();
    let control = StreamControl::new();
    let stopped = hub.subscribe("a").control(control.clone()).into_response().into_http();
    let mut body = stopped.into_body();
    body.frame().await.unwrap().unwrap();
    let many: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
    let mut wide = many.iter().fold(hub.subscribe("t"), Subscribe::and).into_stream().unwrap();
    for n in 0..3 {
        hub.publish("a", Event::data(n.to_string())).await.unwrap();
        live.next().await.unwrap();
    }
    // they sleep at the tail
    assert!(timeout(Duration::from_millis(1), live.next()).await.is_err());
    assert!(timeout(Duration::from_millis(1), wide.next()).await.is_err());

    let streams = hub.streams(10);
    assert_eq!(streams.len(), 3);
    let first = &streams[0];
    assert_eq!((first.number, first.lag, first.live, first.delivered), (control.number(), 3, false, 0));
    assert_eq!((first.position.sequence, first.peer), (0, None));
    let second = &streams[1];
    assert_eq!((second.lag, second.live, second.delivered, second.peer), (0, true, 3, Some(peer)));
    assert_eq!((&second.topics[..], second.position), (&["a".to_owned(), "b/*".to_owned()][..], hub.position()));
    assert_eq!((streams[2].topics.len(), streams[2].topics_total), (10, 13));
    assert_eq!(hub.streams(1)[0].number, control.number());
    assert_eq!(hub.stats().lag_max, 3);

    control.end_at(std::time::Instant::now());
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert_eq!((hub.stats().ended.dropped, hub.stats().ended.drain), (1, 0));
    assert_eq!(hub.stats().lag_max, 0);
}
