//! What a refusal says about itself.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::limits::DETAIL_CHARS_MAX;

/// What a JSON object says in the field `detail`, `message`, `error_description`, `error` or `title`, in this order (RFC 9457 has
/// the first and the last, RFC 6749 the third and fourth; `error` may be an object with a `message`); the first line of plain text;
/// else nothing. Control characters are left out: the text goes to terminals and logs.
pub(crate) fn detail(headers: &HeaderMap, body: &[u8]) -> String {
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let essence =
        content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    let text = match essence.as_str() {
        _ if is_json(&essence) => of_json(body),
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

/// Is this the type of a JSON document?
pub(crate) fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

fn of_json(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = |name: &str| match problem.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Object(inner) => inner.get("message")?.as_str().map(str::to_owned),
        _ => None,
    };
    ["detail", "message", "error_description", "error", "title"].into_iter().find_map(said).unwrap_or_default()
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
            ("application/json", r#"{"error":"token expired"}"#, "token expired"),
            ("application/json", r#"{"message":"no such topic","error":"Not Found"}"#, "no such topic"),
            ("application/json", r#"{"error":{"message":"too many","code":7}}"#, "too many"),
            ("application/json", r#"{"error":"invalid_token","error_description":"expired"}"#, "expired"),
            ("application/vnd.api+json", r#"{"title":"t"}"#, "t"),
            ("application/json", r#"["error"]"#, ""),
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
