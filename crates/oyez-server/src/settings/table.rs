//! Every setting, once. A new one is a row here and its use: flag, variable, key of the file, `--help`, checks and reference
//! come from the row.
//!
//! A row has the documentation (one line of help; behind an empty line what else there is to know), the key, how people write
//! the value and what is made of it ([`value`](super::value) has the rules), and the columns of [`Setting`].

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
    /// Address that takes publishers and subscribers
    listen: String => SocketAddr { flag: "--listen ADDR", default: Is("127.0.0.1:8888") }

    /// Address of health, readiness and metrics
    admin: String => SocketAddr { flag: "--admin ADDR", default: Is("127.0.0.1:9888") }

    /// Age of the oldest event kept, such as 7d
    keep: String => Option<Duration> { flag: "--keep AGE", default: Depends("any; 7d with --data") }

    /// Memory or disk for the history, such as 1GiB
    keep_bytes: Text => Option<Size> { flag: "--keep-bytes SIZE", default: Depends("64MiB; 1GiB with --data") }

    /// Number of events kept
    keep_events: Text => Option<usize> { flag: "--keep-events N", default: Depends("any") }

    /// Topics that are kept longer or shorter than the rest, on disk only
    ///
    /// Each `[[class]]` has `topics` (a topic or a pattern of topics) and any of `keep`, `keep_bytes` and `keep_events`; what it
    /// does not say is as for the rest.
    class: Vec<ClassSettings> => Vec<ClassSettings> {}

    /// Topics (or a pattern of them) whose newest value of each key is kept for ever; may be repeated
    compact: Vec<String> => Vec<Matcher> { flag: "--compact PATTERN" }

    /// What happens to a reader that falls behind: disconnect, skip or latest
    slow: String => SlowPolicy { flag: "--slow POLICY", default: Is("disconnect"), reload: true }

    /// Directory of the history; without one it is in memory
    data: String => Option<PathBuf> { flag: "--data DIR" }

    /// When a publish is acknowledged: memory, flush or fsync
    durability: String => Option<Level> { flag: "--durability LEVEL", default: Depends("fsync with --data") }

    /// Publish the topics clock and stock, and show the page
    demo: bool => bool { flag: "--demo" }

    /// Show the page at /
    page: bool => Option<bool> { flag: "--page true|false", default: Depends("on for loopback and --demo") }

    /// Origin whose pages may read, or *; may be repeated
    ///
    /// `https://*.example.com` is every host with one name in front of that.
    cors: Vec<String> => Cors { flag: "--cors ORIGIN", reload: true }

    /// Origin whose pages may publish; may be repeated
    ///
    /// `https://*.example.com` is every host with one name in front of that.
    publish_origins: Vec<String> => Vec<Origin> { flag: "--publish-origins ORIGIN", reload: true }

    /// Where the hub is reached from outside; may be repeated
    public_urls: Vec<String> => Vec<Url> { flag: "--public-url URL", also: &["OYEZ_PUBLIC_URL"], reload: true }

    /// Silence before a keep-alive
    ///
    /// Two keep-alives fit into the shortest limit for idle connections in the field, 30 s.
    keep_alive: String => Duration { flag: "--keep-alive TIME", default: Is("15s"), reload: true }

    /// Life of a stream, give or take a fifth; 0s is for ever
    ///
    /// Then the reader connects again by itself, perhaps to another node.
    stream_life: String => Duration { flag: "--stream-life TIME", default: Is("1h"), reload: true }

    /// Time that a drain may take
    drain: String => Duration { flag: "--drain TIME", default: Is("20s"), reload: true }

    /// Connections at once
    connections_max: Text => Option<usize> {
        flag: "--connections-max N",
        default: Depends("what open files allow, at most 100000"),
    }

    /// Streams of one address that is not loopback
    ///
    /// The default is enough for an office behind one address. An IPv6 network of /64 counts as one address.
    streams_per_address: Text => usize { flag: "--streams-per-address N", default: Is("1000"), reload: true }

    /// Lines that are logged: error, warn, info, debug or trace, or a filter such as info,oyez_server=debug
    ///
    /// `RUST_LOG` says it where nothing else does. Lines that standard error does not take, because it is closed, full or stuck,
    /// are left out, and how many is logged when it takes some again.
    log_level: String => LogLevel { flag: "--log-level LEVEL", default: Is("info") }

    /// How lines are logged: text or json
    ///
    /// As JSON all of standard error is one object a line, from the first line on: what a person is told at the start are the
    /// fields of one line.
    log_format: String => LogFormat { flag: "--log-format FORMAT", default: Is("text") }

    /// Log each request at level info, a stream when it ends
    ///
    /// With method, path, status, milliseconds, the peer, and of a stream the number of topics and patterns that it asked for;
    /// never with a query, data or credentials. Topics stand in paths.
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
        assert_eq!(row("keep_alive").help(), "Silence before a keep-alive [default: 15s]");
        assert_eq!(row("data").help(), "Directory of the history; without one it is in memory");
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
