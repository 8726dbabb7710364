//! The signals that end nothing: the process is stopped and goes on, its window changes, somebody asks how it stands.
//! Decides nothing about a run.

use super::process::is_orphaned;
use super::run::{Notice, TICK};
use crate::flow::Clock;
use nix::sys::signal::{Signal, raise};
use std::sync::Arc;
use std::time::Duration;

/// Keeps the time in which the process was stopped off its clock. Belongs to the one loop that takes the process's signals, and
/// looks around at every tick.
#[derive(Debug)]
pub(super) struct Stops {
    clock: Arc<Clock>,
    /// When the loop last looked around.
    seen_nanos: u64,
}

impl Stops {
    pub(super) fn new(clock: &Arc<Clock>) -> Stops {
        Stops { clock: Arc::clone(clock), seen_nanos: clock.now_nanos() }
    }

    /// The loop has looked around.
    pub(super) fn seen(&mut self) {
        self.seen_nanos = self.clock.now_nanos();
    }

    /// Does what a signal asks for; gives back one that ends something.
    pub(super) fn obey(&self, signal: Signal, notice: &mut dyn FnMut(Notice)) -> Option<Signal> {
        match signal {
            Signal::SIGUSR1 => notice(Notice::Status),
            Signal::SIGWINCH => notice(Notice::Resized),
            Signal::SIGTSTP => self.stop(notice),
            Signal::SIGCONT => {
                self.leave_out_an_unseen_stop();
                notice(Notice::Resumed);
            }
            ending => return Some(ending),
        }
        None
    }

    /// Stops the process as the terminal asked; returns when it goes on.
    fn stop(&self, notice: &mut dyn FnMut(Notice)) {
        if is_orphaned() {
            return;
        }
        notice(Notice::Stopping);
        self.clock.freeze();
        // Not refused to anybody for itself; if it were, the clock would only have stood still for a moment.
        let _ = raise(Signal::SIGSTOP);
        self.clock.thaw();
    }

    /// A SIGSTOP cannot be caught: the time since the loop last looked around was spent in it, but for a tick at most.
    fn leave_out_an_unseen_stop(&self) {
        let unseen_nanos = self.clock.now_nanos().saturating_sub(self.seen_nanos);
        let unseen = Duration::from_nanos(unseen_nanos).saturating_sub(TICK);
        if unseen > TICK {
            self.clock.skip(unseen);
        }
    }
}
