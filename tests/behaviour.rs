//! Everything that is tried through the binary, and what is true of the tree as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, unreachable_pub, missing_docs)]

mod cases;
mod chunks;
mod examples;
mod exec;
mod faults;
mod files;
mod generated;
mod harness;
mod interop;
mod memory;
mod names;
mod readme;
mod terminal;
mod tidy;
mod tty;
mod verdicts;
