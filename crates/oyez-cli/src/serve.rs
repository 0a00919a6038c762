//! `oyez serve`: the hub.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use oyez_server::{
    Config, ConfigError, Kind, LogFormat, SETTINGS, Server, ServerError, Setting, Settings, similar_variable,
};
use serde_json::json;

use crate::banner::Banner;
use crate::failure::Failure;
use crate::logger::Logger;
use crate::running::{Read, Running, Sources};
use crate::service_manager::ServiceManager;
use crate::signals::{self, Hangup};
use crate::visible::visible_line;

/// Run the hub: publish with curl, subscribe from any browser
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [default: oyez.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    check: bool,
}

/// The flags of the server's settings: one for each row of its table.
struct Flags(Settings);

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter_map(flag))
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
        Ok(Self(settings))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a setting, if it has one.
fn flag(setting: &'static Setting) -> Option<Arg> {
    let variables: Vec<_> =
        setting.variable().into_iter().chain(setting.also.iter().map(ToString::to_string)).collect();
    let help = format!("{} [env: {}]", setting.help(), variables.join(", "));
    let flag = Arg::new(setting.key).long(setting.flag_name()?).help(help);
    Some(match (setting.kind, setting.flag_value()) {
        (_, None) => flag.action(ArgAction::Set).num_args(0).default_missing_value("true"),
        (Kind::Truth, Some(value)) => {
            flag.value_name(value).num_args(0..=1).default_missing_value("true").value_parser(["true", "false"])
        }
        (Kind::List, Some(value)) => flag.value_name(value).action(ArgAction::Append),
        (_, Some(value)) => flag.value_name(value),
    })
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let logger = Logger::start(std::io::stderr());
        let (mut format, check) = (self.early_format(), self.check);
        let sources = Sources::new(self.flags.0, self.config);
        let outcome = start(sources, &logger).and_then(|(config, running)| {
            format = config.log_format();
            if check { config.check().map_err(refused).and_then(|()| good()) } else { run(config, running, &logger) }
        });
        // it goes the way of the lines before it
        let outcome = outcome.map_err(|failure| failure.told(|line| tell(line, format, &logger)));
        logger.flush();
        outcome
    }

    /// How lines are written before the configuration is known, and where it is wrong.
    fn early_format(&self) -> LogFormat {
        let said = self.flags.0.log_format.clone().or_else(|| std::env::var("OYEZ_LOG_FORMAT").ok());
        if said.as_deref() == Some("json") { LogFormat::Json } else { LogFormat::Text }
    }
}

/// Reads the settings. What is logged from then on goes to `logger`.
fn start(sources: Sources, logger: &Logger) -> Result<(Config, Running), Failure> {
    let Read { settings, unknown } = sources.read().map_err(refused)?;
    let config = settings.clone().resolve().map_err(refused)?;
    let filter = logger.log(&config, settings.log_level.is_some());
    for name in unknown {
        tracing::warn!(%name, similar = similar_variable(&name), "unknown variable is ignored");
    }
    Ok((config, Running::new(sources, settings, filter)))
}

fn good() -> Result<(), Failure> {
    let said = writeln!(std::io::stdout(), "the configuration is good");
    said.map_err(|error| Failure::failed(format!("standard output: {error}")))
}

fn tell(line: &str, format: LogFormat, logger: &Logger) {
    match format {
        LogFormat::Json => logger.say_json("ERROR", &json!({ "message": line })),
        _ => logger.say(format!("{}\n", visible_line(line)).as_bytes()),
    }
}

fn run(config: Config, running: Running, logger: &Logger) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(serve(config, running, logger))
}

/// Threads that read requests: all processors but one, which is the fan-out thread's.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1))
}

async fn serve(config: Config, mut running: Running, logger: &Logger) -> Result<(), Failure> {
    signals::survive_file_limit();
    let mut hangup = Hangup::new();
    let (banner, format) = (Banner::of(&config), config.log_format());
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
    // scripts wait for these two lines, and may look at what was logged before
    logger.flush();
    let _ = writeln!(std::io::stdout(), "listening on http://{address}\nadmin on http://{admin}");
    let (url, admin) = (format!("http://{address}"), format!("http://{admin}"));
    match format {
        LogFormat::Json => logger.say_json("INFO", &banner.fields(&url, &admin)),
        _ => logger.say(banner.text(&url).as_bytes()),
    }
    let mut manager = ServiceManager::of_environment();
    let listens = format!("listens on {url}");
    manager.ready(&listens);
    loop {
        tokio::select! {
            served = &mut serving => return ended(served),
            () = signals.next() => break,
            () = hangup.next() => {
                if hangup.is_of_terminal() {
                    break;
                }
                manager.reloading();
                match running.read_again() {
                    Ok(()) => manager.ready(&listens),
                    Err(error) => manager.ready(&format!("{listens}; the new settings are wrong: {error}")),
                }
            }
        }
    }
    manager.stopping();
    let _ = stop.send(());
    tokio::select! {
        served = &mut serving => ended(served),
        () = signals.next() => Err(Failure::failed("ended by a second signal; open streams were cut")),
    }
}

fn ended(served: Result<Result<(), ServerError>, tokio::task::JoinError>) -> Result<(), Failure> {
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ServerError::Storage(reason))) => Err(Failure::storage(reason)),
        Ok(Err(error)) => Err(Failure::failed(error.to_string())),
        Err(panic) => Err(Failure::failed(format!("the server panicked: {panic}"))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn refused(error: ConfigError) -> Failure {
    Failure::configuration(error.to_string())
}

const AFTER_HELP: &str = "\
Each flag is also a variable, in brackets, and a key in oyez.toml: --keep-alive 15s is OYEZ_KEEP_ALIVE=15s and
keep_alive = \"15s\". Flags win over variables, variables over the file, the file over the defaults. In a variable, commas separate
the values of a list. RUST_LOG sets the log level if nothing else does. SIGHUP reads the file again: a new log level counts at
once, all else from the next start on.";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        serve: Serve,
    }

    fn flags<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Settings {
        Command::try_parse_from(std::iter::once("oyez").chain(arguments))
            .unwrap_or_else(|error| error.exit())
            .serve
            .flags
            .0
    }

    #[test]
    fn each_setting_is_said_by_its_flag() {
        assert_eq!(flags([]), Settings::default());
        for setting in SETTINGS {
            let Some(name) = setting.flag_name() else { continue };
            let word = if setting.kind == Kind::Truth { "true" } else { "1" };
            let flag = format!("--{name}");
            let arguments = if setting.flag_value().is_some() { vec![&*flag, word] } else { vec![&*flag] };
            let mut expected = Settings::default();
            expected.flag(setting, vec![word.to_owned()]).unwrap();
            assert_eq!(flags(arguments), expected, "{flag}");
        }
    }

    #[test]
    fn a_repeated_flag_is_a_list_and_a_comma_is_part_of_a_word() {
        let settings = flags(["--compact", "a,b", "--compact", "c"]);
        assert_eq!(settings.compact, Some(vec!["a,b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_flag_alone_is_true() {
        let settings = flags(["--page", "--demo"]);
        assert_eq!((settings.page, settings.demo), (Some(true), Some(true)));
        assert_eq!(flags(["--page=false"]).page, Some(false));
    }
}
