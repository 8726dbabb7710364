//! Files as the system knows them: which names are one file, and where a name that does not exist yet would be.
//! Only looks; opens and changes nothing, and knows no stage.

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, whatever name it was called by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// One that exists, by device and inode.
    File(u64, u64),
    /// One that does not exist yet, by the device and inode of its directory, and its name there.
    New(u64, u64, OsString),
}

/// Symbolic links in a row that the system follows; more are a circle.
const LINKS_MAX: usize = 40;

/// Where a name leads, all symbolic links followed.
#[derive(Debug)]
pub(super) struct Target {
    /// The directory it stands in, in full.
    pub(super) directory: PathBuf,
    /// What is there; `None` for nothing.
    pub(super) metadata: Option<Metadata>,
    pub(super) identity: Identity,
}

impl Target {
    /// Follows `path`, also to a place where nothing is yet.
    ///
    /// # Errors
    /// Those of the system; `NotFound` when the directory does not exist.
    pub(super) fn of(path: &Path) -> io::Result<Target> {
        let mut path = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            match fs::metadata(&path) {
                Ok(metadata) => {
                    let identity = Identity::of(&metadata);
                    let directory = match fs::canonicalize(&path) {
                        Ok(full) => full.parent().unwrap_or(Path::new("/")).to_path_buf(),
                        // An open file without a name, by way of /dev/fd.
                        Err(_) => PathBuf::new(),
                    };
                    return Ok(Target { directory, metadata: Some(metadata), identity });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            // A symbolic link to nothing: what it names is what would be created.
            if let Ok(next) = fs::read_link(&path) {
                path = path.parent().unwrap_or(Path::new("")).join(next);
                continue;
            }
            return Target::new(&path);
        }
        Err(Errno::ELOOP.into())
    }

    fn new(path: &Path) -> io::Result<Target> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let name = path.file_name().filter(|_| !bytes.ends_with(b"/") && !bytes.ends_with(b"/."));
        let name = name.ok_or(io::ErrorKind::NotFound)?.to_os_string();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
        let metadata = fs::metadata(&directory)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let identity = Identity::New(metadata.dev(), metadata.ino(), name);
        Ok(Target { directory, metadata: None, identity })
    }

    /// Whether its directory holds what the kernel makes up, or devices: nothing is created or replaced there.
    pub(super) fn is_made_up(&self) -> bool {
        // Shared memory is files like any other, only not on a disk.
        let is_under = |directory| self.directory.starts_with(directory);
        is_under("/proc") || is_under("/sys") || (is_under("/dev") && !is_under("/dev/shm"))
    }
}

impl Identity {
    /// Of a file that exists.
    pub(super) fn of(metadata: &Metadata) -> Identity {
        Identity::File(metadata.dev(), metadata.ino())
    }
}

/// Whether `path` names a descriptor that is open already: it is written as it is, never replaced.
pub(super) fn is_descriptor(path: &Path) -> bool {
    let own = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"]
        .iter()
        .any(|directory| path.starts_with(directory));
    own || ["/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name))
}

/// Whether the process may do that to the file or directory, root's rights included.
pub(super) fn may(path: &Path, access: AccessFlags) -> Result<(), Errno> {
    eaccess(path, access)
}

/// A cause as people read it: `no such file or directory`.
pub(super) fn cause(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error.to_string(),
    };
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if !characters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Target, cause};
    use std::fs;
    use std::io;
    use std::os::unix::fs::symlink;

    #[test]
    fn all_names_of_one_file_are_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("a"), "x").expect("a file");
        fs::create_dir(at("sub")).expect("a directory");
        symlink("a", at("link")).expect("a link");
        fs::hard_link(at("a"), at("hard")).expect("a link");
        let identity = |name: &str| Target::of(&at(name)).expect("a target").identity;
        for name in ["link", "hard", "./a", "sub/../a"] {
            assert_eq!(identity(name), identity("a"), "{name}");
        }
    }

    #[test]
    fn a_name_without_a_file_is_known_by_its_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("sub")).expect("a directory");
        symlink("sub/new", at("dangling")).expect("a link");
        let identity = |name: &str| Target::of(&at(name)).expect("a target").identity;
        assert_eq!(identity("dangling"), identity("sub/../sub/new"));
        assert_ne!(identity("new"), identity("sub/new"));
        assert!(matches!(identity("new"), Identity::New(_, _, name) if name == "new"));
    }

    #[test]
    fn a_name_that_leads_nowhere_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        symlink("circle", at("circle")).expect("a link");
        fs::write(at("file"), "").expect("a file");
        let told = |name: &str| cause(&Target::of(&at(name)).expect_err("no target"));
        assert_eq!(told("missing/new"), "no such file or directory");
        assert_eq!(told("circle"), "too many symbolic links encountered");
        assert_eq!(told("file/new"), "not a directory");
        assert!(Target::of(&at("new/")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        assert!(Target::of(&at(&"n".repeat(256))).is_err());
    }
}
