//! What a stage has to tell people at the end of a run.
//! Shows nothing itself, and knows nothing of who does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines that a stage adds while it runs and that people are told at the end of the run, with or without a report. They
/// are dropped when the run is given up, or the stage fails.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// Adds a line, which may hold anything a terminal would obey: whoever shows it sees to that.
    pub fn add(&self, line: String) {
        self.lines().push(line);
    }

    /// The lines so far; none is left.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines())
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // Whole lines are pushed: a panic elsewhere leaves no half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
