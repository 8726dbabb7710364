//! The age format, version 1 (c2sp.org/age): header, payload, armor, as streams between links.
//! Knows nothing of arguments, files and passphrases: keys come as values.
//!
//! The keys' own work (X25519, scrypt, the tagged recipients) is the age crate's. What stands around it is here, because
//! a pipe needs what the crate's readers and writers do not give: blocks sealed and opened on all cores, a header and lines of
//! bounded length, an error of a link passed up as it is, and a cut told from a change, with its place.

mod armor;
mod dearmor;
mod header;
mod payload;
mod seal;
mod source;
#[cfg(test)]
mod tests;
mod unseal;

use crate::stage::fault::Fault;

pub(in crate::stage) use header::Key;
pub(in crate::stage) use seal::{Form, seal};
pub(in crate::stage) use unseal::unseal;

/// The work factor of a passphrase, as a power of two: that of age, which is about a second and 256 MiB.
pub(in crate::stage) const WORK_FACTOR: u8 = 18;
/// The most that a file may ask for: 1 GiB. What is made for people to type asks for no more.
pub(in crate::stage) const WORK_FACTOR_MAX: u8 = 20;

/// That the input ends where it should not.
fn truncated(offset: u64, place: &str) -> Fault {
    Fault::refused(format!("truncated at input byte {offset}, {place}"))
        .help("the input is not complete: fetch or copy it again")
}

/// That something in front of the payload is not as the format has it.
fn corrupt(offset: u64, what: &str) -> Fault {
    Fault::refused(format!("corrupt data at input byte {offset}: {what}"))
}
