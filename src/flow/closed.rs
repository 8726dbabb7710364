//! Why a link gives or takes nothing more, and how an error that came of it is told from others.
//! Knows nothing of how a link comes to its end.

use std::error::Error;
use std::{fmt, io};

/// Why a link gives or takes nothing more, other than by a finished end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The reader has enough, or is gone: not an error.
    HungUp,
    /// The writer failed: what was read is not the whole.
    Aborted,
    /// The run is being given up.
    Cancelled,
}

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Closed::HungUp => "the next stage takes no more",
            Closed::Aborted => "the stage before it failed",
            Closed::Cancelled => "the run was given up",
        })
    }
}

impl Error for Closed {}

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        io::Error::other(closed)
    }
}

impl Closed {
    /// The link's end that caused `error`, if it was one: such an error is a consequence, never a cause.
    pub fn cause_of(error: &(dyn Error + 'static)) -> Option<Closed> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(closed) = error.downcast_ref::<Closed>() {
                return Some(*closed);
            }
            // An `io::Error` skips the error it wraps in its `source`, so it is asked directly.
            let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(closed) = wrapped.and_then(|inner| Closed::cause_of(inner)) {
                return Some(closed);
            }
            next = error.source();
        }
        None
    }
}
