//! Where the two ways of a stage with a peer meet: what the one makes, the other waits for.
//! Knows nothing of what it is.

use crate::flow::Closed;
use crate::stage::contract::Context;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The side that makes it. Dropped without [`Promise::keep`], it tells the other side that there is nothing.
#[derive(Debug)]
pub(in crate::stage) struct Promise<T>(Arc<Place<T>>);

/// The side that waits.
#[derive(Debug)]
pub(in crate::stage) struct Awaited<T>(Arc<Place<T>>);

#[derive(Debug)]
struct Place<T> {
    made: Mutex<Option<T>>,
    bell: EventFd,
}

/// A promise, and what waits for it.
///
/// # Errors
/// When the process has no descriptor left.
pub(in crate::stage) fn meeting<T>() -> io::Result<(Promise<T>, Awaited<T>)> {
    let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let place = Arc::new(Place { made: Mutex::new(None), bell });
    Ok((Promise(Arc::clone(&place)), Awaited(place)))
}

impl<T> Promise<T> {
    /// It is made.
    pub(in crate::stage) fn keep(self, made: T) {
        *self.0.lock() = Some(made);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // A counter of one cannot overflow.
        let _ = self.0.bell.write(1);
    }
}

impl<T> Awaited<T> {
    /// Waits until it is made.
    ///
    /// # Errors
    /// A [`Closed`]: when it never will be, or when the run is given up or nobody wants more.
    pub(in crate::stage) fn get(self, context: &Context) -> io::Result<T> {
        context.ready(self.0.bell.as_fd(), PollFlags::POLLIN)?;
        self.0.lock().take().ok_or_else(|| Closed::Aborted.into())
    }
}

impl<T> Place<T> {
    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        // Nothing panics while it is held.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::meeting;
    use crate::flow::Closed;
    use crate::stage::testing_ends::bench;

    #[test]
    fn what_is_made_is_met_and_what_never_will_be_is_an_abort() {
        let bench = bench(64);
        let (promise, awaited) = meeting().unwrap();
        let maker = std::thread::spawn(move || promise.keep(7));
        assert_eq!(awaited.get(&bench.context).unwrap(), 7);
        maker.join().unwrap();
        let (promise, awaited) = meeting::<u8>().unwrap();
        drop(promise);
        assert_eq!(Closed::cause_of(&awaited.get(&bench.context).unwrap_err()), Some(Closed::Aborted));
    }

    #[test]
    fn waiting_ends_when_the_run_is_given_up() {
        let bench = bench(64);
        let (_promise, awaited) = meeting::<u8>().unwrap();
        bench.alarm.ring();
        assert!(Closed::cause_of(&awaited.get(&bench.context).unwrap_err()).is_some());
    }
}
