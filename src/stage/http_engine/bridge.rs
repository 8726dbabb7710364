//! A bounded queue between a stage's thread, which waits by blocking, and code that waits by being polled.
//! Knows nothing of what travels.
//!
//! Each end may be used either way. When one end is gone, the other learns: a sender has its item back, a receiver gets what is left and
//! then nothing. What an end means (all, or not all) is for the items to say.

use crate::stage::contract::Context;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Waker};

/// The end that gives.
#[derive(Debug)]
pub(in crate::stage) struct Sender<T>(Arc<Shared<T>>);

/// The end that takes.
#[derive(Debug)]
pub(in crate::stage) struct Receiver<T>(Arc<Shared<T>>);

/// The other end is gone. A sender finds in it what it wanted to send.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stage) struct Gone<T>(pub(in crate::stage) T);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    slots: usize,
    /// Readable when a thread may find room again.
    room: EventFd,
    /// Readable when a thread may find something again.
    stock: EventFd,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    has_sender: bool,
    has_receiver: bool,
    /// Who waits for room.
    sender: Waiter,
    /// Who waits for an item.
    receiver: Waiter,
}

/// How the one who waits at an end is woken.
#[derive(Debug)]
enum Waiter {
    Nobody,
    Thread,
    Task(Waker),
}

impl Waiter {
    fn wake(&mut self, bell: &EventFd) {
        match std::mem::replace(self, Waiter::Nobody) {
            Waiter::Nobody => {}
            // A counter that is about to overflow is as rung as can be.
            Waiter::Thread => drop(bell.write(1)),
            Waiter::Task(waker) => waker.wake(),
        }
    }
}

/// Both ends of a queue for `slots` items, at least one.
///
/// # Errors
/// When the process has no descriptor left.
pub(in crate::stage) fn bridge<T>(slots: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    let bell = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
    let state = State {
        queue: VecDeque::new(),
        has_sender: true,
        has_receiver: true,
        sender: Waiter::Nobody,
        receiver: Waiter::Nobody,
    };
    let shared =
        Arc::new(Shared { state: Mutex::new(state), slots: slots.max(1), room: bell()?, stock: bell()? });
    Ok((Sender(Arc::clone(&shared)), Receiver(shared)))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `item` in, or gives it back while there is no room; then `waiter` is woken when there is.
    fn put(&self, item: T, waiter: impl FnOnce() -> Waiter) -> Result<Option<T>, Gone<T>> {
        let mut state = self.lock();
        if !state.has_receiver {
            return Err(Gone(item));
        }
        if state.queue.len() >= self.slots {
            state.sender = waiter();
            return Ok(Some(item));
        }
        state.queue.push_back(item);
        state.receiver.wake(&self.stock);
        Ok(None)
    }

    /// Takes an item out; `Err` while there is none, then `waiter` is woken when there is. `Ok(None)` when there will be none.
    fn get(&self, waiter: impl FnOnce() -> Waiter) -> Result<Option<T>, ()> {
        let mut state = self.lock();
        match state.queue.pop_front() {
            Some(item) => {
                state.sender.wake(&self.room);
                Ok(Some(item))
            }
            None if !state.has_sender => Ok(None),
            None => {
                state.receiver = waiter();
                Err(())
            }
        }
    }
}

impl<T> Sender<T> {
    /// Sends `item`, and blocks until there is room for it; `false` when the receiver is gone.
    ///
    /// # Errors
    /// A [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn send(&self, item: T, context: &Context) -> io::Result<bool> {
        let mut item = item;
        loop {
            item = match self.0.put(item, || Waiter::Thread) {
                Ok(None) => return Ok(true),
                Ok(Some(item)) => item,
                Err(Gone(_)) => return Ok(false),
            };
            context.ready(self.0.room.as_fd(), PollFlags::POLLIN)?;
            let _ = self.0.room.read();
        }
    }

    /// Sends what stands in `item`, for code that is polled.
    pub(in crate::stage) fn poll_send(
        &self,
        task: &task::Context<'_>,
        item: &mut Option<T>,
    ) -> Poll<Result<(), Gone<()>>> {
        let Some(given) = item.take() else { return Poll::Ready(Ok(())) };
        match self.0.put(given, || Waiter::Task(task.waker().clone())) {
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(back)) => {
                *item = Some(back);
                Poll::Pending
            }
            Err(Gone(_)) => Poll::Ready(Err(Gone(()))),
        }
    }

    /// Sends `item` from code that is polled.
    ///
    /// # Errors
    /// That the receiver is gone.
    pub(in crate::stage) async fn send_later(&self, item: T) -> Result<(), Gone<()>> {
        let mut item = Some(item);
        std::future::poll_fn(|task| self.poll_send(task, &mut item)).await
    }

    /// Sends `item` even if there is no room for it: the last one, which says what the end means.
    pub(in crate::stage) fn send_last(self, item: T) {
        let mut state = self.0.lock();
        state.queue.push_back(item);
        state.receiver.wake(&self.0.stock);
    }
}

impl<T> Receiver<T> {
    /// The next item, waited for by blocking; `None` when there will be none.
    ///
    /// # Errors
    /// A [`Closed`](crate::flow::Closed) when the run ends while it waits.
    pub(in crate::stage) fn receive(&self, context: &Context) -> io::Result<Option<T>> {
        loop {
            if let Ok(item) = self.0.get(|| Waiter::Thread) {
                return Ok(item);
            }
            context.ready(self.0.stock.as_fd(), PollFlags::POLLIN)?;
            let _ = self.0.stock.read();
        }
    }

    /// The next item, for code that is polled; `None` when there will be none.
    pub(in crate::stage) fn poll_receive(&self, task: &task::Context<'_>) -> Poll<Option<T>> {
        match self.0.get(|| Waiter::Task(task.waker().clone())) {
            Ok(item) => Poll::Ready(item),
            Err(()) => Poll::Pending,
        }
    }

    /// The next item, for code that is polled; `None` when there will be none.
    pub(in crate::stage) async fn receive_later(&self) -> Option<T> {
        std::future::poll_fn(|task| self.poll_receive(task)).await
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_sender = false;
        state.receiver.wake(&self.0.stock);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_receiver = false;
        state.sender.wake(&self.0.room);
        let left = std::mem::take(&mut state.queue);
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gone, bridge};
    use crate::flow::Closed;
    use crate::stage::testing_ends::bench;
    use std::task::{Context as Task, Poll, Waker};

    #[test]
    fn what_is_sent_comes_in_order_through_a_queue_that_is_smaller() {
        let (sender, receiver) = bridge(2).unwrap();
        let bench = bench(64);
        let context = bench.context.clone();
        let giver = std::thread::spawn(move || {
            for number in 0..1000 {
                assert!(sender.send(number, &context).unwrap());
            }
        });
        for number in 0..1000 {
            assert_eq!(receiver.receive(&bench.context).unwrap(), Some(number));
        }
        assert_eq!(receiver.receive(&bench.context).unwrap(), None);
        giver.join().unwrap();
    }

    #[test]
    fn a_thread_and_a_runtime_meet_in_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sender, receiver) = bridge(1).unwrap();
        let (back, returned) = bridge(1).unwrap();
        let bench = bench(64);
        let context = bench.context.clone();
        let stage = std::thread::spawn(move || {
            for number in 0..500 {
                assert!(sender.send(number, &context).unwrap());
                assert_eq!(returned.receive(&context).unwrap(), Some(number));
            }
        });
        runtime.block_on(async {
            while let Some(number) = receiver.receive_later().await {
                back.send_later(number).await.unwrap();
            }
        });
        stage.join().unwrap();
    }

    #[test]
    fn each_end_learns_that_the_other_is_gone() {
        let bench = bench(64);
        let (sender, receiver) = bridge(1).unwrap();
        drop(receiver);
        assert!(!sender.send(1, &bench.context).unwrap());
        let (sender, receiver) = bridge(1).unwrap();
        assert!(sender.send(1, &bench.context).unwrap());
        sender.send_last(2);
        let task = Task::from_waker(Waker::noop());
        assert_eq!(receiver.poll_receive(&task), Poll::Ready(Some(1)));
        assert_eq!(receiver.poll_receive(&task), Poll::Ready(Some(2)));
        assert_eq!(receiver.poll_receive(&task), Poll::Ready(None));
        let (sender, receiver) = bridge(1).unwrap();
        drop(receiver);
        assert_eq!(sender.poll_send(&task, &mut Some(1)), Poll::Ready(Err(Gone(()))));
    }

    #[test]
    fn waiting_ends_when_the_run_is_given_up() {
        let bench = bench(64);
        let (sender, receiver) = bridge::<u8>(1).unwrap();
        bench.alarm.ring();
        let error = receiver.receive(&bench.context).unwrap_err();
        assert_eq!(Closed::cause_of(&error), Some(Closed::HungUp));
        assert!(sender.send(1, &bench.context).unwrap());
        assert!(sender.send(2, &bench.context).is_err());
    }
}
