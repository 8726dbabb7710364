//! What HTTP stages share: a runtime's view of a socket, and the way between a stage's thread and a runtime.
//! All code that is polled rather than blocks is in here. Knows nothing of what a request is for.

pub(in crate::stage) mod bridge;
pub(in crate::stage) mod io;
