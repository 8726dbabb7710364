//! The binary: arguments, run, exit code. Everything else is in the library.

use clap::Parser;
use std::process::ExitCode;
use weir::cli::Cli;
use weir::engine::{quiet_panics, raise_again};
use weir::session::{self, Ending};

fn main() -> ExitCode {
    quiet_panics();
    let ending = match Cli::try_parse() {
        Ok(arguments) => session::run(arguments),
        Err(error) => session::say_usage(&error),
    };
    match ending {
        Ending::Exit(exit) => exit.into(),
        Ending::Signal(signal) => raise_again(signal),
    }
}
