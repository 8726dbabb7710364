//! Small files that a stage needs whole before it can begin: lists, keys.
//! Knows nothing of what is in them.

use super::stream::reason;
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is larger is no such file.
const BYTES_MAX: u64 = 16 << 20;

/// The whole of a file, which may be the pipe of a shell's `<(…)`.
///
/// # Errors
/// A [`Fault`] that names it, when it cannot be read, or is larger than 16 MiB.
pub(in crate::stage) fn read_small(path: &Path) -> Result<Vec<u8>, Fault> {
    let subject = printable(path.as_os_str().as_bytes());
    let bytes = read(path).map_err(|error| Fault::failed(reason(&error)).of(&subject))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Fault::failed("is larger than 16 MiB, and a short list is expected").of(subject));
    }
    Ok(bytes)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A FIFO that nobody writes is opened at once, and is empty; one that somebody does write is waited for.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let opened_with = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(opened_with - OFlag::O_NONBLOCK))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::read_small;
    use nix::sys::stat::Mode;
    use std::fs;
    use std::path::Path;

    #[test]
    fn a_file_is_read_whole_and_what_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        assert!(read_small(&path).unwrap_err().to_string().ends_with("list: no such file or directory"));
        fs::write(&path, "content").unwrap();
        assert_eq!(read_small(&path).unwrap(), b"content");
        assert_eq!(read_small(directory.path()).unwrap_err().message, "is a directory");
    }

    #[test]
    fn what_never_ends_is_not_read_for_ever() {
        assert!(read_small(Path::new("/dev/zero")).unwrap_err().message.starts_with("is larger than"));
    }

    #[test]
    fn a_fifo_that_nobody_writes_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert_eq!(read_small(&path).unwrap(), b"");
    }
}
