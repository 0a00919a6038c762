//! Where the settings of `serve` come from, at the start and again at SIGHUP.

use std::path::{Path, PathBuf};

use oyez_server::{ConfigError, SETTINGS, Settings};

use crate::logger::LogFilter;

/// Flags, environment and file.
pub(crate) struct Sources {
    flags: Settings,
    file: Option<PathBuf>,
}

/// What the sources say, and the names of variables that may have been meant for us.
pub(crate) struct Read {
    pub(crate) settings: Settings,
    pub(crate) unknown: Vec<String>,
}

impl Sources {
    pub(crate) fn new(flags: Settings, file: Option<PathBuf>) -> Self {
        Self { flags, file }
    }

    /// Flags over environment over file; defaults are still left out.
    pub(crate) fn read(&self) -> Result<Read, ConfigError> {
        let default_file = Path::new("oyez.toml");
        let file = match &self.file {
            Some(file) => Settings::from_file(file)?,
            None if default_file.exists() => Settings::from_file(default_file)?,
            None => Settings::default(),
        };
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (environment, mut unknown) = Settings::from_env(variables)?;
        unknown.retain(|name| !OWN_VARIABLES.contains(&name.as_str()));
        Ok(Read { settings: self.flags.clone().over(environment).over(file), unknown })
    }
}

/// The settings of a hub that runs.
pub(crate) struct Running {
    sources: Sources,
    settings: Settings,
    filter: LogFilter,
}

impl Running {
    pub(crate) fn new(sources: Sources, settings: Settings, filter: LogFilter) -> Self {
        Self { sources, settings, filter }
    }

    /// Reads and checks the settings again, applies a new log level and logs in one line what counts from now on and what from the
    /// next start on. Where something is wrong nothing changes.
    ///
    /// # Errors
    /// What is wrong; it is logged.
    pub(crate) fn read_again(&mut self) -> Result<(), ConfigError> {
        let new = self.sources.read().and_then(|read| {
            let config = read.settings.clone().resolve()?;
            config.check()?;
            Ok((read.settings, config))
        });
        let (settings, config) = new
            .inspect_err(|error| tracing::error!("configuration read again: it is wrong, nothing changes: {error}"))?;
        let changed = settings.changed(&self.settings);
        let can_change = |key: &&str| SETTINGS.iter().any(|setting| setting.key == *key && setting.reload);
        let (now, later): (Vec<_>, Vec<_>) = changed.into_iter().partition(can_change);
        let line = in_words(&now, &later);
        let tell = || tracing::info!("{line}");
        if now.is_empty() {
            tell();
        } else {
            self.filter.set(&config, settings.log_level.is_some(), tell);
            self.settings.log_level = settings.log_level;
        }
        Ok(())
    }
}

fn in_words(now: &[&str], later: &[&str]) -> String {
    let mut line = "configuration read again: it is good".to_owned();
    for (keys, when) in [(now, "changed now"), (later, "changes at the next start")] {
        if !keys.is_empty() {
            line = format!("{line}; {when}: {}", keys.join(", "));
        }
    }
    if now.is_empty() && later.is_empty() {
        line.push_str(", and nothing in it is new");
    }
    line
}

/// Variables of ours that are no settings.
const OWN_VARIABLES: [&str; 3] = ["OYEZ_BIN", "OYEZ_TEST_LONG", "OYEZ_SEED"];
