//! A plan to a report: threads, ends, commits, signals.
//! Knows nothing of how a run is shown.

mod report;

pub use report::{Failure, Outcome, Output, OutputState, Report};
