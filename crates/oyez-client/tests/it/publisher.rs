//! Publisher over TCP.

use std::time::Duration;

use oyez_client::{Batch, Error, ErrorKind, Event, EventId, IdempotencyKey, Publisher};
use tokio::task::JoinHandle;

use crate::script::{Server, nowhere};

type Outcome<T> = JoinHandle<Result<T, Error>>;

fn publish(publisher: Publisher, event: Event) -> Outcome<EventId> {
    tokio::spawn(async move { publisher.publish(&event).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_is_a_body_and_parameters() {
    let server = Server::new();
    let publisher = Publisher::builder(&server.url("/events/a/b?ttl=5")).unwrap().header("x-own", "1").unwrap();
    let event = Event::data("x\ny").event("t&ü").unwrap().id("a 1").unwrap().retry(Duration::from_secs(1));
    let outcome = publish(publisher.build().unwrap(), event);
    let mut connection = server.accept();
    assert_eq!(connection.request_line(), "POST /events/a/b?ttl=5&event=t%26%C3%BC&id=a+1&retry=1000 HTTP/1.1");
    assert_eq!((connection.text(), connection.header("x-own")), ("x\ny", Some("1")));
    assert_eq!(connection.header("content-type"), Some("text/plain; charset=utf-8"));
    connection.answer("200 OK", "content-type: application/json\r\n", "{\"id\":\"k:1\"}");
    assert_eq!(&*outcome.await.unwrap().unwrap(), "k:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_success_that_is_no_acknowledgement_is_refused_and_told() {
    let long = format!("<!doctype html>\n{}", "x".repeat(5_000));
    let html = "content-type: text/html; charset=utf-8\r\n";
    let json = "content-type: application/json\r\n";
    for (status, headers, body, told) in [
        (
            "200 OK",
            html,
            long.as_str(),
            " with the type \"text/html; charset=utf-8\", which is no acknowledgement of a hub: \"<!doctype html>\\nxxx",
        ),
        ("201 Created", "", "", ", which is no acknowledgement of a hub: it is empty"),
        ("200 OK", "", "ok", ", which is no acknowledgement of a hub: \"ok\""),
        ("200 OK", json, "{}", " with the type \"application/json\", which is no acknowledgement of a hub: \"{}\""),
        ("200 OK", json, "{\"id\":5}", " with the type \"application/json\", which is no"),
        ("200 OK", json, "{\"id\":\"a\\nb\"}", " with the type \"application/json\", which is no"),
        ("200 OK", json, "[]", " with the type \"application/json\", which is no"),
    ] {
        let server = Server::new();
        let outcome = publish(Publisher::new(&server.url("/")).unwrap(), Event::data(""));
        let mut connection = server.accept();
        assert_eq!((connection.header("content-length"), connection.text()), (Some("0"), ""));
        assert_eq!(connection.header("accept-encoding"), Some("identity"));
        connection.answer(status, headers, body);
        let error = outcome.await.unwrap().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Refused, "{text}");
        assert!(text.starts_with(&format!("the server answered {status}{told}")) && text.len() < 220, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_acknowledged_by_as_many_ids() {
    for (answer, told) in [
        ("{\"ids\":[\"k:1\"]}", "the server has acknowledged 1 events of 2"),
        ("{\"ids\":[\"k:1\",\"k:2\",\"k:3\"]}", "the server has acknowledged 3 events of 2"),
        ("{\"id\":\"k:1\"}", "the server answered 200 OK, which is no acknowledgement of a hub: "),
    ] {
        let server = Server::new();
        let publisher = Publisher::new(&server.url("/events")).unwrap();
        let outcome: Outcome<_> = tokio::spawn(async move {
            let mut two = batch();
            two.push("b", &Event::data("y"));
            publisher.publish_batch(two).await
        });
        server.accept().answer("200 OK", "", answer);
        let error = outcome.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().starts_with(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_acknowledgement_that_breaks_off_leaves_the_outcome_unknown() {
    let server = Server::new();
    let outcome = publish(Publisher::new(&server.url("/")).unwrap(), Event::data("x"));
    let mut connection = server.accept();
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"id\":");
    drop(connection);
    assert_eq!(outcome.await.unwrap().unwrap_err().kind(), ErrorKind::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_newline_delimited_json_and_the_next_one_follows_it() {
    let server = Server::new();
    let publisher = Publisher::new(&server.url("/events")).unwrap();
    let outcome: Outcome<_> = tokio::spawn(async move {
        let mut ids = Vec::new();
        for round in 0..2 {
            let mut batch = Batch::new();
            batch.push("a", &Event::data(format!("{round}")));
            batch.push("b", &Event::data("x"));
            ids.extend(publisher.publish_batch(batch).await?);
        }
        Ok(ids)
    });
    let mut connection = server.accept();
    assert_eq!(connection.request_line(), "POST /events HTTP/1.1");
    assert_eq!(connection.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(connection.text(), "{\"topics\":\"a\",\"data\":\"0\"}\n{\"topics\":\"b\",\"data\":\"x\"}\n");
    connection.answer_and_stay("200 OK", "", "{\"ids\":[\"k:1\",\"k:2\"]}");
    connection = server.next(connection);
    connection.answer("200 OK", "", "{\"ids\":[\"k:3\",\"k:4\"]}");
    let ids = outcome.await.unwrap().unwrap();
    assert_eq!(ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["k:1", "k:2", "k:3", "k:4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_error_says_what_became_of_the_event() {
    let problem = "content-type: application/problem+json\r\n";
    for (status, headers, kind, told) in [
        ("400 Bad Request", problem, ErrorKind::Refused, "the server answered 400 Bad Request: no"),
        ("307 Temporary Redirect", "location: /\r\n", ErrorKind::Refused, "the server answered 307 Temporary Redirect"),
        (
            "429 Too Many Requests",
            "retry-after: 7\r\n",
            ErrorKind::Unavailable,
            "the server answered 429 Too Many Requests",
        ),
        ("503 Service Unavailable", problem, ErrorKind::Unavailable, "the server answered 503 Service Unavailable: no"),
        ("502 Bad Gateway", "", ErrorKind::Unknown, "the server answered 502 Bad Gateway"),
    ] {
        let server = Server::new();
        let outcome = publish(Publisher::new(&server.url("/")).unwrap(), Event::data("x"));
        server.accept().answer(status, headers, "{\"detail\":\"no\"}");
        let error = outcome.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, told));
        let seconds = headers.starts_with("retry-after").then_some(Duration::from_secs(7));
        assert_eq!(error.retry_after(), seconds);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_an_answer_the_outcome_is_unknown_and_without_a_connection_it_is_not() {
    let server = Server::new();
    let outcome = publish(Publisher::new(&server.url("/")).unwrap(), Event::data("x"));
    drop(server.accept());
    assert_eq!(outcome.await.unwrap().unwrap_err().kind(), ErrorKind::Unknown);
    assert!(!server.is_asked(), "a publish of unknown outcome is not repeated");

    let nobody = Publisher::new(&format!("http://{}/", nowhere())).unwrap();
    let error = nobody.publish(&Event::data("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.push("a", &Event::data("x"));
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_named_batch_that_is_not_answered_is_sent_again_and_one_that_is_refused_is_not() {
    let server = Server::new();
    let publisher = Publisher::new(&server.url("/events")).unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let outcome: Outcome<_> = tokio::spawn(async move {
        let key = IdempotencyKey::new("k-1").unwrap();
        let tell = |error: &Error, _| sender.send(error.kind()).unwrap();
        publisher.publish_batch_until_answered(&key, batch(), tell).await?;
        publisher.publish_batch_until_answered(&key, batch(), tell).await
    });
    drop(server.accept());
    let mut connection = server.accept();
    assert_eq!(
        (connection.header("idempotency-key"), connection.text()),
        (Some("k-1"), "{\"topics\":\"a\",\"data\":\"x\"}\n")
    );
    connection.answer("503 Service Unavailable", "", "");
    let mut connection = server.accept();
    assert_eq!(
        (connection.header("idempotency-key"), connection.text()),
        (Some("k-1"), "{\"topics\":\"a\",\"data\":\"x\"}\n")
    );
    connection.answer_and_stay("200 OK", "", "{\"ids\":[\"k:1\"]}");
    connection = server.next(connection);
    connection.answer("422 Unprocessable Content", "", "");
    assert_eq!(outcome.await.unwrap().unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(told.iter().collect::<Vec<_>>(), [ErrorKind::Unknown, ErrorKind::Unavailable]);
    assert!(!server.is_asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_named_batch_is_sent_once_by_whoever_repeats_it_himself() {
    let server = Server::new();
    let publisher = Publisher::builder(&server.url("/events")).unwrap().header("idempotency-key", "mine").unwrap();
    let publisher = publisher.build().unwrap();
    let key = IdempotencyKey::new("k-1").unwrap();
    let outcome: Outcome<_> = tokio::spawn(async move { publisher.publish_batch_once(&key, batch()).await });
    let connection = server.accept();
    assert_eq!(connection.header("idempotency-key"), Some("k-1"));
    drop(connection);
    assert_eq!(outcome.await.unwrap().unwrap_err().kind(), ErrorKind::Unknown);
    assert!(!server.is_asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn headers_are_asked_for_with_each_attempt_and_a_key_is_the_one_of_its_batch() {
    let server = Server::new();
    let builder = Publisher::builder(&server.url("/events")).unwrap().header("authorization", "old").unwrap();
    let publisher = builder.headers_with(|attempt| async move {
        let token = format!("Bearer {}", attempt.failures);
        Ok(vec![("authorization", token), ("idempotency-key", "theirs".to_owned())])
    });
    let publisher = publisher.build().unwrap();
    let outcome: Outcome<_> = tokio::spawn(async move {
        let key = IdempotencyKey::new("k-1").unwrap();
        publisher.publish_batch_until_answered(&key, batch(), |_, _| {}).await
    });
    for (token, status, answer) in
        [("Bearer 0", "503 Service Unavailable", ""), ("Bearer 1", "200 OK", "{\"ids\":[\"k:1\"]}")]
    {
        let mut connection = server.accept();
        assert_eq!(connection.header("authorization"), Some(token));
        assert_eq!(connection.header("idempotency-key"), Some("k-1"));
        assert_eq!(connection.head.matches("authorization").count(), 1, "{}", connection.head);
        connection.answer(status, "", answer);
    }
    assert_eq!(outcome.await.unwrap().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_headers_nothing_is_sent_and_the_cause_is_told() {
    let server = Server::new();
    for (answer, kind, told) in [
        (Err("the login is away"), ErrorKind::Unavailable, "no headers for the request"),
        (Ok("a\nb"), ErrorKind::Invalid, "the value of header \"x\" holds a control character"),
    ] {
        let builder = Publisher::builder(&server.url("/")).unwrap();
        let publisher = builder.headers_with(move |_| async move { Ok([("x", answer?)]) }).build().unwrap();
        let error = publisher.publish(&Event::data("x")).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, told));
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), answer.err());
    }
    assert!(!server.is_asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_of_ones_own_publishes_with_its_own_settings() {
    let server = Server::new();
    let client = reqwest::Client::builder().user_agent("mine").no_proxy().build().unwrap();
    let publisher = Publisher::builder(&server.url("/events/x")).unwrap().client(client).build().unwrap();
    let outcome = publish(publisher, Event::data("x"));
    let mut connection = server.accept();
    assert_eq!((connection.header("user-agent"), connection.text()), (Some("mine"), "x"));
    connection.answer("200 OK", "", "{\"id\":\"k:1\"}");
    assert_eq!(&*outcome.await.unwrap().unwrap(), "k:1");
}
