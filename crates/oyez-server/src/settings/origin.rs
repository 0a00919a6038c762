//! Origins of web pages.

use http::HeaderValue;
use url::Url;

use super::error::ConfigError;
use super::value::Value;

/// An origin as browsers write it: scheme, host, port unless it is the scheme's own; no path. Or all origins whose host has one name
/// more in front: `https://*.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    One(String),
    /// What stands in front of the name, `https://`, and after it, `.example.com`.
    Named {
        scheme: String,
        rest: String,
    },
}

/// Origins whose pages may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cors {
    /// None but the hub's own.
    Off,
    /// All, without credentials.
    Any,
    /// These.
    Origins(Vec<Origin>),
}

impl Origin {
    fn read(key: &str, text: &str) -> Result<Self, ConfigError> {
        let refused = |why: &str| Err(ConfigError::new(format!("{key}: {text:?} {why}")));
        if let Some(origin) = text.strip_suffix('/').filter(|origin| is_origin(&origin.replace("//*.", "//x."))) {
            return refused(&format!("ends with a slash; write it without, {origin:?}"));
        }
        if !text.contains('*') {
            return if is_origin(text) {
                Ok(Self::One(text.to_owned()))
            } else {
                refused("is not an origin such as https://app.example.com")
            };
        }
        match text.split_once("//*.") {
            Some((scheme, rest)) if !rest.contains('*') && is_origin(&format!("{scheme}//x.{rest}")) => {
                let host = rest.split(':').next().unwrap_or_default();
                // every site of a country would be one
                if !host.contains('.') && host != "localhost" {
                    return refused(
                        "matches too many hosts; at least two names must follow the *, as in https://*.example.com",
                    );
                }
                Ok(Self::Named { scheme: format!("{scheme}//"), rest: format!(".{rest}") })
            }
            _ => refused("is not an origin; a * must be the first name of the host, as in https://*.example.com"),
        }
    }

    /// Is it this one, or one of these?
    pub(crate) fn is(&self, origin: &[u8]) -> bool {
        match self {
            Self::One(one) => one.as_bytes() == origin,
            Self::Named { scheme, rest } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|host| host.strip_suffix(rest.as_bytes()))
                .is_some_and(|name| !name.is_empty() && name.iter().all(|byte| is_of_a_name(*byte))),
        }
    }
}

impl Cors {
    /// Whether the list has this origin.
    pub(crate) fn has(origins: &[Origin], origin: &HeaderValue) -> bool {
        origins.iter().any(|listed| listed.is(origin.as_bytes()))
    }
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

/// One name of a host, as browsers write it; a dot would begin another.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

impl Value<Vec<String>> for Vec<Origin> {
    fn check(key: &str, texts: Vec<String>) -> Result<Self, ConfigError> {
        texts.iter().map(|text| Origin::read(key, text)).collect()
    }

    fn unsaid() -> Option<Self> {
        Some(Self::new())
    }
}

impl Value<Vec<String>> for Cors {
    fn check(key: &str, texts: Vec<String>) -> Result<Self, ConfigError> {
        if texts.iter().any(|text| text == "*") {
            return Ok(Self::Any);
        }
        let origins = Vec::check(key, texts)?;
        Ok(if origins.is_empty() { Self::Off } else { Self::Origins(origins) })
    }

    fn unsaid() -> Option<Self> {
        Some(Self::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_name_of_a_host() {
        let check = |written: &str, origin: &str, expected: bool| {
            let read = Origin::read("cors", written).unwrap();
            assert_eq!(read.is(origin.as_bytes()), expected, "{written} {origin}");
        };
        for (origin, expected) in [
            ("https://app.example.com", true),
            ("https://a-b_7.example.com", true),
            ("https://xn--bcher-kva.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("https://a.b.example.com", false),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://app.example.com.evil.example", false),
            ("https://evil.example/.example.com", false),
            ("https://evil@x.example.com", false),
            ("https://evilexample.com", false),
            ("null", false),
            ("", false),
        ] {
            check("https://*.example.com", origin, expected);
        }
        check("http://*.localhost:3000", "http://app.localhost:3000", true);
        check("http://*.localhost:3000", "http://app.localhost", false);
        check("https://app.example.com", "https://app.example.com", true);
        check("https://app.example.com", "https://xapp.example.com", false);
    }
}
