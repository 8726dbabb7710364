//! A plan to a report: links, openings, threads, ends, signals, commits.
//! Knows nothing of how a run is shown: who wants to see it asks its [`Monitor`].
//!
//! ```text
//!   start ── wiring ── open each stage ── one thread each ─┐
//!                                                          ▼
//!   run: ends and failures · signals · closed streams · time limits ── commits ──▶ Report
//! ```

mod commits;
mod controls;
mod orders;
mod process;
mod removals;
mod report;
mod run;
#[cfg(test)]
mod scripted_tests;
mod server;
mod shared;
mod stall;
mod start;
mod thread;
mod wiring;

pub use controls::Controls;
pub use process::{Process, raise_again};
pub use report::{Failure, Outcome, Output, OutputState, Report};
pub use run::{Notice, Running};
pub use shared::Monitor;
pub use start::{Settings, start};
pub use thread::quiet_panics;
