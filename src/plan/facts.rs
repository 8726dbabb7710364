//! What looking found out about a run, or against it.
//! Pure data: looks at nothing itself.

use super::target::Identity;
use crate::exit::Exit;

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// How many bytes the source will give.
    pub total_bytes: Option<u64>,
    /// Lines for the person in front of it.
    pub notices: Vec<String>,
    /// The output that is there already, so that the run is left out, as done; nothing else was looked at then.
    pub skip: Option<String>,
    /// The files that the source reads.
    pub inputs: Vec<Identity>,
    /// What will become of each output, in the order of the stages.
    pub outputs: Vec<OutputFact>,
}

/// An output, and what will become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFact {
    /// The stage that writes it.
    pub stage: usize,
    /// The file's name, or `standard output`.
    pub name: String,
    /// What the run does to it.
    pub fate: Fate,
    /// Which file it is; `None` where several may write, as to a terminal.
    pub identity: Option<Identity>,
}

/// What a run does to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Makes a file that is not there.
    Create,
    /// Puts a new file in the place of one of this size.
    Replace {
        /// What it holds now.
        old_bytes: u64,
    },
    /// Adds to a file of this size, and cuts it back on failure.
    Append {
        /// What it holds now.
        old_bytes: u64,
    },
    /// Writes over the old content: cannot be undone.
    Overwrite,
    /// Sends bytes away: cannot be undone.
    Direct,
    /// Starts a process, and nobody knows what that does: cannot be undone.
    Child,
    /// Sends bytes to a peer: cannot be undone.
    Peer,
}

impl Fate {
    /// Whether nothing of it is left for the run to keep.
    pub(super) fn is_passing(self) -> bool {
        matches!(self, Fate::Direct | Fate::Child | Fate::Peer)
    }
}

/// Why a run is not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stage that would fail.
    pub stage: Option<usize>,
    /// `data.gz: no such file or directory`.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Its class: 1 for the state of the system, 2 for what the chain says, 4 for an overwrite that is refused.
    pub exit: Exit,
}

impl Problem {
    pub(super) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

/// What was found of a run that would fail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hindered {
    /// Why it would.
    pub problems: Vec<Problem>,
    /// What is known of it all the same: it may be mended before its turn comes.
    pub facts: Facts,
}
