//! The standard streams of the process, as far as a plan depends on what they are.
//! Looks, and changes nothing.

use super::target::Identity;
use nix::sys::stat::{SFlag, fstat};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

/// A standard stream, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Whether a person is at its end.
    pub is_terminal: bool,
    /// Which regular file it is, if it is one.
    pub file: Option<Identity>,
}

/// The standard streams that carry data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Streams {
    /// Descriptor 0.
    pub stdin: Stream,
    /// Descriptor 1.
    pub stdout: Stream,
}

impl Streams {
    /// Those of this process.
    pub fn look() -> Streams {
        Streams { stdin: Stream::look(io::stdin().as_fd()), stdout: Stream::look(io::stdout().as_fd()) }
    }
}

impl Stream {
    fn look(stream: BorrowedFd<'_>) -> Stream {
        let status = fstat(stream).ok();
        let file = status.filter(|status| status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
        // The widths of both differ between systems.
        #[allow(clippy::unnecessary_cast)]
        let file = file.map(|status| Identity::File(status.st_dev as u64, status.st_ino as u64));
        Stream { is_terminal: stream.is_terminal(), file }
    }
}
