//! A file about a run, which no stage writes: put in place whole or not at all, by the rules of `write`.
//! Knows nothing of what is in it, or of the run.

use super::destination::{Place, locate};
use super::direct::ready;
use super::place::{PlacedFile, Terms};
use super::target::Target;
use crate::diagnostic::printable;
use crate::stage::contract::{Commit, Existing, Published};
use crate::stage::fault::Fault;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// A file beside its final place, to be written; dropped before [`WholeFile::commit`], it leaves what was there before. What
/// cannot be replaced (a FIFO, a device) is written at once.
#[derive(Debug)]
pub struct WholeFile {
    target: Arc<Target>,
    /// `None` for what is written at once.
    placed: Option<PlacedFile>,
}

impl WholeFile {
    /// Begins a file that will be at `path`, and that gets a mode by `umask` if it replaces none.
    ///
    /// # Errors
    /// A [`Fault`] that names `path`; a FIFO's reader is not waited for.
    pub fn create(path: &Path, umask: u32) -> Result<WholeFile, Fault> {
        let place = match locate(path)? {
            Place::File(place) => place,
            Place::Fifo | Place::Device => {
                return Ok(WholeFile { target: Arc::new(ready(path)?), placed: None });
            }
            Place::Block => {
                let subject = printable(path.as_os_str().as_bytes());
                return Err(Fault::overwrite("is a block device").of(subject).help("name a file"));
            }
        };
        let terms = Terms {
            existing: Existing::Write,
            mode: None,
            new_mode: 0o666 & !umask,
            dress: None,
            sync: false,
        };
        let (placed, target) = PlacedFile::create(path.to_owned(), &place, terms)?;
        Ok(WholeFile { target, placed: Some(placed) })
    }

    /// Puts it in place.
    ///
    /// # Errors
    /// A [`Fault`] that names it, and says so if it is in place all the same; otherwise what was there before is there.
    pub fn commit(self) -> anyhow::Result<()> {
        let WholeFile { target, placed } = self;
        let Some(mut placed) = placed else { return target.flush_by_close() };
        drop(target);
        let run = Published { outputs: 1, removes_input: false };
        placed.prepare(run)?;
        placed.publish(run)?;
        placed.settle()
    }
}

impl io::Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.target.stream();
        loop {
            match nix::unistd::write(stream, bytes) {
                Err(Errno::EAGAIN) => {
                    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut polled, PollTimeout::NONE)?;
                }
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::WholeFile;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn a_file_appears_when_it_is_committed_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trace");
        let mut file = WholeFile::create(&path, 0o027).unwrap();
        file.write_all(b"content").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_dropped_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trace");
        fs::write(&path, "old").unwrap();
        let mut file = WholeFile::create(&path, 0o022).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_is_written_at_once() {
        let mut file = WholeFile::create(Path::new("/dev/full"), 0o022).unwrap();
        assert_eq!(file.write(b"x").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        WholeFile::create(Path::new("/dev/null"), 0o022).unwrap().commit().unwrap();
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(WholeFile::create(&path, 0o022).unwrap_err().message, "nobody reads it");
    }
}
