//! From the head of a request to the file beneath a directory that answers it, or to why none does.
//! Knows nothing of connections, and of a request no more than its head.

pub(in crate::stage) mod answer;
#[cfg(test)]
mod attacks;
mod beneath;
mod conditions;
pub(in crate::stage) mod directory;
mod kind;
mod range;
mod target;
mod validators;
