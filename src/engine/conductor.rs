//! Several runs of one call that go on at once: one clock, one worker pool, and one thread that hears the signals of the
//! process and has all of them obey.
//! Knows nothing of operands, and shows nothing; which run is next, and what is said of it, the caller's threads see to.
//!
//! ```text
//!   the calling thread    signals ──▶ Baton ──▶ every run that goes on
//!   `jobs` threads        the next run: start ── see through ── the next run …
//! ```

use super::orders::{Baton, Master};
use super::process::Process;
use super::report::{Fared, Report};
use super::run::{Notice, Running, TICK};
use super::shared::Monitor;
use super::standing::{BatchMonitor, Begun, Standing};
use super::start::{Settings, begin};
use super::stops::Stops;
use crate::flow::Workers;
use crate::plan::Plan;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What the runs of a batch share that go on at once.
#[derive(Debug)]
pub struct Conductor<'a> {
    process: &'a Process,
    baton: Baton,
    /// One pool for all of them.
    workers: Workers,
    settings: Settings,
    standing: Arc<Standing>,
    /// Somebody is asked something on the terminal, whose modes are changed for that.
    is_asking: AtomicBool,
}

impl<'a> Conductor<'a> {
    /// For as many runs as there are `sizes`: how many bytes the source of each will give, where that is known.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new(process: &'a Process, settings: Settings, sizes: Vec<Option<u64>>) -> io::Result<Self> {
        Ok(Conductor {
            baton: Baton::new(process)?,
            workers: Workers::new(settings.threads),
            settings,
            standing: Arc::new(Standing::new(&process.clock, sizes)),
            process,
            is_asking: AtomicBool::new(false),
        })
    }

    /// A look at all runs for others.
    pub fn monitor(&self) -> BatchMonitor {
        BatchMonitor(Arc::clone(&self.standing))
    }

    /// Has `jobs` threads do `work`, and hears signals until the last of them returns. One that ends the process has all runs
    /// given up; then no other is to begin: see [`Conductor::signal`].
    ///
    /// # Errors
    /// When not even one thread can be started.
    pub fn conduct(
        &self,
        jobs: usize,
        work: &(dyn Fn() + Sync),
        notice: &mut dyn FnMut(Notice),
    ) -> io::Result<()> {
        let players = Players::new()?;
        thread::scope(|scope| {
            for number in 0..jobs {
                let player = players.enter();
                let plays = move || {
                    work();
                    drop(player);
                };
                match thread::Builder::new().name("run".to_owned()).spawn_scoped(scope, plays) {
                    Err(error) if number == 0 => return Err(error),
                    // Those that are there do it all.
                    Err(_) => break,
                    Ok(_) => {}
                }
            }
            let mut stops = Stops::new(&self.process.clock);
            let mut is_stop_due = false;
            while players.are_there() {
                players.wait_beside(self.process);
                for signal in self.process.take() {
                    if signal == Signal::SIGTSTP && self.is_asking() {
                        // The shell would find a terminal that shows nothing, and give back one that shows the answer.
                        is_stop_due = true;
                    } else if let Some(ending) = stops.obey(signal, notice) {
                        self.baton.give_up(ending);
                    }
                }
                if is_stop_due && !self.is_asking() {
                    is_stop_due = false;
                    stops.obey(Signal::SIGTSTP, notice);
                }
                stops.seen();
            }
            Ok(())
        })
    }

    /// Somebody is asked something on the terminal from now on, or no more: a stop waits for the answer.
    pub fn asks(&self, is_asking: bool) {
        self.is_asking.store(is_asking, Ordering::Release);
    }

    /// Whether somebody is asked something.
    pub fn is_asking(&self) -> bool {
        self.is_asking.load(Ordering::Acquire)
    }

    /// The signal that had all runs given up, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.baton.signal().map(|signal| signal as i32)
    }

    /// Starts a run, which the view calls `name`, on the calling thread.
    ///
    /// # Errors
    /// As [`start`](super::start()); the run has ended then.
    pub fn start(
        &self,
        run: usize,
        name: String,
        plan: Plan,
        total_bytes: Option<u64>,
    ) -> Result<Conducted<'_>, Box<Report>> {
        let settings = Settings { total_bytes, ..self.settings.clone() };
        match begin(plan, Master::Conductor(&self.baton), &settings, &self.workers, None) {
            Ok(running) => {
                let begun = self.standing.begins(run, name, running.monitor());
                Ok(Conducted { running, begun })
            }
            Err(report) => {
                self.did_not_start(run, report.fared());
                Err(report)
            }
        }
    }

    /// A run has nothing to do, or could not even be planned.
    pub fn did_not_start(&self, run: usize, fared: Fared) {
        self.standing.passes(run, fared);
    }
}

/// A run of a batch that has started.
#[derive(Debug)]
pub struct Conducted<'a> {
    running: Running<'a>,
    begun: Begun<'a>,
}

impl Conducted<'_> {
    /// Looks at it while it goes on.
    pub fn monitor(&self) -> Monitor {
        self.running.monitor()
    }

    /// Sees the run to its end on the calling thread, as [`Running::wait`] does.
    pub fn wait(self, notice: &mut dyn FnMut(Notice)) -> Report {
        let report = self.running.wait(notice);
        self.begun.ends(report.reading.taken_bytes(), report.fared());
        report
    }
}

/// The threads that see to the runs, as far as who waits for them knows.
struct Players {
    there: AtomicUsize,
    bell: EventFd,
}

impl Players {
    fn new() -> io::Result<Players> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Players { there: AtomicUsize::new(0), bell })
    }

    /// One more is there, until what is returned is dropped.
    fn enter(&self) -> Player<'_> {
        self.there.fetch_add(1, Ordering::AcqRel);
        Player(self)
    }

    fn are_there(&self) -> bool {
        self.there.load(Ordering::Acquire) > 0
    }

    /// Sleeps until one leaves or a signal comes, at most a tick.
    fn wait_beside(&self, process: &Process) {
        let mut polled =
            [self.bell.as_fd(), process.wake()].map(|stream| PollFd::new(stream, PollFlags::POLLIN));
        // An error is as good as a signal: it is looked around, and the next wait is another.
        let _ = poll(&mut polled, PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX));
        let _ = self.bell.read();
    }
}

/// One of them.
struct Player<'a>(&'a Players);

impl Drop for Player<'_> {
    fn drop(&mut self) {
        self.0.there.fetch_sub(1, Ordering::AcqRel);
        // It can only be rung already.
        let _ = self.0.bell.write(1);
    }
}
