//! The exit codes of weir, in one table.
//! Knows nothing of what causes them.

/// How the process ends, signals aside (those are raised again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// A stage failed: file, disk, network, child.
    Failed = 1,
    /// The command line or the chain is wrong; nothing was opened.
    Usage = 2,
    /// The data is refused: corrupt, truncated, over a limit, wrong digest, wrong key, tampered.
    Refused = 3,
    /// An overwrite is refused.
    Overwrite = 4,
    /// Part of a batch failed.
    Batch = 5,
    /// A panic in a stage.
    Internal = 6,
    /// No byte moved for the time that was given.
    Stalled = 124,
}
