//! What a stage says when it cannot go on: a failure in words with its class, or that nobody reads any more.
//! Prints nothing, and knows nothing of which stage it is.

use crate::exit::Exit;
use crate::flow::Closed;
use std::fmt;

/// A failure as a stage knows it: what people are told, and with which code the process exits.
///
/// The engine adds the stage, its place and the run's input file; the message names what is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// Which class it belongs to.
    pub exit: Exit,
    /// The file or peer, where it is not the run's input.
    pub subject: Option<String>,
    /// `corrupt data at input byte 4711: crc mismatch`.
    pub message: String,
    /// What to do about it, as a line of its own.
    pub help: Option<String>,
}

impl Fault {
    /// Something outside did not work: a file, a disk, a child.
    pub fn failed(message: impl Into<String>) -> Self {
        Fault { exit: Exit::Failed, subject: None, message: message.into(), help: None }
    }

    /// The data is refused: corrupt, truncated, over a limit.
    pub fn refused(message: impl Into<String>) -> Self {
        Fault { exit: Exit::Refused, ..Fault::failed(message) }
    }

    /// An overwrite is refused.
    pub fn overwrite(message: impl Into<String>) -> Self {
        Fault { exit: Exit::Overwrite, ..Fault::failed(message) }
    }

    /// Names the file or peer.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(formatter, "{subject}: ")?;
        }
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// What a sink returns when nobody reads its stream any more: standard output into `head`, a FIFO whose reader left.
///
/// A hang-up, not a failure ([`Closed::cause_of`] finds [`Closed::HungUp`] in it): the outputs stand, and the process
/// ends as by SIGPIPE. Found with `error.downcast_ref::<ReaderGone>()`.
#[derive(Debug)]
pub struct ReaderGone {
    /// `standard output`, or the name of the FIFO.
    pub stream: String,
}

impl fmt::Display for ReaderGone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: nobody reads it any more", self.stream)
    }
}

impl std::error::Error for ReaderGone {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&Closed::HungUp)
    }
}
