//! `weir` runs a chain of streaming stages in one process and shows what every link between them does.
//!
//! Read in this order; each module uses only what stands below it in this list:
//!
//! | module | what it does |
//! |---|---|
//! | [`session`] | one call: from the command line to the way the process ends |
//! | [`generate`] | man page and completions, out of `cli` and the stage table |
//! | [`view`] | readings and reports to what people see |
//! | [`cli`] | the command line of `weir` itself, as clap arguments |
//! | [`engine`] | threads, ends, commits, signals: a plan to a report |
//! | [`verdict`] | readings to what limits the run |
//! | [`plan`] | a chain to a checked plan, and preflight |
//! | [`stage`] | the contract, the table, one file per stage |
//! | [`lang`] | text to a chain |
//! | [`flow`] | chunk, pool, link, gauge: what travels and what is counted |
//! | [`diagnostic`], [`exit`], [`units`] | words and numbers for people |
//!
//! `tests/tidy.rs` holds this order as data and fails when an import goes up.

pub mod cli;
pub mod diagnostic;
pub mod engine;
pub mod exit;
pub mod flow;
pub mod generate;
pub mod lang;
pub mod plan;
pub mod session;
pub mod stage;
pub mod units;
pub mod verdict;
pub mod view;
