//! Readings and reports to what people see: the live view, the report, a failure, a status line.
//! Reads what the run counts and writes to stderr; nothing in a run waits for it.
//!
//! | file | what it does |
//! |---|---|
//! | `live` | the thread that looks and draws |
//! | `canvas` | a picture on a terminal, and off it again: the one place where indicatif is named |
//! | `inspect` | the inspector: histories, and keys that change the run |
//! | `fullscreen` | a terminal given over to it |
//! | `terminal` | what is known of the terminal, and bytes to it |
//! | `picture` | readings to lines, of which `stages`, `links`, `layout` and `progress` make the parts |
//! | `server`, `batch`, `runs` | the same for many runs at once |
//! | `report`, `failure` | the end of a run in words |
//! | `json` | the same facts as lines for other programs |
//! | `metrics`, `meter`, `exporter` | the same facts for Prometheus: as text, of all runs, over HTTP |
//! | `recorder` | the thread that takes readings for files about a run |
//! | `trace`, `plot` | what is in those files |
//! | `headline` | a run in a line, for them |
//! | `look` | characters and colours |

mod batch;
mod canvas;
mod exporter;
mod failure;
mod fullscreen;
mod headline;
mod inspect;
pub mod json;
mod layout;
mod links;
mod live;
mod look;
mod meter;
mod metrics;
mod picture;
mod plot;
mod progress;
mod recorder;
mod report;
mod runs;
mod server;
mod stages;
mod terminal;
#[cfg(test)]
mod tests;
mod trace;

pub use batch::batch_report;
pub use exporter::Exporter;
pub use failure::{Detail, Place, failures};
pub use live::{Live, LiveSettings, Progress, Sample, can_inspect};
pub use look::{Charset, Look};
pub use meter::Meter;
pub use picture::{Frame, Size, picture};
pub use plot::Form;
pub use progress::status_line;
pub use recorder::{Recorder, Records};
pub use report::{notes, report};
pub use terminal::{DataOn, PIECE_BYTES, Terminal};

/// Writes a text to stderr, on a terminal with no lock that a view might hold; gives up on one that Ctrl-S has stopped, and on errors.
pub fn tell(text: &str) {
    tell_bytes(text.as_bytes());
}

/// Whether somebody takes what is told within `patience`, at least 4 KiB of it. A terminal is told in any case: what it does not
/// take is left out.
pub fn is_heard(patience: std::time::Duration) -> bool {
    Terminal::of_stderr().is_none_or(|terminal| terminal.is_terminal() || terminal.is_writable(patience))
}

/// As [`tell`], and gives up on whoever does not read it at once: for a process that was told to end.
pub fn tell_in_passing(text: &str) {
    if let Some(terminal) = Terminal::of_stderr() {
        terminal.write_in_passing(text);
    }
}

/// As [`tell`], for what may be no text.
pub fn tell_bytes(text: &[u8]) {
    if let Some(terminal) = Terminal::of_stderr() {
        terminal.tell(text);
    }
}
