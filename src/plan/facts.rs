//! What looking found out about a run, or against it; and what two runs of a batch may not share.
//! Pure data: looks at nothing itself.

use super::target::Identity;
use crate::exit::Exit;
use std::collections::HashMap;

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// How many bytes the source will give.
    pub total_bytes: Option<u64>,
    /// Lines for the person in front of it.
    pub notices: Vec<String>,
    /// The output that is there already, so that the run is left out, as done; nothing else was looked at then.
    pub skip: Option<String>,
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

/// The outputs of all runs of a batch: no two runs may have one.
#[derive(Debug, Default)]
pub struct Claims {
    taken: HashMap<Identity, (String, bool)>,
}

impl Claims {
    /// Claims the outputs of a run, which messages call `run`. What goes to a stream, and what every run appends to, is shared.
    ///
    /// # Errors
    /// The output that an earlier run has claimed.
    pub fn add(&mut self, run: &str, facts: &Facts) -> Result<(), Problem> {
        for output in &facts.outputs {
            let appends = matches!(output.fate, Fate::Append { .. });
            let Some(identity) = output.identity.clone().filter(|_| !output.fate.is_passing()) else {
                continue;
            };
            match self.taken.get(&identity) {
                Some((_, true)) if appends => {}
                Some((other, _)) => {
                    return Err(Problem {
                        stage: Some(output.stage),
                        message: format!("{}: is written by two runs, `{other}` and `{run}`", output.name),
                        help: Some("give each run an output of its own, as in `write {}.gz`".to_string()),
                        exit: Exit::Usage,
                    });
                }
                None => {
                    self.taken.insert(identity, (run.to_string(), appends));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Facts, Fate, OutputFact};
    use crate::exit::Exit;
    use crate::plan::Identity;

    fn facts(fate: Fate, inode: u64) -> Facts {
        let identity = Some(Identity::File(1, inode));
        Facts {
            outputs: vec![OutputFact { stage: 0, name: "out".to_string(), fate, identity }],
            ..Facts::default()
        }
    }

    #[test]
    fn two_runs_with_one_output_are_refused() {
        let mut claims = Claims::default();
        claims.add("a", &facts(Fate::Create, 1)).expect("the first");
        claims.add("b", &facts(Fate::Create, 2)).expect("another file");
        let problem = claims.add("c", &facts(Fate::Replace { old_bytes: 1 }, 1)).expect_err("taken");
        assert_eq!(problem.message, "out: is written by two runs, `a` and `c`");
        assert_eq!(problem.exit, Exit::Usage);
    }

    #[test]
    fn runs_may_append_to_one_file_and_share_a_stream() {
        let mut claims = Claims::default();
        for run in ["a", "b"] {
            claims.add(run, &facts(Fate::Append { old_bytes: 0 }, 1)).expect("appended in turn");
            claims.add(run, &facts(Fate::Direct, 2)).expect("a stream");
        }
        assert!(claims.add("c", &facts(Fate::Overwrite, 1)).is_err());
    }
}
