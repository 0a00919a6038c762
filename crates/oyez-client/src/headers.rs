//! Headers that are asked for before each attempt: a token that does not last.

use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use tokio::time::timeout;

use crate::limits::{HEADER_BYTES_MAX, HEADERS_MAX, HEADERS_TIMEOUT};
use crate::request::parse_header;
use crate::{BoxError, Error, ErrorKind};

/// The attempt that headers are asked for, by [`EventSourceBuilder::headers_with`](crate::EventSourceBuilder::headers_with) and
/// [`PublisherBuilder::headers_with`](crate::PublisherBuilder::headers_with).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadersFor {
    /// How many attempts in a row have failed before it: 0 for the first one, and after one that succeeded. Who keeps a token
    /// for a while may fetch a new one when this is not 0.
    pub failures: u32,
}

/// Headers to come.
pub(crate) type Asked = Pin<Box<dyn Future<Output = Result<HeaderMap, Error>> + Send>>;

/// Who is asked.
#[derive(Clone)]
pub(crate) struct Headers(Arc<dyn Fn(HeadersFor) -> Asked + Send + Sync>);

impl Headers {
    pub(crate) fn new<A, H, N, V>(ask: impl Fn(HeadersFor) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<H, BoxError>> + Send + 'static,
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self(Arc::new(move |attempt| {
            let asked = ask(attempt);
            Box::pin(async move {
                let unavailable = |message: String| Error::new(ErrorKind::Unavailable, message);
                match timeout(HEADERS_TIMEOUT, asked).await {
                    Ok(Ok(headers)) => checked(headers),
                    Ok(Err(cause)) => Err(unavailable("no headers for the request".to_owned()).with_source(cause)),
                    Err(_) => Err(unavailable(format!("no headers for the request within {HEADERS_TIMEOUT:?}"))),
                }
            })
        }))
    }

    /// Asks for the headers of an attempt. Its errors: [`ErrorKind::Invalid`] for what HTTP cannot carry, else
    /// [`ErrorKind::Unavailable`].
    pub(crate) fn ask(&self, failures: u32) -> Asked {
        (self.0)(HeadersFor { failures })
    }
}

fn checked<N: AsRef<str>, V: AsRef<str>>(headers: impl IntoIterator<Item = (N, V)>) -> Result<HeaderMap, Error> {
    let (mut map, mut bytes) = (HeaderMap::new(), 0_usize);
    for (name, value) in headers {
        let (name, value) = (name.as_ref(), value.as_ref());
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if map.len() == HEADERS_MAX || bytes > HEADER_BYTES_MAX {
            let message = format!("more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them for a request");
            return Err(Error::invalid(message));
        }
        let (name, mut value) = parse_header(name, value)?;
        value.set_sensitive(true); // what is fetched for each attempt is a credential
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: Vec<(&str, String)>, expected: Result<usize, &str>) {
        let found = checked(headers).map(|map| map.len()).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.to_string()
        });
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn there_are_so_many_of_so_many_bytes_and_no_more() {
        let refused = Err("more than 100 headers or 65536 bytes of them for a request");
        check(vec![], Ok(0));
        check(vec![("a", "1".to_owned()), ("A", "2".to_owned())], Ok(2));
        check(vec![("a", String::new()); 100], Ok(100));
        check(vec![("a", String::new()); 101], refused);
        check(vec![("a", "x".repeat(65_535))], Ok(1));
        check(vec![("a", "x".repeat(65_536))], refused);
        check(vec![("a", "x".repeat(40_000)); 2], refused);
    }

    #[test]
    fn what_http_cannot_carry_is_named_without_its_value() {
        check(vec![("a b", "x".to_owned())], Err("not the name of a header: \"a b\""));
        let told = "the value of header \"authorization\" holds a control character";
        check(vec![("authorization", "Bearer secret\n".to_owned())], Err(told));
    }
}
