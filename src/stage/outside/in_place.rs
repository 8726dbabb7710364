//! A file written where it is, at its end or over its content: the commit of `write --append` and `--in-place`.
//! Knows nothing of who writes it.

use super::beside::tolerant_sync;
use crate::stage::contract::{Became, Commit, Published};

use crate::stage::fault::Fault;

use super::stream::{Handle, Kind, Stream, reason, same_file};
use super::target::{Target, signed};
use crate::diagnostic::printable;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::ftruncate;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Manner {
    /// Behind what is there, which is all that is left after a failure.
    Append,
    /// From the beginning; what was there cannot be had back.
    Over,
}

/// How the file is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::stage) struct Terms {
    /// Where the bytes go.
    pub(in crate::stage) manner: Manner,
    /// The mode it gets in any case.
    pub(in crate::stage) mode: Option<u32>,
    /// The mode of a file that was not there.
    pub(in crate::stage) new_mode: u32,
    /// Whether it is synced.
    pub(in crate::stage) sync: bool,
}

/// The commit.
#[derive(Debug)]
pub(in crate::stage) struct FileInPlace {
    /// As it was asked for.
    destination: PathBuf,
    path: PathBuf,
    target: Arc<Target>,
    terms: Terms,
    old_bytes: u64,
    /// The file, if it was not there before: then it goes again when the run fails.
    created: Option<Metadata>,
    /// The mode it had.
    old_mode: u32,
    /// It has the mode of the terms.
    is_other_mode: bool,
    /// It has the length of what was written.
    is_cut: bool,
    is_over: bool,
    became: Became,
}

impl FileInPlace {
    /// Opens the file, or creates it, at `path`: `destination` with all links followed.
    ///
    /// # Errors
    /// A [`Fault`] that names `destination`.
    pub(in crate::stage) fn open(
        destination: PathBuf,
        path: PathBuf,
        terms: Terms,
    ) -> Result<(FileInPlace, Arc<Target>), Fault> {
        let subject = printable(destination.as_os_str().as_bytes());
        let fault = |error: io::Error| Fault::failed(reason(&error)).of(&subject);
        let (file, is_new) = open_or_create(&path, terms).map_err(fault)?;
        let metadata = file.metadata().map_err(fault)?;
        let (old_bytes, old_mode) = (metadata.len(), metadata.mode());
        let stream = Stream::new(Handle::Own(file)).map_err(fault)?;
        let target = Arc::new(match (terms.manner, stream.kind()) {
            (Manner::Append, Kind::Regular) => Target::keeping(stream, subject, old_bytes),
            _ => Target::new(stream, subject),
        });
        let created = is_new.then_some(metadata);
        let commit = FileInPlace {
            destination,
            path,
            target: Arc::clone(&target),
            terms,
            old_bytes,
            created,
            old_mode,
            is_other_mode: false,
            is_cut: false,
            is_over: false,
            became: Became::Untouched,
        };
        Ok((commit, target))
    }

    fn fault(&self, what: &str, error: impl Into<io::Error>) -> Fault {
        Fault::failed(format!("{what}: {}", reason(&error.into()))).of(self.target.subject())
    }

    /// Leaves what was there before, as far as that is possible.
    fn undo(&mut self) -> Result<(), Fault> {
        let written_bytes = self.target.written_bytes();
        if let Some(created) = &self.created {
            // Whoever has put another file there keeps it.
            let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| same_file(&found, created));
            return match is_ours.then(|| fs::remove_file(&self.path)) {
                Some(Err(error)) => Err(self.fault("was created, and cannot be removed", error)),
                _ => Ok(()),
            };
        }
        if self.is_other_mode {
            fchmod(self.target.stream(), Mode::from_bits_truncate(self.old_mode & 0o7777))
                .map_err(|error| self.fault("its mode cannot be set back", error))?;
        }
        match self.terms.manner {
            Manner::Over if written_bytes == 0 && !self.is_cut => Ok(()),
            Manner::Over => {
                let message = match self.is_cut {
                    true => format!("it has been written over, and ends after {written_bytes} bytes now"),
                    false => format!("its first {written_bytes} bytes have been written over"),
                };
                Err(Fault::failed(message).of(self.target.subject()))
            }
            Manner::Append => self.cut_back(written_bytes),
        }
    }

    fn cut_back(&self, written_bytes: u64) -> Result<(), Fault> {
        let length = self.target.stream().length_bytes();
        let is_idle = Arc::strong_count(&self.target) == 1;
        if is_idle && length.is_ok_and(|length| length > self.old_bytes + written_bytes) {
            let message = format!(
                "others have appended meanwhile, so the {written_bytes} bytes from byte {} on stay",
                self.old_bytes
            );
            return Err(Fault::failed(message).of(self.target.subject()));
        }
        self.target
            .abandon()
            .map_err(|error| self.fault(&format!("cannot be cut back to {} bytes", self.old_bytes), error))
    }
}

/// The file, and whether it was made here.
fn open_or_create(path: &Path, terms: Terms) -> io::Result<(File, bool)> {
    let mut present = OpenOptions::new();
    match terms.manner {
        Manner::Append => present.append(true),
        Manner::Over => present.write(true),
    };
    let mut absent = present.clone();
    absent.create_new(true).mode(terms.mode.unwrap_or(terms.new_mode));
    loop {
        match present.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok((opened?, false)),
        }
        match absent.open(path) {
            // Somebody has made it in between: then it is theirs.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return Ok((created?, true)),
        }
    }
}

impl Commit for FileInPlace {
    fn destination(&self) -> PathBuf {
        self.destination.clone()
    }

    fn prepare(&mut self, run: Published) -> anyhow::Result<()> {
        self.terms.sync |= run.removes_input;
        let stream = self.target.stream();
        let is_regular = stream.kind() == Kind::Regular;
        if is_regular && self.terms.manner == Manner::Over {
            let length = signed(self.target.written_bytes());
            length
                .and_then(|length| Ok(ftruncate(stream, length)?))
                .map_err(|error| self.fault("cannot be cut to its new length", error))?;
            self.is_cut = true;
        }
        if let (true, Some(mode)) = (is_regular, self.terms.mode) {
            fchmod(stream, Mode::from_bits_truncate(mode))
                .map_err(|error| self.fault("cannot set its mode", error))?;
            self.is_other_mode = true;
        }
        // Only a sync tells what a block device thinks of what it was given.
        if self.terms.sync || !is_regular {
            tolerant_sync(stream).map_err(|error| self.fault("error at sync", error))?;
        }
        self.target.flush_by_close()
    }

    fn publish(&mut self, _run: Published) -> anyhow::Result<()> {
        self.became = Became::Placed;
        Ok(())
    }

    fn revoke(&mut self) -> anyhow::Result<()> {
        // The only step back there is comes with the discard.
        self.became = Became::Untouched;
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.is_over = true;
        if self.terms.sync && self.created.is_some() {
            let directory = self.path.parent().unwrap_or(Path::new("/"));
            let synced = File::open(directory).and_then(|directory| Ok(tolerant_sync(&directory)?));
            synced.map_err(|error| self.fault("written, but its directory cannot be synced", error))?;
        }
        Ok(())
    }

    fn discard(&mut self) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.is_over, true)
            && let Err(fault) = self.undo()
        {
            self.became = Became::Changed(fault.message.clone());
            return Err(fault.into());
        }
        Ok(())
    }

    fn became(&self) -> Became {
        self.became.clone()
    }
}

impl Drop for FileInPlace {
    fn drop(&mut self) {
        // Whoever wants to know of a failure here calls it.
        let _ = self.discard();
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::contract::{Became, Published};
    use crate::stage::testing_ends::{Opened, fault, open, run_sink, words, write_through};
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn append_writes_behind_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        write_through(words!["write", &path, "--append"], b"one ").unwrap();
        write_through(words!["write", &path, "--append", "--sync"], b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
    }

    #[test]
    fn a_failed_append_is_cut_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "kept").unwrap();
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--append"]).unwrap();
        run_sink(body, b" not kept").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept not kept");
        commits[0].discard().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn a_write_that_comes_after_the_cut_is_cut_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "kept").unwrap();
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--append"]).unwrap();
        commits[0].discard().unwrap();
        run_sink(body, b" too late").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn what_others_have_appended_is_not_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "kept").unwrap();
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--append"]).unwrap();
        run_sink(body, b" ours").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b" theirs").unwrap();
        let told = fault(commits[0].discard());
        assert_eq!(told.message, "others have appended meanwhile, so the 5 bytes from byte 4 on stay");
        assert_eq!(fs::read(&path).unwrap(), b"kept ours theirs");
    }

    #[test]
    fn a_file_that_a_failed_run_created_goes_again() {
        let directory = tempfile::tempdir().unwrap();
        let (link, path) = (directory.path().join("link"), directory.path().join("file"));
        symlink("file", &link).unwrap();
        for option in ["--append", "--in-place"] {
            let Opened { body, commits, .. } = open(words!["write", &link, option]).unwrap();
            run_sink(body, b"bytes").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"bytes");
            drop(commits);
            assert!(!path.exists());
        }
    }

    #[test]
    fn in_place_keeps_the_file_itself_and_cuts_it_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("hard link"));
        fs::write(&path, "a long old content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(&path, &other).unwrap();
        write_through(words!["write", &path, "--in-place"], b"short").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"short");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_failed_run_in_place_says_what_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "a long old content").unwrap();
        let Opened { body, mut commits, .. } = open(words!["write", &path, "--in-place"]).unwrap();
        run_sink(body, b"NEW").unwrap();
        assert_eq!(fault(commits[0].discard()).message, "its first 3 bytes have been written over");
        assert_eq!(fs::read(&path).unwrap(), b"NEWong old content");
    }

    #[test]
    fn a_file_whose_mode_was_set_has_the_old_one_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let words = words!["write", &path, "--append", "--mode=640"];
        let Opened { body, mut commits, .. } = open(words).unwrap();
        run_sink(body, b" new").unwrap();
        commits[0].prepare(Published { outputs: 2, removes_input: false }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        commits[0].discard().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o604);
        assert_eq!((fs::read(&path).unwrap(), commits[0].became()), (b"old".to_vec(), Became::Untouched));
    }

    #[test]
    fn a_file_that_was_cut_has_changed_even_if_nothing_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (bytes, told) in [(&b""[..], 0), (b"NEW", 3)] {
            fs::write(&path, "a long old content").unwrap();
            let Opened { body, mut commits, .. } = open(words!["write", &path, "--in-place"]).unwrap();
            run_sink(body, bytes).unwrap();
            commits[0].prepare(Published { outputs: 2, removes_input: false }).unwrap();
            assert!(commits[0].discard().is_err());
            let told = format!("it has been written over, and ends after {told} bytes now");
            assert_eq!(commits[0].became(), Became::Changed(told));
        }
    }
}
