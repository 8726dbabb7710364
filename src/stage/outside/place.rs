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
//!
//! Where the file system cannot exchange, the old file gets a second name (a hard link) before the rename.

use super::beside::{Beside, tolerant_sync};
use super::destination::FilePlace;
use super::dress::{Dress, set_mode};
use super::stream::{Handle, Stream, reason};
use super::target::Target;
use crate::diagnostic::printable;
use crate::stage::contract::{Became, Commit, Existing, Published};

use crate::stage::fault::Fault;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::unistd::{AccessFlags, eaccess};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How the file is to be put in place.
#[derive(Debug, Clone, Copy)]
pub(in crate::stage) struct Terms {
    /// What if there is a file already, or at the end.
    pub(in crate::stage) existing: Existing,
    /// The mode it gets, in place of that of the file it replaces, or of `new_mode`.
    pub(in crate::stage) mode: Option<u32>,
    /// The mode of a file that replaces none.
    pub(in crate::stage) new_mode: u32,
    /// Whose owner, mode and times it gets, in place of those of the file it replaces.
    pub(in crate::stage) dress: Option<Dress>,
    /// Whether a new file is synced, too.
    pub(in crate::stage) sync: bool,
}

/// The commit.
#[derive(Debug)]
pub(in crate::stage) struct PlacedFile {
    /// As it was asked for.
    destination: PathBuf,
    /// The same, for messages.
    subject: String,
    file: Beside,
    /// Who writes shares it; closed when the file is prepared.
    target: Option<Arc<Target>>,
    terms: Terms,
    replaces: bool,
    became: Became,
}

impl PlacedFile {
    /// Creates the temporary file. The second value is for who writes.
    ///
    /// # Errors
    /// A [`Fault`] that names `destination`.
    pub(in crate::stage) fn create(
        destination: PathBuf,
        place: &FilePlace,
        terms: Terms,
    ) -> Result<(PlacedFile, Arc<Target>), Fault> {
        let subject = printable(destination.as_os_str().as_bytes());
        if place.is_there {
            if terms.existing == Existing::Refuse {
                let fault = Fault::overwrite("is there already, and `--no-clobber` keeps it").of(subject);
                return Err(fault.help("name another file, or remove this one"));
            }
            // A rename asks nobody; whoever took away the right to write meant it.
            eaccess(&place.path(), AccessFlags::W_OK).map_err(|error| {
                let fault = Fault::failed(reason(&error.into())).of(&subject);
                fault.help("the file there may not be written: `chmod u+w` allows it")
            })?;
        }
        let fault = |error: std::io::Error| {
            let message = format!("cannot create a file in its directory: {}", reason(&error));
            Fault::failed(message).of(&subject)
        };
        let (file, writer) = Beside::create(&place.directory, &place.name).map_err(fault)?;
        let stream = Stream::new(Handle::Own(writer)).map_err(fault)?;
        let target = Arc::new(Target::new(stream, subject.clone()));
        let shared = Some(Arc::clone(&target));
        let replaces = place.is_there;
        let became = Became::Untouched;
        Ok((PlacedFile { destination, subject, file, target: shared, terms, replaces, became }, target))
    }

    fn fault(&self, what: &str, error: Errno) -> Fault {
        Fault::failed(format!("{what}: {}", reason(&error.into()))).of(&self.subject)
    }

    /// The full name of what would be left over now, for messages.
    fn left_over(&self) -> String {
        let path = self.destination.with_file_name(self.file.left_over());
        printable(path.as_os_str().as_bytes())
    }

    /// Gives `file` the owner, the mode and the times it is to have.
    fn dress(&self, file: impl AsFd, replaced: Option<&FileStat>) -> Result<(), Fault> {
        let dress = self.terms.dress.or(replaced.map(Dress::of_replaced));
        let mode = dress.map_or(self.terms.new_mode, |dress| dress.hand_over(&file));
        set_mode(&file, self.terms.mode.unwrap_or(mode))
            .map_err(|error| self.fault("cannot set its mode", error))?;
        let set = dress.map_or(Ok(()), |dress| dress.set_times(&file));
        set.map_err(|error| self.fault("cannot set its times", error))
    }
}

impl Commit for PlacedFile {
    fn destination(&self) -> PathBuf {
        self.destination.clone()
    }

    fn prepare(&mut self, run: Published) -> anyhow::Result<()> {
        self.terms.sync |= run.removes_input;
        let Some(target) = self.target.take() else { return Ok(()) };
        let replaced = self.file.present();
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
            Existing::Refuse | Existing::Skip => self.file.place_new(),
            Existing::Write if run.outputs > 1 => self.file.exchange(),
            Existing::Write => self.file.replace(),
        };
        match (placed, self.terms.existing) {
            (Ok(()), _) => {
                self.became = Became::Placed;
                Ok(())
            }
            // Somebody else has made it meanwhile: left out, as if it had been there before.
            (Err(Errno::EEXIST), Existing::Skip) if !run.removes_input => Ok(()),
            (Err(Errno::EEXIST), Existing::Skip | Existing::Refuse) => {
                let keeps =
                    if self.terms.existing == Existing::Skip { "skip-existing" } else { "no-clobber" };
                let fault = Fault::overwrite(format!("appeared while running, and `--{keeps}` keeps it"));
                Err(fault.of(&self.subject).help("name another file, or remove that one").into())
            }
            (Err(error), _) => Err(self.fault("cannot be put in place", error).into()),
        }
    }

    fn revoke(&mut self) -> anyhow::Result<()> {
        if !self.file.has_way_back() {
            let message = "has its new content; the file system gave no way to keep the old one";
            return Err(Fault::failed(message).of(&self.subject).into());
        }
        let undone = self.file.take_back();
        undone.map_err(|error| self.fault("has its new content, and cannot be put back", error))?;
        self.became = Became::Untouched;
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let left = format!("in place, but `{}` cannot be removed", self.left_over());
        self.file.settle().map_err(|error| self.fault(&left, error))?;
        if self.terms.sync || self.replaces {
            let synced = self.file.sync_directory();
            synced.map_err(|error| self.fault("in place, but its directory cannot be synced", error))?;
        }
        Ok(())
    }

    fn discard(&mut self) -> anyhow::Result<()> {
        self.target = None;
        let left = format!("`{}` cannot be removed", self.left_over());
        let removed = self.file.discard();
        Ok(removed.map_err(|error| self.fault(&left, error).help("remove it by hand"))?)
    }

    fn became(&self) -> Became {
        self.became.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::exit::Exit;
    use crate::stage::testing_ends::{Opened, commit, fault, open, run_sink, words, write_through};
    use crate::stage::{Commit, Published};
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
        commits[0].prepare(Published { outputs: 1, removes_input: false }).unwrap();
        commits[0].discard().unwrap();
        assert_eq!((names(directory.path()), fs::read(&path).unwrap()), (vec!["out".into()], b"old".into()));
    }

    #[test]
    fn what_was_published_with_others_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        fs::write(&old, "old").unwrap();
        let inode = fs::metadata(&old).unwrap().ino();
        let run = Published { outputs: 2, removes_input: false };
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
    fn an_output_that_is_left_out_is_refused_where_the_input_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--skip-existing"]).unwrap();
        run_sink(body, b"new").unwrap();
        fs::write(&path, "theirs").unwrap();
        let run = Published { outputs: 1, removes_input: true };
        commits[0].prepare(run).unwrap();
        let told = fault(commits[0].publish(run));
        assert_eq!(
            (told.exit, &told.message[..]),
            (Exit::Overwrite, "appeared while running, and `--skip-existing` keeps it")
        );
        commits[0].discard().unwrap();
        assert_eq!(names(directory.path()), ["out"]);
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
    }

    #[test]
    fn a_file_that_may_not_be_written_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        if nix::unistd::geteuid().is_root() {
            return;
        }
        assert_eq!(fault(open(words!["write", &path])).message, "permission denied");
    }
}
