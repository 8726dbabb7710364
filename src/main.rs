//! The binary: arguments, run, exit code. Everything else is in the library.

use std::process::ExitCode;
use weir::cli::Arguments;
use weir::engine::{quiet_panics, raise_again};
use weir::session::{self, Ending};

fn main() -> ExitCode {
    quiet_panics();
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(ending) => return end(ending),
    };
    end(session::run(arguments))
}

fn end(ending: Ending) -> ExitCode {
    match ending {
        Ending::Exit(exit) => exit.into(),
        Ending::Signal(signal) => raise_again(signal),
    }
}
