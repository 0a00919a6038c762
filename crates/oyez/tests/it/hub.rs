//! Publish, subscribe, resume.

use http_body_util::BodyExt;
use oyez::{Event, Hub, LastEventId, Retention, Sse};

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
