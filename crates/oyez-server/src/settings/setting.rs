//! One row of the table of settings.

use super::written::Kind;

/// A setting: its names, and what people are told of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setting {
    /// Its key in `oyez.toml`, and its field in `Settings`.
    pub key: &'static str,
    /// How many words it is written as.
    pub kind: Kind,
    /// Its flag with what stands after it, such as `--keep-alive TIME`. Empty where only the file can say it.
    pub flag: &'static str,
    /// Its other names in the environment, beside the one that [`Setting::variable`] makes of its key.
    pub also: &'static [&'static str],
    /// What it is where nobody says anything.
    pub default: Unsaid,
    /// Whether a hub that runs takes a new value at SIGHUP; else it must be started anew.
    pub reload: bool,
    /// Its documentation: one line of help, and after an empty line what else there is to know.
    pub lines: &'static [&'static str],
}

/// What a setting is where nobody says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsaid {
    /// This, as people would write it.
    Is(&'static str),
    /// It depends on other settings, in these words.
    Depends(&'static str),
    /// Nothing: no path, an empty list, off.
    Nothing,
}

impl Setting {
    /// A row of which nothing is known yet.
    pub(crate) const NEW: Self =
        Self { key: "", kind: Kind::Word, flag: "", also: &[], default: Unsaid::Nothing, reload: false, lines: &[] };

    /// The name of the flag without its dashes, `keep-alive`.
    #[must_use]
    pub fn flag_name(&self) -> Option<&'static str> {
        let name = self.flag.split(' ').next()?.trim_start_matches("--");
        Some(name).filter(|name| !name.is_empty())
    }

    /// What stands after the flag, `TIME`; `None` for a switch.
    #[must_use]
    pub fn flag_value(&self) -> Option<&'static str> {
        self.flag.split_once(' ').map(|(_, value)| value)
    }

    /// Its name in the environment, `OYEZ_KEEP_ALIVE`.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        (self.kind != Kind::Table).then(|| format!("{PREFIX}{}", self.key.to_ascii_uppercase()))
    }

    /// Whether a variable of the environment says it.
    pub(crate) fn is_variable(&self, name: &str) -> bool {
        let own = name.strip_prefix(PREFIX).is_some_and(|key| key.eq_ignore_ascii_case(self.key));
        self.kind != Kind::Table && (own || self.also.contains(&name))
    }

    /// Its line in `--help`, with the default.
    #[must_use]
    pub fn help(&self) -> String {
        match self.default {
            Unsaid::Is(default) | Unsaid::Depends(default) => format!("{} [default: {default}]", self.summary()),
            Unsaid::Nothing => self.summary().to_owned(),
        }
    }

    /// What it does, in one line.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.lines.first().map_or("", |line| line.trim())
    }

    /// What else there is to know, such as the reason for its default.
    #[must_use]
    pub fn details(&self) -> String {
        self.lines.iter().skip(1).map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// What our variables begin with.
pub(crate) const PREFIX: &str = "OYEZ_";
