//! What is logged, and how.

use tracing::level_filters::LevelFilter;

use super::error::ConfigError;
use super::value::Value;

/// Which lines are logged: levels of everything or of a part of the program, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) String);

/// How lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Value<String> for LogLevel {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        if text.split(',').all(is_directive) {
            return Ok(Self(text));
        }
        Err(ConfigError::new(format!(
            "{key} = {text:?} must be one of off, error, warn, info, debug, trace, or a filter such as info,oyez_server=debug"
        )))
    }
}

/// A level, or the name of a part of the program and its level.
fn is_directive(text: &str) -> bool {
    let (part, level) = text.split_once('=').unwrap_or(("", text));
    let is_part = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':'));
    let is_named = !text.starts_with('=') && !level.is_empty();
    is_part && is_named && level.parse::<LevelFilter>().is_ok()
}

impl Value<String> for LogFormat {
    fn check(key: &str, text: String) -> Result<Self, ConfigError> {
        match &*text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(ConfigError::new(format!("{key} = {other:?} must be text or json"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_all_or_of_a_part() {
        for text in ["info", "WARN", "off", "oyez_server=debug", "warn,oyez::serve=trace,oyez=info"] {
            assert!(LogLevel::check("log_level", text.to_owned()).is_ok(), "{text}");
        }
        for text in ["", "loud", "info,", "=info", "oyez=", "oyez=loud", "a b=info", "info;warn"] {
            let error = LogLevel::check("log_level", text.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("log_level = {text:?} must be one of off, error,")), "{error}");
        }
    }
}
