//! Every setting, once. A new one is a row here and its use: flag, variable, key of the file, `--help`, checks and reference
//! come from the row.
//!
//! A row has the documentation (one line of help, and more after an empty line), the key, how people write the value and what is
//! made of it ([`value`](super::value) has the rules), and the columns of [`Setting`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use oyez::{Matcher, SlowPolicy};
use url::Url;

use super::class::ClassSettings;
use super::error::ConfigError;
use super::logs::{LogFormat, LogLevel};
use super::origin::{Cors, Origin};
use super::rows::settings;
use super::setting::Setting;
use super::setting::Unsaid::{Depends, Is};
use super::value::{Level, Size};
use super::written::{Said, Text, Unread, Written};

settings! {
    /// Address for publishers and subscribers; in this version a loopback address
    listen: String => SocketAddr { flag: "--listen ADDR", default: Is("127.0.0.1:8888") }

    /// Address for health, readiness and metrics
    admin: String => SocketAddr { flag: "--admin ADDR", default: Is("127.0.0.1:9888") }

    /// Drop events older than this, such as 7d
    keep: String => Option<Duration> { flag: "--keep AGE", default: Depends("any; 7d with --data") }

    /// Most memory or disk for the history, such as 1GiB
    keep_bytes: Text => Option<Size> { flag: "--keep-bytes SIZE", default: Depends("64MiB; 1GiB with --data") }

    /// Most events to keep
    keep_events: Text => Option<usize> { flag: "--keep-events N", default: Depends("any") }

    /// Topics that are kept longer or shorter than the rest; only with --data
    ///
    /// Each `[[class]]` has `topics` (a topic or a pattern of topics) and any of `keep`, `keep_bytes` and `keep_events`. A key that it
    /// leaves out is as for the rest.
    class: Vec<ClassSettings> => Vec<ClassSettings> {}

    /// Keep the newest value of each key of these topics until it is replaced; may be repeated
    compact: Vec<String> => Vec<Matcher> { flag: "--compact PATTERN" }

    /// What to do with a reader whose next event was dropped: disconnect, skip or latest
    slow: String => SlowPolicy { flag: "--slow POLICY", default: Is("disconnect") }

    /// Directory of the history; without it the history is in memory
    data: String => Option<PathBuf> { flag: "--data DIR" }

    /// How safe an event must be before its publish is acknowledged: memory, flush or fsync
    durability: String => Option<Level> { flag: "--durability LEVEL", default: Depends("fsync with --data") }

    /// Publish the topics clock and stock, and serve the page
    demo: bool => bool { flag: "--demo" }

    /// Serve the page at /
    page: bool => Option<bool> { flag: "--page true|false", default: Depends("on for loopback and --demo") }

    /// Origin whose pages may read, or * for all; may be repeated
    ///
    /// `https://*.example.com` is every host with one more name, such as `https://app.example.com`.
    cors: Vec<String> => Cors { flag: "--cors ORIGIN" }

    /// Origin whose pages may publish; may be repeated
    ///
    /// `https://*.example.com` is every host with one more name, such as `https://app.example.com`.
    publish_origins: Vec<String> => Vec<Origin> { flag: "--publish-origins ORIGIN" }

    /// URL of the hub for others; turns publishing off, as there are no keys yet; may be repeated
    public_urls: Vec<String> => Vec<Url> { flag: "--public-url URL", also: &["OYEZ_PUBLIC_URL"] }

    /// Send a keep-alive after this much silence
    ///
    /// Proxies cut idle connections, some after 30 s. Two keep-alives fit into that.
    keep_alive: String => Duration { flag: "--keep-alive TIME", default: Is("15s") }

    /// End each stream after this time, give or take a fifth; 0s for never
    ///
    /// Its reader reconnects by itself, perhaps to another node.
    stream_life: String => Duration { flag: "--stream-life TIME", default: Is("1h") }

    /// Time that a shutdown may take; streams end spread over it
    drain: String => Duration { flag: "--drain TIME", default: Is("20s") }

    /// Most connections at once
    connections_max: Text => Option<usize> {
        flag: "--connections-max N",
        default: Depends("what open files allow, at most 100000"),
    }

    /// Most streams of one address; programs on this machine have no limit
    ///
    /// All readers of a proxy have one address, the proxy's. An IPv6 network of /64 counts as one address.
    streams_per_address: Text => usize { flag: "--streams-per-address N", default: Is("1000") }

    /// What to log: error, warn, info, debug or trace, or a filter such as info,oyez_server=debug
    ///
    /// Without it, `RUST_LOG` counts. If standard error is closed, full or stuck, lines are dropped. Their number is logged when
    /// standard error takes lines again.
    log_level: String => LogLevel { flag: "--log-level LEVEL", default: Is("info"), reload: true }

    /// Format of the log: text or json
    ///
    /// With json, each line of standard error is one object, from the first line on. The message at the start is one such line.
    log_format: String => LogFormat { flag: "--log-format FORMAT", default: Is("text") }

    /// Log each request at level info; a stream when it ends
    ///
    /// A line has method, path, status, milliseconds and peer, and for a stream the number of its topics and patterns. It never has a
    /// query, data or credentials. Paths contain topics.
    access_log: bool => bool { flag: "--access-log" }
}

#[cfg(test)]
mod tests {
    use super::super::written::Kind;
    use super::*;
    use crate::limits::{CONNECTIONS_MAX, HISTORY_BYTES, STORED_AGE, STORED_BYTES};
    use crate::units;

    fn row(key: &str) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn names_of_a_row_are_made_of_its_key() {
        for setting in SETTINGS.iter().filter(|setting| setting.kind != Kind::Table) {
            let (key, flag) = (setting.key, setting.flag_name().unwrap());
            let one_of_a_list = key.strip_suffix('s').filter(|_| setting.kind == Kind::List);
            assert!([Some(key), one_of_a_list].contains(&Some(&*flag.replace('-', "_"))), "{key} has the flag {flag}");
            assert!(setting.flag.starts_with("--"), "{key}");
            assert!(setting.is_variable(&setting.variable().unwrap()), "{key}");
        }
    }

    #[test]
    fn every_row_tells_people_what_it_is() {
        for setting in SETTINGS {
            assert!(!setting.summary().is_empty() && !setting.summary().ends_with('.'), "{}", setting.key);
            assert!(setting.details().is_empty() || setting.details().ends_with('.'), "{}", setting.key);
        }
    }

    #[test]
    fn words_of_a_default_that_depends_are_those_of_the_limits() {
        assert_eq!(row("keep").default, Depends("any; 7d with --data"));
        assert_eq!(units::duration("7d"), Some(STORED_AGE));
        assert_eq!(row("keep_bytes").default, Depends("64MiB; 1GiB with --data"));
        assert_eq!((units::bytes("64MiB"), units::bytes("1GiB")), (Some(HISTORY_BYTES), Some(STORED_BYTES)));
        assert!(row("connections_max").help().contains(&format!("at most {CONNECTIONS_MAX}]")));
    }

    #[test]
    fn a_help_line_ends_with_the_default() {
        assert_eq!(row("keep_alive").help(), "Send a keep-alive after this much silence [default: 15s]");
        assert_eq!(row("data").help(), "Directory of the history; without it the history is in memory");
    }

    #[test]
    fn nothing_said_is_every_default() {
        let checked = Settings::default().check().unwrap();
        assert_eq!((checked.keep_alive, checked.stream_life), (Duration::from_secs(15), Duration::from_secs(3_600)));
        assert_eq!((checked.drain, checked.streams_per_address), (Duration::from_secs(20), 1_000));
        assert_eq!((checked.slow, checked.demo, checked.cors), (SlowPolicy::Disconnect, false, Cors::Off));
        assert!(checked.keep.is_none() && checked.page.is_none() && checked.class.is_empty());
    }
}
