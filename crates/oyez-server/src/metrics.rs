//! The page for Prometheus: what the server counts, and the figures of its hub.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use oyez::{Figure, FigureKind, HubStats, Traffic};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::disk::Disk;
use crate::process::{open_descriptors, resident_bytes};

/// What the server counts about requests. Labels are words of the source code, never topics, ids or addresses: their number
/// is bounded, and nothing private gets out. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<[Label; 2], Counter>,
    refused: Family<[Label; 1], Counter>,
    publish_duration: Histogram,
    /// Of the public listener.
    pub(crate) traffic: Traffic,
}

impl Metrics {
    /// All counts at zero.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            requests: Family::default(),
            refused: Family::default(),
            publish_duration: Histogram::new(PUBLISH_SECONDS),
            traffic: Traffic::default(),
        }
    }

    /// A request to `route` has got its answer; for a stream that is its beginning.
    pub(crate) fn answered(&self, route: &'static str, status: StatusCode) {
        self.requests.get_or_create(&[("route", route), ("status", class(status))]).inc();
    }

    /// A request was refused; `reason` is one word, such as `host`, `origin`, `address`, `full`.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// A publish was acknowledged, so long after its body was there.
    pub(crate) fn published(&self, after: Duration) {
        self.publish_duration.observe(after.as_secs_f64());
    }

    /// The page in the OpenMetrics text format, [`Metrics::CONTENT_TYPE`].
    #[must_use]
    pub(crate) fn render(&self, hub: &HubStats, disk: Disk) -> String {
        let mut registry = Registry::with_prefix("oyez");
        self.register(&mut registry);
        register_hub(&mut registry, hub);
        register_disk(&mut registry, disk);
        let mut process = Registry::with_prefix("process");
        register_process(&mut process);

        let mut page = String::new();
        text::encode_registry(&mut page, &registry)
            .and_then(|()| text::encode_registry(&mut page, &process))
            .and_then(|()| text::encode_eof(&mut page))
            .expect("writing to a string does not fail");
        page
    }

    /// The media type of [`Metrics::render`].
    pub(crate) const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    fn register(&self, registry: &mut Registry) {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", version);
        registry.register("http_requests", "Requests answered, by route and class of status", self.requests.clone());
        registry.register("http_refused", "Requests refused, by reason", self.refused.clone());
        let help = "Time from a whole publish request to its acknowledgement";
        registry.register_with_unit("publish_duration", help, Unit::Seconds, self.publish_duration.clone());
        let connections = ConstGauge::new(gauge(self.traffic.connections()));
        registry.register("connections", "Open connections of the public listener, streams included", connections);
        let sent = ConstCounter::new(self.traffic.sent_bytes());
        registry.register("sent_bytes", "Bytes that sockets of the public listener have taken, streams included", sent);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register_hub(registry: &mut Registry, hub: &HubStats) {
    let mut families: HashMap<&str, LabelledCounter> = HashMap::new();
    for Figure { name, kind, help, label, value, .. } in hub.figures() {
        let name = name.strip_prefix("oyez_").expect("figures of a hub are ours");
        match (kind, label) {
            (FigureKind::Counter, None) if is_time(name) => {
                registry.register(counter_name(name), help, ConstCounter::new(value));
            }
            (FigureKind::Counter, None) => {
                registry.register(counter_name(name), help, ConstCounter::new(value as u64));
            }
            (FigureKind::Counter, Some(label)) => {
                let family = families.entry(name).or_insert_with(|| {
                    let family = LabelledCounter::default();
                    registry.register(counter_name(name), help, family.clone());
                    family
                });
                family.get_or_create(&[label]).inc_by(value as u64);
            }
            (FigureKind::Gauge, _) => register_gauge(registry, name, help, value),
        }
    }
}

fn register_gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    if let Some(name) = name.strip_suffix("_seconds") {
        registry.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(value));
    } else if let Some(name) = name.strip_suffix("_bytes") {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value as i64));
    } else {
        registry.register(name, help, ConstGauge::new(value as i64));
    }
}

/// All other figures are whole numbers, and are written as such.
fn is_time(name: &str) -> bool {
    counter_name(name).ends_with("_seconds")
}

/// The registry gives a counter its ending.
fn counter_name(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

/// Nothing for a history in memory.
fn register_disk(registry: &mut Registry, disk: Disk) {
    let known = [
        ("disk", "Disk space that the history takes", disk.bytes),
        ("disk_free", "Disk space that is free beside the history", disk.free_bytes),
    ];
    for (name, help, bytes) in known {
        if let Some(bytes) = bytes {
            registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(gauge(bytes)));
        }
    }
}

/// Nothing where there is no `/proc`.
fn register_process(registry: &mut Registry) {
    if let Some(open) = open_descriptors() {
        registry.register("open_fds", "File descriptors that are open", ConstGauge::new(gauge(open)));
    }
    if let Some(resident) = resident_bytes() {
        let help = "Memory that is resident";
        registry.register_with_unit("resident_memory", help, Unit::Bytes, ConstGauge::new(gauge(resident)));
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Name and value.
type Label = (&'static str, &'static str);
type LabelledCounter = Family<[Label; 1], Counter>;

/// From what memory takes to what a slow disk takes.
const PUBLISH_SECONDS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

#[cfg(test)]
mod tests {
    use oyez::{Event, Hub};

    use super::*;

    const DISK: Disk = Disk { bytes: Some(7), free_bytes: Some(8) };

    /// The samples of a page. Panics where a line breaks the OpenMetrics format or our rules for names and labels.
    fn samples(page: &str) -> HashMap<String, f64> {
        let (mut samples, mut types) = (HashMap::new(), HashMap::new());
        assert!(page.ends_with("\n# EOF\n"));
        for line in page.strip_suffix("# EOF\n").unwrap().lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (keyword, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                match keyword {
                    "TYPE" => {
                        assert_eq!(types.insert(name.to_owned(), rest.to_owned()), None, "{name} is described once")
                    }
                    "HELP" => assert!(rest.ends_with('.'), "{line}"),
                    "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap();
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').unwrap();
                assert!(["route", "status", "reason", "le", "version"].contains(&name), "{line}");
                assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
            }
            let family = ["_total", "_info", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.unwrap_or(name);
            let kind = types.get(family).unwrap_or_else(|| panic!("{line} has a type"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(family.starts_with("oyez_") || family.starts_with("process_"), "{line}");
            assert!(family.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert_eq!(samples.insert(series.to_owned(), value.parse().unwrap()), None, "{series} is there once");
        }
        samples
    }

    #[tokio::test]
    async fn page_has_the_figures_of_server_and_hub() {
        let hub = Hub::<Event>::new();
        hub.publish("a\"b", Event::data("x")).await.unwrap();
        let mut stream = hub.subscribe_pattern("*").earliest().into_stream().unwrap();
        stream.next().await.unwrap();
        let metrics = Metrics::new();
        metrics.answered("publish", StatusCode::OK);
        metrics.clone().answered("publish", StatusCode::OK);
        metrics.answered("subscribe", StatusCode::NOT_FOUND);
        metrics.refused("origin");
        metrics.published(Duration::from_micros(300));

        let page = metrics.render(&hub.stats(), DISK);
        // whole numbers are written as such
        assert!(page.contains("\noyez_subscribers 1\n") && page.contains("\noyez_published_total 1\n"), "{page}");
        let samples = samples(&page);
        let is = |name: &str, value: f64| assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
        is("oyez_subscribers", 1.0);
        is("oyez_published_total", 1.0);
        is("oyez_delivered_total", 1.0);
        is("oyez_gaps_total", 0.0);
        is("oyez_refused_total", 0.0);
        is("oyez_streams_ended_total{reason=\"drain\"}", 0.0);
        is("oyez_streams_ended_total{reason=\"expired\"}", 0.0);
        is("oyez_history_entries", 1.0);
        is("oyez_topics", 1.0);
        is("oyez_latest_values", 0.0);
        is("oyez_latest_bytes", 0.0);
        is("oyez_connections", 0.0);
        is("oyez_sent_bytes_total", 0.0);
        is("oyez_syncs_total", 0.0);
        is("oyez_sync_seconds_total", 0.0);
        is("oyez_disk_bytes", 7.0);
        is("oyez_disk_free_bytes", 8.0);
        is("oyez_clock_ahead_seconds", 0.0);
        is("oyez_head_sequence", 1.0);
        is("oyez_oldest_sequence", 1.0);
        is("oyez_http_requests_total{route=\"publish\",status=\"2xx\"}", 2.0);
        is("oyez_http_requests_total{route=\"subscribe\",status=\"4xx\"}", 1.0);
        is("oyez_http_refused_total{reason=\"origin\"}", 1.0);
        is("oyez_publish_duration_seconds_count", 1.0);
        is("oyez_publish_duration_seconds_bucket{le=\"0.00025\"}", 0.0);
        is("oyez_publish_duration_seconds_bucket{le=\"0.0005\"}", 1.0);
        assert!(samples["oyez_history_bytes"] > 0.0);
    }

    #[test]
    fn page_of_a_server_that_has_done_nothing_is_whole() {
        let samples = samples(&Metrics::new().render(&Hub::<Event>::new().stats(), Disk::default()));
        assert_eq!(samples["oyez_published_total"], 0.0);
        assert!(!samples.contains_key("oyez_oldest_sequence") && !samples.contains_key("oyez_disk_bytes"));
        let version = format!("oyez_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(samples[&version], 1.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn page_has_memory_and_descriptors_of_the_process() {
        let samples = samples(&Metrics::new().render(&Hub::<Event>::new().stats(), Disk::default()));
        assert!(samples["process_open_fds"] >= 3.0);
        assert!(samples["process_resident_memory_bytes"] > 100_000.0);
    }
}
