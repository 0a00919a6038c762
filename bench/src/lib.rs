//! Streams that the benchmarks read, so that every decoder gets the same bytes.

/// One event of 170 bytes as a hub sends it: type, id and 128 bytes of JSON-like data.
pub const EVENT: &str = concat!(
    "event: trade\nid: k4f9zq71:1048576\ndata: ",
    r#"{"symbol":"ACME","price":101.25,"size":30,"side":"buy","venue":"XNAS","time":"2026-11-05T14:30:00.123456Z","seq":1048576,"ok":1}"#,
    "\n\n"
);

/// The same event over and over, `count` times.
#[must_use]
pub fn events(count: usize) -> Vec<u8> {
    EVENT.repeat(count).into_bytes()
}

/// Events whose only line holds `line_bytes` of `text`, together about `total_bytes`.
#[must_use]
pub fn long_lines(text: &str, line_bytes: usize, total_bytes: usize) -> Vec<u8> {
    let line = text.repeat(line_bytes / text.len());
    format!("data: {line}\n\n").repeat(total_bytes.div_ceil(line_bytes)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_has_170_bytes() {
        assert_eq!(EVENT.len(), 170);
    }
}
