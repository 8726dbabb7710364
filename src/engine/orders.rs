//! Whom a run obeys: the signals of the process, or the server that started it.
//! Decides nothing: the run asks, and acts.

use super::process::Process;
use crate::flow::{Alarm, Clock};
use crate::stage::{Interrupts, Orders};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// The one who gives the orders.
#[derive(Debug, Clone, Copy)]
pub(super) enum Master<'a> {
    /// The process, by its signals.
    Process(&'a Process),
    /// A server, by its alarms.
    Server {
        /// The clock of the server's own run.
        clock: &'a Arc<Clock>,
        /// The file mode creation mask of the process.
        umask: u32,
        /// What it has rung.
        orders: &'a Orders,
    },
}

impl Master<'_> {
    pub(super) fn clock(&self) -> &Arc<Clock> {
        match self {
            Master::Process(process) => &process.clock,
            Master::Server { clock, .. } => clock,
        }
    }

    pub(super) fn umask(&self) -> u32 {
        match self {
            Master::Process(process) => process.umask,
            Master::Server { umask, .. } => *umask,
        }
    }

    /// What is rung when an endless source of the run is to end.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn ending(&self) -> io::Result<Arc<Alarm>> {
        match self {
            Master::Process(_) => Ok(Arc::new(Alarm::new()?)),
            Master::Server { orders, .. } => Ok(Arc::clone(&orders.ending)),
        }
    }

    /// Readable when there is something to obey.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        match self {
            Master::Process(process) => process.wake(),
            Master::Server { orders, .. } => orders.given_up.as_fd(),
        }
    }

    /// The signals that came since the last call, each once, the ending ones first. That a server gives a run up is as good as
    /// one; it does not pass.
    pub(super) fn take(&self) -> Vec<Signal> {
        match self {
            Master::Process(process) => process.take(),
            Master::Server { orders, .. } if orders.given_up.has_rung() => vec![Signal::SIGHUP],
            Master::Server { .. } => Vec::new(),
        }
    }
}

impl Interrupts for Master<'_> {
    fn is_given_up(&self) -> bool {
        match self {
            Master::Process(process) => process.is_given_up(),
            Master::Server { orders, .. } => orders.given_up.has_rung(),
        }
    }
}
