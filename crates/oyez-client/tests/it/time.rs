//! What takes time, with the clock held: connections are scripted in memory, because a held clock does not wait for
//! sockets.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use oyez_client::{
    Batch, BoxError, Chunks, Connect, ConnectError, Connecting, ErrorKind, Event, EventSource, EventSourceBuilder,
    IdempotencyKeys, Publisher,
};
use tokio::time::Instant;

use crate::say::say;

/// One answer: its status, a header, its chunks, and whether the body ends or just goes silent.
type Answer = (u16, (&'static str, &'static str), &'static [&'static str], End);

/// When an attempt came, and its last event id.
type Asked = (Instant, Option<String>);

#[derive(Clone, Copy)]
enum End {
    Ends,
    Silent,
}
use End::{Ends, Silent};

/// Gives one answer after the other; without one there is no connection.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Connect for Script {
    fn connect(&self, request: Request<Bytes>) -> Connecting {
        let id = request.headers().get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
        self.asked.lock().unwrap().push((Instant::now(), id));
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            let (status, header, chunks, end) = answer.ok_or_else(|| ConnectError::before_sending("nobody there"))?;
            let chunks: Chunks = Box::pin(Body(chunks.iter().copied().collect(), end));
            Ok(Response::builder().status(status).header(header.0, header.1).body(chunks).unwrap())
        })
    }
}

struct Body(VecDeque<&'static str>, End);

impl Stream for Body {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match (self.0.pop_front(), self.1) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(chunk.into()))),
            (None, Ends) => Poll::Ready(None),
            (None, Silent) => Poll::Pending,
        }
    }
}

const SSE: (&str, &str) = ("content-type", "text/event-stream");

fn script(answers: impl IntoIterator<Item = Answer>) -> (Script, EventSourceBuilder) {
    let script = Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Script::default() };
    let builder = EventSource::builder("http://hub/").unwrap().connect(script.clone());
    (script, builder)
}

/// Reads to the end and checks the times between the attempts, each within its bounds in milliseconds.
#[track_caller]
fn check(script: &Script, waits_ms: &[(u128, u128)]) {
    let asked = script.asked.lock().unwrap();
    let waits: Vec<u128> = asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis()).collect();
    assert_eq!(waits.len(), waits_ms.len(), "{waits:?}");
    for (wait, (least, most)) in waits.iter().zip(waits_ms) {
        assert!((least..=most).contains(&wait), "{waits:?}, not within {waits_ms:?}");
    }
}

async fn read(builder: EventSourceBuilder) -> Vec<String> {
    let mut source = builder.build().unwrap();
    let mut items = Vec::new();
    while let Some(item) = source.next().await {
        items.push(say(&item));
    }
    items
}

#[tokio::test(start_paused = true)]
async fn the_reconnection_time_is_a_floor_that_the_stream_sets() {
    let answers = [
        (200, SSE, &[][..], Ends),
        (200, SSE, &["retry: 10", "000\n", "data: x\n\n"], Ends),
        (200, SSE, &["retry: 0\n\n"], Ends),
        (204, SSE, &[], Ends),
    ];
    let (script, builder) = script(answers);
    let items = read(builder).await;
    assert_eq!(items.len(), 3 + 4, "{items:?}");
    check(&script, &[(3_000, 4_501), (10_000, 15_001), (100, 151)]);
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_and_a_retry_after_longer_still() {
    let later = ("retry-after", "100");
    let answers = [(503, SSE, &[][..], Ends), (429, later, &[], Ends), (500, SSE, &[], Ends), (204, SSE, &[], Ends)];
    let (script, builder) = script(answers);
    read(builder.jitter(false)).await;
    check(&script, &[(9_000, 9_002), (100_000, 100_002), (27_000, 27_002)]);
}

#[tokio::test(start_paused = true)]
async fn no_number_of_a_server_keeps_a_reader_away_for_more_than_an_hour() {
    let later = ("retry-after", "99999999999999999999");
    let answers = [
        (200, SSE, &["retry: 18446744073709551615\n\n"][..], Ends),
        (503, later, &[], Ends),
        (200, SSE, &["retry: 100\n\n"], Ends),
        (429, later, &[], Ends),
        (204, SSE, &[], Ends),
    ];
    let (script, builder) = script(answers);
    read(builder).await;
    let hour = 3_600_000;
    check(&script, &[(hour, hour * 3 / 2 + 1), (hour, hour * 3 / 2 + 30_001), (100, 151), (hour, hour + 1)]);
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_waits() {
    let (script, builder) = script([]);
    let items = read(builder.attempts_max(NonZeroU32::new(40).unwrap())).await;
    assert_eq!(items.last().unwrap(), "Unavailable: 40 attempts in a row failed (cannot connect to hub:80)");
    check(&script, &[(3_000, 34_501); 39]);
    let asked = script.asked.lock().unwrap();
    let mut waits: Vec<_> = asked.windows(2).skip(5).map(|pair| pair[1].0 - pair[0].0).collect();
    waits.sort();
    assert!(waits[waits.len() - 1] - waits[0] > Duration::from_secs(10), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_given_up_after_five_minutes_unless_told_otherwise() {
    let (script, builder) = script([(200, SSE, &["data: x\n\n"][..], Silent), (204, SSE, &[], Ends)]);
    let items = read(builder.jitter(false)).await;
    assert_eq!(items, ["open 200", "message \"x\" -", "disconnected: no byte came for 300s"]);
    check(&script, &[(303_000, 303_003)]);
}

#[tokio::test(start_paused = true)]
async fn reconnect_now_skips_the_wait_and_leaves_a_stream() {
    let answers = [
        (200, SSE, &["id: 1\nretry: 3600000\ndata: x\n\n"][..], Silent),
        (500, SSE, &[], Ends),
        (200, SSE, &[], Silent),
    ];
    let (script, builder) = script(answers);
    let mut source = builder.read_timeout(None).build().unwrap();
    let mut items = Vec::new();
    for reconnect_after in [false, true, true, false] {
        items.push(say(&source.next().await.unwrap()));
        if reconnect_after {
            source.reconnect_now();
        }
    }
    assert_eq!(items[..2], ["open 200", "message \"x\" 1"]);
    assert_eq!(items[2..], ["disconnected: the server answered 500 Internal Server Error", "open 200"]);
    check(&script, &[(0, 1), (0, 1)]);
    let ids: Vec<_> = script.asked.lock().unwrap().iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(ids, [None, Some("1".to_owned()), Some("1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_without_an_answer_is_of_unknown_outcome_after_a_minute() {
    struct Mute;
    impl Connect for Mute {
        fn connect(&self, _: Request<Bytes>) -> Connecting {
            Box::pin(std::future::pending())
        }
    }
    let start = Instant::now();
    let publisher = Publisher::builder("http://hub/events/x").unwrap().connect(Mute).build().unwrap();
    let error = publisher.publish(&Event::data("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unknown, "no answer came within 60s"));
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_named_batch_is_sent_again_soon_then_less_often_and_not_before_the_hub_says() {
    let (later, none, never) = (("retry-after", "100"), ("x-none", ""), ("retry-after", "99999999999"));
    let mut answers = vec![(503, none, &[][..], Ends), (429, later, &[], Ends)];
    answers.push((507, never, &[], Ends));
    answers.extend([(502, none, &[][..], Ends); 19]);
    answers.push((200, none, &["{\"ids\":[\"k:1\"]}"], Ends));
    let (script, _) = script(answers);
    let publisher = Publisher::builder("http://hub/events").unwrap().connect(script.clone()).build().unwrap();
    let mut batch = Batch::new();
    batch.push("a", &Event::data("x"));
    let mut waits = Vec::new();
    let told = |_: &_, wait: Duration| waits.push(wait);
    publisher.publish_batch_until_answered(&IdempotencyKeys::new().draw(), batch, told).await.unwrap();
    let bounds: Vec<_> = (1..=22)
        .map(|failures| match failures {
            2 => (100_000, 100_002),
            3 => (3_600_000, 3_600_002),
            _ => (200, 302 + (200 << failures).min(30_000)),
        })
        .collect();
    check(&script, &bounds);
    assert_eq!(waits.len(), 22);
    assert!(waits.iter().max().unwrap() > &Duration::from_secs(10), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_come_are_given_up_after_half_a_minute_and_asked_for_again() {
    let (script, builder) = script([(200, SSE, &["data: x\n\n"][..], Ends), (204, SSE, &[], Ends)]);
    let (asked, start) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let asked_by = asked.clone();
    // no read timeout counts for them
    let builder = builder.read_timeout(None).jitter(false).headers_with(move |_| {
        let is_first = asked_by.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            Ok([("x", "1")])
        }
    });
    let items = read(builder).await;
    assert_eq!(items[..3], ["disconnected: no headers for the request within 30s", "open 200", "message \"x\" -"]);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    let first = script.asked.lock().unwrap()[0].0 - start;
    assert!(first > Duration::from_secs(30) && first < Duration::from_secs(60), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn reconnect_now_asks_for_headers_anew_instead_of_waiting_for_those_of_the_last_attempt() {
    let (script, builder) = script([(200, SSE, &[][..], Silent)]);
    let asked = Arc::new(AtomicU32::new(0));
    let (wanted, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let mut source = builder
        .headers_with(move |_| {
            let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            wanted.send(()).unwrap();
            async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                Ok([("x", "1")])
            }
        })
        .build()
        .unwrap();
    let start = Instant::now();
    tokio::select! {
        biased;
        item = source.next() => panic!("{item:?}"),
        _ = is_asked.recv() => {}
    }
    source.reconnect_now();
    assert_eq!(say(&source.next().await.unwrap()), "open 200");
    assert_eq!((script.asked.lock().unwrap().len(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_publish_without_headers_in_time_sends_nothing_and_one_that_may_be_repeated_asks_again() {
    let (script, _) = script([(200, SSE, &["{\"ids\":[\"k:1\"]}"][..], Ends)]);
    let start = Instant::now();
    let builder = Publisher::builder("http://hub/events").unwrap().connect(script.clone());
    let publisher = builder.headers_with(|attempt| async move {
        if attempt.failures < 2 {
            std::future::pending::<()>().await;
        }
        Ok([("x", "1")])
    });
    let publisher = publisher.build().unwrap();
    let error = publisher.publish(&Event::data("x")).await.unwrap_err();
    let told = "no headers for the request within 30s";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, told));
    assert_eq!(start.elapsed().as_secs(), 30);
    let mut batch = Batch::new();
    batch.push("a", &Event::data("x"));
    let mut failures = Vec::new();
    let failed = |error: &oyez_client::Error, _| failures.push(error.kind());
    publisher.publish_batch_until_answered(&IdempotencyKeys::new().draw(), batch, failed).await.unwrap();
    assert_eq!(failures, [ErrorKind::Unavailable; 2]);
    assert_eq!(script.asked.lock().unwrap().len(), 1);
}
