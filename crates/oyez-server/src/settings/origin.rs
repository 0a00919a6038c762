//! Origins of web pages.

use http::HeaderValue;
use url::Url;

use super::error::ConfigError;
use super::value::Value;

/// An origin as browsers write it: scheme, host, port unless it is the scheme's own; no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

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
        let refused = || ConfigError::new(format!("{key}: {text:?} is not an origin such as https://app.example.com"));
        let url = Url::parse(text).map_err(|_| refused())?;
        if url.origin().ascii_serialization() != text {
            return Err(refused());
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| refused())
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl PartialEq<str> for Origin {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
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
