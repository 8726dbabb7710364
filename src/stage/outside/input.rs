//! The files that a run reads, as the rest of the run knows them: the facts of a single one, and the removal at the end.
//! Reads nothing; decides nothing about when a removal is due.

use super::stream::{reason, same_file};
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file that a run reads, when it is one and nothing else.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As it was written.
    pub path: PathBuf,
    /// What it was when it was opened; `None` for one that is not there yet.
    pub metadata: Option<Metadata>,
}

/// What became of a file that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// It is still there, for this reason.
    Kept(&'static str),
}

/// Why a file is kept that has been read in part.
pub const NOT_READ: &str = "not removed: it was not read to its end";

/// A file that is removed when it was read to its end and everything made of it lasts. Shared by the source, which reads
/// it, and the run, which removes it.
#[derive(Debug)]
pub struct Removal {
    path: PathBuf,
    end: Mutex<Option<End>>,
}

/// A file when its end was found.
#[derive(Debug)]
struct End {
    metadata: Metadata,
    read_bytes: u64,
}

impl Removal {
    /// Of the file at `path`, not read yet.
    pub(in crate::stage) fn new(path: PathBuf) -> Self {
        Removal { path, end: Mutex::new(None) }
    }

    /// Its end was found behind `read_bytes`, and it looked like that afterwards.
    pub(in crate::stage) fn was_read(&self, metadata: Metadata, read_bytes: u64) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(End { metadata, read_bytes });
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, if it still is what was read. Between the look and the removal the system leaves a moment in which
    /// somebody could put another file there.
    ///
    /// # Errors
    /// A [`Fault`] with that of the system.
    pub fn remove(&self) -> anyhow::Result<Removed> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(End { metadata, read_bytes }) = &*end else { return Ok(Removed::Kept(NOT_READ)) };
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            // Somebody else has removed it, or it was named twice: it is gone as it should be.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removed::Gone),
            Err(error) => return Err(self.fault(&error)),
        };
        if !same_file(&found, metadata) {
            return Ok(Removed::Kept("not removed: its name leads to another file now"));
        }
        let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if state(&found) != state(metadata) || metadata.len() != *read_bytes {
            return Ok(Removed::Kept("not removed: it has changed since it was read"));
        }
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(Removed::Gone),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removed::Gone),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn fault(&self, error: &io::Error) -> anyhow::Error {
        let fault = Fault::failed(format!("cannot be removed: {}", reason(error)));
        fault
            .of(printable(self.path.as_os_str().as_bytes()))
            .help("all of it has been read; remove it by hand")
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::{NOT_READ, Removal, Removed};
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    /// A file of three bytes, read to its end.
    fn read(path: &Path) -> Removal {
        fs::write(path, "abc").unwrap();
        let removal = Removal::new(path.to_owned());
        removal.was_read(fs::metadata(path).unwrap(), 3);
        removal
    }

    fn kept(removal: &Removal) -> &'static str {
        match removal.remove().unwrap() {
            Removed::Kept(why) => why,
            Removed::Gone => panic!("{} is gone", removal.path().display()),
        }
    }

    #[test]
    fn a_file_that_is_what_was_read_is_removed_and_may_be_gone_already() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in");
        let removal = read(&path);
        assert_eq!(removal.remove().unwrap(), Removed::Gone);
        assert!(!path.exists());
        assert_eq!(removal.remove().unwrap(), Removed::Gone);
    }

    #[test]
    fn a_file_that_was_not_read_to_its_end_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in");
        fs::write(&path, "abc").unwrap();
        assert_eq!(kept(&Removal::new(path.clone())), NOT_READ);
        let removal = Removal::new(path.clone());
        // It grew between the last read and the look at it.
        removal.was_read(fs::metadata(&path).unwrap(), 2);
        assert!(kept(&removal).contains("changed"));
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_changed_or_was_replaced_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("in"), directory.path().join("other"));
        let removal = read(&path);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"d").unwrap();
        assert!(kept(&removal).contains("changed"));
        let removal = read(&path);
        fs::write(&other, "abc").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(kept(&removal).contains("another file"));
        assert_eq!(fs::read(&path).unwrap(), b"abc");
    }

    #[test]
    fn a_link_that_came_instead_is_kept_and_so_is_what_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("in"), directory.path().join("other"));
        let removal = read(&path);
        fs::rename(&path, &other).unwrap();
        std::os::unix::fs::symlink("other", &path).unwrap();
        assert!(kept(&removal).contains("another file"));
        assert!(path.is_symlink() && other.exists());
    }
}
