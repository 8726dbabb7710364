//! What is known of the terminal behind stderr, and bytes to it.
//! Draws nothing; what to do with what is known is decided by whoever draws.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::{FileStat, SFlag, fstat, major, minor, stat};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{getpgrp, tcgetpgrp, write};
use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// What carries the data of a run, and may be a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataOn {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// What has this name, as `/dev/tty`.
    Named(PathBuf),
}

/// The number of `/dev/tty`.
const CONTROLLING: (u64, u64) = (5, 0);

/// So much of a text is taken at once by a pipe that takes anything: POSIX.1-2017, `PIPE_BUF` as Linux has it.
pub const PIECE_BYTES: usize = 4096;

/// Held while a text is written to what is no terminal, so that a line stays whole for whoever reads lines.
static LINES: Mutex<()> = Mutex::new(());

/// Where the view goes: stderr, by a descriptor of its own, so that no lock is shared with whoever else writes there.
#[derive(Debug)]
pub struct Terminal {
    stream: OwnedFd,
    is_terminal: bool,
    is_dumb: bool,
}

impl Terminal {
    /// Stderr; `None` if it is closed.
    pub fn of_stderr() -> Option<Terminal> {
        io::stderr().as_fd().try_clone_to_owned().ok().map(Terminal::of)
    }

    pub(super) fn of(stream: OwnedFd) -> Terminal {
        let is_terminal = stream.is_terminal();
        let is_dumb = env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        Terminal { stream, is_terminal, is_dumb }
    }

    /// As one that obeys, whatever `TERM` says here.
    #[cfg(test)]
    pub(super) fn capable(stream: OwnedFd) -> Terminal {
        Terminal { is_dumb: false, ..Terminal::of(stream) }
    }

    /// Whether it is one at all.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether it obeys escape sequences, as far as `TERM` tells.
    pub fn is_capable(&self) -> bool {
        self.is_terminal && !self.is_dumb
    }

    /// Columns and rows; 80 × 24 where nobody knows.
    pub fn size(&self) -> (u16, u16) {
        terminal_size::terminal_size_of(&self.stream).map_or((80, 24), |(columns, rows)| (columns.0, rows.0))
    }

    /// Whether one of them is this very terminal: what is drawn would be mixed with data.
    pub(super) fn is_shared_with(&self, data_on: &[DataOn]) -> bool {
        let status = |data_on: &DataOn| match data_on {
            DataOn::Stdin => fstat(io::stdin()),
            DataOn::Stdout => fstat(io::stdout()),
            DataOn::Named(path) => stat(path),
        };
        let Some(own) = fstat(&self.stream).ok().and_then(device) else { return false };
        // `/dev/tty` is whichever terminal controls the process, and only of that one the foreground is told.
        let is_same = |other| {
            let is_controlling = || [own, other].contains(&CONTROLLING) && tcgetpgrp(&self.stream).is_ok();
            own == other || is_controlling()
        };
        data_on.iter().filter_map(|data_on| status(data_on).ok().and_then(device)).any(is_same)
    }

    /// Whether the process may write to it without being a nuisance: it is not, in the background of its own terminal.
    pub(super) fn is_ours(&self) -> bool {
        // A terminal that is not the controlling one has no say in this, and a file neither.
        !self.is_terminal || tcgetpgrp(&self.stream).map_or(true, |group| group == getpgrp())
    }

    /// Whether lines are typed on it and seen while they are typed. Not so while a pager has it, or somebody is asked for a
    /// passphrase: then it is no place for a picture.
    pub(super) fn is_cooked(&self) -> bool {
        let cooked = LocalFlags::ICANON | LocalFlags::ECHO;
        !self.is_terminal || tcgetattr(&self.stream).map_or(true, |modes| modes.local_flags.contains(cooked))
    }

    /// Whether a write would go through within `patience`; not so on a terminal stopped by Ctrl-S.
    pub(super) fn is_writable(&self, patience: Duration) -> bool {
        let mut asked = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        matches!(poll(&mut asked, timeout), Ok(ready) if ready > 0)
    }

    /// Writes a text as a whole, and waits for whoever reads it; but not for long on a terminal, which Ctrl-S may have stopped.
    pub fn tell(&self, text: &[u8]) {
        const PATIENCE: Duration = Duration::from_millis(300);
        if !text.is_empty() && (!self.is_terminal || self.is_writable(PATIENCE)) {
            self.write(text);
        }
    }

    /// Writes as much as it takes; what is no terminal is given one text after another, however long each takes. An error is no
    /// news to anybody: who would read of it.
    pub(super) fn write(&self, bytes: &[u8]) {
        let _whole = (!self.is_terminal).then(|| LINES.lock().unwrap_or_else(PoisonError::into_inner));
        self.write_in_turn(bytes);
    }

    /// Writes a text as far as somebody reads it, and waits for nobody: not for who does not read, nor for who tells them more.
    pub(super) fn write_in_passing(&self, text: &str) {
        const PATIENCE: Duration = Duration::from_millis(300);
        let until = Instant::now() + PATIENCE;
        let _whole = loop {
            match LINES.try_lock() {
                Ok(whole) => break whole,
                Err(TryLockError::Poisoned(error)) => break error.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return,
                Err(TryLockError::WouldBlock) => thread::sleep(PATIENCE / 30),
            }
        };
        let mut rest = text;
        while !rest.is_empty() && self.is_writable(PATIENCE) {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            self.write_in_turn(piece.as_bytes());
            rest = behind;
        }
    }

    fn write_in_turn(&self, bytes: &[u8]) {
        // In the background of a terminal with `tostop` a write would stop the process; blocked, the signal is not even sent.
        let before = SigSet::from(Signal::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK);
        self.write_all(bytes);
        // Only what could be set could fail to be set back.
        let _ = before.and_then(|mask| mask.thread_set_mask());
    }

    fn write_all(&self, mut bytes: &[u8]) {
        const PATIENCE: Duration = Duration::from_millis(100);
        while !bytes.is_empty() {
            match write(&self.stream, bytes) {
                Ok(0) => return,
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.is_writable(PATIENCE) => {}
                Err(_) => return,
            }
        }
    }
}

/// The number of a character device.
fn device(status: FileStat) -> Option<(u64, u64)> {
    let is_device = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    is_device.then_some((major(status.st_rdev), minor(status.st_rdev)))
}
