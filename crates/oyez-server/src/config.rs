//! What the settings mean together: one [`Config`] that is known to be good.

use oyez::{Durability, Retention, Storage};

use crate::descriptors::connections;
use crate::history::History;
use crate::settings::{Checked, ConfigError, LogFormat, Settings};

/// A configuration that is known to be good. Made by [`Settings::resolve`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Each setting by itself. What is below comes of several, or of the machine.
    pub(crate) settings: Checked,
    /// What is kept.
    pub history: Retention,
    /// Where the history is, when it is on disk.
    pub storage: Option<Storage>,
    /// The page at `/`.
    pub page: bool,
    /// Anyone on this machine may publish.
    pub anonymous_publish: bool,
    /// Connections at once.
    pub connections_max: usize,
}

impl Settings {
    /// Checks every value and fills in the defaults. Raises the process's soft limit of open files, which connections
    /// depend on.
    ///
    /// # Errors
    /// The first value that is wrong or unsafe.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let settings = self.check()?;
        let (listen, loopback) = (settings.listen, settings.listen.ip().is_loopback());
        if !loopback {
            return Err(ConfigError::new(format!(
                "listen = {listen} is not loopback: anybody could publish, because this version has no keys; \
                 listen on 127.0.0.1 or [::1]"
            )));
        }
        let History { retention, storage } = History::new(&settings)?;
        Ok(Config {
            history: retention,
            storage,
            page: settings.page.unwrap_or(loopback || settings.demo),
            anonymous_publish: loopback && settings.public_urls.is_empty(),
            connections_max: connections(settings.connections_max)?,
            settings,
        })
    }
}

impl Config {
    /// Whether the demo topics are published.
    #[must_use]
    pub fn demo(&self) -> bool {
        self.settings.demo
    }

    /// Which lines are logged, as directives of a filter: `info,oyez_server=debug`.
    #[must_use]
    pub fn log_level(&self) -> &str {
        &self.settings.log_level.0
    }

    /// How lines are logged.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        self.settings.log_format
    }

    /// Looks at what the configuration names, without making anything: a directory of the history that cannot be made is wrong as well.
    ///
    /// # Errors
    /// What a start would fail at.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refused = |error: oyez::Error| ConfigError::new(format!("data: {error}"));
        self.storage.as_ref().map_or(Ok(()), Storage::check).map_err(refused)
    }

    /// Where the history is, and what an acknowledged publish survives.
    #[must_use]
    pub fn history_in_words(&self) -> String {
        let Some(storage) = &self.storage else {
            return "history is in memory and lost at a restart, which readers are told; --data DIR keeps it on disk"
                .to_owned();
        };
        let survives = match storage.level() {
            Durability::Flush => "an acknowledged event survives the end of this process, but not of the machine",
            _ => "an acknowledged event is on the disk",
        };
        format!("history is in {}: {survives}", storage.directory().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Cors;

    fn resolve(toml: &str) -> Result<Config, String> {
        Settings::from_toml(toml).and_then(Settings::resolve).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_is_a_safe_server() {
        let config = resolve("").unwrap();
        assert_eq!(config.settings.listen.to_string(), "127.0.0.1:8888");
        assert_eq!(config.settings.admin.to_string(), "127.0.0.1:9888");
        assert!(config.anonymous_publish && config.page && !config.demo());
        assert_eq!(config.settings.cors, Cors::Off);
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (toml, part) in [
            ("listn = 1", "unknown key listn; did you mean listen?"),
            ("data = ''", "data is empty"),
            ("[[class]]\ntopics = 'jobs/*'", "class \"jobs/*\" needs a history on disk"),
            ("data = 'd'\n[[class]]\ntopics = 'a'\nkeep = 'long'", "class \"a\": keep = \"long\""),
            ("tls_cert = 'a'", "tls_cert is not in this build yet"),
            ("listen = '88888'", "listen = \"88888\""),
            ("listen = '0.0.0.0:80'", "not loopback"),
            ("keep = '7 days'", "keep = \"7 days\""),
            ("keep_bytes = 'lots'", "keep_bytes = \"lots\""),
            ("compact = ['a', '']", "compact: topic is empty"),
            ("compact = 'a'", "must be a list"),
            ("slow = 'drop'", "slow = \"drop\""),
            ("durability = 'fsync'", "data"),
            ("durability = 'twice'", "durability = \"twice\""),
            ("data = 'd'\ndurability = 'memory'", "durability = \"memory\" would write nothing to data = \"d\""),
            ("keep_events = '64MiB'", "keep_events = \"64MiB\" is not a number"),
            ("data = 'd'\n[[class]]\ntopics = 'a'\nkeep_events = 'x'", "class \"a\": keep_events = \"x\""),
            ("data = 'd'\n[[class]]\ntopics = ''", "class \"\": topic is empty"),
            ("data = 'd'\n[[class]]\nkeep = '1h'", "topics"),
            (
                "cors = ['https://a.example/']",
                "\"https://a.example/\" ends with a slash; write it without, \"https://a.example\"",
            ),
            ("cors = ['https://a.example/page']", "https://a.example/page"),
            ("cors = ['null']", "null"),
            ("publish_origins = ['a.example']", "a.example"),
            ("public_urls = ['hub.example.com']", "hub.example.com"),
            ("demo = 'maybe'", "must be true or false"),
            ("connections_max = 1000000000000", "connections_max"),
            ("connections_max = 0", "connections_max = 0 would accept nobody"),
            ("cors = ['https://*.com']", "at least two names must follow"),
            ("cors = ['https://*']", "https://*"),
            ("publish_origins = ['https://app-*.example.com']", "app-*"),
            ("publish_origins = ['https://*.*.example.com']", "*.*"),
            ("publish_origins = ['https://*.example.com/']", "ends with a slash"),
            ("listen =", "string"),
            ("demo = true\n\ndata = 'd", "line 3: "),
            ("data = 'd'\n[class]\ntopics = 'a'", "line 2: class: is a table"),
            ("[[class]]\ntopics = 'a'\ntopic = 'b'", "line 3: class: unknown field `topic`"),
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
    fn a_check_finds_a_directory_that_cannot_be_made() {
        let directory = std::env::temp_dir().join(format!("oyez-check-{}", std::process::id()));
        let directory = directory.display();
        std::fs::create_dir_all(format!("{directory}/open")).unwrap();
        std::fs::write(format!("{directory}/file"), "").unwrap();
        std::os::unix::fs::symlink("open", format!("{directory}/link")).unwrap();
        let check = |data: &str| resolve(&format!("data = '{directory}/{data}'")).unwrap().check();
        for good in ["new", "new/deep/er", "link/new"] {
            assert!(check(good).is_ok(), "{good}");
        }
        assert!(resolve("data = 'no-such-directory'").unwrap().check().is_ok() && resolve("").unwrap().check().is_ok());
        let part = |data: &str| check(data).unwrap_err().to_string();
        assert!(part("file").contains("is not a directory"), "{}", part("file"));
        assert!(
            part("file/new").contains("cannot be made") && part("file/new").starts_with("data: "),
            "{}",
            part("file/new")
        );
        assert!(part("link").contains("symbolic link"), "{}", part("link"));
        assert!(!std::path::Path::new(&format!("{directory}/new")).exists(), "nothing was made");
        std::fs::remove_dir_all(directory.to_string()).unwrap();
    }

    #[test]
    fn patterns_of_a_variable_are_read_one_by_one() {
        let (env, _) = Settings::from_env([("OYEZ_COMPACT".to_owned(), "rows/*, b".to_owned())]).unwrap();
        let compact: Vec<_> = env.resolve().unwrap().settings.compact.iter().map(oyez::Matcher::to_string).collect();
        assert_eq!(compact, ["rows/*", "b"]);
    }
}
