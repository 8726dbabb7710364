//! What a format's decoder is to the loop that drives it.
//! Knows nothing of links.

use crate::stage::fault::Fault;

/// A decoder of one format, driven in steps between two buffers of the caller's.
///
/// The way of a stream must not depend on how it is cut into steps. It takes nothing behind the end of its stream.
pub(in crate::stage) trait Coder {
    /// Decodes from `packed` into `room`, as far as either lasts. `packed` is empty when there is no more input for now: what the
    /// decoder holds back is then wanted.
    fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Step;
}

/// What one step did.
#[derive(Debug)]
pub(in crate::stage) struct Step {
    /// Bytes of the input that are done with, also if something was found wrong in them.
    pub(in crate::stage) taken: usize,
    /// Bytes that now stand at the beginning of the room; they are good even if something is wrong behind them.
    pub(in crate::stage) given: usize,
    /// What came of it.
    pub(in crate::stage) outcome: Outcome,
}

/// How a step ended.
#[derive(Debug)]
pub(in crate::stage) enum Outcome {
    /// The stream goes on.
    More,
    /// The stream has ended, and everything of it was given.
    End,
    /// Nothing good can follow.
    Wrong(Wrong),
}

/// Why a decoder gives up.
#[derive(Debug)]
pub(in crate::stage) enum Wrong {
    /// The bytes are none of the format's: `crc mismatch`. The place is added.
    Corrupt(String),
    /// A refusal of its own, such as a limit of memory.
    Refused(Fault),
}

impl Wrong {
    /// Of corrupt data.
    pub(in crate::stage) fn corrupt(what: impl Into<String>) -> Self {
        Wrong::Corrupt(what.into())
    }
}
