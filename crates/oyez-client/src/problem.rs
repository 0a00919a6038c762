//! What a refusal says about itself.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::limits::DETAIL_CHARS_MAX;

/// The `detail` of an `application/problem+json` (RFC 9457), else its `title`; the first line of plain text; else
/// nothing. Control characters are left out: the text goes to terminals and logs.
pub(crate) fn detail(headers: &HeaderMap, body: &[u8]) -> String {
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let essence =
        content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    let text = match essence.as_str() {
        "application/problem+json" | "application/json" => {
            let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
            problem.detail.or(problem.title).unwrap_or_default()
        }
        "text/plain" => String::from_utf8_lossy(body).trim().lines().next().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}

/// Appends to `body` what is still wanted of `chunk`; false when there is enough.
pub(crate) fn append(body: &mut Vec<u8>, chunk: &Bytes, bytes_max: usize) -> bool {
    let wanted = bytes_max.saturating_sub(body.len()).min(chunk.len());
    body.extend(chunk.iter().take(wanted));
    body.len() < bytes_max
}

#[derive(Deserialize, Default)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_what_the_server_says() {
        for (content_type, body, expected) in [
            ("application/problem+json", r#"{"title":"t","detail":"topic is\u001b[2J empty\n"}"#, "topic is[2J empty"),
            ("Application/Problem+JSON; charset=utf-8", r#"{"title":"t"}"#, "t"),
            ("application/problem+json", r#"{"detail":5}"#, ""),
            ("application/problem+json", "{", ""),
            ("text/plain", "404 page not found\nmore", "404 page not found"),
            ("text/html", "<h1>no</h1>", ""),
            ("", "no", ""),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(detail(&headers, body.as_bytes()), expected);
        }
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, "text/plain".parse().unwrap())]);
        assert_eq!(detail(&headers, "é".repeat(1_000).as_bytes()).chars().count(), DETAIL_CHARS_MAX);
        assert_eq!(detail(&HeaderMap::new(), b"no"), "");
    }
}
