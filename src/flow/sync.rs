//! The primitives a link is made of, in one place so that its model can swap them.
//! Holds no logic: `tests/link_model.rs` compiles the link against shuttle's versions of the same names.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
