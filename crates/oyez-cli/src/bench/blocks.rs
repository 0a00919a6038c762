//! Events out of an event stream, without an allocation for those that lie whole in what was read.
#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use memchr::{memchr2, memmem};
use oyez_proto::{Decoder, Error, Item};

/// Reads an event stream cut anywhere. Blocks that come whole and are plain (LF, one line of data) are read where they
/// lie; everything else goes through the [`Decoder`], so that nothing the standard allows is misread.
#[derive(Debug)]
pub(crate) struct Blocks {
    decoder: Decoder,
    /// The decoder has seen the end of a block and nothing after it.
    between: bool,
    after_lf: bool,
}

/// What matters here of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found<'a> {
    pub(crate) event_type: &'a [u8],
    pub(crate) id: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Blocks {
    pub(crate) fn new() -> Self {
        // a byte order mark may come first, which is the decoder's to skip
        Self { decoder: Decoder::new(), between: false, after_lf: false }
    }

    /// Takes the next bytes of the stream and gives the events they complete to `take`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Found<'_>)) -> Result<(), Error> {
        while !bytes.is_empty() {
            let plain = if self.between { plain_block(bytes) } else { None };
            if let Some((found, rest)) = plain {
                if let Some(found) = found {
                    take(found);
                }
                bytes = rest;
                continue;
            }
            let (mut part, rest) = bytes.split_at(self.block_end(bytes));
            bytes = rest;
            while let Some(item) = self.decoder.next(&mut part)? {
                if let Item::Event(event) = item {
                    take(Found {
                        event_type: event.event_type().unwrap_or_default().as_bytes(),
                        id: event.event_id().map_or(b"", |id| id.as_bytes()),
                        data: event.data_str().as_bytes(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Where the block ends that the decoder is in, if two LF say so; else all is the decoder's.
    fn block_end(&mut self, bytes: &[u8]) -> usize {
        let end = match bytes.first() {
            Some(b'\n') if self.after_lf => Some(1),
            _ => memmem::find(bytes, b"\n\n").map(|at| at + 2),
        };
        self.between = end.is_some();
        self.after_lf = end.is_none() && bytes.last() == Some(&b'\n');
        end.unwrap_or(bytes.len())
    }
}

/// The plain block that `bytes` begin with, which may hold no event, and what follows it.
fn plain_block(bytes: &[u8]) -> Option<(Option<Found<'_>>, &[u8])> {
    let mut found = Found::default();
    let mut data = None;
    let mut rest = bytes;
    loop {
        let end = memchr2(b'\n', b'\r', rest)?;
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\n")?; // a CR is not plain
        match line {
            [] => return Some((data.map(|data| Found { data, ..found }), rest)),
            [b'd', b'a', b't', b'a', b':', value @ ..] if data.is_none() => {
                data = Some(value.strip_prefix(b" ").unwrap_or(value))
            }
            [b'i', b'd', b':', value @ ..] => found.id = value.strip_prefix(b" ").unwrap_or(value),
            [b'e', b'v', b'e', b'n', b't', b':', value @ ..] => {
                found.event_type = value.strip_prefix(b" ").unwrap_or(value)
            }
            [b':', ..] | [b'r', b'e', b't', b'r', b'y', b':', ..] => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `type|id|data` of each event, whatever the pieces.
    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        for size in 1..=stream.len() {
            let (mut blocks, mut found) = (Blocks::new(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let take = |event: Found<'_>| found.push([event.event_type, event.id, event.data].map(text).join("|"));
                blocks.feed(piece, take).unwrap();
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn plain_events_are_found_wherever_they_are_cut() {
        check(
            "data: a\n\nevent: t\nid: 7\ndata:b\n\n: comment\n\nid: 8\n\nretry: 5\ndata: c\n\n",
            &["||a", "t|7|b", "||c"],
        );
    }

    #[test]
    fn odd_events_are_read_by_the_decoder() {
        check("\u{feff}data: a\n\ndata: b\ndata: c\n\n", &["||a", "||b\nc"]);
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\n\n", &["||a", "||b", "||c", "||d"]);
        check("data: a\n\ndata\n\nunknown: x\ndata: b\n\ndata: not ended\n", &["||a", "||", "||b"]);
        check("id: 1\r\ndata: a\n\n\n\ndata: b\n\n", &["|1|a", "||b"]);
    }
}
