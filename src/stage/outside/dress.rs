//! What a file shall look like beside its content: owner, mode and times, taken from another file.
//! Knows nothing of where either of them is.

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};
use std::fs::Metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Owner and mode of a file, and its times if they are to be taken, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) struct Dress {
    owner: u32,
    group: u32,
    mode: u32,
    times: Option<Times>,
}

/// When a file was last read, and last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    read: TimeSpec,
    written: TimeSpec,
}

/// What lets a program run as its owner or group, and the sticky bit.
const SPECIAL: u32 = 0o7000;

impl Dress {
    /// What a file that is replaced leaves to the new one: its owner and its mode, without the special bits.
    pub(in crate::stage) fn of_replaced(old: &FileStat) -> Self {
        Dress { owner: old.st_uid, group: old.st_gid, mode: old.st_mode & 0o777, times: None }
    }

    /// All of a file's, special bits and times included.
    pub(in crate::stage) fn of_source(source: &Metadata) -> Self {
        let read = TimeSpec::new(source.atime(), source.atime_nsec());
        let written = TimeSpec::new(source.mtime(), source.mtime_nsec());
        Dress {
            owner: source.uid(),
            group: source.gid(),
            mode: source.mode() & 0o7777,
            times: Some(Times { read, written }),
        }
    }

    /// Gives `file` the owner, as far as the process may, and returns the mode that it may have then.
    pub(in crate::stage) fn hand_over(&self, file: impl AsFd) -> u32 {
        let (owner, group) = (Uid::from_raw(self.owner), Gid::from_raw(self.group));
        if fchown(&file, Some(owner), Some(group)).is_ok() {
            return self.mode;
        }
        let mode = self.mode & !SPECIAL;
        if fchown(&file, None, Some(group)).is_ok() {
            return mode;
        }
        // The group is another one now: it may do what everybody may, no more.
        (mode & 0o707) | ((mode & 0o070) & (mode << 3))
    }

    /// Gives `file` its times. Called when nothing is written to it any more.
    ///
    /// # Errors
    /// Those of `utimensat`.
    pub(in crate::stage) fn set_times(&self, file: impl AsFd) -> Result<(), Errno> {
        match &self.times {
            Some(times) => futimens(file, &times.read, &times.written),
            None => Ok(()),
        }
    }
}

/// `fchmod` with a mode as a number.
///
/// # Errors
/// Those of `fchmod`.
pub(in crate::stage) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    fchmod(file, Mode::from_bits_truncate(mode))
}
