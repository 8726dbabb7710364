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
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use age::secrecy::zeroize::Zeroizing;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

pub(super) use identities::identities;
pub(super) use passphrase::{Ask, PassphraseArguments};
pub(super) use recipients::{RecipientKey, agree, doubled, recipients};

/// Nobody has a longer list of keys, and a device must not be read for ever.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

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

/// A whole file of keys, as lines.
fn contents(file: &PathArgument) -> Result<Zeroizing<String>, Fault> {
    let failed = |error: &io::Error| Fault::failed(reason(error)).of(name_of(file));
    let opened = File::open(&file.path).map_err(|error| failed(&error))?;
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
