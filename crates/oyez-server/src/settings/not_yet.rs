//! What the design has and this build does not.

use super::error::ConfigError;

/// Settings that the design has and this build does not: refused by name, never ignored. Each is its key in the file and the
/// name of its flag; its variable is `OYEZ_` and the key.
pub const NOT_YET: [(&str, &str); 12] = [
    ("log", "log"),
    ("publisher_key", "publisher-key"),
    ("subscriber_key", "subscriber-key"),
    ("anonymous", "anonymous"),
    ("subscriptions", "subscriptions"),
    ("mercure_0x", "mercure-0x"),
    ("issuer", "issuer"),
    ("audience", "audience"),
    ("tls_cert", "tls-cert"),
    ("tls_key", "tls-key"),
    ("trusted_proxies", "trusted-proxies"),
    ("ids", "ids"),
];

/// Is this the key of one of them?
pub(crate) fn is_not_yet(key: &str) -> bool {
    NOT_YET.iter().any(|(not_yet, _)| *not_yet == key)
}

/// What is said of one, under the name by which it was asked for.
pub(crate) fn not_yet(name: &str) -> ConfigError {
    ConfigError::new(format!("{name} is not in this build yet; leave it out"))
}
