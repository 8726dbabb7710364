//! Files and streams outside the process: how stages open, read and write them, and put a whole file in its place.
//! No stage is here; `read`, `stdin`, `write` and `stdout` are made of these parts.
//!
//! | file | what it holds |
//! |---|---|
//! | `stream` | a descriptor: its kind, reading and writing it without blocking for good |
//! | `standard` | the names that mean a standard stream |
//! | `origin` | what a source reads |
//! | `follow`, `watch` | a file that grows, goes and comes again |
//! | `input` | the run's view of what is read: facts, removal |
//! | `small` | a file that is needed whole before anything begins |
//! | `destination` | where a name leads, and what is there |
//! | `target` | what a sink writes, whole chunks and counted |
//! | `place`, `beside` | a file written beside its final place, and its commit |
//! | `dress` | owner, mode and times of a new file |
//! | `in_place` | a file written where it is, and its commit |
//! | `direct` | what can be neither replaced nor undone |
//! | `whole` | a file about a run, which no stage writes |

pub(in crate::stage) mod beside;
pub(in crate::stage) mod destination;
pub(in crate::stage) mod direct;
pub(in crate::stage) mod dress;
pub(in crate::stage) mod follow;
pub(in crate::stage) mod in_place;
pub(in crate::stage) mod input;
pub(in crate::stage) mod origin;
pub(in crate::stage) mod place;
#[cfg(feature = "hash")]
pub(in crate::stage) mod small;
pub(in crate::stage) mod standard;
pub(in crate::stage) mod stream;
pub(in crate::stage) mod target;
mod watch;
pub(in crate::stage) mod whole;
