//! A file written beside its final place and put there at the end: the commit of an ordinary `write`.
//! Knows nothing of who writes it, or of the other outputs of the run beyond their number.
//!
//! ```text
//!   open      .NAME.weir-XXXXXX, mode 0600
//!   prepare   mode and owner, fsync, close
//!   publish   one output: rename          several: exchange with the old file, or rename if there is none
//!   revoke                                several: the same again
//!   settle                                several: remove the old file, which has the temporary name now
//! ```

use super::contract::{Commit, Existing, Fault, Published};
use super::destination::FilePlace;
use super::stream::{Handle, Stream, reason};
use super::target::Target;
use crate::diagnostic::printable;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, open, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstatat};
use nix::unistd::{
    AccessFlags, Gid, PathconfVar, Uid, UnlinkatFlags, eaccess, fchown, fpathconf, fsync, linkat, unlinkat,
};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How the file is to be put in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// What if there is a file already, or at the end.
    pub(super) existing: Existing,
    /// The mode it gets, in place of that of the file it replaces, or of `new_mode`.
    pub(super) mode: Option<u32>,
    /// The mode of a file that replaces none.
    pub(super) new_mode: u32,
    /// Whether a new file is synced, too.
    pub(super) sync: bool,
}

/// How far the file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Under its temporary name.
    Beside,
    /// In place, where nothing was.
    New,
    /// In place, and the old file has the temporary name.
    Exchanged,
    /// In place, and the old file is gone.
    Replaced,
    /// Nothing is left to do.
    Over,
}

/// The commit.
#[derive(Debug)]
pub(super) struct PlacedFile {
    /// As it was asked for.
    destination: PathBuf,
    directory: OwnedFd,
    name: OsString,
    temporary: OsString,
    target: Option<Arc<Target>>,
    terms: Terms,
    state: State,
    replaces: bool,
}

impl PlacedFile {
    /// Creates the temporary file. The second value is for who writes.
    ///
    /// # Errors
    /// A [`Fault`] that names `destination`.
    pub(super) fn create(
        destination: PathBuf,
        place: &FilePlace,
        terms: Terms,
    ) -> Result<(PlacedFile, Arc<Target>), Fault> {
        let subject = printable(destination.as_os_str().as_bytes());
        let fault = |error: Errno| Fault::failed(reason(&error.into())).of(&subject);
        if place.existing.is_some() {
            if terms.existing == Existing::Refuse {
                let fault = Fault::overwrite("is there already, and `--no-clobber` keeps it").of(&subject);
                return Err(fault.help("name another file, or remove this one"));
            }
            // A rename asks nobody; whoever took away the right to write meant it.
            eaccess(&place.path(), AccessFlags::W_OK).map_err(|error| {
                fault(error).help("the file there may not be written: `chmod u+w` allows it")
            })?;
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(&place.directory, flags, Mode::empty()).map_err(fault)?;
        let (temporary, file) = create_beside(&directory, &place.name).map_err(|error| {
            let message = format!("cannot create a file in its directory: {}", reason(&error));
            Fault::failed(message).of(&subject)
        })?;
        // From here on the temporary file has an owner who removes it.
        let mut placed = PlacedFile {
            destination,
            directory,
            name: place.name.clone(),
            temporary,
            target: None,
            terms,
            state: State::Beside,
            replaces: place.existing.is_some(),
        };
        let stream =
            Stream::new(Handle::Own(file)).map_err(|error| Fault::failed(reason(&error)).of(&subject))?;
        let target = Arc::new(Target::new(stream, subject));
        placed.target = Some(Arc::clone(&target));
        Ok((placed, target))
    }

    fn fault(&self, what: &str, error: Errno) -> Fault {
        let message = format!("{what}: {}", reason(&error.into()));
        Fault::failed(message).of(printable(self.destination.as_os_str().as_bytes()))
    }

    fn temporary_path(&self) -> String {
        printable(self.destination.with_file_name(&self.temporary).as_os_str().as_bytes())
    }

    /// The file in place now, if it is a regular one.
    fn present(&self) -> Option<FileStat> {
        let stat = fstatat(&self.directory, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        (kind == SFlag::S_IFREG).then_some(stat)
    }

    /// Gives `file` the owner and the mode it is to have.
    fn dress(&self, file: impl AsFd, replaced: Option<&FileStat>) -> Result<(), Fault> {
        let mut mode = self.terms.new_mode;
        if let Some(old) = replaced {
            mode = old.st_mode & 0o777;
            let (owner, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
            let keeps_both = fchown(&file, Some(owner), Some(group)).is_ok();
            if !keeps_both && fchown(&file, None, Some(group)).is_err() {
                // The group is another one now: it may do what everybody may, no more.
                mode = (mode & 0o707) | ((mode & 0o070) & (mode << 3));
            }
        }
        let mode = Mode::from_bits_truncate(self.terms.mode.unwrap_or(mode));
        fchmod(&file, mode).map_err(|error| self.fault("cannot set its mode", error))
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

    /// Puts the file where none may be.
    fn place_new(&self) -> Result<(), Errno> {
        match self.rename(RenameFlags::RENAME_NOREPLACE) {
            Err(error) if is_unsupported(error) => {
                linkat(&self.directory, &*self.temporary, &self.directory, &*self.name, AtFlags::empty())?;
                // In place under both names; the temporary one is of no use to anybody.
                let _ = self.remove(&self.temporary);
                Ok(())
            }
            other => other,
        }
    }

    /// Puts the file in place so that it can be taken back.
    fn exchange(&self) -> Result<State, Errno> {
        loop {
            match self.rename(RenameFlags::RENAME_EXCHANGE) {
                Ok(()) => return Ok(State::Exchanged),
                Err(Errno::ENOENT) => match self.place_new() {
                    Ok(()) => return Ok(State::New),
                    // It appeared in between: now there is something to exchange with.
                    Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error),
                },
                Err(error) if is_unsupported(error) => {
                    let state = if self.present().is_some() { State::Replaced } else { State::New };
                    return self.rename(RenameFlags::empty()).map(|()| state);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The run's directory, synced; a directory that cannot be is not held against it.
    fn sync_directory(&self) -> Result<(), Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.directory, ".", flags, Mode::empty()) {
            Ok(directory) => tolerant_sync(&directory),
            Err(Errno::EACCES | Errno::EPERM) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Commit for PlacedFile {
    fn destination(&self) -> PathBuf {
        self.destination.clone()
    }

    fn prepare(&mut self, _run: Published) -> anyhow::Result<()> {
        let Some(target) = self.target.take() else { return Ok(()) };
        let replaced = self.present();
        self.replaces = replaced.is_some();
        self.dress(target.stream(), replaced.as_ref())?;
        if self.replaces || self.terms.sync {
            tolerant_sync(target.stream()).map_err(|error| self.fault("error at sync", error))?;
        }
        match Arc::try_unwrap(target) {
            Ok(target) => target.close(),
            // A stage that ended well holds it no more; the errors of a close are had all the same.
            Err(shared) => shared.flush_by_close(),
        }
    }

    fn publish(&mut self, run: Published) -> anyhow::Result<()> {
        let placed = match self.terms.existing {
            Existing::Refuse | Existing::Skip => self.place_new().map(|()| State::New),
            Existing::Write if run.outputs > 1 => self.exchange(),
            Existing::Write => self.rename(RenameFlags::empty()).map(|()| match self.replaces {
                true => State::Replaced,
                false => State::New,
            }),
        };
        match (placed, self.terms.existing) {
            (Ok(state), _) => self.state = state,
            (Err(Errno::EEXIST), Existing::Refuse) => {
                let subject = printable(self.destination.as_os_str().as_bytes());
                let fault =
                    Fault::overwrite("appeared while running, and `--no-clobber` keeps it").of(subject);
                return Err(fault.help("name another file, or remove that one").into());
            }
            // Somebody else has made it meanwhile: left out, as if it had been there before.
            (Err(Errno::EEXIST), Existing::Skip) => {}
            (Err(error), _) => return Err(self.fault("cannot be put in place", error).into()),
        }
        Ok(())
    }

    fn revoke(&mut self) -> anyhow::Result<()> {
        let undone = match self.state {
            State::Beside | State::Over => Ok(()),
            State::New => renameat2(
                &self.directory,
                &*self.name,
                &self.directory,
                &*self.temporary,
                RenameFlags::empty(),
            ),
            State::Exchanged => self.rename(RenameFlags::RENAME_EXCHANGE),
            State::Replaced => {
                let subject = printable(self.destination.as_os_str().as_bytes());
                let message = "has its new content; the file system gave no way to keep the old one";
                return Err(Fault::failed(message).of(subject).into());
            }
        };
        undone.map_err(|error| self.fault("has its new content, and cannot be put back", error))?;
        self.state = State::Beside;
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let state = std::mem::replace(&mut self.state, State::Over);
        if matches!(state, State::Exchanged | State::Beside) {
            let removed = self.remove(&self.temporary);
            let left = format!("in place, but `{}` cannot be removed", self.temporary_path());
            removed.map_err(|error| self.fault(&left, error))?;
        }
        if self.terms.sync || self.replaces {
            self.sync_directory()
                .map_err(|error| self.fault("in place, but its directory cannot be synced", error))?;
        }
        Ok(())
    }

    fn discard(&mut self) -> anyhow::Result<()> {
        self.target = None;
        if self.state == State::Beside {
            self.state = State::Over;
            let removed = self.remove(&self.temporary);
            let left = format!("`{}` cannot be removed", self.temporary_path());
            removed.map_err(|error| self.fault(&left, error).help("remove it by hand"))?;
        }
        Ok(())
    }
}

impl Drop for PlacedFile {
    fn drop(&mut self) {
        // Whoever wants to know of a failure here calls the two.
        if self.revoke().is_ok() {
            let _ = self.discard();
        }
    }
}

/// Creates a file of a fresh name in `directory`, which begins as `name` does and is never longer than names may be.
fn create_beside(directory: &OwnedFd, name: &OsStr) -> io::Result<(OsString, File)> {
    const MARK: &str = ".weir-";
    const RANDOM_BYTES: usize = 6;
    const NAME_BYTES: usize = 255;
    let limit = fpathconf(directory, PathconfVar::NAME_MAX).ok().flatten();
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(NAME_BYTES);
    let room = limit.saturating_sub(1 + MARK.len() + RANDOM_BYTES);
    let mut prefix = OsString::from(".");
    prefix.push(cut(name, room));
    prefix.push(MARK);
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut temporary = OsString::new();
    // Only names are drawn here: the file is made, and later removed, through its directory's descriptor.
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(RANDOM_BYTES)
        .disable_cleanup(true)
        .make_in("/", |path| {
            temporary = path.file_name().unwrap_or_default().to_owned();
            Ok(openat(directory, &*temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
        })?;
    Ok((temporary, made.into_file().into()))
}

/// The first bytes of `name`, at most `room`, and no part of a letter: some file systems refuse names that are no UTF-8.
fn cut(name: &OsStr, room: usize) -> &OsStr {
    let bytes = name.as_bytes();
    let mut end = bytes.len().min(room);
    while end > 0 && end < bytes.len() && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    OsStr::from_bytes(&bytes[..end])
}

/// `fsync`, where the file system has one.
pub(super) fn tolerant_sync(file: impl AsFd) -> Result<(), Errno> {
    match fsync(file) {
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => other,
    }
}

/// Whether a file system says that it knows no such way to rename.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}
