//! A file beside its final place: a fresh name in the same directory, and the renames that swap the two.
//! Knows nothing of what is in the file, or of commits; its errors are those of the system.

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, open, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{PathconfVar, UnlinkatFlags, fpathconf, fsync, linkat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MARK: &str = ".weir-";
const RANDOM_BYTES: usize = 6;
/// How long a name may be where the file system does not say, in bytes.
const NAME_BYTES: usize = 255;

/// How far the file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Under its temporary name.
    Beside,
    /// In place, where nothing was.
    New,
    /// In place, and the old file has the temporary name.
    Exchanged,
    /// In place, and the old file has the name that `backup` holds.
    Kept,
    /// In place, and the old file is gone.
    Replaced,
    /// Nothing is left to do.
    Over,
}

/// A file beside its final place. Dropped, it leaves what was there before, and nothing else.
#[derive(Debug)]
pub(in crate::stage) struct Beside {
    directory: OwnedFd,
    name: OsString,
    temporary: OsString,
    /// A second name of the old file.
    backup: OsString,
    state: State,
}

impl Beside {
    /// Creates an empty file that only its owner may read, for `name` in `directory`.
    ///
    /// # Errors
    /// Those of `open`.
    pub(in crate::stage) fn create(directory: &Path, name: &OsStr) -> io::Result<(Beside, File)> {
        // By descriptor: the directory may be renamed meanwhile, and its path may be too long for a longer name.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(directory, flags, Mode::empty())?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (temporary, file) = under_fresh_name(&directory, name, |temporary| {
            Ok(openat(&directory, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
        })?;
        let (name, backup) = (name.to_owned(), OsString::new());
        Ok((Beside { directory, name, temporary, backup, state: State::Beside }, file.into()))
    }

    /// The file in place now, if it is a regular one.
    pub(in crate::stage) fn present(&self) -> Option<FileStat> {
        let stat = fstatat(&self.directory, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        (kind == SFlag::S_IFREG).then_some(stat)
    }

    /// The name of what [`Beside::settle`] or [`Beside::discard`] would remove now.
    pub(in crate::stage) fn left_over(&self) -> &OsStr {
        if self.state == State::Kept { &self.backup } else { &self.temporary }
    }

    /// Puts the file in place of whatever is there: there is no way back.
    ///
    /// # Errors
    /// Those of `rename`.
    pub(in crate::stage) fn replace(&mut self) -> Result<(), Errno> {
        self.state = match (self.present(), self.rename(RenameFlags::empty())?) {
            (Some(_), ()) => State::Replaced,
            (None, ()) => State::New,
        };
        Ok(())
    }

    /// Puts the file where none may be.
    ///
    /// # Errors
    /// `EEXIST` when there is one; others of `rename` and `link`.
    pub(in crate::stage) fn place_new(&mut self) -> Result<(), Errno> {
        match self.rename(RenameFlags::RENAME_NOREPLACE) {
            Err(error) if is_unsupported(error) => {
                linkat(&self.directory, &*self.temporary, &self.directory, &*self.name, AtFlags::empty())?;
                // In place under both names; the temporary one is of no use to anybody.
                let _ = self.remove(&self.temporary);
            }
            other => other?,
        }
        self.state = State::New;
        Ok(())
    }

    /// Puts the file in place so that it can be taken back.
    ///
    /// # Errors
    /// Those of `rename`.
    pub(in crate::stage) fn exchange(&mut self) -> Result<(), Errno> {
        loop {
            match self.rename(RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::ENOENT) => match self.place_new() {
                    // It appeared in between: now there is something to exchange with.
                    Err(Errno::EEXIST) => {}
                    other => return other,
                },
                Err(error) if is_unsupported(error) => return self.replace_with_backup(),
                other => {
                    other?;
                    self.state = State::Exchanged;
                    return Ok(());
                }
            }
        }
    }

    /// The same where the file system cannot exchange; where it has no hard links either, there is no way back.
    fn replace_with_backup(&mut self) -> Result<(), Errno> {
        if self.present().is_none() {
            return self.replace();
        }
        let linked = under_fresh_name(&self.directory, &self.name, |backup| {
            Ok(linkat(&self.directory, &*self.name, &self.directory, backup, AtFlags::empty())?)
        });
        let Ok((backup, ())) = linked else { return self.replace() };
        if let Err(error) = self.rename(RenameFlags::empty()) {
            let _ = self.remove(&backup);
            return Err(error);
        }
        self.backup = backup;
        self.state = State::Kept;
        Ok(())
    }

    /// Whether [`Beside::take_back`] can do what it is for.
    pub(in crate::stage) fn has_way_back(&self) -> bool {
        self.state != State::Replaced
    }

    /// Puts back what was there. Does nothing when the file is not in place.
    ///
    /// # Errors
    /// Those of `rename`.
    pub(in crate::stage) fn take_back(&mut self) -> Result<(), Errno> {
        let Beside { directory, name, .. } = &*self;
        let flags = RenameFlags::empty();
        self.state = match self.state {
            State::New => {
                renameat2(directory, &**name, directory, &*self.temporary, flags)?;
                State::Beside
            }
            State::Exchanged => {
                self.rename(RenameFlags::RENAME_EXCHANGE)?;
                State::Beside
            }
            State::Kept => {
                // This removes the new file, too.
                renameat2(directory, &*self.backup, directory, &**name, flags)?;
                State::Over
            }
            other => other,
        };
        Ok(())
    }

    /// Removes the old file, or what was not put in place. From now on there is no way back.
    ///
    /// # Errors
    /// Those of `unlink`.
    pub(in crate::stage) fn settle(&mut self) -> Result<(), Errno> {
        let removed = match self.state {
            State::Exchanged | State::Beside | State::Kept => self.remove(self.left_over()),
            State::New | State::Replaced | State::Over => Ok(()),
        };
        self.state = State::Over;
        removed
    }

    /// Removes a file that is not in place.
    ///
    /// # Errors
    /// Those of `unlink`.
    pub(in crate::stage) fn discard(&mut self) -> Result<(), Errno> {
        if self.state == State::Beside { self.settle() } else { Ok(()) }
    }

    /// Syncs the directory; one that cannot be synced is not held against it.
    ///
    /// # Errors
    /// Those that mean lost bytes.
    pub(in crate::stage) fn sync_directory(&self) -> Result<(), Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.directory, ".", flags, Mode::empty()) {
            Ok(directory) => tolerant_sync(&directory),
            Err(Errno::EACCES | Errno::EPERM) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, flags: RenameFlags) -> Result<(), Errno> {
        renameat2(&self.directory, &*self.temporary, &self.directory, &*self.name, flags)
    }

    fn remove(&self, name: &OsStr) -> Result<(), Errno> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            // Somebody else has removed it: it is gone as it should be.
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Whoever wants to know of a failure here calls the two.
        if self.take_back().is_ok() {
            let _ = self.discard();
        }
    }
}

/// Calls `make` with fresh names, `.NAME.weir-XXXXXX`, until one is not taken. NAME is cut where names may not be so long.
///
/// # Errors
/// Those of `make`.
fn under_fresh_name<T>(
    directory: &OwnedFd,
    name: &OsStr,
    mut make: impl FnMut(&OsStr) -> io::Result<T>,
) -> io::Result<(OsString, T)> {
    let limit = fpathconf(directory, PathconfVar::NAME_MAX).ok().flatten();
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(NAME_BYTES);
    let room = limit.saturating_sub(1 + MARK.len() + RANDOM_BYTES);
    let mut prefix = OsString::from(".");
    prefix.push(cut(name, room));
    prefix.push(MARK);
    let mut fresh = OsString::new();
    // Only the name is drawn here: files are made, and removed, through the descriptor of their directory.
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(RANDOM_BYTES)
        .disable_cleanup(true)
        .make_in("/", |path| {
            fresh = path.file_name().unwrap_or_default().to_owned();
            make(&fresh)
        })?;
    Ok((fresh, made.into_file()))
}

/// The first bytes of `name`, at most `room`, and no part of a letter: some file systems refuse what is no UTF-8.
fn cut(name: &OsStr, room: usize) -> &OsStr {
    let bytes = name.as_bytes();
    let mut end = bytes.len().min(room);
    while end > 0 && end < bytes.len() && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    OsStr::from_bytes(&bytes[..end])
}

/// `fsync`, where the file system has one.
///
/// # Errors
/// Those that mean lost bytes.
pub(in crate::stage) fn tolerant_sync(file: impl AsFd) -> Result<(), Errno> {
    match fsync(file) {
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => other,
    }
}

/// Whether a file system says that it knows no such way to rename.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::{cut, under_fresh_name};
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;

    #[test]
    fn a_name_is_cut_between_letters() {
        assert_eq!(cut(OsStr::new("aß"), 2), "a");
        assert_eq!(cut(OsStr::new("aß"), 3), "aß");
        assert_eq!(cut(OsStr::new("aß"), 0), "");
    }

    #[test]
    fn a_name_that_is_taken_is_not_used() {
        let directory = File::open("/").unwrap().into();
        let mut tried = Vec::new();
        let (fresh, ()) = under_fresh_name(&directory, OsStr::new("name"), |name| {
            tried.push(name.to_owned());
            if tried.len() == 3 { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        })
        .unwrap();
        assert_eq!(tried.last(), Some(&fresh));
        assert!(fresh.to_str().unwrap().starts_with(".name.weir-"));
    }
}
