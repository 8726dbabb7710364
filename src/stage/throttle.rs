//! `throttle`: no more than a given rate, by a bucket of tokens that the run's clock fills.
//! Knows nothing of what limits the rate otherwise.

use super::amount::Amount;
use super::contract::{Body, Context, Entry, Example, Opening, Role, Stage};
use super::knob::Knob;
use crate::flow::{Inlet, Medium, Outlet};
use std::sync::Arc;
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What this part of a second brings is sent at once: twenty steps a second look steady and cost nothing.
const SLICES_PER_SECOND: u64 = 20;

/// How long a new rate may go unnoticed.
const LOOK: Duration = Duration::from_millis(100);

/// Pass the bytes on at no more than RATE
///
/// RATE is a size per second: `500K` or `500K/s`. From the start to any later moment no more than RATE on average goes
/// through. Time in which the input gave nothing, or weir was stopped, is not made up for, beyond what `--burst` allows.
#[derive(Debug, clap::Parser)]
pub(super) struct Throttle {
    /// Bytes per second
    #[arg(value_parser = Amount::rate)]
    rate: Amount,

    /// How much may go at once after a quiet time; at least, and if not given, what a tenth of a second brings
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    burst: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[Example { chain: "throttle 1M", input: b"not too fast\n", output: b"not too fast\n" }],
    ..Entry::of::<Throttle>("throttle", Role::Filter)
};

impl Stage for Throttle {
    fn label(&self) -> String {
        match &self.burst {
            Some(burst) => format!("{} --burst {burst}", self.rate),
            None => self.rate.to_string(),
        }
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        input
    }

    fn passes_unchanged(&self) -> bool {
        true
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let burst_bytes = self.burst.map_or(0, |size| size.bytes);
        let rate = Arc::new(Knob::new(self.rate.bytes));
        opening.offer(Arc::clone(&rate));
        Ok(Body::filter(move |inlet, outlet, context| throttle(inlet, outlet, context, &rate, burst_bytes)))
    }
}

fn throttle(
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
    rate: &Knob,
    burst_bytes: u64,
) -> anyhow::Result<()> {
    context.waits_for(Medium::Clock);
    let mut bucket = Bucket::new(rate.value(), burst_bytes, context.clock().now_nanos());
    while let Some(chunk) = inlet.next_chunk()? {
        let mut rest = Some(chunk);
        while let Some(mut slice) = rest.take() {
            bucket.turn(rate.value(), burst_bytes);
            let count = slice.len().min(usize::try_from(slice_bytes(rate.value())).unwrap_or(usize::MAX));
            if let Some(time) = bucket.take(count as u64, context.clock().now_nanos()) {
                context.sleep(time.min(LOOK))?;
                rest = Some(slice);
                continue;
            }
            if slice.len() > count {
                let mut behind = slice.clone();
                behind.advance(count);
                slice.truncate(count);
                rest = Some(behind);
            }
            outlet.send(slice)?;
        }
    }
    Ok(())
}

/// How much is sent at once, at least one byte.
fn slice_bytes(rate: u64) -> u64 {
    (rate / SLICES_PER_SECOND).max(1)
}

/// What may be sent: earned with time, up to a depth, and spent with each slice. It begins empty, so that the average
/// from the start is never above the rate.
///
/// Counted in byte-nanoseconds per second, in which both a nanosecond and a byte are whole numbers: nothing is rounded.
#[derive(Debug)]
struct Bucket {
    rate: u128,
    depth: u128,
    level: u128,
    seen_nanos: u64,
}

impl Bucket {
    fn new(rate: u64, burst_bytes: u64, now_nanos: u64) -> Self {
        let mut bucket = Bucket { rate: 0, depth: 0, level: 0, seen_nanos: now_nanos };
        bucket.turn(rate, burst_bytes);
        bucket
    }

    /// From now on it fills at this rate. What it holds stays, as far as there is room.
    fn turn(&mut self, rate: u64, burst_bytes: u64) {
        // Two slices deep at least: while one is paid for, a sleep that took too long must not be lost.
        let depth_bytes = burst_bytes.max(slice_bytes(rate).saturating_mul(2));
        self.rate = u128::from(rate);
        self.depth = u128::from(depth_bytes) * NANOS_PER_SECOND;
        self.level = self.level.min(self.depth);
    }

    /// Spends `bytes`, at most a slice; or says how long it takes until they are there, and spends nothing.
    fn take(&mut self, bytes: u64, now_nanos: u64) -> Option<Duration> {
        let passed_nanos = now_nanos.saturating_sub(self.seen_nanos);
        // Not the later of the two: where the clock went back, after a stop, what it had gained is not waited for.
        self.seen_nanos = now_nanos;
        self.level = self.depth.min(self.level.saturating_add(u128::from(passed_nanos) * self.rate));
        let price = u128::from(bytes) * NANOS_PER_SECOND;
        if price <= self.level {
            self.level -= price;
            return None;
        }
        let missing_nanos = (price - self.level).div_ceil(self.rate);
        Some(Duration::from_nanos(u64::try_from(missing_nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, slice_bytes};
    use crate::stage::testing::{Ending, Trial, assert_gives, stage};
    use std::time::{Duration, Instant};

    const SECOND: u64 = 1_000_000_000;
    const MILLISECOND: u64 = SECOND / 1000;

    /// Sends `bytes` with sleeps that take `late_nanos` too long; returns the time and the number of sleeps.
    fn simulate(rate: u64, bytes: u64, late_nanos: u64) -> (u64, u64) {
        let (mut now, mut sleeps, mut left) = (1, 0, bytes);
        let mut bucket = Bucket::new(rate, 0, now);
        while left > 0 {
            let slice = left.min(slice_bytes(rate)).min(256 * 1024);
            while let Some(time) = bucket.take(slice, now) {
                // As `Context::sleep` does, in whole milliseconds.
                now += u64::try_from(time.as_nanos()).unwrap().next_multiple_of(MILLISECOND) + late_nanos;
                sleeps += 1;
            }
            left -= slice;
        }
        (now - 1, sleeps)
    }

    #[test]
    fn the_average_is_the_rate_whatever_it_is() {
        for rate in [1, 7, 1024, 123_457, 10 << 20, 3 << 30, 100_000_000_000] {
            for late_nanos in [0, 1_000_000, 20_000_000] {
                let (nanos, sleeps) = simulate(rate, rate * 3, late_nanos);
                let seconds = nanos as f64 / SECOND as f64;
                assert!((3.0..3.06).contains(&seconds), "rate {rate}, late {late_nanos}: {seconds} s");
                assert!(sleeps <= 3010, "rate {rate}, late {late_nanos}: {sleeps} sleeps");
            }
        }
    }

    #[test]
    fn the_last_byte_comes_when_it_is_due() {
        assert_eq!(simulate(1, 3, 0).0, 3 * SECOND);
        assert_eq!(simulate(1000, 1, 0).0, MILLISECOND);
    }

    #[test]
    fn quiet_time_is_made_up_for_by_no_more_than_the_burst() {
        let mut bucket = Bucket::new(100, 50, 1);
        let later = 1 + 60 * SECOND;
        for _ in 0..10 {
            assert_eq!(bucket.take(5, later), None);
        }
        assert_eq!(bucket.take(5, later), Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_clock_that_stands_still_or_falls_back_earns_nothing() {
        let mut bucket = Bucket::new(100, 0, SECOND);
        assert_eq!(bucket.take(5, SECOND), Some(Duration::from_millis(50)));
        assert_eq!(bucket.take(5, SECOND / 2), Some(Duration::from_millis(50)));
        assert_eq!(bucket.take(5, SECOND + SECOND / 20), None);
    }

    #[test]
    fn a_bucket_that_is_turned_fills_at_the_new_rate() {
        let mut bucket = Bucket::new(1, 0, 1);
        assert_eq!(bucket.take(1, 1), Some(Duration::from_secs(1)));
        bucket.turn(1000, 0);
        assert_eq!(bucket.take(50, 1 + SECOND / 20), None);
        // What a faster one had earned is more than a slower one may send at once.
        assert!(bucket.take(50, 1 + 2 * SECOND).is_none());
        bucket.turn(20, 0);
        assert_eq!(bucket.take(1, 1 + 2 * SECOND), None);
        assert_eq!(bucket.take(1, 1 + 2 * SECOND), None);
        assert_eq!(bucket.take(1, 1 + 2 * SECOND), Some(Duration::from_millis(50)));
    }

    #[test]
    fn extreme_rates_and_bursts_do_not_overflow() {
        let mut bucket = Bucket::new(u64::MAX, u64::MAX, 1);
        assert_eq!(bucket.take(1 << 40, u64::MAX), None);
        assert_eq!(bucket.take(u64::MAX, u64::MAX), Some(Duration::from_nanos(60)));
        assert_eq!(Bucket::new(1, 0, 1).take(u64::MAX, 1), Some(Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn the_bytes_are_the_same_afterwards() {
        let bytes: Vec<u8> = (0..5000u32).map(|number| (number % 251) as u8).collect();
        assert_gives("throttle 100G", &bytes, &bytes);
    }

    #[test]
    fn a_chunk_is_sent_in_slices_and_on_time() {
        let begin = Instant::now();
        let outcome = Trial::of("throttle 1000").run(&[&[7; 120]]);
        assert_eq!(outcome.output, [7; 120]);
        assert!(begin.elapsed() >= Duration::from_millis(120), "{:?}", begin.elapsed());
        assert!(outcome.lengths.iter().all(|&length| length <= 50), "{:?}", outcome.lengths);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("throttle 1G").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        assert!(stage("throttle 0").is_err());
        assert!(stage("throttle").is_err());
    }
}
