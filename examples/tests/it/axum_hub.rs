use crate::example::Example;

#[test]
fn shows_each_caller_what_it_may_read_and_wants() {
    let example = Example::start(env!("CARGO_BIN_EXE_axum_hub"));
    let (berlin, headquarters) = ("Authorization: Bearer berlin", "Authorization: Bearer headquarters");
    let json = "Content-Type: application/json";
    let order = |region: &str, total: u32| {
        let (path, order) = (format!("/orders/{region}"), format!("{{\"total\":{total}}}"));
        let (status, id) = example.ask("POST", &path, &[headquarters, json], order);
        assert_eq!(status, 200, "{id}");
        id
    };
    let mut large = example.open("/orders/*?over=100", &[berlin]);
    let first = order("eu", 250);
    order("eu", 50);
    order("us", 300);
    let last = order("eu", 200);
    assert_eq!(large.event(), (first.clone(), r#"{"total":250}"#.to_owned()));
    assert_eq!(large.event(), (last.clone(), r#"{"total":200}"#.to_owned()), "neither small ones nor another region's");

    let mut again = example.open("/orders/eu?last=1", &[berlin, &format!("Last-Event-ID: {first}")]);
    assert_eq!(again.data(), r#"{"total":50}"#, "an id beats `last`");
    assert_eq!(again.event(), (last.clone(), r#"{"total":200}"#.to_owned()));
    let mut replay = example.open("/orders/*?last=2", &[headquarters]);
    assert_eq!([replay.data(), replay.data()], [r#"{"total":300}"#, r#"{"total":200}"#]);
    order("us", 7);
    assert_eq!(replay.data(), r#"{"total":7}"#);

    assert_eq!(example.ask("GET", "/orders/us", &[berlin], "").0, 403);
    assert_eq!(example.ask("GET", "/orders/eu", &[], "").0, 403);
    assert_eq!(example.ask("POST", "/orders/us", &[berlin, json], r#"{"total":1}"#).0, 403);
    assert_eq!(example.post("/orders/eu", r#"{"total":1}"#).0, 403);
    assert_eq!(example.ask("POST", "/orders/eu", &[berlin, json], r#"{"sum":1}"#).0, 422);
    let (_, metrics) = example.ask("GET", "/metrics", &[], "");
    for line in [
        "# TYPE oyez_subscribers gauge\noyez_subscribers 3\n",
        "# TYPE oyez_published_total counter\noyez_published_total 5\n",
        "\noyez_delivered_total 7\n",
        "\noyez_refused_total 2\n",
        "\noyez_history_entries 5\n",
    ] {
        assert!(metrics.contains(line), "{line:?} in {metrics}");
    }

    example.stop("TERM");
    for mut stream in [large, again, replay] {
        stream.ends();
    }
}
