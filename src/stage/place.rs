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

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::exit::Exit;
    use crate::stage::testing_ends::{Opened, commit, fault, open, run_sink, words, write_through};
    use crate::stage::{Commit, Published};
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_in_place_before_the_end_and_nobody_else_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let Opened { body, mut commits, .. } = open(words!["write", &path]).unwrap();
        run_sink(body, b"content").unwrap();
        let before = names(directory.path());
        assert!(matches!(&before[..], [name] if name.starts_with(".out.weir-")), "{before:?}");
        assert_eq!(mode(&directory.path().join(&before[0])), 0o600);
        commit(&mut commits).unwrap();
        assert_eq!(names(directory.path()), ["out"]);
        assert_eq!((&fs::read(&path).unwrap()[..], mode(&path)), (&b"content"[..], 0o644));
        drop(commits);
        assert_eq!(names(directory.path()), ["out"]);
    }

    #[test]
    fn a_replaced_file_leaves_its_mode_without_setuid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o6751)).unwrap();
        write_through(words!["write", &path], b"new").unwrap();
        assert_eq!((&fs::read(&path).unwrap()[..], mode(&path)), (&b"new"[..], 0o751));
        write_through(words!["write", &path, "--mode", "604", "--sync"], b"newer").unwrap();
        assert_eq!((&fs::read(&path).unwrap()[..], mode(&path)), (&b"newer"[..], 0o604));
    }

    #[test]
    fn a_replaced_file_leaves_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), Some(54321)).is_err() {
            println!("skipped: only root may give files away");
            return;
        }
        write_through(words!["write", &path], b"new").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
    }

    #[test]
    fn a_commit_that_is_dropped_or_discarded_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        let Opened { body, commits, .. } = open(words!["write", &path]).unwrap();
        run_sink(body, b"new").unwrap();
        drop(commits);
        let Opened { mut commits, .. } = open(words!["write", &path]).unwrap();
        commits[0].prepare(Published { outputs: 1 }).unwrap();
        commits[0].discard().unwrap();
        assert_eq!((names(directory.path()), fs::read(&path).unwrap()), (vec!["out".into()], b"old".into()));
    }

    #[test]
    fn what_was_published_with_others_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        fs::write(&old, "old").unwrap();
        let inode = fs::metadata(&old).unwrap().ino();
        let run = Published { outputs: 2 };
        for revokes in [true, false] {
            let mut commits: Vec<Box<dyn Commit>> = Vec::new();
            for path in [&old, &new] {
                let mut opened = open(words!["write", path]).unwrap();
                run_sink(opened.body, b"content").unwrap();
                commits.append(&mut opened.commits);
            }
            commits.iter_mut().for_each(|commit| commit.prepare(run).unwrap());
            commits.iter_mut().for_each(|commit| commit.publish(run).unwrap());
            assert_eq!(
                (fs::read(&old).unwrap(), fs::read(&new).unwrap()),
                (b"content".into(), b"content".into())
            );
            if revokes {
                commits.iter_mut().for_each(|commit| commit.revoke().unwrap());
                commits.iter_mut().for_each(|commit| commit.discard().unwrap());
            }
            drop(commits);
            assert_eq!(names(directory.path()), ["old"]);
            assert_eq!((fs::read(&old).unwrap(), fs::metadata(&old).unwrap().ino()), (b"old".into(), inode));
        }
    }

    #[test]
    fn several_outputs_that_settle_leave_no_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("one"), directory.path().join("two")];
        fs::write(&paths[0], "old").unwrap();
        let mut commits: Vec<Box<dyn Commit>> = Vec::new();
        for path in &paths {
            let mut opened = open(words!["write", path]).unwrap();
            run_sink(opened.body, b"content").unwrap();
            commits.append(&mut opened.commits);
        }
        commit(&mut commits).unwrap();
        assert_eq!(names(directory.path()), ["one", "two"]);
        assert_eq!(fs::read(&paths[0]).unwrap(), b"content");
    }

    #[test]
    fn no_clobber_refuses_a_file_that_is_there_or_appears() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--no-clobber"]).unwrap();
        run_sink(body, b"new").unwrap();
        fs::write(&path, "theirs").unwrap();
        let appeared = fault(commit(&mut commits));
        assert_eq!(appeared.exit, Exit::Overwrite);
        assert!(appeared.message.starts_with("appeared while running"), "{appeared}");
        commits[0].discard().unwrap();
        assert_eq!(fault(open(words!["write", &path, "--no-clobber"])).exit, Exit::Overwrite);
        assert_eq!(
            (names(directory.path()), fs::read(&path).unwrap()),
            (vec!["out".into()], b"theirs".into())
        );
    }

    #[test]
    fn skip_existing_leaves_a_file_that_appears() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--skip-existing"]).unwrap();
        run_sink(body, b"new").unwrap();
        fs::write(&path, "theirs").unwrap();
        commit(&mut commits).unwrap();
        assert_eq!(
            (names(directory.path()), fs::read(&path).unwrap()),
            (vec!["out".into()], b"theirs".into())
        );
    }

    #[test]
    fn links_stay_and_what_they_point_to_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (root, other) = (directory.path(), directory.path().join("other"));
        fs::create_dir(&other).unwrap();
        symlink("other/file", root.join("link")).unwrap();
        for content in ["created", "replaced"] {
            write_through(words!["write", root.join("link")], content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(other.join("file")).unwrap(), content);
            assert!(fs::symlink_metadata(root.join("link")).unwrap().is_symlink());
        }
        assert_eq!((names(root), names(&other)), (vec!["link".into(), "other".into()], vec!["file".into()]));
    }

    #[test]
    fn a_name_may_be_as_long_and_as_strange_as_any() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["n".repeat(255), "ß".repeat(127), "new\nline".into(), "-".into(), "a | b '\"".into()] {
            let path = directory.path().join(&name);
            write_through(words!["write", &path], b"content").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"content");
            fs::remove_file(path).unwrap();
        }
        assert!(names(directory.path()).is_empty());
        assert_eq!(cut(OsStr::new("aß"), 2), "a");
        assert_eq!(cut(OsStr::new("aß"), 3), "aß");
    }

    #[test]
    fn a_file_that_may_not_be_written_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        if nix::unistd::geteuid().is_root() {
            println!("skipped: root may write anything");
            return;
        }
        assert_eq!(fault(open(words!["write", &path])).message, "permission denied");
    }
}
