//! URLs as people write them, and as they are shown.

use url::{Host, Url};

use crate::failure::Failure;

/// The URL that is meant: one without a scheme is plain HTTP where it is this machine.
pub(crate) fn meant(text: &str) -> Result<String, Failure> {
    if text.contains("://") || text.starts_with("http:") || text.starts_with("https:") {
        return Ok(text.to_owned());
    }
    let refused = |why: String| Failure::usage(format!("not an http or https URL: {:?}: {why}", shown(text)));
    let plain = format!("http://{text}");
    let Some(url) = Url::parse(&plain).ok().filter(Url::has_host) else {
        return Err(refused("it has no scheme and no host; write http://HOST/…".to_owned()));
    };
    if is_this_machine(&url) {
        return Ok(plain);
    }
    let text = shown(text);
    Err(refused(format!("it has no scheme; write https://{text} or http://{text}")))
}

/// A URL for messages and lines that say where something comes from: without a user and a password.
pub(crate) fn shown(text: &str) -> String {
    let after_scheme = text.find("://").map_or(0, |end| end + 3);
    let (scheme, rest) = text.split_at(after_scheme);
    let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{host}{path}")
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_scheme_this_machine_is_meant_or_it_is_told() {
        for (text, expected) in [
            ("127.0.0.1:8888/events/x", "http://127.0.0.1:8888/events/x"),
            ("localhost:8888/events/x?a=b", "http://localhost:8888/events/x?a=b"),
            ("localhost/events", "http://localhost/events"),
            ("hub.localhost:1", "http://hub.localhost:1"),
            ("[::1]:8888/", "http://[::1]:8888/"),
            ("https://hub.example.com/", "https://hub.example.com/"),
            ("ftp://x/", "ftp://x/"),
        ] {
            assert_eq!(meant(text).unwrap(), expected);
        }
        for text in [
            "hub.example.com/events/x",
            "nowhere",
            "10.0.0.1:8888/",
            "",
            "/events/x",
            ":8888/events",
            "me:secret@host/x",
        ] {
            let told = format!("{:?}", meant(text).unwrap_err());
            assert!(told.contains("it has no scheme") && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for (text, expected) in [
            ("http://me:pw@host:1/x@y?z=1", "http://host:1/x@y?z=1"),
            ("http://me:p@w@host/", "http://host/"),
            ("http://me:pw@host:99999999/", "http://host:99999999/"),
            ("https://host/a@b", "https://host/a@b"),
            ("me:pw@host/x", "host/x"),
            ("http://me:pw@host?x", "http://host?x"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
