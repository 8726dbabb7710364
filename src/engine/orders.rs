//! Whom a run obeys: the signals of the process, whoever conducts it and others, or the server that started it.
//! Decides nothing: the run asks, and acts.

use super::process::Process;
use crate::flow::{Alarm, Clock};
use crate::stage::{Interrupts, Orders};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};

/// The one who gives the orders.
#[derive(Debug, Clone, Copy)]
pub(super) enum Master<'a> {
    /// The process, by its signals.
    Process(&'a Process),
    /// The conductor of several runs, by what all of them obey.
    Conductor(&'a Baton),
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

/// What several runs obey together, in place of the signals of the process.
#[derive(Debug)]
pub(super) struct Baton {
    clock: Arc<Clock>,
    umask: u32,
    /// Rung when all of them are to be given up.
    given_up: Alarm,
    /// The signal that it was rung for.
    signal: OnceLock<Signal>,
    /// Nobody rings it: what never ends has no place among several.
    ending: Arc<Alarm>,
}

impl Baton {
    pub(super) fn new(process: &Process) -> io::Result<Baton> {
        let clock = Arc::clone(&process.clock);
        let (given_up, ending) = (Alarm::new()?, Arc::new(Alarm::new()?));
        Ok(Baton { clock, umask: process.umask, given_up, signal: OnceLock::new(), ending })
    }

    /// Has all runs given up, for good: the first signal counts.
    pub(super) fn give_up(&self, signal: Signal) {
        // In this order: who hears the bell finds the signal.
        let _ = self.signal.set(signal);
        self.given_up.ring();
    }

    /// The signal for which all runs are given up.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.signal.get().copied()
    }
}

impl Master<'_> {
    pub(super) fn clock(&self) -> &Arc<Clock> {
        match self {
            Master::Process(process) => &process.clock,
            Master::Conductor(baton) => &baton.clock,
            Master::Server { clock, .. } => clock,
        }
    }

    pub(super) fn umask(&self) -> u32 {
        match self {
            Master::Process(process) => process.umask,
            Master::Conductor(baton) => baton.umask,
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
            Master::Conductor(baton) => Ok(Arc::clone(&baton.ending)),
            Master::Server { orders, .. } => Ok(Arc::clone(&orders.ending)),
        }
    }

    /// Readable when there is something to obey.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        match self {
            Master::Process(process) => process.wake(),
            Master::Conductor(baton) => baton.given_up.as_fd(),
            Master::Server { orders, .. } => orders.given_up.as_fd(),
        }
    }

    /// The signals that came since the last call, each once, the ending ones first. That a run is given up with others, or by a
    /// server, is as good as one; it does not pass.
    pub(super) fn take(&self) -> Vec<Signal> {
        match self {
            Master::Process(process) => process.take(),
            Master::Conductor(baton) => baton.signal().into_iter().collect(),
            Master::Server { orders, .. } if orders.given_up.has_rung() => vec![Signal::SIGHUP],
            Master::Server { .. } => Vec::new(),
        }
    }
}

impl Interrupts for Master<'_> {
    fn is_given_up(&self) -> bool {
        match self {
            Master::Process(process) => process.is_given_up(),
            Master::Conductor(baton) => baton.signal().is_some(),
            Master::Server { orders, .. } => orders.given_up.has_rung(),
        }
    }
}
