//! What servers share, whatever they speak: the door, the limits, the end.
//! Knows nothing of chains but that they can be run, and nothing of arguments.

pub(in crate::stage) mod connection;
pub(in crate::stage) mod door;
pub(in crate::stage) mod line;
pub(in crate::stage) mod place;
