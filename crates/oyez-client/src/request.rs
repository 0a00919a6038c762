//! One request as it is sent, and what a redirect makes of it.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, COOKIE,
    HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::{Method, Uri};
use oyez_proto::{Event, Redirect};
use url::Url;

use crate::{Error, ErrorKind};

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Those that were asked for this attempt, in place of others of their names.
    pub(crate) fetched: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// A GET of `url`. A user and password in it become the header `Authorization`.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let not_a_url =
            |why: &dyn std::fmt::Display| Error::invalid(format!("not an http or https URL: {:?}: {why}", shown(url)));
        let mut parsed = Url::parse(url).map_err(|error| not_a_url(&error))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(not_a_url(&format_args!("its scheme is {:?}", parsed.scheme())));
        }
        let mut headers = HeaderMap::new();
        if let Some(credentials) = take_credentials(&mut parsed) {
            headers.insert(AUTHORIZATION, credentials);
        }
        Ok(Self { url: parsed, method: Method::GET, headers, fetched: HeaderMap::new(), body: Bytes::new() })
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let (name, mut value) = parse_header(name, value)?;
        value.set_sensitive(CREDENTIALS.contains(&name));
        self.headers.append(name, value);
        Ok(())
    }

    /// Sets a header that the caller has not set.
    pub(crate) fn default_header(&mut self, name: HeaderName, value: &'static str) {
        self.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }

    /// The request that follows `redirect`.
    ///
    /// Source: Fetch Standard, "HTTP-redirect fetch".
    pub(crate) fn redirected(&self, redirect: &Redirect) -> Result<Self, Error> {
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("a redirect leads nowhere: {:?}: {why}", redirect.location);
            Error::new(ErrorKind::Refused, message).with_status(Some(redirect.status))
        };
        let mut next = self.clone();
        next.url = self.url.join(&redirect.location).map_err(|error| refused(&error))?;
        if !matches!(next.url.scheme(), "http" | "https") {
            return Err(refused(&format_args!("its scheme is {:?}", next.url.scheme())));
        }
        let _theirs = take_credentials(&mut next.url); // a server does not choose whom we log in as
        let post_becomes_get = matches!(redirect.status, 301 | 302) && self.method == Method::POST;
        let other_becomes_get = redirect.status == 303 && !matches!(self.method, Method::GET | Method::HEAD);
        if post_becomes_get || other_becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                next.headers.remove(name);
            }
        }
        if next.url.origin() != self.url.origin() {
            for name in CREDENTIALS {
                next.headers.remove(name);
            }
            // whatever they are called: they were fetched for this origin
            next.fetched.clear();
        }
        Ok(next)
    }

    /// Host and port, for messages: a whole URL may hold secrets.
    pub(crate) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    pub(crate) fn to_http(&self) -> Result<http::Request<Bytes>, Error> {
        let uri: Uri = without_fragment(&self.url).parse().map_err(|error| {
            Error::invalid(format!("not a URL that HTTP can ask for: {:?}", self.url.as_str()))
                .with_source(Box::new(error) as crate::BoxError)
        })?;
        let mut request = http::Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(self.fetched.clone());
        if self.body.is_empty() && matches!(self.method, Method::POST | Method::PUT) {
            // so that no server answers 411; Fetch Standard, "HTTP-network-or-cache fetch"
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }
}

/// A header as HTTP carries it.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::invalid(format!("not the name of a header: {name:?}")))?;
    // the value may be a credential, so it is not told
    let value = HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
        .map_err(|_| Error::invalid(format!("the value of header {name:?} holds a control character")))?;
    Ok((parsed, value))
}

/// What was meant to be a URL, for messages: without a user and a password.
fn shown(text: &str) -> String {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |end| end + 3));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    format!("{scheme}{}{path}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

fn without_fragment(url: &Url) -> &str {
    let text = url.as_str();
    text.split_once('#').map_or(text, |(before, _)| before)
}

fn take_credentials(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = percent_decode(url.username());
    let password = percent_decode(url.password().unwrap_or_default());
    // a URL that has a user can also be without one
    let _ = (url.set_username(""), url.set_password(None));
    let pair = Event::base64([user, password].join(&b':'));
    let mut value = HeaderValue::try_from(format!("Basic {}", pair.data_str())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((byte, tail)) = rest.split_first() {
        (rest, _) = match (byte, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => (tail.get(2..).unwrap_or_default(), out.push(high << 4 | low)),
            _ => (tail, out.push(*byte)),
        };
    }
    out
}

const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_proto::{Action, EventSource, Head};

    /// The redirect that the state machine makes of an answer.
    fn redirect(status: u16, location: &str) -> Redirect {
        let mut source = EventSource::new();
        source.poll();
        source.head(&Head::new(status).location(location), 0);
        match source.poll() {
            Some(Action::Connect(attempt)) => attempt.redirect.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(method: Method, from: &str, status: u16, location: &str, expected: &str) {
        let mut request = Request::new(from).unwrap();
        request.method = method;
        request.body = Bytes::from("b");
        request.add_header("authorization", "secret").unwrap();
        request.add_header("cookie", "secret").unwrap();
        request.add_header("content-type", "text/plain").unwrap();
        request.add_header("x-own", "kept").unwrap();
        let found = request.redirected(&redirect(status, location)).map_or_else(
            |error| error.to_string(),
            |next| {
                assert!(next.headers.contains_key("x-own"));
                assert_eq!(next.headers.contains_key(COOKIE), next.headers.contains_key(AUTHORIZATION));
                assert_eq!(next.headers.contains_key(CONTENT_TYPE), !next.body.is_empty());
                let logged_in = if next.headers.contains_key(COOKIE) { " with credentials" } else { "" };
                let body = String::from_utf8_lossy(&next.body);
                format!("{} {}{logged_in} {body}", next.method, next.url)
            },
        );
        assert_eq!(found.trim_end(), expected);
    }

    #[test]
    fn credentials_stay_within_their_origin() {
        let get = Method::GET;
        check(get.clone(), "http://a/x/y?q", 307, "z", "GET http://a/x/z with credentials b");
        check(get.clone(), "http://a/x", 307, "http://a:80/z", "GET http://a/z with credentials b");
        check(get.clone(), "http://a/x", 307, "//b/z", "GET http://b/z b");
        check(get.clone(), "http://a/x", 307, "https://a/z", "GET https://a/z b");
        check(get.clone(), "https://a/x", 307, "http://a/z", "GET http://a/z b");
        check(get.clone(), "http://a/x", 307, "http://a:81/z", "GET http://a:81/z b");
        check(get, "http://a/x", 307, "http://me:pw@b/", "GET http://b/ b");
    }

    #[test]
    fn only_post_becomes_get_on_301_and_302_and_all_but_head_on_303() {
        for (method, status, expected) in [
            (Method::POST, 301, "GET http://a/z with credentials"),
            (Method::POST, 302, "GET http://a/z with credentials"),
            (Method::PUT, 302, "PUT http://a/z with credentials b"),
            (Method::PUT, 303, "GET http://a/z with credentials"),
            (Method::POST, 307, "POST http://a/z with credentials b"),
            (Method::POST, 308, "POST http://a/z with credentials b"),
        ] {
            check(method, "http://a/x", status, "/z", expected);
        }
    }

    #[test]
    fn a_redirect_to_elsewhere_than_http_is_refused() {
        let refused = "a redirect leads nowhere: \"file:///etc/passwd\": its scheme is \"file\"";
        check(Method::GET, "http://a/", 302, "file:///etc/passwd", refused);
        let refused = "a redirect leads nowhere: \"http://[\": invalid IPv6 address";
        check(Method::GET, "http://a/", 302, "http://[", refused);
    }

    #[test]
    fn a_user_in_the_url_becomes_a_header() {
        let request = Request::new("http://us%65r:p%40ss@host/x#part").unwrap();
        assert_eq!(request.headers.get(AUTHORIZATION).unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(request.to_http().unwrap().uri(), "http://host/x");
    }

    #[test]
    fn what_is_no_url_is_refused_and_told() {
        for (url, told) in [
            ("", "not an http or https URL: \"\": relative URL without a base"),
            ("localhost:80/x", "not an http or https URL: \"localhost:80/x\": its scheme is \"localhost\""),
            ("ftp://x/", "not an http or https URL: \"ftp://x/\": its scheme is \"ftp\""),
            ("http://", "not an http or https URL: \"http://\": empty host"),
            ("http://me:pw@h:99999/@", "not an http or https URL: \"http://h:99999/@\": invalid port number"),
            ("ftp://me:p@w@h", "not an http or https URL: \"ftp://h\": its scheme is \"ftp\""),
        ] {
            assert_eq!(Request::new(url).unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn a_header_cannot_inject_another_and_is_not_told() {
        let mut request = Request::new("http://a/").unwrap();
        let error = request.add_header("x", "secret\r\ny: z").unwrap_err().to_string();
        assert_eq!(error, "the value of header \"x\" holds a control character");
        assert!(request.add_header("x y", "").is_err());
    }
}
