//! Publisher over TCP.

use std::time::Duration;

use oyez_client::{Batch, Error, ErrorKind, Event, EventId, IdempotencyKey, Publisher};
use tokio::task::JoinHandle;

use crate::script::{Server, nowhere};

type Outcome<T> = JoinHandle<Result<T, Error>>;

fn publish(publisher: Publisher, event: Event) -> Outcome<Option<EventId>> {
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
    assert_eq!(outcome.await.unwrap().unwrap().as_deref(), Some("k:1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_without_an_id_is_an_acknowledgement_all_the_same() {
    for body in ["", "ok", "{}", "[]", "{\"id\":5}"] {
        let server = Server::new();
        let outcome = publish(Publisher::new(&server.url("/")).unwrap(), Event::data(""));
        let mut connection = server.accept();
        assert_eq!((connection.header("content-length"), connection.text()), (Some("0"), ""));
        connection.answer("201 Created", "", body);
        assert_eq!(outcome.await.unwrap().unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_newline_delimited_json_and_the_connection_is_kept() {
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
    connection.read_request();
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
    connection.read_request();
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
