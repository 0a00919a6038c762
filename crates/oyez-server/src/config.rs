//! Flags, environment and file become one checked [`Config`].

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use oyez::{Durability, Matcher, Retention, SlowPolicy, Storage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use url::Url;

use crate::limits::{
    COMPACT_MAX, CONNECTIONS_MAX, CONNECTIONS_MIN, DESCRIPTORS_RESERVED, DRAIN, HISTORY_BYTES, KEEP_ALIVE, STORED_AGE,
    STORED_BYTES, STREAM_LIFE, STREAMS_PER_ADDRESS,
};
use crate::units;

/// What a source says; what it does not say is left to the source below it: flags, then environment, then file, then
/// defaults. Values are as people write them and are checked by [`Settings::resolve`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Address of the public listener, `127.0.0.1:8888`.
    pub listen: Option<String>,
    /// Address of the admin listener, `127.0.0.1:9888`.
    pub admin: Option<String>,
    /// Age of the oldest event kept, such as `7d`.
    pub keep: Option<String>,
    /// Memory for the history, such as `1GiB`.
    pub keep_bytes: Option<Text>,
    /// Number of events kept.
    pub keep_events: Option<Text>,
    /// Topics that are kept otherwise than the rest, on disk only: `[[class]]` in the file.
    pub class: Option<Vec<ClassSettings>>,
    /// Topics, or patterns of them, whose newest value of each key is kept for ever.
    pub compact: Option<Vec<String>>,
    /// `disconnect`, `skip` or `latest`.
    pub slow: Option<String>,
    /// The directory of the history; without one it is in memory.
    pub data: Option<String>,
    /// `memory`, `flush` or `fsync`.
    pub durability: Option<String>,
    /// The topics `clock` and `stock`, and the page.
    pub demo: Option<bool>,
    /// The page at `/`.
    pub page: Option<bool>,
    /// Origins whose pages may read; `*` is all.
    pub cors: Option<Vec<String>>,
    /// Origins whose pages may publish.
    pub publish_origins: Option<Vec<String>>,
    /// Where the hub is reached from outside.
    pub public_urls: Option<Vec<String>>,
    /// Silence before a keep-alive, such as `15s`.
    pub keep_alive: Option<String>,
    /// Life of a stream, such as `1h`; `0s` is for ever.
    pub stream_life: Option<String>,
    /// Time that a drain may take, such as `20s`.
    pub drain: Option<String>,
    /// Connections at once.
    pub connections_max: Option<Text>,
    /// Streams of one address that is not loopback.
    pub streams_per_address: Option<Text>,
}

/// How long the topics of a pattern are kept. What is not said is as for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSettings {
    /// A topic or a pattern of topics.
    pub topics: String,
    /// Age of the oldest event kept, such as `1h`.
    pub keep: Option<String>,
    /// Bytes on the disk, such as `100MiB`.
    pub keep_bytes: Option<Text>,
    /// Number of events kept.
    pub keep_events: Option<Text>,
}

/// A number or a text: `keep_events = 1000` and `keep_bytes = "1GiB"` are both natural.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// `1000`
    Number(u64),
    /// `"1GiB"`
    Text(String),
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Names of settings that the design has and this build does not: refused by name, never ignored.
pub const NOT_YET: [&str; 12] = [
    "log",
    "publisher_key",
    "subscriber_key",
    "anonymous",
    "subscriptions",
    "mercure_0x",
    "issuer",
    "audience",
    "tls_cert",
    "tls_key",
    "trusted_proxies",
    "ids",
];

/// Why a configuration is refused: one line that names the setting and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Settings {
    /// Reads `oyez.toml`.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has a key that is unknown or not in this build.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(format!("{name}: {error}")))?;
        Self::from_toml(&text).map_err(|error| ConfigError::new(format!("{name}: {error}")))
    }

    fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let refused = |error| ConfigError::new(one_line(&error, text));
        let table: toml::Table = text.parse().map_err(refused)?;
        if let Some(key) = NOT_YET.iter().find(|key| table.contains_key(**key)) {
            return Err(not_yet(key));
        }
        toml::from_str(text).map_err(refused)
    }

    /// Reads `OYEZ_…` variables; lists are separated by commas. Returns the names it does not know as well: they may be
    /// another program's.
    ///
    /// # Errors
    /// When a variable, Mercure's names included, asks for what this build does not have, or is not a truth value where one is needed.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<(Self, Vec<String>), ConfigError> {
        let mut settings = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in variables {
            if name.starts_with("MERCURE_") && !value.is_empty() {
                return Err(ConfigError::new(format!("{name} is set, but Mercure is not in this build yet; unset it")));
            }
            let Some(key) = name.strip_prefix("OYEZ_").map(str::to_ascii_lowercase) else { continue };
            if NOT_YET.contains(&&*key) {
                return Err(not_yet(&name));
            }
            if !settings.set(&key, &value).map_err(|error| ConfigError::new(format!("{name}: {error}")))? {
                unknown.push(name);
            }
        }
        Ok((settings, unknown))
    }

    /// Sets one value by its key; `false` when there is no such key.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        let text = || Some(value.to_owned());
        let number = || Some(Text::Text(value.to_owned()));
        let list =
            || Some(value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect());
        match key {
            "listen" => self.listen = text(),
            "admin" => self.admin = text(),
            "keep" => self.keep = text(),
            "keep_bytes" => self.keep_bytes = number(),
            "keep_events" => self.keep_events = number(),
            "compact" => self.compact = list(),
            "slow" => self.slow = text(),
            "data" => self.data = text(),
            "durability" => self.durability = text(),
            "demo" => self.demo = Some(truth(value)?),
            "page" => self.page = Some(truth(value)?),
            "cors" => self.cors = list(),
            "publish_origins" => self.publish_origins = list(),
            "public_urls" => self.public_urls = list(),
            "keep_alive" => self.keep_alive = text(),
            "stream_life" => self.stream_life = text(),
            "drain" => self.drain = text(),
            "connections_max" => self.connections_max = number(),
            "streams_per_address" => self.streams_per_address = number(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// These settings, and what they do not say from `below`.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            admin: self.admin.or(below.admin),
            keep: self.keep.or(below.keep),
            keep_bytes: self.keep_bytes.or(below.keep_bytes),
            keep_events: self.keep_events.or(below.keep_events),
            class: self.class.or(below.class),
            compact: self.compact.or(below.compact),
            slow: self.slow.or(below.slow),
            data: self.data.or(below.data),
            durability: self.durability.or(below.durability),
            demo: self.demo.or(below.demo),
            page: self.page.or(below.page),
            cors: self.cors.or(below.cors),
            publish_origins: self.publish_origins.or(below.publish_origins),
            public_urls: self.public_urls.or(below.public_urls),
            keep_alive: self.keep_alive.or(below.keep_alive),
            stream_life: self.stream_life.or(below.stream_life),
            drain: self.drain.or(below.drain),
            connections_max: self.connections_max.or(below.connections_max),
            streams_per_address: self.streams_per_address.or(below.streams_per_address),
        }
    }

    /// Checks every value and fills in the defaults. Raises the process's soft limit of open files, which connections
    /// depend on.
    ///
    /// # Errors
    /// The first value that is wrong or unsafe.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let listen = address("listen", self.listen.as_deref().unwrap_or("127.0.0.1:8888"))?;
        let admin = address("admin", self.admin.as_deref().unwrap_or("127.0.0.1:9888"))?;
        if !listen.ip().is_loopback() {
            return Err(ConfigError::new(format!(
                "listen = {listen} is not loopback: anyone could publish, and keys are not in this build yet; \
                 listen on 127.0.0.1 or [::1]"
            )));
        }
        let storage = storage(self.data.as_deref(), self.durability.as_deref())?;
        let bytes = if storage.is_some() { STORED_BYTES } else { HISTORY_BYTES };
        let mut history = Retention::default().bytes(size("keep_bytes", self.keep_bytes, bytes)?);
        if storage.is_some() {
            history = history.age(STORED_AGE);
        }
        if let Some(events) = self.keep_events {
            history = history.events(number("keep_events", Some(events), 0)?);
        }
        if let Some(age) = self.keep {
            history = history.age(duration("keep", Some(age), Duration::ZERO)?);
        }
        let compact = compact(&self.compact.unwrap_or_default())?;
        let demo = self.demo.unwrap_or(false);
        let cors = Cors::new(&self.cors.unwrap_or_default())?;
        let public_urls = self.public_urls.unwrap_or_default();
        let public_urls = public_urls.iter().map(|url| public_url(url)).collect::<Result<Vec<_>, _>>()?;
        let publish_origins = self.publish_origins.unwrap_or_default();
        for text in &publish_origins {
            origin("publish_origins", text)?;
        }
        Ok(Config {
            listen,
            admin,
            history,
            compact,
            storage: classes(storage.map(|storage| storage.keep(history)), self.class.unwrap_or_default(), history)?,
            slow: slow(self.slow.as_deref().unwrap_or("disconnect"))?,
            demo,
            page: self.page.unwrap_or_else(|| listen.ip().is_loopback() || demo),
            cors,
            anonymous_publish: listen.ip().is_loopback() && public_urls.is_empty(),
            publish_origins,
            public_urls,
            keep_alive: duration("keep_alive", self.keep_alive, KEEP_ALIVE)?,
            stream_life: duration("stream_life", self.stream_life, STREAM_LIFE)?,
            drain: duration("drain", self.drain, DRAIN)?,
            connections_max: connections(self.connections_max)?,
            streams_per_address: number("streams_per_address", self.streams_per_address, STREAMS_PER_ADDRESS)?,
        })
    }
}

/// A configuration that is known to be good. Made by [`Settings::resolve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// What is kept.
    pub history: Retention,
    /// Topics whose newest value of each key is kept for ever.
    pub compact: Vec<Matcher>,
    /// Where the history is, when it is on disk.
    pub storage: Option<Storage>,
    /// What happens to a reader that falls behind.
    pub slow: SlowPolicy,
    /// The demo topics.
    pub demo: bool,
    /// The page at `/`.
    pub page: bool,
    /// Who may read from other origins.
    pub cors: Cors,
    /// Anyone on this machine may publish.
    pub anonymous_publish: bool,
    /// Origins whose pages may publish.
    pub publish_origins: Vec<String>,
    /// Where the hub is reached from outside.
    pub public_urls: Vec<Url>,
    /// Silence before a keep-alive.
    pub keep_alive: Duration,
    /// Life of a stream, zero for ever.
    pub stream_life: Duration,
    /// Time that a drain may take.
    pub drain: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// Streams of one address that is not loopback.
    pub streams_per_address: usize,
}

impl Config {
    /// Where the history is, and what an acknowledged publish survives.
    #[must_use]
    pub fn history_in_words(&self) -> String {
        let Some(storage) = &self.storage else {
            return "history is in memory: a restart forgets it, and readers are told so; keep it with --data DIR"
                .to_owned();
        };
        let survives = match storage.level() {
            Durability::Flush => "what is acknowledged survives the end of this process, not that of the machine",
            _ => "what is acknowledged is on the disk",
        };
        format!("history is in {}: {survives}", storage.directory().display())
    }
}

/// Origins whose pages may read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cors {
    /// None but the hub's own.
    Off,
    /// All, without credentials.
    Any,
    /// These.
    Origins(Vec<HeaderValue>),
}

impl Cors {
    fn new(origins: &[String]) -> Result<Self, ConfigError> {
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        if origins.is_empty() {
            return Ok(Self::Off);
        }
        origins.iter().map(|text| origin("cors", text)).collect::<Result<_, _>>().map(Self::Origins)
    }
}

fn not_yet(name: &str) -> ConfigError {
    ConfigError::new(format!("{name} is not in this build yet; leave it out"))
}

/// What is wrong with the file, with its line where it is known.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

fn truth(value: &str) -> Result<bool, ConfigError> {
    match value {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        other => Err(ConfigError::new(format!("{other:?} is neither true nor false"))),
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::new(format!("{key} = {text:?} is not an address such as 127.0.0.1:8888")))
}

fn duration(key: &str, text: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    units::duration(&text)
        .ok_or_else(|| ConfigError::new(format!("{key} = {text:?} is not a duration such as 15s or 7d")))
}

fn number(key: &str, value: Option<Text>, default: usize) -> Result<usize, ConfigError> {
    quantity(key, value, default, "a number such as 1000", |text| text.parse().ok())
}

fn size(key: &str, value: Option<Text>, default: usize) -> Result<usize, ConfigError> {
    quantity(key, value, default, "a size such as 1000 or 64MiB", units::bytes)
}

fn quantity(
    key: &str,
    value: Option<Text>,
    default: usize,
    what: &str,
    parse: impl FnOnce(&str) -> Option<usize>,
) -> Result<usize, ConfigError> {
    let refused = |text: &dyn std::fmt::Display| ConfigError::new(format!("{key} = {text} is not {what}"));
    match value {
        None => Ok(default),
        Some(Text::Number(number)) => usize::try_from(number).map_err(|_| refused(&number)),
        Some(Text::Text(text)) => parse(&text).ok_or_else(|| refused(&format!("{text:?}"))),
    }
}

fn compact(patterns: &[String]) -> Result<Vec<Matcher>, ConfigError> {
    if patterns.len() > COMPACT_MAX {
        let number = patterns.len();
        return Err(ConfigError::new(format!("compact: {number} patterns, at most {COMPACT_MAX} are allowed")));
    }
    let matcher = |pattern: &String| pattern.parse().map_err(|error| ConfigError::new(format!("compact: {error}")));
    patterns.iter().map(matcher).collect()
}

/// A history on disk with its classes of topics.
fn classes(
    storage: Option<Storage>,
    classes: Vec<ClassSettings>,
    rest: Retention,
) -> Result<Option<Storage>, ConfigError> {
    let Some(mut storage) = storage else {
        return match classes.first() {
            None => Ok(None),
            Some(ClassSettings { topics, .. }) => Err(ConfigError::new(format!(
                "class {topics:?} is for a history on disk; name its directory (--data DIR, or data = \"DIR\")"
            ))),
        };
    };
    for ClassSettings { topics, keep, keep_bytes, keep_events } in classes {
        let refused = |error: oyez::Error| ConfigError::new(format!("class {topics:?}: {error}"));
        let key = |name: &str| format!("class {topics:?}: {name}");
        let mut retention = rest;
        if let Some(age) = keep {
            retention = retention.age(duration(&key("keep"), Some(age), Duration::ZERO)?);
        }
        if let Some(bytes) = keep_bytes {
            retention = retention.bytes(size(&key("keep_bytes"), Some(bytes), 0)?);
        }
        if let Some(events) = keep_events {
            retention = retention.events(number(&key("keep_events"), Some(events), 0)?);
        }
        storage = storage.class(topics.parse().map_err(refused)?, retention).map_err(refused)?;
    }
    Ok(Some(storage))
}

/// Where the history is kept, if not in memory.
fn storage(data: Option<&str>, durability: Option<&str>) -> Result<Option<Storage>, ConfigError> {
    let level = match durability {
        None => data.map(|_| Durability::Fsync),
        Some("memory") => None,
        Some("flush") => Some(Durability::Flush),
        Some("fsync") => Some(Durability::Fsync),
        Some(other) => {
            return Err(ConfigError::new(format!("durability = {other:?} is none of memory, flush, fsync")));
        }
    };
    match (data, level) {
        (Some(""), _) => {
            Err(ConfigError::new("data is empty; name a directory, or leave it out for history in memory"))
        }
        (Some(data), Some(level)) => Ok(Some(Storage::new(data).durability(level))),
        (None, None) => Ok(None),
        // a directory that nothing is written to would be found out after the next restart
        (Some(data), None) => Err(ConfigError::new(format!(
            "durability = \"memory\" writes nothing to data = {data:?}; leave one of the two out"
        ))),
        (None, Some(_)) => {
            let level = durability.unwrap_or_default();
            Err(ConfigError::new(format!(
                "durability = {level:?} needs a directory; name it (--data DIR, or data = \"DIR\")"
            )))
        }
    }
}

fn slow(text: &str) -> Result<SlowPolicy, ConfigError> {
    match text {
        "disconnect" => Ok(SlowPolicy::Disconnect),
        "skip" => Ok(SlowPolicy::Skip),
        "latest" => Ok(SlowPolicy::Latest),
        other => Err(ConfigError::new(format!("slow = {other:?} is none of disconnect, skip, latest"))),
    }
}

fn public_url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| ConfigError::new(format!("public_urls: {text:?} is not a URL such as https://hub.example.com")))
}

/// An origin as browsers write it: scheme, host, port unless it is the scheme's own; no path.
fn origin(key: &str, text: &str) -> Result<HeaderValue, ConfigError> {
    let refused = || ConfigError::new(format!("{key}: {text:?} is not an origin such as https://app.example.com"));
    let url = Url::parse(text).map_err(|_| refused())?;
    if url.origin().ascii_serialization() != text {
        return Err(refused());
    }
    HeaderValue::from_str(text).map_err(|_| refused())
}

/// The number of connections that the open files allow, after the soft limit was raised.
fn connections(wanted: Option<Text>) -> Result<usize, ConfigError> {
    let allowed = usize::try_from(raise_descriptors().saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
    let refused = |number| {
        ConfigError::new(format!(
            "{number} connections need {number} + {DESCRIPTORS_RESERVED} open files, and the limit allows {allowed} connections; \
             raise it (ulimit -n, LimitNOFILE) or lower connections_max"
        ))
    };
    let number = number("connections_max", wanted, allowed.min(CONNECTIONS_MAX))?;
    if allowed < CONNECTIONS_MIN {
        return Err(refused(CONNECTIONS_MIN));
    }
    if number > allowed { Err(refused(number)) } else { Ok(number) }
}

fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // failing to raise it is no error: what there is decides
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(toml: &str) -> Result<Config, String> {
        Settings::from_toml(toml).and_then(Settings::resolve).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_is_a_safe_server() {
        let config = resolve("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8888");
        assert_eq!(config.admin.to_string(), "127.0.0.1:9888");
        assert!(config.anonymous_publish && config.page && !config.demo);
        assert_eq!(config.cors, Cors::Off);
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (toml, part) in [
            ("listn = 1", "listn"),
            ("data = ''", "data is empty"),
            ("[[class]]\ntopics = 'jobs/*'", "class \"jobs/*\" is for a history on disk"),
            ("data = 'd'\n[[class]]\ntopics = 'a'\nkeep = 'long'", "class \"a\": keep = \"long\""),
            ("tls_cert = 'a'", "tls_cert is not in this build yet"),
            ("listen = '8888'", "listen = \"8888\""),
            ("listen = '0.0.0.0:80'", "not loopback"),
            ("keep = '7 days'", "keep = \"7 days\""),
            ("keep_bytes = 'lots'", "keep_bytes = \"lots\""),
            ("compact = ['a', '']", "compact: topic is empty"),
            ("compact = 'a'", "sequence"),
            ("slow = 'drop'", "slow = \"drop\""),
            ("durability = 'fsync'", "data"),
            ("durability = 'twice'", "durability = \"twice\""),
            ("data = 'd'\ndurability = 'memory'", "durability = \"memory\" writes nothing to data = \"d\""),
            ("keep_events = '64MiB'", "keep_events = \"64MiB\" is not a number"),
            ("data = 'd'\n[[class]]\ntopics = 'a'\nkeep_events = 'x'", "class \"a\": keep_events = \"x\""),
            ("data = 'd'\n[[class]]\ntopics = ''", "class \"\": topic is empty"),
            ("data = 'd'\n[[class]]\nkeep = '1h'", "topics"),
            ("cors = ['https://a.example/']", "https://a.example/"),
            ("cors = ['null']", "null"),
            ("publish_origins = ['a.example']", "a.example"),
            ("public_urls = ['hub.example.com']", "hub.example.com"),
            ("demo = 'maybe'", "invalid type"),
            ("connections_max = 1000000000000", "connections_max"),
            ("listen =", "string"),
            ("demo = true\n\ndata = 'd", "line 3: "),
            ("data = 'd'\n[class]\ntopics = 'a'", "line 2: invalid type: map, expected a sequence"),
            ("[[class]]\ntopics = 'a'\ntopic = 'b'", "line 3: unknown field `topic`"),
        ] {
            let error = resolve(toml).expect_err(toml);
            assert!(error.contains(part), "{toml}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_public_url_turns_anonymous_publish_off() {
        assert!(!resolve("public_urls = ['https://hub.example.com']").unwrap().anonymous_publish);
    }

    #[test]
    fn flags_beat_environment_beats_file() {
        let file = Settings::from_toml("keep_events = 1\nslow = 'skip'\ndemo = true\ncompact = ['a']").unwrap();
        let variables = [
            ("OYEZ_KEEP_EVENTS", "2"),
            ("OYEZ_DEMO", "0"),
            ("OYEZ_COMPACT", "rows/*, b"),
            ("OYEZ_LISTN", "x"),
            ("PATH", "/bin"),
        ];
        let (env, unknown) =
            Settings::from_env(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        assert_eq!(unknown, ["OYEZ_LISTN"]);
        let flags = Settings { keep_events: Some(Text::Number(3)), ..Settings::default() };
        let settings = flags.over(env).over(file);
        assert_eq!(settings.keep_events, Some(Text::Number(3)));
        assert_eq!(settings.demo, Some(false));
        assert_eq!(settings.slow.as_deref(), Some("skip"));
        let compact: Vec<_> = settings.resolve().unwrap().compact.iter().map(Matcher::to_string).collect();
        assert_eq!(compact, ["rows/*", "b"]);
    }

    #[test]
    fn variables_for_what_is_missing_are_refused() {
        for name in ["OYEZ_LOG", "OYEZ_TLS_KEY", "MERCURE_PUBLISHER_JWT_KEY"] {
            let error = Settings::from_env([(name.to_owned(), "x".to_owned())]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
