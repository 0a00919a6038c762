//! Two topics to look at: `clock` and `stock`, published like anybody's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use oyez::{Event, Hub};
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::debug;

/// Publishes until the hub takes nothing more:
///
/// - topic `clock`: each second the time, RFC 3339 in UTC.
/// - topic `stock`: every 600 ms the quote of one made-up share, `{"symbol","price","change","time"}`; `change` is against
///   the first price.
///
/// Cancel-safe: it holds nothing that a drop would lose.
pub(crate) async fn run(hub: Hub<Event>) {
    tokio::join!(clock(&hub), stock(&hub));
}

async fn clock(hub: &Hub<Event>) {
    let now = Timestamp::now();
    let mut ticks = ticks(Duration::from_secs(1), until_next_second(now));
    loop {
        ticks.tick().await;
        if !publish(hub, "clock", nearest_second(Timestamp::now()).to_string()).await {
            return;
        }
    }
}

async fn stock(hub: &Hub<Event>) {
    let mut quotes = SHARES.map(Quote::open);
    let mut ticks = ticks(STOCK_PERIOD, Duration::ZERO);
    loop {
        ticks.tick().await;
        // the demo goes on without randomness: its prices then stand still
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        let chosen = (random % quotes.len() as u64) as usize;
        let quote = quotes[chosen].step(random / quotes.len() as u64);
        quotes[chosen] = quote;
        if !publish(hub, "stock", quote.json(whole_second(Timestamp::now()))).await {
            return;
        }
    }
}

/// Whether the hub has taken it.
async fn publish(hub: &Hub<Event>, topic: &'static str, data: String) -> bool {
    let published = hub.publish(topic, Event::data(data)).await;
    if let Err(error) = &published {
        debug!(topic, %error, "demo ends");
    }
    published.is_ok()
}

/// A machine that slept gets one tick for all that it missed.
fn ticks(period: Duration, delay: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + delay, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The quote of one made-up share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    symbol: &'static str,
    price_cents: i64,
    open_cents: i64,
}

impl Quote {
    fn open((symbol, open_cents): (&'static str, i64)) -> Self {
        Self { symbol, price_cents: open_cents, open_cents }
    }

    /// The next quote: up to half a percent of the first price up or down by `random`, and a hundredth of the way back to
    /// the first price, so that a demo left alone for a year still shows a price.
    fn step(self, random: u64) -> Self {
        let swing = self.open_cents / 200;
        let thrown = (random % (2 * swing as u64 + 1)) as i64 - swing;
        let back = (self.open_cents - self.price_cents) / 100;
        Self { price_cents: (self.price_cents + thrown + back).max(1), ..self }
    }

    fn json(self, time: Timestamp) -> String {
        #[derive(Serialize)]
        struct Data {
            symbol: &'static str,
            price: f64,
            change: f64,
            time: String,
        }
        let money = |cents: i64| cents as f64 / 100.0;
        let data = Data {
            symbol: self.symbol,
            price: money(self.price_cents),
            change: money(self.price_cents - self.open_cents),
            time: time.to_string(),
        };
        serde_json::to_string(&data).expect("strings and finite numbers are JSON")
    }
}

fn until_next_second(now: Timestamp) -> Duration {
    Duration::from_nanos((NANOS - i64::from(now.subsec_nanosecond()).rem_euclid(NANOS)) as u64)
}

/// A tick comes a little after the second that it is for, and after a correction of the clock perhaps a little before.
fn nearest_second(now: Timestamp) -> Timestamp {
    whole_second(now + SignedDuration::from_millis(500))
}

fn whole_second(now: Timestamp) -> Timestamp {
    let seconds = now.as_nanosecond().div_euclid(i128::from(NANOS));
    Timestamp::from_second(seconds as i64).expect("a second of a time is a time")
}

const NANOS: i64 = 1_000_000_000;

/// With four shares each one moves about every 2.4 s: lively, and still readable.
const STOCK_PERIOD: Duration = Duration::from_millis(600);

/// Symbol and first price in cents.
const SHARES: [(&str, i64); 4] = [("BELL", 12_840), ("CRYR", 4_275), ("OYEZ", 30_010), ("TOWN", 8_890)];

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn step_depends_on_state_and_number_only() {
        let quote = Quote { symbol: "BELL", price_cents: 10_000, open_cents: 10_000 };
        let price = |random| quote.step(random).price_cents;
        assert_eq!(price(0), 9_950);
        assert_eq!(price(50), 10_000);
        assert_eq!(price(100), 10_050);
        assert_eq!(price(101), 9_950);
        assert_eq!(quote.step(7), quote.step(7));
    }

    #[test]
    fn walk_stays_near_the_first_price_even_when_it_always_falls_or_rises() {
        for (symbol, open) in SHARES {
            let worst =
                |random| (0..100_000).fold(Quote::open((symbol, open)), |quote, _| quote.step(random)).price_cents;
            let swing = open as u64 / 200;
            assert!(worst(0) > open / 3, "{symbol} fell to {}", worst(0));
            assert!(worst(2 * swing) < open * 2, "{symbol} rose to {}", worst(2 * swing));
        }
    }

    #[test]
    fn quote_is_json_with_change_against_the_first_price() {
        let quote = Quote { symbol: "OYEZ", price_cents: 29_905, open_cents: 30_010 };
        let expected = r#"{"symbol":"OYEZ","price":299.05,"change":-1.05,"time":"2026-08-01T09:30:00Z"}"#;
        assert_eq!(quote.json(time("2026-08-01T09:30:00Z")), expected);
    }

    #[test]
    fn clock_says_whole_seconds_of_utc() {
        let check = |now, expected| assert_eq!(nearest_second(time(now)).to_string(), expected);
        check("2026-08-01T09:30:04.001Z", "2026-08-01T09:30:04Z");
        check("2026-08-01T09:30:03.999Z", "2026-08-01T09:30:04Z");
        check("2026-12-31T23:59:59.9Z", "2027-01-01T00:00:00Z");
        assert_eq!(whole_second(time("2026-08-01T09:30:03.999Z")), time("2026-08-01T09:30:03Z"));
        assert_eq!(until_next_second(time("2026-08-01T09:30:03.75Z")), Duration::from_millis(250));
        assert_eq!(until_next_second(time("2026-08-01T09:30:03Z")), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn both_topics_carry_events_until_the_hub_drains() {
        let hub = Hub::<Event>::new();
        let mut clock = hub.subscribe("clock").into_stream().unwrap();
        let mut stock = hub.subscribe("stock").into_stream().unwrap();
        let demo = tokio::spawn(run(hub.clone()));

        let tick = clock.next().await.and_then(|item| item.event()).unwrap();
        assert_eq!(tick.value.event_type(), None);
        assert_eq!(tick.value.data_str().len(), "2026-08-01T09:30:04Z".len());
        let quote = stock.next().await.and_then(|item| item.event()).unwrap();
        let quote: serde_json::Value = serde_json::from_str(quote.value.data_str()).unwrap();
        assert!(SHARES.iter().any(|(symbol, _)| quote["symbol"] == *symbol));

        hub.drain(Duration::ZERO).await;
        demo.await.unwrap();
    }
}
