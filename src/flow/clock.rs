//! The clock of the process: monotonic, and standing still while the process is stopped.
//! Knows nothing of what is timed with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Not frozen. No reading is ever this value: see [`Clock::now_nanos`].
const RUNNING: u64 = 0;

/// Nanoseconds since the clock was made, without the time in which the process was stopped (Ctrl-Z).
///
/// Every figure that weir shows is taken from it, so a stop neither lowers a rate nor lengthens a stall.
#[derive(Debug)]
pub struct Clock {
    epoch: Instant,
    skipped_nanos: AtomicU64,
    frozen_nanos: AtomicU64,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Self {
        Clock {
            epoch: Instant::now(),
            skipped_nanos: AtomicU64::new(0),
            frozen_nanos: AtomicU64::new(RUNNING),
        }
    }

    /// The time, in nanoseconds, never 0. A reading in the very moment of a thaw may be a little behind an
    /// earlier one; who subtracts two of them does so saturating.
    pub fn now_nanos(&self) -> u64 {
        match self.frozen_nanos.load(Ordering::Acquire) {
            RUNNING => self.running_nanos(),
            frozen => frozen,
        }
    }

    /// Stands still until [`Clock::thaw`]. Called before the process stops itself.
    pub fn freeze(&self) {
        self.frozen_nanos.store(self.now_nanos(), Ordering::Release);
    }

    /// Goes on from where [`Clock::freeze`] left it; does nothing if it was not frozen.
    pub fn thaw(&self) {
        let frozen = self.frozen_nanos.load(Ordering::Acquire);
        if frozen != RUNNING {
            self.skip(Duration::from_nanos(self.running_nanos().saturating_sub(frozen)));
            self.frozen_nanos.store(RUNNING, Ordering::Release);
        }
    }

    /// Leaves out a time that passed unnoticed (a stop that could not be caught).
    pub fn skip(&self, time: Duration) {
        self.skipped_nanos.fetch_add(nanos(time), Ordering::AcqRel);
    }

    fn running_nanos(&self) -> u64 {
        nanos(self.epoch.elapsed()).saturating_sub(self.skipped_nanos.load(Ordering::Acquire)).max(1)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

/// A duration in nanoseconds; 584 years at most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use std::time::Duration;

    #[test]
    fn a_frozen_clock_stands_still_and_goes_on_where_it_was() {
        let clock = Clock::new();
        clock.freeze();
        let frozen = clock.now_nanos();
        let real = std::time::Instant::now();
        while real.elapsed() < Duration::from_millis(2) {}
        assert_eq!(clock.now_nanos(), frozen);
        clock.thaw();
        assert!(clock.now_nanos() >= frozen);
        let after_thaw = clock.now_nanos();
        assert!(after_thaw - frozen < 2_000_000, "the stop was counted: {} ns", after_thaw - frozen);
    }

    #[test]
    fn a_thaw_without_a_freeze_changes_nothing() {
        let clock = Clock::new();
        let before = clock.now_nanos();
        clock.thaw();
        assert!(clock.now_nanos() >= before);
    }
}
