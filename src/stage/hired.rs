//! Threads that a codec's library starts by itself: their work, and the wait for it, in the stage's account.
//! Knows nothing of any library.

use super::contract::Context;
use crate::flow::StageGauge;
use std::sync::Arc;
use std::time::Instant;

/// What a library's threads do for a stage, as far as it can be seen from outside.
pub(super) struct Hired {
    gauge: Arc<StageGauge>,
    seen: Instant,
    active: u32,
}

impl Hired {
    /// None at work yet.
    pub(super) fn new(context: &Context) -> Self {
        Hired { gauge: Arc::clone(context.gauge()), seen: Instant::now(), active: 0 }
    }

    /// Makes a call into the library, which may wait for its threads: that counts as busy.
    ///
    /// `call` also tells how many threads are at work when it is done. In between, as many are taken to have been as on average
    /// of both ends.
    pub(super) fn wait<T>(&mut self, call: impl FnOnce() -> (T, u32)) -> T {
        let begin = Instant::now();
        let (value, active) = call();
        let end = Instant::now();
        self.gauge.waited_for_workers(end - begin);
        self.gauge.worked((end - self.seen) * (self.active + active) / 2);
        (self.seen, self.active) = (end, active);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::Hired;
    use crate::flow::StageGauge;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn the_work_of_all_threads_and_the_wait_for_it_are_counted() {
        let gauge = Arc::new(StageGauge::default());
        let begin = Instant::now();
        let mut hired = Hired { gauge: Arc::clone(&gauge), seen: begin, active: 2 };
        let spin = || while begin.elapsed() < Duration::from_millis(5) {};
        hired.wait(|| (spin(), 4));
        let reading = gauge.reading();
        assert!(reading.worker_wait_nanos >= 4_000_000, "{reading:?}");
        assert!(reading.worked_nanos >= 3 * 5_000_000, "{reading:?}");
    }
}
