//! The end state of a run, as data.
//! Words for people are made of it elsewhere.

use crate::exit::Exit;
use crate::flow::Reading;
use nix::sys::signal::Signal;

/// The end state of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What failed, in order of time: the first is the root cause. What it caused in other stages is not here.
    pub failures: Vec<Failure>,
    /// What became of each lasting output, and of what cannot be undone.
    pub outputs: Vec<Output>,
    /// What stages had to tell, in their order: each a line, as it came.
    pub notes: Vec<String>,
    /// All counters, settled.
    pub reading: Reading,
}

impl Report {
    /// How it counts among others.
    pub(super) fn fared(&self) -> Fared {
        match self.outcome {
            Outcome::Done | Outcome::HungUp => Fared::Well,
            Outcome::Failed(_) | Outcome::Cancelled(_) | Outcome::Stalled => Fared::Ill,
        }
    }
}

/// How a run counts among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    /// Well, or there was nothing to do.
    Well,
    /// It failed, or could not start.
    Ill,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every stage ended well, every output is in place.
    Done,
    /// As `Done`, and whoever read standard output went away before its end.
    HungUp,
    /// A stage failed.
    Failed(Exit),
    /// A signal ended it: this one is to be raised again.
    Cancelled(i32),
    /// No byte moved for the time given with `--stall-timeout`.
    Stalled,
}

impl Outcome {
    /// The code that the process is to exit with.
    ///
    /// # Errors
    /// The signal that it is to end by instead.
    pub fn exit(self) -> Result<Exit, i32> {
        match self {
            Outcome::Done => Ok(Exit::Done),
            Outcome::HungUp => Err(Signal::SIGPIPE as i32),
            Outcome::Failed(exit) => Ok(exit),
            Outcome::Cancelled(signal) => Err(signal),
            Outcome::Stalled => Ok(Exit::Stalled),
        }
    }
}

/// A stage that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which one, as an index of the scheme's stages; `None` for a failure while the outputs were put in place.
    pub stage: Option<usize>,
    /// Its class.
    pub exit: Exit,
    /// `data.gz: corrupt data at input byte 4711: crc mismatch`.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// An output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file's name, or `standard output`.
    pub name: String,
    /// What became of it.
    pub state: OutputState,
}

/// What became of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputState {
    /// Complete and in place.
    Published,
    /// Its old content, untouched.
    AsItWas,
    /// There was no such file, and there is none.
    NotCreated,
    /// Neither its old content nor all of the new: `its first 3 bytes have been written over`.
    Changed(String),
    /// This many bytes of an incomplete whole went where nothing can be taken back.
    Partial(u64),
}
