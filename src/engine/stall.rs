//! Whether a run has come to rest: no byte moved and no thread computed for the time that was given.
//! Knows nothing of what follows from it.

use crate::flow::{Medium, Reading};
use std::time::Duration;

/// Looks at readings one after another.
#[derive(Debug)]
pub(super) struct StallWatch {
    limit_nanos: u64,
    moved_nanos: u64,
    bytes: u64,
    on_core_nanos: u64,
}

impl StallWatch {
    /// A thread that computed less than this since the last sign of life was only woken, and is at rest.
    const COMPUTED_NANOS: u64 = 5_000_000;

    pub(super) fn new(limit: Duration, now_nanos: u64) -> Self {
        let limit_nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        StallWatch { limit_nanos, moved_nanos: now_nanos, bytes: 0, on_core_nanos: 0 }
    }

    /// Whether nothing has happened for the limit, up to this reading. Time stopped does not count: it is not on the
    /// run's clock. Nor does time in which somebody has paused a stage.
    pub(super) fn is_stalled(&mut self, reading: &Reading) -> bool {
        let on_links: u64 = reading.links.iter().map(|link| link.bytes_in + link.bytes_out).sum();
        let outside: u64 = reading.stages.iter().map(|stage| stage.bytes_read + stage.bytes_written).sum();
        // A stage that waits for its workers is alive as long as these compute.
        let on_core_nanos: u64 =
            reading.stages.iter().map(|stage| stage.on_core_nanos + stage.worked_nanos).sum();
        let is_paused = reading.stages.iter().any(|stage| stage.medium == Medium::Pause);
        let has_moved = is_paused || on_links + outside != self.bytes;
        if has_moved || on_core_nanos > self.on_core_nanos + StallWatch::COMPUTED_NANOS {
            self.bytes = on_links + outside;
            self.on_core_nanos = on_core_nanos;
            self.moved_nanos = reading.at_nanos;
        }
        reading.at_nanos.saturating_sub(self.moved_nanos) >= self.limit_nanos
    }
}

#[cfg(test)]
mod tests {
    use super::StallWatch;
    use crate::flow::{LinkReading, Medium, Reading, StageReading};
    use std::time::Duration;

    fn reading(at_seconds: u64, bytes: u64, on_core_nanos: u64) -> Reading {
        Reading {
            at_nanos: at_seconds * 1_000_000_000,
            links: vec![LinkReading { bytes_in: bytes, ..LinkReading::default() }],
            stages: vec![StageReading { on_core_nanos, ..StageReading::default() }],
            ..Reading::default()
        }
    }

    #[test]
    fn a_run_is_stalled_when_nothing_moved_for_the_limit() {
        let mut watch = StallWatch::new(Duration::from_secs(3), 0);
        assert!(!watch.is_stalled(&reading(2, 10, 0)));
        assert!(!watch.is_stalled(&reading(4, 10, 0)));
        assert!(watch.is_stalled(&reading(5, 10, 0)));
    }

    #[test]
    fn a_run_that_somebody_paused_is_not_stalled() {
        let mut watch = StallWatch::new(Duration::from_secs(3), 0);
        let mut paused = reading(60, 0, 0);
        paused.stages[0].medium = Medium::Pause;
        assert!(!watch.is_stalled(&paused));
        assert!(!watch.is_stalled(&reading(62, 0, 0)));
        assert!(watch.is_stalled(&reading(63, 0, 0)));
    }

    #[test]
    fn a_thread_that_computes_is_a_sign_of_life() {
        let mut watch = StallWatch::new(Duration::from_secs(3), 0);
        for second in 1..20 {
            assert!(!watch.is_stalled(&reading(second, 10, second * 1_000_000_000)));
        }
        assert!(watch.is_stalled(&reading(40, 10, 19_000_000_001)));
    }
}
