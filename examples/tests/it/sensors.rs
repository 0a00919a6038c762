use oyez::Event;
use serde_json::Value;

use crate::example::Example;

#[test]
fn readings_arrive_as_they_were_and_cost_what_it_says() {
    let example = Example::start(env!("CARGO_BIN_EXE_sensors"));
    assert!(example.ask("GET", "/", &[], "").1.contains("new EventSource("));
    let readings: [Vec<u8>; 5] = [
        (0..=255).collect(),
        vec![0],
        vec![],
        b"data: x\n\nid: 7\r\n\0".to_vec(),
        (0..50_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect(),
    ];
    let binary = "Content-Type: application/octet-stream";
    let mut ids = Vec::new();
    for reading in &readings {
        let (status, id) = example.ask("POST", "/sensors/mine", &[binary], reading);
        assert_eq!(status, 200, "{id}");
        ids.push(id);
    }

    let mut stream = example.open("/sensors/mine", &["Last-Event-ID: earliest"]);
    let (mut base64_bytes, mut stream_bytes) = (0, 0);
    for (reading, id) in readings.iter().zip(&ids) {
        let event = stream.next();
        assert_eq!((&event.id, &*event.kind), (id, "mine"));
        assert_eq!(&Event::data(&*event.data).decode_base64().unwrap(), reading);
        base64_bytes += event.data.len();
        stream_bytes += event.bytes;
    }
    let raw_bytes: usize = readings.iter().map(Vec::len).sum();
    let percent = |bytes: usize| 100.0 * (bytes as f64 - raw_bytes as f64) / raw_bytes as f64;
    let says = overhead(&example, "mine");
    for (name, measured) in
        [("readings", 5), ("raw_bytes", raw_bytes), ("base64_bytes", base64_bytes), ("stream_bytes", stream_bytes)]
    {
        assert_eq!(says[name], measured, "{name}");
    }
    for (name, measured) in [("base64_percent", percent(base64_bytes)), ("stream_percent", percent(stream_bytes))] {
        assert!((says[name].as_f64().unwrap() - measured).abs() < 1e-9, "{name} is {measured}: {says}");
    }
    let mut back = example.open("/sensors/mine", &[&format!("Last-Event-ID: {}", ids[2])]);
    assert_eq!([back.event().0, back.event().0], ids[3..]);
    example.stop("INT");
}

#[test]
fn a_third_for_base64_and_more_for_small_pieces() {
    let example = Example::start(env!("CARGO_BIN_EXE_sensors"));
    let mut all = example.open("/sensors/*", &["Last-Event-ID: earliest"]);
    assert_eq!([all.next().kind, all.next().kind], ["vibration", "temperature"]);
    let percent = |sensor: &str, of: &str| overhead(&example, sensor)[of].as_f64().unwrap();
    let third = percent("vibration", "base64_percent");
    assert!((third - 100.0 / 3.0).abs() < 1e-9, "{third}");
    assert!((33.4..45.0).contains(&percent("vibration", "stream_percent")));
    assert!(percent("temperature", "stream_percent") > 500.0);
    assert_eq!(example.ask("GET", "/sensors/unknown/overhead", &[], "").0, 404);
    assert_eq!(example.ask("POST", "/sensors/mine", &["Content-Type: text/plain"], "x").0, 415);
    assert_eq!(example.ask("POST", "/sensors/*", &["Content-Type: application/octet-stream"], "x").0, 400);
}

fn overhead(example: &Example, sensor: &str) -> Value {
    let (status, body) = example.ask("GET", &format!("/sensors/{sensor}/overhead"), &[], "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}
