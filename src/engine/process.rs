//! What the process was started with, and the signals it gets.
//! Knows nothing of runs: it notes signals and wakes whoever polls.

use crate::flow::Clock;
use crate::stage::Interrupts;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The signals that cancel a run, or end its endless source; each is raised again after the clean-up.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// The signals that are noted and told.
const TOLD: [Signal; 4] = [Signal::SIGUSR1, Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH];

/// The one process: its clock, its signals, what it inherited. Made once, before any thread.
#[derive(Debug)]
pub struct Process {
    /// Every run's clock.
    pub clock: Arc<Clock>,
    /// The file mode creation mask.
    pub umask: u32,
    wake: UnixStream,
    noted: Vec<(Signal, Arc<AtomicUsize>)>,
}

impl Process {
    /// Looks at what was inherited and installs the handlers. A signal that was ignored at the start (as `nohup` does)
    /// stays ignored.
    ///
    /// # Errors
    /// When the system has no descriptor or handler left.
    pub fn attach() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let inherited = Inherited::parse(&status);
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let mut noted = Vec::new();
        for signal in ENDING.into_iter().chain(TOLD) {
            if inherited.ignores(signal) {
                continue;
            }
            let count = Arc::new(AtomicUsize::new(0));
            // In this order: when the pipe wakes the loop, the note is there.
            signal_hook::flag::register_usize(signal as i32, Arc::clone(&count), 1)?;
            signal_hook::low_level::pipe::register(signal as i32, ring.try_clone()?)?;
            noted.push((signal, count));
        }
        // A file that may not grow any more is an error of its write, not the end of the process.
        signal_hook::flag::register_usize(Signal::SIGXFSZ as i32, Arc::new(AtomicUsize::new(0)), 1)?;
        // While it is ignored, which a parent can leave us, nobody learns how a child ended.
        if inherited.ignores(Signal::SIGCHLD) {
            signal_hook::flag::register_usize(Signal::SIGCHLD as i32, Arc::new(AtomicUsize::new(0)), 1)?;
        }
        Ok(Process { clock: Arc::new(Clock::new()), umask: inherited.umask, wake, noted })
    }

    /// Readable when a signal came.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The signal that has asked the process to end, if one did: for whoever has something to do beside runs.
    pub fn ended_by(&self) -> Option<i32> {
        let signals = if self.is_given_up() { self.take() } else { Vec::new() };
        signals.first().map(|signal| *signal as i32)
    }

    /// The signals that came since the last call, each once, the ending ones first.
    pub(super) fn take(&self) -> Vec<Signal> {
        let mut scrap = [0; 64];
        while matches!((&self.wake).read(&mut scrap), Ok(count) if count > 0) {}
        let came = |(_, count): &&(Signal, Arc<AtomicUsize>)| count.swap(0, Ordering::AcqRel) != 0;
        self.noted.iter().filter(came).map(|(signal, _)| *signal).collect()
    }
}

impl Interrupts for Process {
    /// The signal stays noted, for whoever takes it.
    fn is_given_up(&self) -> bool {
        let came = |(signal, count): &(Signal, Arc<AtomicUsize>)| {
            ENDING.contains(signal) && count.load(Ordering::Acquire) != 0
        };
        self.noted.iter().any(came)
    }
}

/// Whether nobody could make the process go on if it stopped: its group is orphaned (POSIX.1-2017, 3.264), as behind
/// `ssh -t HOST weir`. The system itself stops no such group for Ctrl-Z.
pub(super) fn is_orphaned() -> bool {
    let group = getpgrp();
    let mut process = getppid();
    // A process 0 is a parent that cannot be seen from here.
    while getpgid(Some(process)) == Ok(group) {
        match parent_of(process) {
            Some(parent) if process.as_raw() != 0 => process = parent,
            _ => return true,
        }
    }
    getsid(Some(process)).ok() != getsid(None).ok()
}

fn parent_of(process: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; state and parent follow.
    let parent = stat.rsplit(')').next()?.split_ascii_whitespace().nth(1)?;
    parent.parse().ok().map(Pid::from_raw)
}

/// What `/proc/self/status` tells (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Inherited {
    umask: u32,
    ignored: u64,
}

impl Inherited {
    fn parse(status: &str) -> Inherited {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim)
        };
        let umask = field("Umask").and_then(|digits| u32::from_str_radix(digits, 8).ok());
        let ignored = field("SigIgn").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Inherited { umask: umask.unwrap_or(0o022), ignored: ignored.unwrap_or(0) }
    }

    fn ignores(&self, signal: Signal) -> bool {
        self.ignored & (1 << (signal as u64 - 1)) != 0
    }
}

/// Ends the process as `signal` would have: for its parent it died of it.
pub fn raise_again(signal: i32) -> ! {
    // Returns only for a signal that does not end a process, or if it is blocked.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal);
}

#[cfg(test)]
mod tests {
    use super::Inherited;
    use nix::sys::signal::Signal;

    #[test]
    fn the_mask_and_the_ignored_signals_are_read_from_status() {
        let status = "Name:\tweir\nUmask:\t0027\nSigIgn:\t0000000000001001\n";
        let inherited = Inherited::parse(status);
        assert_eq!(inherited.umask, 0o027);
        assert!(inherited.ignores(Signal::SIGHUP) && inherited.ignores(Signal::SIGPIPE));
        assert!(!inherited.ignores(Signal::SIGINT));
        assert_eq!(Inherited::parse(""), Inherited { umask: 0o022, ignored: 0 });
    }
}
