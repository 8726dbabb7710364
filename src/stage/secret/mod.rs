//! What must stay secret, and the files it comes from: passphrases, identities, and the recipients that belong to them.
//! Knows nothing of what is done with them.
//!
//! No secret is taken from the command line, and none is put in a message, a label or a view.

mod identities;
mod passphrase;
mod prompt;
mod recipients;

use crate::diagnostic::printable;
use crate::stage::arguments::PathArgument;
use crate::stage::contract::Opening;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use age::secrecy::zeroize::Zeroizing;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

pub(super) use identities::identities;
pub(super) use passphrase::{Ask, PassphraseArguments};
pub(super) use recipients::{RecipientKey, agree, doubled, recipients};

/// Nobody has a longer list of keys, and a device must not be read for ever.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How often it is looked whether somebody gave up, while somebody is waited for.
const TICK_MILLISECONDS: u16 = 50;

/// Keeps what is in memory from now on out of core files. Where the system minds, they stay as they are.
fn leave_no_core() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, most);
    }
}

/// The name of a file, for messages.
fn name_of(file: &PathArgument) -> String {
    printable(file.path.as_os_str().as_bytes())
}

/// A file that is waited for no longer than the run is wanted: a FIFO may have no writer.
struct Patient<'o> {
    file: File,
    opening: &'o Opening<'o>,
}

impl<'o> Patient<'o> {
    fn open(file: &PathArgument, opening: &'o Opening<'o>) -> io::Result<Patient<'o>> {
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        Ok(Patient { file: OpenOptions::new().read(true).custom_flags(flags).open(&file.path)?, opening })
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.opening.is_given_up() {
                return Err(io::Error::other("interrupted"));
            }
            // The handlers of signals only take note, so it is looked for them from time to time.
            let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::from(TICK_MILLISECONDS)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

/// A whole file of keys, as lines.
fn contents(file: &PathArgument, opening: &Opening<'_>) -> Result<Zeroizing<String>, Fault> {
    let failed = |error: &io::Error| Fault::failed(reason(error)).of(name_of(file));
    let opened = Patient::open(file, opening).map_err(|error| failed(&error))?;
    // In one piece: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::refused("is larger than 1 MiB: no file of keys").of(name_of(file)));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Fault::refused("is no text: no file of keys").of(name_of(file))),
    }
}

/// The lines that say something, each with its number.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_ascii()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// That a line of a file is not what it should be. What it is instead may be a secret, so it is not shown.
fn malformed(file: &PathArgument, line: usize, what: &str) -> Fault {
    Fault::refused(format!("line {line} {what}")).of(name_of(file))
}

/// That arguments name no key at all; `choices` are those that do.
pub(super) fn no_key(choices: &str) -> clap::Error {
    let mut error = clap::Error::new(ErrorKind::MissingRequiredArgument);
    error.insert(ContextKind::InvalidArg, ContextValue::String(format!("a key: {choices}")));
    error
}

/// Refuses `-`: standard input carries the data.
pub(super) fn no_stream<'a>(mut files: impl Iterator<Item = &'a PathArgument>) -> Result<(), String> {
    match files.any(PathArgument::is_standard_stream) {
        true => Err("`-` is standard input, where the data comes from; name a file".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Patient;
    use crate::stage::arguments::PathArgument;
    use crate::stage::contract::{Interrupts, Opening, Registered};
    use clap::Parser;
    use nix::sys::stat::Mode;
    use std::io::Read;

    #[derive(Debug)]
    struct GivenUp;

    impl Interrupts for GivenUp {
        fn is_given_up(&self) -> bool {
            true
        }
    }

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct File {
        file: PathArgument,
    }

    #[test]
    fn a_fifo_without_a_writer_does_not_hold_a_run_that_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let file = File::try_parse_from([fifo]).unwrap().file;
        let mut registered = Registered::default();
        let opening = Opening::new(0, Vec::new(), &mut registered).interrupted_by(&GivenUp);
        let error = Patient::open(&file, &opening).unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }

    #[test]
    fn a_fifo_is_read_when_somebody_writes() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let writer = {
            let fifo = fifo.clone();
            std::thread::spawn(move || std::fs::write(fifo, "a line\n").unwrap())
        };
        let file = File::try_parse_from([fifo]).unwrap().file;
        let mut registered = Registered::default();
        let opening = Opening::new(0, Vec::new(), &mut registered);
        let mut text = String::new();
        Patient::open(&file, &opening).unwrap().read_to_string(&mut text).unwrap();
        writer.join().unwrap();
        assert_eq!(text, "a line\n");
    }
}
