//! What the run tells the view's thread, and what that has done: the one place where they meet.
//! Knows nothing of what is drawn. Nobody waits here for longer than a moment, but the thread itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an order waits to be carried out.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the view's thread is to do, and what it has done.
#[derive(Debug, Default)]
pub(super) struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Control {
    order: Order,
    is_resized: bool,
    /// A picture may be on the terminal.
    pub(super) is_up: bool,
    pub(super) has_shown: bool,
    pub(super) is_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Show,
    Rest,
    End,
}

impl Shared {
    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order, and waits a little until it is carried out.
    pub(super) fn order(&self, order: Order, is_done: impl Fn(&Control) -> bool) {
        let mut control = self.control();
        // Who was told to end has had all the time there is.
        if control.order == Order::End {
            return;
        }
        control.order = order;
        self.changed.notify_all();
        if control.is_alive {
            let waited = self.changed.wait_timeout_while(control, PATIENCE, |control| !is_done(control));
            drop(waited);
        }
    }

    /// The window has another size.
    pub(super) fn resized(&self) {
        self.control().is_resized = true;
        self.changed.notify_all();
    }

    /// What to do at `due`, or as soon as there is something else to do.
    pub(super) fn next(&self, due: Instant) -> Order {
        let mut control = self.control();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            // Before its time a picture is not drawn, whatever the window does.
            let is_resized = std::mem::take(&mut control.is_resized) && control.is_up;
            if control.order != Order::Show || is_resized || left.is_zero() {
                return control.order;
            }
            let waited = self.changed.wait_timeout(control, left);
            control = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says that the picture is down, and waits while it has to stay there.
    pub(super) fn rest(&self) {
        let mut control = self.control();
        control.is_up = false;
        self.changed.notify_all();
        while control.order == Order::Rest {
            control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells that the thread is gone, however it went.
pub(super) struct Farewell<'a>(pub(super) &'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut control = self.0.control();
        control.is_alive = false;
        control.is_up = false;
        self.0.changed.notify_all();
    }
}
