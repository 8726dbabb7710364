//! Where a path leads that is to be written: its links followed to the place where the file is, or will be.
//! Only looks; creates and opens nothing.

use super::standard::is_made_up;
use super::stream::reason;
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use nix::errno::Errno;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// As many links as the system itself follows.
const LINKS_MAX: usize = 40;

/// What is to be written.
#[derive(Debug)]
pub(in crate::stage) enum Place {
    /// A regular file, there already or not.
    File(FilePlace),
    /// A FIFO.
    Fifo,
    /// A block device.
    Block,
    /// A character device, or a file the kernel makes up: written directly, never replaced.
    Device,
}

/// The directory and the name of a regular file, with no link left to follow.
#[derive(Debug)]
pub(in crate::stage) struct FilePlace {
    /// Absolute, without links.
    pub(in crate::stage) directory: PathBuf,
    /// In that directory.
    pub(in crate::stage) name: OsString,
    /// Whether there is a file now.
    pub(in crate::stage) is_there: bool,
}

impl FilePlace {
    /// Its full name.
    pub(in crate::stage) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// Follows `path`.
///
/// # Errors
/// A [`Fault`] that names the path, when nothing can be written there.
pub(in crate::stage) fn locate(path: &Path) -> Result<Place, Fault> {
    let subject = printable(path.as_os_str().as_bytes());
    let fault = |message: &str| Fault::failed(message).of(&subject);
    let existing = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fault(&reason(&error))),
    };
    if let Some(metadata) = &existing {
        let file_type = metadata.file_type();
        if file_type.is_dir() {
            return Err(fault("is a directory").help("name a file in it"));
        } else if file_type.is_socket() {
            return Err(fault("is a socket").help("`unix PATH` connects to it"));
        } else if file_type.is_fifo() {
            return Ok(Place::Fifo);
        } else if file_type.is_block_device() {
            return Ok(Place::Block);
        } else if file_type.is_char_device() {
            return Ok(Place::Device);
        }
    }
    let Some((directory, name)) = follow(path, &subject)? else {
        return match existing {
            Some(_) => Ok(Place::Device),
            None => Err(fault("is not there, and nothing is created among devices")),
        };
    };
    Ok(Place::File(FilePlace { directory, name, is_there: existing.is_some() }))
}

/// The directory and the name at the end of all links; `None` where the kernel makes up the files.
fn follow(path: &Path, subject: &str) -> Result<Option<(PathBuf, OsString)>, Fault> {
    let fault = |message: &str| Fault::failed(message).of(subject);
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let has_file_name = !path.as_os_str().as_bytes().ends_with(b"/");
        let Some(name) = path.file_name().filter(|_| has_file_name) else {
            return Err(fault("names a directory that is not there").help("name a file"));
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = fs::canonicalize(parent).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let missing = printable(parent.as_os_str().as_bytes());
                fault(&format!("there is no directory `{missing}`")).help("create it first")
            }
            _ => fault(&reason(&error)),
        })?;
        if is_made_up(&directory) {
            return Ok(None);
        }
        match fs::read_link(directory.join(name)) {
            Ok(target) => path = directory.join(target),
            // No link, or nothing at all: this is the place.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                return Ok(Some((directory, name.to_owned())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some((directory, name.to_owned())));
            }
            Err(error) => return Err(fault(&reason(&error))),
        }
    }
    Err(fault(&reason(&Errno::ELOOP.into())))
}

#[cfg(test)]
mod tests {
    use super::{FilePlace, Place, locate};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn file(path: &Path) -> FilePlace {
        match locate(path) {
            Ok(Place::File(file)) => file,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(path: &Path) -> String {
        locate(path).unwrap_err().message
    }

    #[test]
    fn links_are_followed_to_where_the_file_is_or_will_be() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(root.join("deep")).unwrap();
        symlink("deep/second", root.join("first")).unwrap();
        symlink("../file", root.join("deep/second")).unwrap();
        assert_eq!(file(&root.join("first")).path(), root.join("file"));
        assert!(!file(&root.join("first")).is_there);
        fs::write(root.join("file"), "x").unwrap();
        assert!(file(&root.join("first")).is_there);
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(refusal(root), "is a directory");
        assert_eq!(refusal(&root.join("new/")), "names a directory that is not there");
        assert!(refusal(&root.join("gone/new")).starts_with("there is no directory"));
        assert!(refusal(&root.join("loop")).contains("symbolic links"));
        assert_eq!(refusal(&root.join("n".repeat(256))), "file name too long");
        assert!(refusal(Path::new("/dev/nul")).contains("nothing is created"));
    }

    #[test]
    fn devices_and_files_of_the_kernel_are_written_directly() {
        for path in ["/dev/null", "/dev/full", "/proc/self/comm"] {
            assert!(matches!(locate(Path::new(path)), Ok(Place::Device)), "{path}");
        }
        let held = tempfile::NamedTempFile::new().unwrap();
        let by_number = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(held.as_file()));
        assert!(matches!(locate(Path::new(&by_number)), Ok(Place::Device)));
    }
}
