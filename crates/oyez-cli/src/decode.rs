//! `oyez decode`: an event stream from standard input, as its reader sees it.

use std::io::{self, Read};

use clap::Args;
use oyez_proto::{Decoder, EVENT_BYTES_MAX, Item};

use crate::failure::Failure;
use crate::output::{Line, Output, milliseconds};
use crate::visible::tell;

/// Decode an event stream on standard input
///
/// In a pipe, or with --json, each line is one JSON object, as in `oyez sub`. A reconnection time is {"kind":"retry","value":N}.
#[derive(Args)]
pub(crate) struct Decode {
    /// Print JSON, also on a terminal
    #[arg(long)]
    json: bool,

    /// Give up on an event larger than this
    #[arg(long, value_name = "N", default_value_t = EVENT_BYTES_MAX)]
    max_event_bytes: usize,
}

impl Decode {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let decoder = Decoder::new().event_bytes_max(self.max_event_bytes).comments(true);
        match decode(decoder, &mut io::stdin().lock(), &mut Output::standard(self.json)) {
            Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Stopped::Output(error)) => Err(Failure::failed(format!("standard output: {error}"))),
            Err(Stopped::Input(error)) => Err(Failure::failed(format!("standard input: {error}"))),
            Err(Stopped::Stream(error)) => Err(Failure::failed(error.to_string())),
            Ok(()) => Ok(()),
        }
    }
}

enum Stopped {
    Input(io::Error),
    Output(io::Error),
    Stream(oyez_proto::Error),
}

fn decode(mut decoder: Decoder, input: &mut impl Read, output: &mut Output) -> Result<(), Stopped> {
    let mut buffer = vec![0; 64 * 1024];
    let mut is_first = true;
    loop {
        let filled = match input.read(&mut buffer) {
            Ok(0) => return tell_of_cut_off(&mut decoder),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stopped::Input(error)),
        };
        let mut chunk = buffer.get(..filled).unwrap_or_default();
        if std::mem::take(&mut is_first) {
            tell_of_others(chunk);
        }
        let decoded = decode_chunk(&mut decoder, &mut chunk, output);
        output.flush().map_err(Stopped::Output)?;
        decoded?;
    }
}

fn decode_chunk(decoder: &mut Decoder, chunk: &mut &[u8], output: &mut Output) -> Result<(), Stopped> {
    while let Some(item) = decoder.next(chunk).map_err(Stopped::Stream)? {
        let line = match &item {
            Item::Event(event) => Line::event(event, decoder.last_event_id()),
            Item::Comment(comment) => Line::Comment { comment },
            Item::Retry(time) => Line::Retry { value: milliseconds(*time) },
            // an item that this version does not know
            _ => continue,
        };
        output.print(&line, None).map_err(Stopped::Output)?;
    }
    Ok(())
}

/// Whoever feeds something else would see nothing, since an event stream has no errors: what is no field is ignored.
fn tell_of_others(beginning: &[u8]) {
    if let Some(what) = looks_like(beginning) {
        tell(&format!("oyez: this looks like {what}, not like an event stream"));
    }
}

/// What else bytes that begin like this are.
fn looks_like(beginning: &[u8]) -> Option<&'static str> {
    if beginning.starts_with(&[0xff, 0xfe]) || beginning.starts_with(&[0xfe, 0xff]) {
        return Some("UTF-16; an event stream is UTF-8");
    }
    if beginning.starts_with(&[0x1f, 0x8b]) {
        return Some("gzip; unpack it with gunzip");
    }
    if beginning.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some("zstd; unpack it with unzstd");
    }
    if beginning.iter().take(64).any(|byte| *byte == 0) {
        return Some("UTF-16 or binary data; an event stream is UTF-8");
    }
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    match text.first()? {
        b'{' | b'[' => Some("JSON"),
        b'<' => Some("HTML or XML"),
        _ if text.starts_with(b"HTTP/") => Some("an answer with its head, as curl -i has it; leave out -i"),
        _ => None,
    }
}

/// An event is one when its empty line has come.
fn tell_of_cut_off(decoder: &mut Decoder) -> Result<(), Stopped> {
    let mut end = &b"\n\n"[..];
    while let Some(item) = decoder.next(&mut end).map_err(Stopped::Stream)? {
        if let Item::Event(_) = item {
            tell("oyez: the last event is cut off: no empty line follows it, so no reader gets it");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_something_else_is_known_by_how_it_begins() {
        for (beginning, expected) in [
            (&b"\xff\xfed\0a\0"[..], Some("UTF-16;")),
            (b"d\0a\0t\0a\0", Some("UTF-16 or")),
            (b"\x1f\x8b\x08\0", Some("gzip")),
            (b"\x28\xb5\x2f\xfd\x04", Some("zstd")),
            (b"{\"a\":1}", Some("JSON")),
            (b"\xef\xbb\xbf [1]", Some("JSON")),
            (b"\n<!doctype html>", Some("HTML")),
            (b"HTTP/1.1 200 OK\r\n", Some("an answer")),
            (b"data: x\n\n", None),
            (b"\xef\xbb\xbf: hi\n", None),
            (b"\n\nid: 1\n", None),
            (b"", None),
        ] {
            let found = looks_like(beginning);
            let fits = match expected {
                Some(start) => found.is_some_and(|found| found.starts_with(start)),
                None => found.is_none(),
            };
            assert!(fits, "{:?}: {found:?}", String::from_utf8_lossy(beginning));
        }
    }
}
