//! `oyez serve`: the hub.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use oyez_server::{
    Config, ConfigError, Kind, NOT_YET, SETTINGS, Server, ServerError, Setting, Settings, similar_variable,
};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::signals;

/// Run the hub: publish with curl, subscribe from any browser
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [default: oyez.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long)]
    check: bool,
    /// How logs are written [default: text]
    #[arg(long, value_name = "text|json", value_parser = ["text", "json"])]
    log_format: Option<String>,
}

/// The flags of the server's settings: one for each row of its table.
struct Flags {
    settings: Settings,
    /// A flag that the design has and this build does not.
    not_yet: Option<&'static str>,
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter_map(flag)).args(NOT_YET.into_iter().map(flag_not_yet))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Settings::default();
        for setting in SETTINGS.iter().filter(|setting| setting.flag_name().is_some()) {
            if let Some(words) = matches.get_many::<String>(setting.key) {
                let refused = |error: ConfigError| clap::Error::raw(clap::error::ErrorKind::InvalidValue, error);
                settings.flag(setting, words.cloned().collect()).map_err(refused)?;
            }
        }
        let not_yet = NOT_YET.into_iter().map(|(_, flag)| flag).find(|flag| matches.contains_id(flag));
        Ok(Self { settings, not_yet })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a setting, if it has one.
fn flag(setting: &'static Setting) -> Option<Arg> {
    let flag = Arg::new(setting.key).long(setting.flag_name()?).help(setting.help());
    Some(match (setting.kind, setting.flag_value()) {
        (_, None) => flag.action(ArgAction::Set).num_args(0).default_missing_value("true"),
        (Kind::Truth, Some(value)) => {
            flag.value_name(value).num_args(0..=1).default_missing_value("true").value_parser(["true", "false"])
        }
        (Kind::List, Some(value)) => flag.value_name(value).action(ArgAction::Append),
        (_, Some(value)) => flag.value_name(value),
    })
}

/// It is known, so that it can be refused by its name; nobody is shown it.
fn flag_not_yet((_, flag): (&'static str, &'static str)) -> Arg {
    Arg::new(flag).long(flag).num_args(0..=1).hide(true)
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(flag) = self.flags.not_yet {
            return Err(Failure::usage(format!("--{flag} is not in this build yet; leave it out")));
        }
        log_to_standard_error(self.log_format.as_deref());
        let check = self.check;
        let config = self.config()?;
        if check {
            config.check().map_err(refused)?;
            let _ = writeln!(std::io::stdout(), "the configuration is good");
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        runtime.block_on(serve(config))
    }

    /// Flags over environment over file over defaults.
    fn config(self) -> Result<Config, Failure> {
        let default_file = Path::new("oyez.toml");
        let file = match &self.config {
            Some(file) => Settings::from_file(file).map_err(refused)?,
            None if default_file.exists() => Settings::from_file(default_file).map_err(refused)?,
            None => Settings::default(),
        };
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (environment, unknown) = Settings::from_env(variables).map_err(refused)?;
        for name in unknown.iter().filter(|name| !OWN_VARIABLES.contains(&name.as_str())) {
            tracing::warn!(%name, similar = similar_variable(name), "unknown variable is ignored");
        }
        self.flags.settings.over(environment).over(file).resolve().map_err(refused)
    }
}

/// Threads that read requests: all processors but one, which is the fan-out thread's.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let banner = Banner::of(&config);
    let server = Server::bind(config).await.map_err(|error| match error {
        // starting again does not change what is on the disk, or whose it is
        ServerError::History(_) => Failure::configuration(error.to_string()),
        _ => Failure::failed(error.to_string()),
    })?;
    let address = server.address().map_err(|error| Failure::failed(error.to_string()))?;
    let admin = server.admin_address().map_err(|error| Failure::failed(error.to_string()))?;
    let mut signals = signals::Stop::new();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut serving = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    // scripts wait for these two lines
    let _ = writeln!(std::io::stdout(), "listening on http://{address}\nadmin on http://{admin}");
    banner.show(&format!("http://{address}"));
    tokio::select! {
        served = &mut serving => return ended(served),
        () = signals.next() => {}
    }
    let _ = stop.send(());
    tokio::select! {
        served = &mut serving => ended(served),
        () = signals.next() => Err(Failure::failed("ended at once by a second signal; open streams were cut")),
    }
}

fn ended(served: Result<Result<(), ServerError>, tokio::task::JoinError>) -> Result<(), Failure> {
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ServerError::Storage(reason))) => Err(Failure::storage(reason)),
        Ok(Err(error)) => Err(Failure::failed(error.to_string())),
        Err(panic) => Err(Failure::failed(format!("the server broke: {panic}"))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn refused(error: ConfigError) -> Failure {
    Failure::configuration(error.to_string())
}

fn log_to_standard_error(format: Option<&str>) {
    let filter = EnvFilter::try_from_env("OYEZ_LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Some("json") => logs.json().init(),
        _ => logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
}

/// What a person sees who starts the hub: what is on, what is not safe, and the commands to paste next.
struct Banner {
    history: String,
    demo: bool,
    page: bool,
    anonymous_publish: bool,
}

impl Banner {
    fn of(config: &Config) -> Self {
        Self {
            history: config.history_in_words(),
            demo: config.demo(),
            page: config.page,
            anonymous_publish: config.anonymous_publish,
        }
    }

    fn show(&self, url: &str) {
        let mut lines = vec![format!("Oyez {} on {url}", env!("CARGO_PKG_VERSION"))];
        if self.page {
            lines.push(format!("  page       {url}/"));
        }
        lines.push(format!("  subscribe  curl -N {url}/events/news"));
        if self.anonymous_publish {
            lines.push(format!("  publish    curl -d hello {url}/events/news"));
        }
        if self.demo {
            lines.push(format!("  demo       curl -N {url}/clock"));
        }
        lines.push(format!("  {}", self.history));
        lines.push(match self.anonymous_publish {
            true => "  anyone on this machine may publish and subscribe, because only this machine is listened to;\n  \
                     behind a reverse proxy on the same host that means its visitors may subscribe: set public_urls there"
                .to_owned(),
            false => "  publishing is off: public_urls is set, and keys are not in this build yet".to_owned(),
        });
        // a closed standard error is no reason not to serve
        let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
    }
}

/// Variables of ours that are no settings.
const OWN_VARIABLES: [&str; 4] = ["OYEZ_LOG_LEVEL", "OYEZ_BIN", "OYEZ_TEST_LONG", "OYEZ_SEED"];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        serve: Serve,
    }

    fn flags<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Flags {
        Command::try_parse_from(std::iter::once("oyez").chain(arguments))
            .unwrap_or_else(|error| error.exit())
            .serve
            .flags
    }

    #[test]
    fn each_setting_is_said_by_its_flag() {
        assert_eq!(flags([]).settings, Settings::default());
        for setting in SETTINGS {
            let Some(name) = setting.flag_name() else { continue };
            let word = if setting.kind == Kind::Truth { "true" } else { "1" };
            let flag = format!("--{name}");
            let arguments = if setting.flag_value().is_some() { vec![&*flag, word] } else { vec![&*flag] };
            let mut expected = Settings::default();
            expected.flag(setting, vec![word.to_owned()]).unwrap();
            let Flags { settings, not_yet } = flags(arguments);
            assert_eq!((settings, not_yet), (expected, None), "{flag}");
        }
    }

    #[test]
    fn a_repeated_flag_is_a_list_and_a_comma_is_part_of_a_word() {
        let settings = flags(["--compact", "a,b", "--compact", "c"]).settings;
        assert_eq!(settings.compact, Some(vec!["a,b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_flag_alone_is_true() {
        let settings = flags(["--page", "--demo"]).settings;
        assert_eq!((settings.page, settings.demo), (Some(true), Some(true)));
        assert_eq!(flags(["--page=false"]).settings.page, Some(false));
    }

    #[test]
    fn what_is_not_in_this_build_is_known_by_its_name() {
        for (_, flag) in NOT_YET {
            let name = format!("--{flag}");
            assert_eq!(flags([&*name]).not_yet, Some(flag));
            assert_eq!(flags([&*name, "value"]).not_yet, Some(flag));
        }
    }
}
