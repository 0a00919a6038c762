//! The wire cases of web-platform-tests, folder `eventsource/`: the bytes a server sends there and the events a page
//! must see, restated as facts. What needs HTTP (MIME types, redirects, status codes) is the client's to test.

use oyez_proto::Decoder;

use crate::oracle::{self, Found};

struct Case {
    source: &'static str,
    /// What each connection sends, one after another.
    connections: &'static [&'static str],
    expected: &'static [Event],
    /// In milliseconds, in the order they take effect.
    reconnection_times: &'static [u128],
}

#[derive(Debug, PartialEq)]
struct Event {
    event_type: &'static str,
    data: &'static str,
    last_event_id: &'static str,
}

const fn message(data: &'static str) -> Event {
    Event { event_type: "message", data, last_event_id: "" }
}

impl Event {
    const fn of_type(self, event_type: &'static str) -> Self {
        Self { event_type, ..self }
    }

    const fn id(self, last_event_id: &'static str) -> Self {
        Self { last_event_id, ..self }
    }
}

macro_rules! case {
    ($file:literal, $connections:expr, $expected:expr) => {
        case!($file, $connections, $expected, [])
    };
    ($file:literal, $connections:expr, $expected:expr, $times:expr) => {
        Case {
            source: concat!("https://github.com/web-platform-tests/wpt/blob/master/eventsource/", $file),
            connections: &$connections,
            expected: &$expected,
            reconnection_times: &$times,
        }
    };
}

const CASES: &[Case] = &[
    case!(
        "event-data.any.js",
        ["data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n"],
        [message("msg\nmsg"), message(""), message("end")]
    ),
    case!("eventsource-onmessage.any.js", ["data: data\n\n\n"], [message("data")]),
    case!(
        "eventsource-cross-origin-preflight.window.js",
        ["id: e5p3n<3k0k0s\nretry: 200\ndata: unsafe\n\n"],
        [message("unsafe").id("e5p3n<3k0k0s")],
        [200]
    ),
    case!("eventsource-reconnect.window.js", ["retry: 2\n", "data: data\n\n"], [message("data")], [2]),
    case!(
        "eventsource-reconnect.window.js",
        ["retry: 2\ndata: ok\n\n", "data: data\n\n"],
        [message("ok"), message("data")],
        [2]
    ),
    case!("format-bom.any.js", ["\u{feff}data:1\n\n\u{feff}data:2\n\ndata:3\n\n\n"], [message("1"), message("3")]),
    case!("format-bom-2.any.js", ["\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3\n\n\n"], [message("2"), message("3")]),
    // the comments there are 2 KiB long
    case!(
        "format-comments.any.js",
        ["data:1\r:\0\n:\r\ndata:2\n:xxxxxxxx\rdata:3\n:data:fail\r:xxxxxxxx\ndata:4\n\n"],
        [message("1\n2\n3\n4")]
    ),
    case!(
        "format-data-before-final-empty-line.any.js",
        ["retry:1000\ndata:test1\n\nid:test\ndata:test2\n", "retry:1000\ndata:test1\n\nid:test\ndata:test2\n"],
        [message("test1"), message("test1")],
        [1000, 1000]
    ),
    case!(
        "format-field-data.any.js",
        ["data:\n\ndata\ndata\n\ndata:test\n\n\n"],
        [message(""), message("\n"), message("test")]
    ),
    case!("format-field-event-empty.any.js", ["event: \ndata:data\n\n\n"], [message("data")]),
    case!(
        "format-field-event.any.js",
        ["event:test\ndata:x\n\ndata:x\n\n\n"],
        [message("x").of_type("test"), message("x")]
    ),
    case!(
        "format-field-id.any.js",
        ["id: …\nretry: 200\ndata: hello\n\n", "data: …\n\n"],
        [message("hello").id("…"), message("…").id("…")],
        [200]
    ),
    case!(
        "format-field-id-2.any.js",
        ["id: …\nretry: 200\ndata: hello\n\n", "data: …\n\n", "data: …\n\n"],
        [message("hello").id("…"), message("…").id("…"), message("…").id("…")],
        [200]
    ),
    case!(
        "format-field-id-3.window.js",
        ["id: 1\ndata: 1\n\ndata:2\n\n"],
        [message("1").id("1"), message("2").id("1")]
    ),
    case!(
        "format-field-id-3.window.js",
        ["id: 1\ndata: 1\n\nid: 2\ndata:2\n\ndata:3\n\n"],
        [message("1").id("1"), message("2").id("2"), message("3").id("2")]
    ),
    case!(
        "format-field-id-3.window.js",
        ["id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n"],
        [message("1").id("1"), message("2"), message("3")]
    ),
    case!("format-field-id-null.window.js", ["id: \0\0\nretry: 200\ndata: hello\n\n"], [message("hello")], [200]),
    case!("format-field-id-null.window.js", ["id: x\0\nretry: 200\ndata: hello\n\n"], [message("hello")], [200]),
    case!("format-field-id-null.window.js", ["id: \0x\nretry: 200\ndata: hello\n\n"], [message("hello")], [200]),
    case!("format-field-id-null.window.js", ["id: x\0x\nretry: 200\ndata: hello\n\n"], [message("hello")], [200]),
    case!("format-field-id-null.window.js", ["id:  \0\nretry: 200\ndata: hello\n\n"], [message("hello")], [200]),
    case!(
        "format-field-parsing.any.js",
        [
            "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n"
        ],
        [message("\0\n 2\n1\n3\n\n4")]
    ),
    case!("format-field-retry.any.js", ["retry:03000\ndata:x\n\n\n"], [message("x")], [3000]),
    case!("format-field-retry-bogus.any.js", ["retry:3000\nretry:1000x\ndata:x\n\n\n"], [message("x")], [3000]),
    case!("format-field-retry-empty.any.js", ["retry\ndata:test\n\n\n"], [message("test")]),
    case!(
        "format-field-unknown.any.js",
        ["data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n\n"],
        [message("test\n\ntest")]
    ),
    case!("format-leading-space.any.js", ["data:\ttest\rdata: \ndata:test\n\n\n"], [message("\ttest\n\ntest")]),
    case!("format-newlines.any.js", ["data:test\r\ndata\ndata:test\r\n\r\n"], [message("test\n\ntest")]),
    case!("format-null-character.any.js", ["data:\0\n\n\n\n\n"], [message("\0")]),
    case!("format-utf-8.any.js", ["data:ok…\n\n\n"], [message("ok…")]),
];

#[test]
fn web_platform_tests() {
    for case in CASES {
        for chunk_len in [1, 2, 3, 7, usize::MAX] {
            check(case, chunk_len);
        }
    }
}

fn check(case: &Case, chunk_len: usize) {
    let mut decoder = Decoder::new();
    let (mut events, mut times) = (Vec::new(), Vec::new());
    for connection in case.connections {
        decoder.reset();
        for (found, last_event_id) in oracle::decode(&mut decoder, connection.as_bytes().chunks(chunk_len)).0 {
            match found {
                Found::Event { event_type, data, .. } => events.push((event_type, data, last_event_id)),
                Found::Retry(time) => times.push(time.as_millis()),
                Found::Comment(text) => panic!("a comment that nobody asked for: {text:?}"),
            }
        }
    }
    let expected = case.expected.iter().map(|event| {
        let event_type = if event.event_type == "message" { "" } else { event.event_type };
        (event_type.into(), event.data.into(), event.last_event_id.into())
    });
    assert_eq!(events, expected.collect::<Vec<(String, String, String)>>(), "{}", case.source);
    assert_eq!(times, case.reconnection_times, "{}", case.source);
}
