//! Durations counted by size.

/// Counts durations in buckets that are at most 1/128 wide: 59 KB for everything from a nanosecond to centuries.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, nanoseconds: u64) {
        // every value has a bucket
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The duration that so many percent of those recorded do not exceed, up to 1/128 more; `None` of nothing.
    pub(crate) fn percentile_ms(&self, percent: f64) -> Option<f64> {
        let rank = ((self.total as f64 * percent / 100.0).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|index| highest(index).min(self.max) as f64 / NANOSECONDS_PER_MS)
    }

    pub(crate) fn max_ms(&self) -> Option<f64> {
        (self.total > 0).then(|| self.max as f64 / NANOSECONDS_PER_MS)
    }
}

/// The bucket of a value: below 256 its own, above it one of 128 per power of two.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION_BITS + 1);
    (shift as usize) * WIDTH + (value >> shift) as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < 2 * WIDTH {
        return bucket as u64;
    }
    let shift = bucket / WIDTH - 1;
    let first = ((bucket - shift * WIDTH) as u64) << shift;
    first + ((1 << shift) - 1)
}

const PRECISION_BITS: u32 = 7;
const WIDTH: usize = 1 << PRECISION_BITS;
const NANOSECONDS_PER_MS: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: impl IntoIterator<Item = u64>) {
        let mut sorted: Vec<u64> = values.into_iter().collect();
        let mut histogram = Histogram::new();
        sorted.iter().for_each(|value| histogram.record(*value));
        sorted.sort_unstable();
        for percent in [0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = ((sorted.len() as f64 * percent / 100.0).ceil() as usize).max(1);
            let exact = sorted[rank - 1] as f64 / 1e6;
            let found = histogram.percentile_ms(percent).unwrap();
            assert!((exact..=exact * (1.0 + 1.0 / 128.0)).contains(&found), "{percent} %: {found}, not {exact}");
        }
        assert_eq!(histogram.max_ms(), Some(sorted[sorted.len() - 1] as f64 / 1e6));
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_data() {
        check([7]);
        check(0..1_000);
        check((0..10_000).map(|n| n * n * 37 % 1_000_003));
        check((0..64).map(|n| 1 << n));
        check((0..5_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 60)));
        check([0, 1, 127, 128, 255, 256, 257, u64::MAX - 1, u64::MAX]);
    }

    #[test]
    fn sums_are_as_if_recorded_in_one() {
        let (mut odd, mut even, mut all) = (Histogram::new(), Histogram::new(), Histogram::new());
        for value in 0..1_000 {
            all.record(value * 1_000);
            if value % 2 == 0 { even.record(value * 1_000) } else { odd.record(value * 1_000) }
        }
        odd.add(&even);
        for percent in [10.0, 50.0, 99.0] {
            assert_eq!(odd.percentile_ms(percent), all.percentile_ms(percent));
        }
    }

    #[test]
    fn of_nothing_there_is_no_percentile() {
        assert_eq!((Histogram::new().percentile_ms(50.0), Histogram::new().max_ms()), (None, None));
    }
}
