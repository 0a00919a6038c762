//! `oyez serve`: the hub.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use oyez_server::{Config, ConfigError, Server, ServerError, Settings, Text};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::signals;

/// Run the hub: publish with curl, subscribe from any browser
#[derive(Args)]
pub(crate) struct Serve {
    /// Address that takes publishers and subscribers [default: 127.0.0.1:8888]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of health, readiness and metrics [default: 127.0.0.1:9888]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Age of the oldest event kept, such as 7d [default: any; 7d with --data]
    #[arg(long, value_name = "AGE")]
    keep: Option<String>,
    /// Memory or disk for the history, such as 1GiB [default: 64MiB; 1GiB with --data]
    #[arg(long, value_name = "SIZE")]
    keep_bytes: Option<String>,
    /// Number of events kept [default: any]
    #[arg(long, value_name = "N")]
    keep_events: Option<String>,
    /// Topics (or a pattern of them) whose newest value of each key is kept for ever; may be repeated
    #[arg(long, value_name = "PATTERN")]
    compact: Vec<String>,
    /// What happens to a reader that falls behind: disconnect, skip or latest [default: disconnect]
    #[arg(long, value_name = "POLICY")]
    slow: Option<String>,
    /// Directory of the history; without one it is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// When a publish is acknowledged: memory, flush or fsync [default: fsync with --data]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<String>,
    /// Publish the topics clock and stock, and show the page
    #[arg(long)]
    demo: bool,
    /// Show the page at / (on for loopback and --demo)
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    page: Option<bool>,
    /// Origin whose pages may read, or *; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Origin whose pages may publish; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    publish_origins: Vec<String>,
    /// Where the hub is reached from outside; may be repeated
    #[arg(long = "public-url", value_name = "URL")]
    public_urls: Vec<String>,
    /// Silence before a keep-alive [default: 15s]
    #[arg(long, value_name = "TIME")]
    keep_alive: Option<String>,
    /// Life of a stream, give or take a fifth; 0s is for ever [default: 1h]
    #[arg(long, value_name = "TIME")]
    stream_life: Option<String>,
    /// Time that a drain may take [default: 20s]
    #[arg(long, value_name = "TIME")]
    drain: Option<String>,
    /// Connections at once [default: what open files allow, at most 100000]
    #[arg(long, value_name = "N")]
    connections_max: Option<String>,
    /// Streams of one address that is not loopback [default: 1000]
    #[arg(long, value_name = "N")]
    streams_per_address: Option<String>,
    /// Configuration file [default: oyez.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long)]
    check: bool,
    /// How logs are written [default: text]
    #[arg(long, value_name = "text|json", value_parser = ["text", "json"])]
    log_format: Option<String>,
    #[command(flatten)]
    not_yet: FlagsNotYet,
}

/// Flags that the design has and this build does not.
#[derive(Args)]
struct FlagsNotYet {
    #[arg(long, hide = true)]
    log: Option<String>,
    #[arg(long, hide = true)]
    publisher_key: Option<String>,
    #[arg(long, hide = true)]
    subscriber_key: Option<String>,
    #[arg(long, hide = true)]
    anonymous: bool,
    #[arg(long, hide = true)]
    subscriptions: bool,
    #[arg(long, hide = true)]
    mercure_0x: bool,
    #[arg(long, hide = true)]
    issuer: Option<String>,
    #[arg(long, hide = true)]
    audience: Option<String>,
    #[arg(long, hide = true)]
    tls_cert: Option<String>,
    #[arg(long, hide = true)]
    tls_key: Option<String>,
}

impl FlagsNotYet {
    fn first(&self) -> Option<&'static str> {
        [
            ("--log", self.log.is_some()),
            ("--publisher-key", self.publisher_key.is_some()),
            ("--subscriber-key", self.subscriber_key.is_some()),
            ("--anonymous", self.anonymous),
            ("--subscriptions", self.subscriptions),
            ("--mercure-0x", self.mercure_0x),
            ("--issuer", self.issuer.is_some()),
            ("--audience", self.audience.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(flag) = self.not_yet.first() {
            return Err(Failure::usage(format!("{flag} is not in this build yet; leave it out")));
        }
        log_to_standard_error(self.log_format.as_deref());
        let check = self.check;
        let config = self.config()?;
        if check {
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
            tracing::warn!(%name, "unknown variable is ignored");
        }
        self.settings().over(environment).over(file).resolve().map_err(refused)
    }

    fn settings(self) -> Settings {
        let list = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        let mut settings = Settings::default();
        settings.listen = self.listen;
        settings.admin = self.admin;
        settings.keep = self.keep;
        settings.keep_bytes = self.keep_bytes.map(Text::from);
        settings.keep_events = self.keep_events.map(Text::from);
        settings.compact = list(self.compact);
        settings.slow = self.slow;
        settings.data = self.data;
        settings.durability = self.durability;
        settings.demo = self.demo.then_some(true);
        settings.page = self.page;
        settings.cors = list(self.cors);
        settings.publish_origins = list(self.publish_origins);
        settings.public_urls = list(self.public_urls);
        settings.keep_alive = self.keep_alive;
        settings.stream_life = self.stream_life;
        settings.drain = self.drain;
        settings.connections_max = self.connections_max.map(Text::from);
        settings.streams_per_address = self.streams_per_address.map(Text::from);
        settings
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
            demo: config.demo,
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
