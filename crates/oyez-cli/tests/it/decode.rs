//! `oyez decode`.

use crate::command::Oyez;

#[test]
fn a_stream_becomes_one_object_a_line() {
    let mut oyez = Oyez::start(["decode", "--json"]);
    oyez.write("\u{feff}: hi\nretry: 10\nid: 1\nevent: t\ndata: a\r\ndata: b\r\r\n");
    oyez.prints(&[
        r#"{"kind":"comment","comment":"hi"}"#,
        r#"{"kind":"retry","value":10}"#,
        r#"{"kind":"event","type":"t","data":"a\nb","id":"1","retry":10}"#,
    ]);
    oyez.write("data\n\nevent: oyez.end\nda");
    oyez.prints(&[r#"{"kind":"event","type":"message","data":"","id":"1"}"#]);
    oyez.write("ta:  \u{e9}\n\nid\n\ndata: x\n\ndata: no blank line");
    oyez.prints(&[
        r#"{"kind":"event","type":"oyez.end","data":" é","id":"1"}"#,
        r#"{"kind":"event","type":"message","data":"x","id":""}"#,
    ]);
    oyez.end_input();
    oyez.ends(0, "oyez: the last event is cut off: no empty line follows it, so no reader gets it\n");
}

#[test]
fn what_is_no_event_stream_is_told() {
    for (input, told) in [
        (&b"\x1f\x8b\x08\0\0"[..], "oyez: this looks like gzip; unpack it with gunzip, not like an event stream\n"),
        (b"{\"a\":1}\n", "oyez: this looks like JSON, not like an event stream\n"),
        (b"data: x\n", "oyez: the last event is cut off: no empty line follows it, so no reader gets it\n"),
        (b"data: x", "oyez: the last event is cut off: no empty line follows it, so no reader gets it\n"),
        (b"id: 1\n", ""),
        (b"", ""),
    ] {
        let mut oyez = Oyez::start(["decode"]);
        oyez.write(input);
        oyez.end_input();
        oyez.ends(0, told);
    }
}

#[test]
fn in_a_pipe_it_is_json_without_asking() {
    let mut oyez = Oyez::start(["decode"]);
    oyez.write("data: x\n\n");
    oyez.end_input();
    oyez.prints(&[r#"{"kind":"event","type":"message","data":"x","id":""}"#]);
    oyez.ends(0, "");
}

#[test]
fn an_event_beyond_the_bound_is_an_error_after_what_came_before() {
    let mut oyez = Oyez::start(["decode", "--max-event-bytes", "5"]);
    oyez.write("data: 1\n\ndata: 123456\n\ndata: 2\n\n");
    oyez.prints(&[r#"{"kind":"event","type":"message","data":"1","id":""}"#]);
    oyez.ends(1, "oyez: event is larger than 5 bytes\n");
}
