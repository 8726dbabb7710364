//! What a run and a stage call out to each other beside the bytes: that an endless source is to end, remarks for people.
//! Knows nothing of signals, or of who reads a remark.

use super::context::Context;
use crate::flow::{Alarm, Closed, Woken};
use nix::poll::{PollFlags, PollTimeout};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// A run's side of it.
#[derive(Clone)]
pub struct Calls {
    ending: Arc<Alarm>,
    remark: Arc<dyn Fn(String) + Send + Sync>,
}

impl Calls {
    /// `ending` is rung when the endless source of the run is to end; `remark` hears what the stage has to say.
    pub fn new(ending: Arc<Alarm>, remark: impl Fn(String) + Send + Sync + 'static) -> Self {
        Calls { ending, remark: Arc::new(remark) }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Calls").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Context {
    /// The same, in a run that can be called and calls.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Whether an endless source is to give no more: what it gave is finished, so it returns as any other at its end.
    pub fn is_ending(&self) -> bool {
        self.calls.as_ref().is_some_and(|calls| calls.ending.has_rung())
    }

    /// Waits until `fd` is readable, an endless source is to end, or `time` is over.
    ///
    /// # Errors
    /// [`Closed`] when the run is given up or the next stage takes no more: go no further. Those of `poll`.
    pub fn await_more(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let fd = fd.map(|fd| (fd, PollFlags::POLLIN));
        let woken = match &self.calls {
            Some(calls) => self.alarm.wait_beside(&calls.ending, fd, timeout)?,
            None => self.alarm.wait(fd, timeout)?,
        };
        if woken == Woken::Rung { Err(Closed::HungUp.into()) } else { Ok(()) }
    }

    /// Tells people something while the run goes on: a line about what the stage reads or writes. Not for failures.
    pub fn remark(&self, line: impl Into<String>) {
        if let Some(calls) = &self.calls {
            (calls.remark)(line.into());
        }
    }
}
