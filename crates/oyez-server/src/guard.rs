//! Who may call at all, on every route: the Host rule against DNS rebinding and the Origin rule against other sites'
//! pages. Pure functions of the request's head.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{Method, Uri};
use url::Url;

use crate::limits::URI_BYTES_MAX;
use crate::problem::Problem;
use crate::settings::Origin;

/// What the configuration allows.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    loopback: bool,
    public: Vec<Url>,
    publish_origins: Vec<Origin>,
}

/// What other origins' pages may do where nothing is changed. Where something is, the same rule holds everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Read the answer, as far as the configuration lets them.
    Read,
    /// Lead here, as a link does. They read nothing, whatever is configured.
    Link,
    /// Nothing: the rule for changes holds here too.
    Nothing,
}

impl Guard {
    pub(crate) fn new(listener: SocketAddr, public: Vec<Url>, publish_origins: Vec<Origin>) -> Self {
        Self { loopback: listener.ip().is_loopback(), public, publish_origins }
    }

    /// Checks a request's head; `hostless` is one that need not say to whom it is.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        pages: Pages,
        hostless: bool,
    ) -> Result<(), Problem> {
        let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
        if length > URI_BYTES_MAX {
            return Err(Problem::UriTooLong(length));
        }
        // no browser leaves it out, so no page of another site can have sent such a request
        let host = host(uri, headers)?.filter(|host| !host.is_empty() || !hostless);
        match host.as_deref() {
            Some(host) => self.check_host(host)?,
            None if hostless => {}
            None => return Err(Problem::invalid("the request has no Host")),
        }
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS if pages != Pages::Nothing => Ok(()),
            _ => self.check_origin(host.as_deref(), headers),
        }
    }

    fn check_host(&self, host: &str) -> Result<(), Problem> {
        let refused = || Problem::Host { host: host.to_owned() };
        let authority: Authority = host.parse().map_err(|_| refused())?;
        let public = self.public.iter().any(|url| is_host_of(&authority, url));
        let allowed = public || if self.loopback { is_loopback(authority.host()) } else { self.public.is_empty() };
        // `user@localhost` has the host localhost, but no browser sends it
        if allowed && !host.contains('@') { Ok(()) } else { Err(refused()) }
    }

    fn check_origin(&self, host: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return check_fetch_site(headers) };
        let origin = origin.to_str().unwrap_or("null");
        let named = origin.strip_prefix("http://").zip(host);
        let own = named.is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
        let public = self.public.iter().any(|url| url.origin().ascii_serialization() == origin);
        let listed = self.publish_origins.iter().any(|listed| listed.is(origin.as_bytes()));
        if origins.next().is_none() && origin != "null" && (own || public || listed) {
            return Ok(());
        }
        Err(Problem::Origin(format!("Origin {origin:?} may not publish here; to allow it, name it in publish_origins")))
    }
}

/// Browsers that send no `Origin` still say where a request comes from. Other callers send neither.
fn check_fetch_site(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes) {
        Some(site @ (b"cross-site" | b"same-site")) => {
            let site = String::from_utf8_lossy(site);
            Err(Problem::Origin(format!("a {site} page may not publish here (Sec-Fetch-Site)")))
        }
        _ => Ok(()),
    }
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<Cow<'a, str>>, Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Problem::invalid("the request has more than one Host"));
    }
    let header = first.map(|host| String::from_utf8_lossy(host.as_bytes()));
    // RFC 9112, 3.2.2: an absolute target counts, whatever the header says
    let target = uri.authority().map(|authority| Cow::Borrowed(authority.as_str()));
    Ok(target.or(header))
}

fn is_host_of(authority: &Authority, url: &Url) -> bool {
    let same_host = url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(authority.host()));
    let default_port = if url.scheme() == "https" { 443 } else { 80 };
    same_host && authority.port_u16().unwrap_or(default_port) == url.port_or_known_default().unwrap_or(default_port)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.rsplit('.').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || (host.starts_with('[') && bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Value;

    fn guard(listener: &str, public: &[&str], publish_origins: &[&str]) -> Guard {
        Guard::new(
            listener.parse().unwrap(),
            public.iter().map(|url| url.parse().unwrap()).collect(),
            Value::check("publish_origins", publish_origins.iter().map(ToString::to_string).collect()).unwrap(),
        )
    }

    fn check(guard: &Guard, method: &Method, headers: &[(&str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        guard
            .check(method, &"/events/a".parse().unwrap(), &headers, Pages::Read, false)
            .map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_loopback_listener_serves_loopback_hosts() {
        let guard = guard("127.0.0.1:8888", &["https://hub.example.com"], &[]);
        for (host, expected) in [
            ("localhost", 200),
            ("localhost:8888", 200),
            ("LOCALHOST:1", 200),
            ("app.localhost:3000", 200),
            ("127.0.0.1:8888", 200),
            ("127.9.9.9", 200),
            ("[::1]:8888", 200),
            ("hub.example.com", 200),
            ("hub.example.com:443", 200),
            ("hub.example.com:8443", 421),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("evil-localhost", 421),
            ("127.0.0.1.evil.example", 421),
            ("128.0.0.1", 421),
            ("[::2]", 421),
            ("localhost@evil.example", 421),
            ("evil@localhost", 421),
            ("0.0.0.0:8888", 421),
            ("", 421),
        ] {
            assert_eq!(check(&guard, &Method::GET, &[("host", host)]), expected, "{host:?}");
        }
        assert_eq!(check(&guard, &Method::GET, &[]), 400);
        assert_eq!(check(&guard, &Method::GET, &[("host", "localhost"), ("host", "localhost")]), 400);
    }

    #[test]
    fn another_listener_serves_its_public_hosts_or_any() {
        assert_eq!(check(&guard("0.0.0.0:80", &[], &[]), &Method::GET, &[("host", "anything.example")]), 200);
        let guard = guard("0.0.0.0:80", &["http://hub.example.com"], &[]);
        assert_eq!(check(&guard, &Method::GET, &[("host", "hub.example.com")]), 200);
        assert_eq!(check(&guard, &Method::GET, &[("host", "localhost")]), 421);
    }

    #[test]
    fn only_own_and_listed_origins_may_change_things() {
        let listed = ["https://app.example.com", "https://*.example.net"];
        let guard = guard("127.0.0.1:8888", &["https://hub.example.com"], &listed);
        for (origin, expected) in [
            ("http://localhost:8888", 200),
            ("https://hub.example.com", 200),
            ("https://app.example.com", 200),
            ("https://one.example.net", 200),
            ("https://a.one.example.net", 403),
            ("https://example.net", 403),
            ("https://localhost:8888", 403),
            ("http://localhost", 403),
            ("http://localhost:3000", 403),
            ("http://hub.example.com", 403),
            ("https://app.example.com.evil.example", 403),
            ("https://app.example.com:444", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            let headers = [("host", "localhost:8888"), ("origin", origin)];
            assert_eq!(check(&guard, &Method::POST, &headers), expected, "{origin:?}");
            assert_eq!(check(&guard, &Method::GET, &headers), 200, "reading is CORS's business: {origin:?}");
        }
        let twice =
            [("host", "localhost:8888"), ("origin", "http://localhost:8888"), ("origin", "http://localhost:8888")];
        assert_eq!(check(&guard, &Method::POST, &twice), 403);
    }

    #[test]
    fn without_an_origin_the_fetch_site_decides() {
        let guard = guard("127.0.0.1:8888", &[], &[]);
        for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            let headers = [("host", "localhost:8888"), ("sec-fetch-site", site)];
            assert_eq!(check(&guard, &Method::POST, &headers), expected, "{site}");
        }
        assert_eq!(check(&guard, &Method::POST, &[("host", "localhost:8888")]), 200);
    }
}
