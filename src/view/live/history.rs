//! The readings of the last two seconds, for rates and verdicts that are about now.
//! Knows nothing of what is made of them.

use crate::flow::Reading;
use std::collections::VecDeque;

/// The stretch that rates, shares and the verdict are about.
pub(super) const RECENT_NANOS: u64 = 1_950_000_000;
/// Readings closer together are not kept for it.
pub(super) const KEPT_NANOS: u64 = 90_000_000;

/// The readings of the last two seconds.
#[derive(Default)]
pub(super) struct History {
    pub(super) kept: VecDeque<Reading>,
    /// The one before the next.
    pub(super) previous: Option<Reading>,
}

impl History {
    pub(super) fn push(&mut self, reading: Reading) {
        let is_new = |last: Option<&Reading>, nanos: u64| {
            last.is_none_or(|last| reading.at_nanos >= last.at_nanos.saturating_add(nanos))
        };
        if is_new(self.kept.back(), KEPT_NANOS) {
            self.kept.push_back(reading.clone());
        }
        // While the run's clock stands still there is no stretch to average over.
        if is_new(self.previous.as_ref(), 1) {
            self.previous = Some(reading);
        }
    }

    /// Drops what is older than needed.
    pub(super) fn trim(&mut self, now_nanos: u64) {
        while self.kept.get(1).is_some_and(|reading| is_old(reading, now_nanos)) {
            self.kept.pop_front();
        }
    }

    /// The latest reading that is old enough; `None` while the run is young, or when its clock went back.
    pub(super) fn recent(&self, now_nanos: u64) -> Option<&Reading> {
        self.kept.front().filter(|reading| is_old(reading, now_nanos))
    }
}

fn is_old(reading: &Reading, now_nanos: u64) -> bool {
    now_nanos.saturating_sub(reading.at_nanos) >= RECENT_NANOS
}
