//! The end of a conversation for who has to know first how all that follows from it ended: a server, whose run may fail when both ways
//! are through.
//! Knows nothing of runs.

use super::talk::Talk;
use crate::stage::contract::Context;
use std::sync::Arc;

/// When the last word is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWord {
    /// As soon as all was given, or the peer has said its own.
    AtOnce,
    /// When both ways are through, by [`Parting`].
    Later,
}

/// What is left to do when both ways are through. Dropped, the peer sees that the connection was cut.
#[derive(Debug)]
pub(in crate::stage) struct Parting(pub(super) Arc<Talk>);

impl Parting {
    /// Tells the peer that all went well, and sees it off.
    pub(in crate::stage) fn well(self, context: &Context) {
        // What keeps it from being told is what it sees.
        if self.0.close(context).is_ok() {
            self.0.leave(context);
        }
    }

    /// Has the peer see a reset.
    pub(in crate::stage) fn badly(self) {
        self.0.wire().give_up();
    }
}
