//! The runs that go on now, each by its name, for whoever looks at all of them.
//! Knows nothing of who starts them.

use super::shared::Monitor;
use crate::flow::RunReading;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who runs now.
#[derive(Debug, Default)]
pub(super) struct Roster {
    runs: Mutex<BTreeMap<u64, (String, Monitor)>>,
}

impl Roster {
    /// Notes a run until what is returned is dropped.
    pub(super) fn note(&self, name: String, monitor: Monitor) -> Noted<'_> {
        let mut runs = self.lock();
        let number = runs.last_key_value().map_or(0, |(number, _)| number + 1);
        runs.insert(number, (name, monitor));
        Noted { roster: self, number }
    }

    /// A look at each of them, in the order in which they began.
    pub(super) fn looks(&self) -> Vec<(String, Monitor)> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (String, Monitor)>> {
        // Nothing panics while it is held.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run's entry.
#[derive(Debug)]
pub(super) struct Noted<'a> {
    roster: &'a Roster,
    number: u64,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.number);
    }
}

/// A reading of each, in the same order. Takes its time, so nobody is kept from the roster meanwhile.
pub(super) fn readings(looks: Vec<(String, Monitor)>) -> Vec<RunReading> {
    looks.into_iter().map(|(name, monitor)| RunReading { name, reading: monitor.reading() }).collect()
}

/// The place of each run among those that have moved most, the first one most of all: at most so many.
pub(super) fn busiest(runs: &[RunReading], most: usize) -> Vec<usize> {
    let moved = |run: &RunReading| -> u64 {
        run.reading.stages.iter().map(|stage| stage.bytes_read + stage.bytes_written).sum()
    };
    let mut places: Vec<usize> = (0..runs.len()).collect();
    places.sort_by_key(|&place| Reverse(moved(&runs[place])));
    places.truncate(most);
    places
}

#[cfg(test)]
mod tests {
    use super::busiest;
    use crate::flow::{Reading, RunReading, StageReading};

    #[test]
    fn those_that_moved_most_come_first() {
        let run = |bytes_read| RunReading {
            reading: Reading {
                stages: vec![StageReading { bytes_read, ..StageReading::default() }],
                ..Reading::default()
            },
            ..RunReading::default()
        };
        let runs = [run(1), run(3), run(2), run(3)];
        assert_eq!(busiest(&runs, 3), [1, 3, 2]);
        assert_eq!(busiest(&runs, 9).len(), 4);
    }
}
