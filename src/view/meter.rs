//! The runs of the process, those that have ended and those going on, for whoever asks for their metrics.
//! Nothing in a run waits for it, but for the moment in which another thread reads the counters.

use super::live::Sample;
use super::metrics::{Totals, exposition};
use crate::engine::Report;
use crate::flow::Reading;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of all runs of the process.
#[derive(Default)]
pub struct Meter {
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    ended: Totals,
    /// What was told last: counters never fall.
    shown: Totals,
    present: BTreeMap<usize, Sample>,
}

impl Meter {
    /// A run begins, and can be read with `sample`. What is returned names it when it ends.
    pub fn begin(&self, sample: Sample) -> usize {
        let mut runs = self.lock();
        let number = runs.present.last_key_value().map_or(0, |(number, _)| number + 1);
        runs.present.insert(number, sample);
        number
    }

    /// A run has ended; `number` is that of its beginning, if it ever began.
    pub fn end(&self, number: Option<usize>, report: &Report) {
        let mut runs = self.lock();
        runs.ended.end(report);
        if let Some(number) = number {
            runs.present.remove(&number);
        }
    }

    /// The metrics of this moment.
    pub fn text(&self) -> String {
        let mut runs = self.lock();
        let present: Vec<Reading> = runs.present.values().map(|sample| sample()).collect();
        let mut totals = runs.ended.clone();
        present.iter().for_each(|reading| totals.add(reading));
        totals.hold(&runs.shown);
        runs.shown = totals.clone();
        exposition(&totals, &present)
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        // Every change to it is whole.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Meter").finish_non_exhaustive()
    }
}
