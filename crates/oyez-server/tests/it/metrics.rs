//! `/metrics`: figures that move with what happens.

use tokio::time::timeout;

use crate::harness::{Caller, Hosted, PATIENCE, head};

/// The value of a metric, if it is there.
async fn metric(server: &Hosted, name: &str) -> Option<f64> {
    let mut caller = Caller::connect(server.admin).await;
    caller.send(head("GET", "/metrics", &[])).await;
    let page = caller.answer().await.body();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// Asks until the metric has this value.
async fn becomes(server: &Hosted, name: &str, expected: f64) {
    let mut found = None;
    let same = timeout(PATIENCE, async {
        while found != Some(expected) {
            found = metric(server, name).await;
        }
    });
    assert!(same.await.is_ok(), "{name} is {found:?}, not {expected}");
}

#[tokio::test]
async fn connections_and_their_bytes_are_counted_streams_included() {
    let server = Hosted::start().await;
    becomes(&server, "oyez_connections", 0.0).await;
    becomes(&server, "oyez_sent_bytes_total", 0.0).await;

    let mut stream = server.connect().await;
    stream.send("GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut received = stream.read_until("id: ").await;
    let idle = server.connect().await;
    becomes(&server, "oyez_connections", 2.0).await;
    drop(idle);
    becomes(&server, "oyez_connections", 1.0).await;

    let published = server.post("/events/a", &[], "x".repeat(100_000)).await;
    received += &published.0;
    received += &stream.read_until("x\n\n\r\n").await;
    becomes(&server, "oyez_sent_bytes_total", received.len() as f64).await;
    drop(stream);
    becomes(&server, "oyez_connections", 0.0).await;
}

#[tokio::test]
async fn a_history_on_disk_has_syncs_bytes_and_room() {
    let server = Hosted::start().await;
    assert_eq!(metric(&server, "oyez_syncs_total").await, Some(0.0));
    assert_eq!(metric(&server, "oyez_disk_bytes").await, None);

    let directory = std::env::temp_dir().join(format!("oyez-metrics-{}", std::process::id()));
    let data = directory.display().to_string();
    let server = Hosted::with(|settings| settings.data = Some(data)).await;
    let before = metric(&server, "oyez_syncs_total").await.unwrap();
    server.post("/events/a", &[], "kept").await.id();
    assert_eq!(metric(&server, "oyez_syncs_total").await, Some(before + 1.0));
    for name in ["oyez_sync_seconds_total", "oyez_disk_bytes", "oyez_disk_free_bytes"] {
        let value = metric(&server, name).await;
        assert!(value.is_some_and(|value| value > 0.0), "{name}: {value:?}");
    }
    let mut server = server;
    server.stop();
    server.stopped().await;
    std::fs::remove_dir_all(&directory).unwrap();
}
