//! A question on the terminal, its answer unseen.
//! Knows nothing of what is asked for, and does not write to the standard streams: those carry data.

use super::TICK_MILLISECONDS;
use crate::stage::contract::Opening;
use crate::stage::fault::Fault;
use age::secrecy::zeroize::Zeroizing;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

const TERMINAL: &str = "/dev/tty";
/// A terminal gives no longer line.
const LINE_BYTES_MAX: usize = 4096;

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Unseen {
    terminal: File,
    before: Termios,
}

impl Unseen {
    fn begin() -> io::Result<Unseen> {
        let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL)?;
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        modes.local_flags.remove(LocalFlags::ECHO);
        // Lines and signals as ever; the end of the line is seen, so that what comes next begins a new one.
        modes.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &modes)?;
        Ok(Unseen { terminal, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone minds nothing.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Asks, and returns the line that is typed, without its end.
///
/// # Errors
/// A [`Fault`] where there is no terminal, or no line comes; that the run was given up meanwhile.
pub(super) fn ask(question: &str, opening: &Opening<'_>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let Ok(mut unseen) = Unseen::begin() else {
        return Err(Fault::failed("there is no terminal to ask for the passphrase on")
            .help(
                "`--passphrase-file FILE` takes it from a file, and the variable WEIR_PASSPHRASE may hold it",
            )
            .into());
    };
    let failed = |error: io::Error| Fault::failed(format!("cannot ask for the passphrase: {error}"));
    write!(unseen.terminal, "weir: {question}").map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    loop {
        // The handlers of signals only take note, and a read would begin again behind them.
        if opening.is_given_up() {
            let _ = writeln!(unseen.terminal);
            return Err(Fault::failed("interrupted").into());
        }
        let mut polled = [PollFd::new(unseen.terminal.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::from(TICK_MILLISECONDS)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(failed(error.into()).into()),
        }
        let mut part = Zeroizing::new([0; LINE_BYTES_MAX]);
        let count = unseen.terminal.read(&mut part[..]).map_err(failed)?;
        let room = line.capacity() - line.len();
        line.extend_from_slice(&part[..count.min(room)]);
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(line);
        }
        if count == 0 {
            return Err(Fault::failed("no passphrase was given").into());
        }
        if line.len() == line.capacity() {
            return Err(Fault::failed("the passphrase is too long for a terminal: put it in a file").into());
        }
    }
}
