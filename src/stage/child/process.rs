//! The life of a child process: waited for beside the data, signalled only while its number is its own, always reaped.
//! Knows nothing of what it reads and writes.

use crate::stage::contract::Context;
use crate::stage::outside::stream::Stream;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child that is to end may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Before it is told (TERM).
    leaving: Duration,
    /// After that, before it is killed.
    ending: Duration,
}

impl Patience {
    /// Nobody wants more of it: most children find that out by themselves.
    pub(super) const NOT_WANTED: Patience =
        Patience { leaving: Duration::from_millis(100), ending: Duration::from_secs(1) };
    /// The run is given up. All of it is over within the second that the run waits for its stages.
    pub(super) const GIVEN_UP: Patience =
        Patience { leaving: Duration::ZERO, ending: Duration::from_millis(500) };
}

/// What is killed and does not end within this is stuck in the kernel, and is not waited for.
const KILLED_TIME: Duration = Duration::from_millis(300);

/// A child process, from its start to the moment when it is reaped.
///
/// Dropped before that, it is ended and reaped.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    life: Mutex<Life>,
    /// Readable when it has ended; it is reaped later.
    ended: Arc<EventFd>,
    was_told_to_end: AtomicBool,
    /// What it must not see the end of as long as it lives.
    kept: Mutex<Option<Stream>>,
}

#[derive(Debug)]
enum Life {
    /// Running, or ended and not reaped: its number belongs to nobody else.
    Ours(process::Child),
    Reaped,
}

/// Our ends of a child's pipes, as far as it has them.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Option<process::ChildStdin>,
    pub(super) stdout: Option<process::ChildStdout>,
    pub(super) stderr: Option<process::ChildStderr>,
}

impl Child {
    /// Starts `command`.
    ///
    /// # Errors
    /// Those of starting a thread or the process.
    pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Pipes)> {
        let ended = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (started, number) = mpsc::channel();
        let bell = Arc::clone(&ended);
        // Before the child: without a thread to wait for it, it is not started.
        thread::Builder::new().name("child".to_owned()).spawn(move || {
            if let Ok(pid) = number.recv() {
                await_end(pid);
                // A counter of one cannot overflow.
                let _ = bell.write(1);
            }
        })?;
        let mut process = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(process.id()).map_err(|_| Errno::EOVERFLOW)?);
        // The thread waits for it.
        let _ = started.send(pid);
        let pipes = Pipes {
            stdin: process.stdin.take(),
            stdout: process.stdout.take(),
            stderr: process.stderr.take(),
        };
        let child = Child {
            pid,
            life: Mutex::new(Life::Ours(process)),
            ended,
            was_told_to_end: AtomicBool::new(false),
            kept: Mutex::default(),
        };
        Ok((child, pipes))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// A [`Closed`](crate::flow::Closed) when the run is given up or nobody wants more.
    pub(super) fn await_end(&self, context: &Context) -> io::Result<()> {
        context.ready(self.ended.as_fd(), PollFlags::POLLIN)
    }

    /// Holds a stream open until it is reaped.
    pub(super) fn keep(&self, stream: Stream) {
        *lock(&self.kept) = Some(stream);
    }

    /// Sees to it that it ends. May be called by several threads, and again.
    pub(super) fn end(&self, patience: Patience) {
        self.was_told_to_end.store(true, Ordering::SeqCst);
        if self.has_ended_within(patience.leaving) {
            return;
        }
        self.signal(Signal::SIGTERM);
        // One that is stopped would hear of it only when it goes on.
        self.signal(Signal::SIGCONT);
        if !self.has_ended_within(patience.ending) {
            self.signal(Signal::SIGKILL);
            self.has_ended_within(KILLED_TIME);
        }
    }

    /// Whether [`Child::end`] was called: how it ended then says nothing about it.
    pub(super) fn was_told_to_end(&self) -> bool {
        self.was_told_to_end.load(Ordering::SeqCst)
    }

    /// How it ended; `None` if it has not, or was reaped before.
    ///
    /// # Errors
    /// When somebody else has reaped it.
    pub(super) fn reap(&self) -> io::Result<Option<ExitStatus>> {
        if !self.has_ended_within(Duration::ZERO) {
            return Ok(None);
        }
        let life = std::mem::replace(&mut *lock(&self.life), Life::Reaped);
        lock(&self.kept).take();
        match life {
            Life::Ours(mut process) => process.wait().map(Some),
            Life::Reaped => Ok(None),
        }
    }

    fn signal(&self, signal: Signal) {
        // Under the lock it cannot be reaped, so the number is still its own; one that has ended does not mind.
        if let Life::Ours(_) = &*lock(&self.life) {
            let _ = kill(self.pid, signal);
        }
    }

    fn has_ended_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(ready) if ready > 0 => return true,
                Err(Errno::EINTR) => {}
                // What is left may be less than the millisecond that can be asked for.
                _ if left < Duration::from_millis(1) => return false,
                _ => {}
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(*lock(&self.life), Life::Ours(_)) {
            self.end(Patience::GIVEN_UP);
            // Nobody is left to be told.
            let _ = self.reap();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns when the child has ended, and leaves it to be reaped.
fn await_end(pid: Pid) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// What is wrong with the way it ended: `ended with exit status 3`; nothing, if that is 0 or one of `accepted`.
pub(super) fn objection(status: ExitStatus, accepted: &[u8]) -> Option<String> {
    if let Some(code) = status.code() {
        let is_accepted = code == 0 || accepted.iter().any(|&accepted| i32::from(accepted) == code);
        return (!is_accepted).then(|| format!("ended with exit status {code}"));
    }
    let number = status.signal().unwrap_or_default();
    let name = Signal::try_from(number)
        .map_or_else(|_| String::new(), |signal| format!(" ({})", signal.as_str().trim_start_matches("SIG")));
    let core = if status.core_dumped() { " and dumped core" } else { "" };
    Some(format!("was killed by signal {number}{name}{core}"))
}

#[cfg(test)]
mod tests {
    use super::{Child, Patience, Pipes, objection};
    use nix::sys::signal::Signal;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    /// A shell that runs `script` and has said `ready`.
    fn shell(script: &str) -> (Child, Pipes) {
        let script = format!("{script}; echo ready; while :; do sleep 0.01; done");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let (child, mut pipes) = Child::spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(pipes.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, pipes)
    }

    #[test]
    fn how_a_child_ended_is_put_in_words() {
        let raw = |wait_status| objection(ExitStatus::from_raw(wait_status), &[1, 77]);
        assert_eq!((raw(0), raw(1 << 8), raw(77 << 8)), (None, None, None));
        assert_eq!(raw(3 << 8).unwrap(), "ended with exit status 3");
        assert_eq!(raw(9).unwrap(), "was killed by signal 9 (KILL)");
        assert_eq!(raw(11 | 0x80).unwrap(), "was killed by signal 11 (SEGV) and dumped core");
        assert_eq!(raw(40).unwrap(), "was killed by signal 40");
    }

    #[test]
    fn a_child_that_is_told_to_end_does_so_and_is_reaped_once() {
        let (child, _pipes) = shell(":");
        assert!(child.reap().unwrap().is_none());
        child.end(Patience::GIVEN_UP);
        assert_eq!(child.reap().unwrap().unwrap().signal(), Some(15));
        assert!(child.reap().unwrap().is_none());
        // Nobody is signalled any more.
        child.end(Patience::GIVEN_UP);
    }

    #[test]
    fn a_child_that_does_not_listen_is_killed() {
        let (child, _pipes) = shell("trap '' TERM");
        child.end(Patience::GIVEN_UP);
        assert_eq!(child.reap().unwrap().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_stopped_child_ends_at_once() {
        let (child, _pipes) = shell(":");
        child.signal(Signal::SIGSTOP);
        child.end(Patience::GIVEN_UP);
        assert_eq!(child.reap().unwrap().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_child_that_is_dropped_is_gone() {
        let (child, _pipes) = shell(":");
        let pid = child.pid;
        drop(child);
        assert_eq!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }
}
