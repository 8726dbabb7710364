//! A bell that wakes a thread out of `poll`, and tasks that are polled: for waits that no condition variable can end.
//! Knows nothing of why it rings.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One stage's bell. Once rung it stays rung: what it announces (a cancel, a hang-up) does not pass.
#[derive(Debug)]
pub struct Alarm {
    event: EventFd,
    tasks: Mutex<Tasks>,
}

/// What wakes code that is polled.
#[derive(Debug, Default)]
struct Tasks {
    has_rung: bool,
    /// Each wakes another task.
    waiting: Vec<Waker>,
}

/// Why a [`Alarm::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The alarm has been rung; look at the links for the reason.
    Rung,
    /// The descriptor is ready, or broken: the next call on it will not block.
    Ready,
    /// The time is over.
    Timeout,
}

impl AsFd for Alarm {
    /// Readable when it has been rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Alarm {
    /// A silent bell.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Alarm { event, tasks: Mutex::default() })
    }

    /// Rings it, for good.
    pub fn ring(&self) {
        // The only failure is a counter about to overflow, which is as rung as can be.
        let _ = self.event.write(1);
        let mut tasks = self.tasks();
        tasks.has_rung = true;
        let waiting = std::mem::take(&mut tasks.waiting);
        drop(tasks);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when it has been rung; else `task` is woken when it is. A task is remembered until then: for one that lives as long
    /// as the stage does.
    pub fn poll_rung(&self, task: &Context<'_>) -> Poll<()> {
        let mut tasks = self.tasks();
        if tasks.has_rung {
            return Poll::Ready(());
        }
        if !tasks.waiting.iter().any(|waker| waker.will_wake(task.waker())) {
            tasks.waiting.push(task.waker().clone());
        }
        Poll::Pending
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        // Nothing panics while it is held.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `fd` shows one of `interest`, the bell rings, or `timeout` is over.
    ///
    /// # Errors
    /// Those of `poll`, interruption excepted (it reads as a spurious [`Woken::Timeout`] only when the time is over).
    pub fn wait(&self, fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: PollTimeout) -> io::Result<Woken> {
        let bell = || PollFd::new(self.event.as_fd(), PollFlags::POLLIN);
        // Without a descriptor to watch, the bell is polled twice.
        wait(&mut [bell(), fd.map_or_else(bell, |(fd, interest)| PollFd::new(fd, interest))], timeout)
    }

    /// As [`Alarm::wait`], until another bell rings, too: that one reads as [`Woken::Ready`].
    ///
    /// # Errors
    /// As [`Alarm::wait`].
    pub fn wait_beside(
        &self,
        other: &Alarm,
        fd: Option<(BorrowedFd<'_>, PollFlags)>,
        timeout: PollTimeout,
    ) -> io::Result<Woken> {
        let other = PollFd::new(other.event.as_fd(), PollFlags::POLLIN);
        let bell = PollFd::new(self.event.as_fd(), PollFlags::POLLIN);
        let fd = fd.map_or_else(
            || PollFd::new(self.event.as_fd(), PollFlags::POLLIN),
            |(fd, interest)| PollFd::new(fd, interest),
        );
        wait(&mut [bell, other, fd], timeout)
    }

    /// Whether it has been rung.
    pub fn has_rung(&self) -> bool {
        // A poll that fails is for who waits to see.
        matches!(self.wait(None, PollTimeout::ZERO), Ok(Woken::Rung))
    }
}

/// Polls; the first of `polled` is the bell.
fn wait(polled: &mut [PollFd<'_>], timeout: PollTimeout) -> io::Result<Woken> {
    loop {
        match poll(polled, timeout) {
            Ok(0) => return Ok(Woken::Timeout),
            Ok(_) if polled[0].any() == Some(true) => return Ok(Woken::Rung),
            Ok(_) => return Ok(Woken::Ready),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Woken};
    use nix::poll::PollTimeout;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_task_that_waits_is_woken_once_however_often_it_was_polled() {
        let alarm = Alarm::new().unwrap();
        let tasks = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        let wakers = tasks.clone().map(Waker::from);
        for waker in wakers.iter().chain(&wakers) {
            assert_eq!(alarm.poll_rung(&Context::from_waker(waker)), Poll::Pending);
        }
        alarm.ring();
        alarm.ring();
        for (task, waker) in tasks.iter().zip(&wakers) {
            assert_eq!(task.0.load(Ordering::Relaxed), 1);
            assert_eq!(alarm.poll_rung(&Context::from_waker(waker)), Poll::Ready(()));
        }
    }

    #[test]
    fn another_bell_ends_a_wait_and_its_own_is_heard_first() {
        let (own, other) = (Alarm::new().unwrap(), Alarm::new().unwrap());
        assert!(!own.has_rung());
        assert_eq!(own.wait_beside(&other, None, PollTimeout::ZERO).unwrap(), Woken::Timeout);
        other.ring();
        assert_eq!(own.wait_beside(&other, None, PollTimeout::NONE).unwrap(), Woken::Ready);
        own.ring();
        assert_eq!(own.wait_beside(&other, None, PollTimeout::NONE).unwrap(), Woken::Rung);
        assert!(own.has_rung() && other.has_rung());
    }
}
