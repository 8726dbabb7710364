//! Tools that are dear to make, kept for whoever needs one next: on whatever thread, in whatever run.
//! Knows nothing of what they do.

use crate::flow::worker_threads;
use std::sync::{Mutex, PoisonError};

/// So many are kept in any case; more only where as many cores use them.
const FEW: usize = 4;

/// Tools that nobody uses at present: a few, or as many as there are cores.
#[derive(Debug)]
pub(in crate::stage) struct Kits<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Kits<T> {
    /// None yet.
    pub(in crate::stage) const fn new() -> Self {
        Kits { idle: Mutex::new(Vec::new()) }
    }

    /// Has `work` done with one that `fits`; with a new one from `make` if there is none.
    pub(in crate::stage) fn with<R>(
        &self,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        work: impl FnOnce(&mut T) -> R,
    ) -> R {
        let mut kit = self.take(fits).unwrap_or_else(make);
        let result = work(&mut kit);
        self.put_back(kit);
        result
    }

    fn put_back(&self, kit: T) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < FEW || idle.len() < worker_threads(0) {
            idle.push(kit);
        } else {
            // Freed by this thread alone.
            drop(idle);
            drop(kit);
        }
    }

    /// The one that was used last: its memory is the likeliest to be in a cache.
    fn take(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(fits)?;
        Some(idle.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::Kits;

    #[test]
    fn one_that_fits_is_used_again_and_one_in_use_is_nobody_elses() {
        let kits = Kits::new();
        let mut made = 0;
        let mut make = |sort: u8| {
            made += 1;
            (sort, made)
        };
        let mut with = |sort: u8| kits.with(|kit: &(u8, i32)| kit.0 == sort, || make(sort), |kit| kit.1);
        assert_eq!([with(1), with(1), with(2), with(1), with(2)], [1, 1, 2, 1, 2]);
        let both = kits.with(
            |_| true,
            || unreachable!(),
            |one| kits.with(|_| true, || (0, 0), |other| (one.1, other.1)),
        );
        assert_eq!(both, (2, 1));
        assert_eq!(kits.with(|kit| kit.0 == 3, || (3, 3), |kit| kit.1), 3);
    }

    #[test]
    fn one_with_which_the_work_failed_is_not_kept() {
        let kits = Kits::new();
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            kits.with(|_| true, || 1, |_| panic!("on purpose"));
        }));
        assert!(failed.is_err());
        assert_eq!(kits.with(|_| true, || 2, |kit| *kit), 2);
    }
}
