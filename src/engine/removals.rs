//! The inputs of a run that are removed when everything made of them lasts.
//! Decides nothing about the outputs: it is called when they are in place and synced.

use super::report::Failure;
use super::run::Notice;
use super::thread;
use crate::diagnostic::printable;
use crate::stage::{NOT_READ, Removal, Removed};
use std::sync::Arc;

/// How much of what the source gave went into an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Everything, up to the end.
    Whole,
    /// A stage on the way to each output had enough before the end.
    Part,
}

/// The source is the first stage of a plan.
const SOURCE: usize = 0;

/// Removes the inputs; says which are kept and why, and returns those that could not be removed.
pub(super) fn remove(removals: &[Arc<Removal>], used: Use, notice: &mut dyn FnMut(Notice)) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut kept: Vec<(&Removal, &'static str)> = Vec::new();
    for removal in removals {
        let removed = if used == Use::Whole { removal.remove() } else { Ok(Removed::Kept(NOT_READ)) };
        match removed {
            Ok(Removed::Gone) => {}
            Ok(Removed::Kept(why)) => kept.push((removal, why)),
            Err(error) => failures.push(thread::failure(Some(SOURCE), &error)),
        }
    }
    if let Some((first, why)) = kept.first() {
        let name = printable(first.path().as_os_str().as_encoded_bytes());
        let more = match kept.len() - 1 {
            0 => String::new(),
            1 => ", and one more is kept".to_owned(),
            more => format!(", and {more} more are kept"),
        };
        notice(Notice::Remark { stage: SOURCE, line: format!("{name}: {why}{more}") });
    }
    failures
}
