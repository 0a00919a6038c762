//! Which MIME type an answer has, as far as it decides whether a stream opens.

/// Whether the header `Content-Type` names the type `essence`, whatever its case and parameters. Several header
/// lines are joined by a comma.
///
/// Source: Fetch Standard, "extract a MIME type": of several values the last one that is a MIME type counts.
pub(crate) fn names(content_type: &str, essence: &str) -> bool {
    values(content_type).filter_map(parse).last().is_some_and(|found| found.eq_ignore_ascii_case(essence))
}

/// Source: Fetch Standard, "get, decode, and split": a comma inside a quoted string does not separate.
fn values(header: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    header.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// The essence `type/subtype`, if `value` is a MIME type and not the wildcard.
///
/// Source: MIME Sniffing Standard, "parse a MIME type".
fn parse(value: &str) -> Option<&str> {
    let essence = value.split(';').next()?.trim_matches(HTTP_WHITESPACE);
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype) && essence != "*/*").then_some(essence)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

const HTTP_WHITESPACE: [char; 4] = [' ', '\t', '\r', '\n'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_essence_counts() {
        for (content_type, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream", true),
            (" text/event-stream ", true),
            ("text/event-stream;charset=utf-8", true),
            ("text/event-stream ; charset=windows-1251", true),
            ("text/event-stream;", true),
            ("text/event-stream; x=\"a,text/html\"", true),
            ("text/event-stream; x=\"\\\",text/html\"", true),
            ("text/html, text/event-stream", true),
            ("text/event-stream, nonsense", true),
            ("text/event-stream, */*", true),
            ("text/event-stream, text/html", false),
            ("text/event-stream-bogus", false),
            ("text/x-bogus", false),
            ("text/event-stream foobar", false),
            ("text /event-stream", false),
            ("text/", false),
            ("*/*", false),
            ("", false),
            (",", false),
        ] {
            assert_eq!(names(content_type, "text/event-stream"), expected, "{content_type:?}");
        }
    }
}
