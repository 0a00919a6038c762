//! `oyez decode`: an event stream from standard input, as its reader sees it.

use std::io::{self, Read};

use clap::Args;
use oyez_proto::{Decoder, EVENT_BYTES_MAX, Item};

use crate::failure::Failure;
use crate::output::{Line, Output, milliseconds};

/// Decode an event stream on standard input
///
/// In a pipe, or with --json, each line is one JSON object: those of `oyez sub`, and {"kind":"retry","value":N} for
/// each reconnection time.
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
    loop {
        let filled = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stopped::Input(error)),
        };
        let mut chunk = buffer.get(..filled).unwrap_or_default();
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
