//! Cookies of one reader, as long as it lives.

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

use crate::limits::{COOKIE_BYTES_MAX, COOKIES_MAX};

/// What servers have set, each for its own origin: no cookie is for a whole domain, and none for another port.
///
/// Source: RFC 6265, 5.2 to 5.4, without the attributes `Domain` and `Expires`, but for an expiry of long ago.
#[derive(Debug, Default)]
pub(crate) struct Cookies(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    origin: String,
    path: String,
    name: String,
    value: String,
}

impl Cookies {
    /// Notes what an answer from `url` sets.
    pub(crate) fn note(&mut self, url: &Url, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            if let Some((cookie, is_gone)) = header.to_str().ok().and_then(|header| read(url, header)) {
                self.0.retain(|kept| !kept.is_replaced_by(&cookie));
                // the oldest are what the newest server knows least
                if !is_gone {
                    self.0.drain(..(self.0.len() + 1).saturating_sub(COOKIES_MAX));
                    self.0.push(cookie);
                }
            }
        }
    }

    /// What is sent to `url`, after cookies of the caller's own.
    pub(crate) fn header(&self, url: &Url, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = url.origin().ascii_serialization();
        let sent = self.0.iter().filter(|cookie| cookie.origin == origin && is_under(url.path(), &cookie.path));
        let mut pairs: Vec<String> = sent.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if pairs.is_empty() {
            return None;
        }
        if let Some(own) = own.and_then(|own| own.to_str().ok()) {
            pairs.insert(0, own.to_owned());
        }
        let mut value = HeaderValue::try_from(pairs.join("; ")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Cookie {
    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.origin, &self.path, &self.name) == (&other.origin, &other.path, &other.name)
    }
}

/// The cookie of a header, and whether it is one that is to be forgotten.
fn read(url: &Url, header: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || header.len() > COOKIE_BYTES_MAX {
        return None;
    }
    let (mut path, mut max_age, mut is_expired) = (None, None, false);
    for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
        match &*attribute.trim().to_ascii_lowercase() {
            "path" => path = Some(value.trim()).filter(|path| path.starts_with('/')),
            "max-age" => max_age = value.trim().parse::<i64>().ok(),
            "expires" => is_expired = value.contains("1970"),
            _ => {}
        }
    }
    let cookie = Cookie {
        origin: url.origin().ascii_serialization(),
        path: path.map_or_else(|| folder(url.path()), str::to_owned),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Some((cookie, max_age.map_or(is_expired, |age| age <= 0)))
}

/// The default of `Path`.
fn folder(path: &str) -> String {
    match path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => path.get(..end).unwrap_or_default().to_owned(),
    }
}

fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set: &[(&str, &str)], url: &str, expected: &str) {
        let mut cookies = Cookies::default();
        for (url, cookie) in set {
            let headers = HeaderMap::from_iter([(SET_COOKIE, cookie.parse().unwrap())]);
            cookies.note(&Url::parse(url).unwrap(), &headers);
        }
        let header = cookies.header(&Url::parse(url).unwrap(), None);
        assert_eq!(header.as_ref().map_or("", |header| header.to_str().unwrap()), expected);
    }

    #[test]
    fn a_cookie_is_for_its_origin_and_its_path() {
        let set = [("http://h/events/x", "node=a; Path=/; HttpOnly"), ("http://h/events/x", " b = c ")];
        check(&set, "http://h/events/y", "node=a; b=c");
        check(&set, "http://h/other", "node=a");
        check(&set, "http://h/eventsx", "node=a");
        check(&set, "http://h:81/events/y", "");
        check(&set, "https://h/events/y", "");
        check(&set, "http://sub.h/events/y", "");
    }

    #[test]
    fn a_later_one_replaces_it_and_an_old_one_takes_it_away() {
        let at = "http://h/events/x";
        check(&[(at, "node=a"), (at, "node=b")], at, "node=b");
        check(&[(at, "node=a"), (at, "node=a; Max-Age=0")], at, "");
        check(&[(at, "node=a"), (at, "node=; expires=Thu, 01 Jan 1970 00:00:00 GMT")], at, "");
        check(&[(at, "node=a; Max-Age=60; expires=Thu, 01 Jan 1970 00:00:00 GMT")], at, "node=a");
        check(&[(at, "nothing"), (at, "=x"), (at, "")], at, "");
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut cookies = Cookies::default();
        let url = Url::parse("http://h/").unwrap();
        for number in 0..COOKIES_MAX + 5 {
            let headers = HeaderMap::from_iter([(SET_COOKIE, format!("c{number}=1").parse().unwrap())]);
            cookies.note(&url, &headers);
        }
        let long = format!("long={}", "x".repeat(COOKIE_BYTES_MAX));
        cookies.note(&url, &HeaderMap::from_iter([(SET_COOKIE, long.parse().unwrap())]));
        assert_eq!(cookies.0.len(), COOKIES_MAX);
        assert_eq!(cookies.0[0].name, "c5");
        let own = HeaderValue::from_static("mine=1");
        assert!(cookies.header(&url, Some(&own)).unwrap().to_str().unwrap().starts_with("mine=1; c5=1; c6=1"));
    }
}
