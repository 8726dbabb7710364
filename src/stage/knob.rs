//! A number of a running stage that somebody may turn up and down: the rate of `throttle`.
//! Knows nothing of who turns it; the stage looks at it as often as it likes.

use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. In bytes per second.
#[derive(Debug)]
pub struct Knob {
    first: u64,
    now: AtomicU64,
}

impl Knob {
    /// Set to `value`.
    pub fn new(value: u64) -> Self {
        Knob { first: value, now: AtomicU64::new(value) }
    }

    /// What it is set to.
    pub fn value(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// What it is set to, if that is another value than the first.
    pub fn turned(&self) -> Option<u64> {
        Some(self.value()).filter(|&value| value != self.first)
    }

    /// Sets it; never to less than 1.
    pub fn set(&self, value: u64) {
        self.now.store(value.max(1), Ordering::Relaxed);
    }
}
