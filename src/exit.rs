//! The exit codes of `weir`, as a type with one table.
//! Decides nothing: who ends a run says which of these it was.

use std::process::ExitCode;

/// How a run of `weir` ended, as the caller's shell sees it.
///
/// A signal has no entry: after the clean-up it is raised again, so that the parent sees a death by that signal (a shell shows
/// 130 for INT, 143 for TERM, 129 for HUP, 131 for QUIT, 141 for a closed stdout).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything succeeded and every output is in place.
    Done = 0,
    /// A stage failed: a file, the disk, the network, a child.
    Failed = 1,
    /// The command line or the chain is wrong; nothing was opened.
    Usage = 2,
    /// The data was refused: corrupt, truncated, over a limit, wrong digest, wrong key, tampered with.
    Refused = 3,
    /// Something stood where an output belongs, and was not to be overwritten.
    Overwrite = 4,
    /// Some runs of a batch failed; a batch of one run keeps that run's own code.
    Batch = 5,
    /// A fault of `weir` itself: a panic in a stage.
    Internal = 6,
    /// No byte moved for as long as `--stall-timeout` allows; the number is that of `timeout`.
    Stalled = 124,
}

impl Exit {
    /// Every exit, in the order of the codes: for the man page and for tests.
    pub const ALL: [Exit; 8] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Refused,
        Exit::Overwrite,
        Exit::Batch,
        Exit::Internal,
        Exit::Stalled,
    ];

    /// The number given to the system, 0 to 124.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What the code means, as one line of the man page.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "a stage failed (file, disk, network, child)",
            Exit::Usage => "usage or chain; nothing was opened",
            Exit::Refused => {
                "data refused (corrupt, truncated, over a limit, wrong digest, wrong key, tampered)"
            }
            Exit::Overwrite => "an overwrite was refused",
            Exit::Batch => "part of a batch failed",
            Exit::Internal => "internal error",
            Exit::Stalled => "stall timeout",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_promised_ones_and_differ() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 124]);
    }

    #[test]
    fn every_code_has_its_own_meaning() {
        for (at, exit) in Exit::ALL.iter().enumerate() {
            assert!(!exit.meaning().is_empty());
            assert!(Exit::ALL[..at].iter().all(|other| other.meaning() != exit.meaning()));
        }
    }
}
