//! The figures of a hub by name, for whoever exports them.

use std::fmt::Write as _;

use crate::Position;
use crate::stats::HubStats;

/// One figure of a hub: see [`HubStats::figures`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Figure {
    /// As Prometheus has names: `oyez_published_total`, `oyez_history_bytes`.
    pub name: &'static str,
    /// Does it only grow, or go up and down?
    pub kind: FigureKind,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// Name and value of its label, where several figures have one name. The values are words of this crate, so their
    /// number is bounded.
    pub label: Option<(&'static str, &'static str)>,
    /// Its value at that moment.
    pub value: f64,
}

/// What can become of a [`Figure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    /// It grows, and is zero again when the process starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl HubStats {
    /// All figures by name, in an order that stays; those of one name follow each other.
    ///
    /// ```
    /// # let hub = oyez::Hub::<String>::new();
    /// for figure in hub.stats().figures() {
    ///     println!("{} {:?}: {} ({})", figure.name, figure.kind, figure.value, figure.help);
    /// }
    /// ```
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.gauges().chain(self.counters())
    }

    /// The figures as a page in the text format of Prometheus, version 0.0.4: answer a scrape with it, as
    /// `text/plain; version=0.0.4`.
    ///
    /// ```
    /// # let hub = oyez::Hub::<String>::new();
    /// let page = hub.stats().to_prometheus();
    /// assert!(page.contains("# TYPE oyez_subscribers gauge\noyez_subscribers 0\n"));
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let (mut page, mut last) = (String::new(), "");
        for Figure { name, kind, help, label, value } in self.figures() {
            if name != last {
                last = name;
                let kind = match kind {
                    FigureKind::Counter => "counter",
                    FigureKind::Gauge => "gauge",
                };
                write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("a string takes it");
            }
            match label {
                Some((label, of)) => writeln!(page, "{name}{{{label}=\"{of}\"}} {value}"),
                None => writeln!(page, "{name} {value}"),
            }
            .expect("a string takes it");
        }
        page
    }

    fn gauges(&self) -> impl Iterator<Item = Figure> {
        let gauge = |name, help, value| Figure { name, kind: FigureKind::Gauge, help, label: None, value };
        let sequence = |id: &str| Position::parse(id).ok().map(|position| position.sequence as f64);
        let oldest = self.oldest.as_deref().and_then(sequence);
        let head = sequence(&self.head);
        let known = [
            gauge("oyez_subscribers", "Streams that are open", self.subscribers as f64),
            gauge("oyez_lag_max", "Most entries that an open stream has still to read", self.lag_max as f64),
            gauge("oyez_history_entries", "Entries that a resume can still reach", self.history_entries as f64),
            gauge(
                "oyez_history_bytes",
                "Memory of the history, index and topic names counted",
                self.history_bytes as f64,
            ),
            gauge("oyez_topics", "Topics that have entries in the history", self.topics as f64),
            gauge(
                "oyez_latest_values",
                "Values kept: the newest entry of each topic and key",
                self.latest_values as f64,
            ),
            gauge(
                "oyez_latest_bytes",
                "Memory of the table of values, and of those that the history does not hold any more",
                self.latest_bytes as f64,
            ),
            gauge(
                "oyez_clock_ahead_seconds",
                "How far the log's own time is ahead of this machine's, after a clock that was wrong",
                self.clock_ahead_ms as f64 / 1_000.0,
            ),
        ];
        let places = [
            head.map(|head| {
                gauge("oyez_head_sequence", "Sequence of the newest entry; starts again when the log is new", head)
            }),
            oldest.map(|oldest| gauge("oyez_oldest_sequence", "Sequence of the oldest entry kept", oldest)),
        ];
        known.into_iter().chain(places.into_iter().flatten())
    }

    fn counters(&self) -> impl Iterator<Item = Figure> {
        let counter = |name, help, label, value: u64| {
            let value = value as f64;
            Figure { name, kind: FigureKind::Counter, help, label, value }
        };
        let plain = [
            counter("oyez_published_total", "Entries appended", None, self.published),
            counter("oyez_delivered_total", "Events handed to streams, replayed ones included", None, self.delivered),
            counter("oyez_gaps_total", "Gaps told to streams", None, self.gaps),
            counter(
                "oyez_refused_total",
                "Subscriptions refused because of a bound, a drain or a missing right",
                None,
                self.refused,
            ),
            counter(
                "oyez_torn_writes_total",
                "Writes that had been cut off when the history was opened",
                None,
                self.torn_writes,
            ),
            counter("oyez_syncs_total", "Syncs of the history on disk", None, self.syncs),
            Figure {
                value: self.sync_time.as_secs_f64(),
                ..counter("oyez_sync_seconds_total", "Time of the syncs of the history on disk", None, 0)
            },
        ];
        let ended = self.ended;
        let reasons = ended.iter().map(move |(reason, number)| {
            let help = "Streams that have ended, by reason";
            counter("oyez_streams_ended_total", help, Some(("reason", reason)), number)
        });
        plain.into_iter().chain(reasons.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::Hub;

    #[test]
    fn each_name_is_described_once_and_counters_end_in_total() {
        let hub = Hub::<String>::new();
        hub.try_publish("a", "x").unwrap();
        let page = hub.stats().to_prometheus();
        let mut described = HashSet::new();
        for line in page.lines() {
            if let Some(described_now) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described_now.split_once(' ').unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(described.insert(name), "{name} is described once");
            } else if !line.starts_with('#') {
                let name = line.split([' ', '{']).next().unwrap();
                assert!(described.contains(name), "{line}");
            }
        }
        assert!(page.contains("\noyez_published_total 1\n") && page.contains("\noyez_head_sequence 1\n"), "{page}");
        assert!(page.contains("\noyez_streams_ended_total{reason=\"left\"} 0\n"), "{page}");
    }
}
