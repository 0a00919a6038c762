//! What a request says in its headers.

use std::borrow::Cow;

use http::HeaderName;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use oyez::IdempotencyKey;

use crate::problem::Problem;

/// The key under which a request is published once.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let key = one_header(headers, &IDEMPOTENCY_KEY)?;
    key.map(|key| IdempotencyKey::new(&key).map_err(Problem::refused)).transpose()
}

/// Bodies are taken as they are.
pub(crate) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(Problem::ContentEncoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()))
        }
        _ => Ok(()),
    }
}

/// A header that may be there once.
pub(crate) fn one_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Cow<'a, str>>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
    if values.next().is_some() {
        return Err(Problem::invalid(format!("the header {name} is given more than once")));
    }
    Ok(first)
}

/// Whether one of the types that the reader takes is this.
pub(crate) fn accepts(headers: &HeaderMap, mime: &str) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(mime)))
}

/// The content type without its parameters, in lower case.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
