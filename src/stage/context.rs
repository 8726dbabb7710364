//! What a running stage may use beside its ends: waits that can be ended, the clock, its gauge, the worker pool.
//! Knows nothing of links, and holds no behaviour of any stage.

use super::calls::Calls;
use crate::flow::{Alarm, Clock, Closed, Medium, StageGauge, Woken, Workers};
use nix::poll::{PollFlags, PollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

/// What a stage may use while it runs.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) alarm: Arc<Alarm>,
    pub(super) calls: Option<Calls>,
    clock: Arc<Clock>,
    gauge: Arc<StageGauge>,
    workers: Workers,
}

impl Context {
    /// For one stage.
    pub fn new(alarm: Arc<Alarm>, clock: Arc<Clock>, gauge: Arc<StageGauge>, workers: Workers) -> Self {
        Context { alarm, calls: None, clock, gauge, workers }
    }

    /// The run's worker pool.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The run's clock, which stands still while the process is stopped.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the stage counts what it reads from and writes to the outside.
    pub fn gauge(&self) -> &Arc<StageGauge> {
        &self.gauge
    }

    /// Says what the stage waits for from now on, when it waits in the system.
    pub fn waits_for(&self, medium: Medium) {
        self.gauge.waits_for(medium);
    }

    /// Sleeps for `time` on the run's clock.
    ///
    /// # Errors
    /// [`Closed`] when the run is given up or the next stage takes no more: go no further.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        let until_nanos = self.clock.now_nanos() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        loop {
            let left_nanos = until_nanos.saturating_sub(self.clock.now_nanos());
            if left_nanos == 0 {
                return Ok(());
            }
            // Rounded up: a sleep is never too short, and never a busy loop.
            let milliseconds = i32::try_from(left_nanos.div_ceil(1_000_000)).unwrap_or(i32::MAX);
            let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
            if self.alarm.wait(None, timeout)? == Woken::Rung {
                return Err(Closed::HungUp.into());
            }
        }
    }

    /// Waits until a call on `fd` will not block.
    ///
    /// # Errors
    /// [`Closed`] when the run is given up or the next stage takes no more: go no further. Those of `poll`.
    pub fn ready(&self, fd: BorrowedFd<'_>, interest: PollFlags) -> io::Result<()> {
        match self.alarm.wait(Some((fd, interest)), PollTimeout::NONE)? {
            Woken::Ready | Woken::Timeout => Ok(()),
            Woken::Rung => Err(Closed::HungUp.into()),
        }
    }

    /// For a task that waits by being polled: ready when the run is given up or the next stage takes no more. It is one that
    /// lives as long as the stage.
    pub fn poll_given_up(&self, task: &task::Context<'_>) -> Poll<()> {
        self.alarm.poll_rung(task)
    }

    /// As [`Context::ready`], for at most `time`; `false` when it is over.
    ///
    /// # Errors
    /// As [`Context::ready`].
    pub fn ready_within(&self, fd: BorrowedFd<'_>, interest: PollFlags, time: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match self.alarm.wait(Some((fd, interest)), timeout)? {
            Woken::Ready => Ok(true),
            Woken::Timeout => Ok(false),
            Woken::Rung => Err(Closed::HungUp.into()),
        }
    }
}
