//! A plan to a report: links, openings, threads, ends, signals, commits.
//! Knows nothing of how a run is shown: who wants to see it asks its [`Monitor`].
//!
//! ```text
//!   start ── wiring ── open each stage ── one thread each ─┐
//!                                                          ▼
//!   run: ends and failures · signals · closed streams · time limits ── commits ──▶ Report
//! ```
//!
//! Of several runs at once the [`Conductor`] hears the signals; those of a server hear of them from its stage.

mod commits;
mod conductor;
mod controls;
mod orders;
mod process;
mod removals;
mod report;
mod roster;
mod run;
#[cfg(test)]
mod scripted_tests;
mod server;
mod shared;
mod stall;
mod standing;
mod start;
mod stops;
mod thread;
mod wiring;

pub use conductor::{Conducted, Conductor};
pub use controls::Controls;
pub use process::{Process, raise_again};
pub use report::{Failure, Fared, Outcome, Output, OutputState, Report};
pub use run::{Notice, Running};
pub use shared::Monitor;
pub use standing::BatchMonitor;
pub use start::{Settings, start};
pub use thread::quiet_panics;
