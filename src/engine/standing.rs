//! How a batch stands whose runs go on at once: what has ended, what goes on, what is still to come.
//! Starts and ends nothing.

use super::report::Fared;
use super::roster::{Noted, Roster, busiest, readings};
use super::shared::Monitor;
use crate::flow::{BatchReading, Clock, Reading};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many of the busiest runs are told of.
const BUSIEST: usize = 8;

/// Where each run of a batch is.
#[derive(Debug)]
pub(super) struct Standing {
    clock: Arc<Clock>,
    /// When the batch began.
    started_nanos: u64,
    /// How many bytes the source of each run will give, as far as that is known.
    sizes: Vec<Option<u64>>,
    /// The runs that go on.
    roster: Roster,
    counts: Mutex<Counts>,
}

/// The runs that have not begun, and those that have ended.
#[derive(Debug, Default)]
struct Counts {
    /// What the first ones will take, as far as that is known.
    ahead_bytes: u64,
    /// Of how many of them it is not.
    ahead_unknown: usize,
    ended: u64,
    failed: u64,
    /// What those that ended have taken.
    taken_bytes: u64,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    standing: &'a Standing,
    noted: Noted<'a>,
}

impl Standing {
    pub(super) fn new(clock: &Arc<Clock>, sizes: Vec<Option<u64>>) -> Standing {
        let counts = Counts {
            ahead_bytes: sizes.iter().flatten().fold(0, |sum, &size| sum.saturating_add(size)),
            ahead_unknown: sizes.iter().filter(|size| size.is_none()).count(),
            ..Counts::default()
        };
        Standing {
            clock: Arc::clone(clock),
            started_nanos: clock.now_nanos(),
            sizes,
            roster: Roster::default(),
            counts: Mutex::new(counts),
        }
    }

    /// Run number `run`, which has not been heard of before, begins.
    pub(super) fn begins(&self, run: usize, name: String, monitor: Monitor) -> Begun<'_> {
        let mut counts = self.counts();
        counts.begins(self.sizes[run]);
        Begun { standing: self, noted: self.roster.note(name, monitor) }
    }

    /// Its turn passes, and it never goes on.
    pub(super) fn passes(&self, run: usize, fared: Fared) {
        let mut counts = self.counts();
        counts.begins(self.sizes[run]);
        counts.ends(0, fared);
    }

    fn reading(&self) -> Reading {
        let (mut batch, ahead_bytes, looks) = {
            // Together, lest a run be missed, or counted twice, on its way from the roster to those that ended.
            let counts = self.counts();
            let ahead_bytes = Some(counts.ahead_bytes).filter(|_| counts.ahead_unknown == 0);
            (counts.reading(), ahead_bytes, self.roster.looks())
        };
        let runs = readings(looks);
        batch.runs = self.sizes.len() as u64;
        batch.runs_open = runs.len() as u64;
        // Of a run that ended before its input did, nothing more is to come.
        let settled = ahead_bytes.map(|bytes| bytes.saturating_add(batch.taken_bytes));
        batch.total_bytes =
            runs.iter().fold(settled, |sum, run| Some(sum?.saturating_add(run.reading.total_bytes()?)));
        batch.taken_bytes += runs.iter().map(|run| run.reading.taken_bytes()).sum::<u64>();
        let mut shown = busiest(&runs, BUSIEST);
        shown.sort_unstable();
        batch.busiest = shown.into_iter().map(|place| runs[place].clone()).collect();
        Reading {
            started_nanos: self.started_nanos,
            batch: Some(batch),
            at_nanos: self.clock.now_nanos(),
            ..Reading::default()
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics while it is held.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn begins(&mut self, size: Option<u64>) {
        match size {
            Some(bytes) => self.ahead_bytes = self.ahead_bytes.saturating_sub(bytes),
            None => self.ahead_unknown -= 1,
        }
    }

    fn ends(&mut self, taken_bytes: u64, fared: Fared) {
        self.ended += 1;
        self.failed += u64::from(fared == Fared::Ill);
        self.taken_bytes += taken_bytes;
    }

    fn reading(&self) -> BatchReading {
        BatchReading {
            runs_ended: self.ended,
            runs_failed: self.failed,
            taken_bytes: self.taken_bytes,
            ..BatchReading::default()
        }
    }
}

impl Begun<'_> {
    /// It has ended.
    pub(super) fn ends(self, taken_bytes: u64, fared: Fared) {
        let mut counts = self.standing.counts();
        drop(self.noted);
        counts.ends(taken_bytes, fared);
    }
}

/// Looks at a batch from any thread, for as long as it likes; no run waits for it.
#[derive(Debug, Clone)]
pub struct BatchMonitor(pub(super) Arc<Standing>);

impl BatchMonitor {
    /// All counters as they stand.
    pub fn reading(&self) -> Reading {
        self.0.reading()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fared, Standing};
    use crate::flow::Clock;
    use std::sync::Arc;

    #[test]
    fn what_is_to_come_is_known_when_the_sizes_of_all_runs_are() {
        let standing = Standing::new(&Arc::new(Clock::new()), vec![Some(5), None, Some(7)]);
        assert_eq!(standing.reading().total_bytes(), None);
        standing.passes(1, Fared::Ill);
        assert_eq!(standing.reading().total_bytes(), Some(12));
        standing.passes(0, Fared::Well);
        let reading = standing.reading();
        assert_eq!((reading.total_bytes(), reading.taken_bytes()), (Some(7), 0));
        let batch = reading.batch.unwrap();
        assert_eq!((batch.runs, batch.runs_ended, batch.runs_failed, batch.runs_open), (3, 2, 1, 0));
    }
}
