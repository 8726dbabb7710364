//! What would become of one destination: created, replaced, appended to, written over, written directly, or refused.
//! Only looks, and knows nothing of the other files of the run.

use super::facts::{Fate, Problem};
use super::target::{Identity, Target, cause, is_descriptor, may};
use crate::diagnostic::printable;
use crate::exit::Exit;
use crate::lang::shell_word;
use crate::stage::{Destination, Existing, How};
use nix::unistd::AccessFlags;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A destination that can be written, as far as looking tells.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) fate: Fate,
    /// `None` for a character device, which any number of stages may write.
    pub(super) identity: Option<Identity>,
    /// Where the bytes will take up room.
    pub(super) directory: Option<PathBuf>,
}

/// Whether there is a regular file at `destination` that says the run is done.
pub(super) fn is_done(destination: &Destination) -> bool {
    let is_there = || fs::metadata(&destination.path).is_ok_and(|metadata| metadata.is_file());
    destination.existing == Existing::Skip && is_there()
}

/// Looks at `destination`, as the stage `stage` would write it.
pub(super) fn look(destination: &Destination, stage: usize) -> Result<Looked, Problem> {
    let looking = Looking { destination, stage };
    let target = Target::of(&destination.path).map_err(|error| looking.nowhere(&error))?;
    match &target.metadata {
        Some(metadata) => looking.there(&target, metadata),
        None => looking.new_file(&target),
    }
}

struct Looking<'a> {
    destination: &'a Destination,
    stage: usize,
}

impl Looking<'_> {
    fn problem(&self, exit: Exit, what: &str) -> Problem {
        let name = printable(self.destination.path.as_os_str().as_bytes());
        Problem { stage: Some(self.stage), message: format!("{name}: {what}"), help: None, exit }
    }

    /// Its name leads nowhere.
    fn nowhere(&self, error: &io::Error) -> Problem {
        let path = &self.destination.path;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match (error.kind(), parent) {
            (io::ErrorKind::NotFound, Some(parent)) if fs::metadata(parent).is_err() => {
                let directory = printable(parent.as_os_str().as_bytes());
                self.problem(Exit::Failed, &format!("there is no directory `{directory}`"))
                    .help(format!("create it first: mkdir -p {}", shell_word(&directory)))
            }
            (io::ErrorKind::NotFound, _) => {
                self.problem(Exit::Failed, "names a directory that is not there").help("name a file")
            }
            _ => self.problem(Exit::Failed, &cause(error)),
        }
    }

    fn there(&self, target: &Target, metadata: &Metadata) -> Result<Looked, Problem> {
        let kind = metadata.file_type();
        let path = &self.destination.path;
        let identity = Some(target.identity.clone());
        if kind.is_dir() {
            return Err(self.problem(Exit::Failed, "is a directory").help("name a file in it"));
        }
        if kind.is_socket() {
            return Err(self.problem(Exit::Failed, "is a socket"));
        }
        if kind.is_block_device() && self.destination.how != How::InPlace {
            return Err(self
                .problem(Exit::Overwrite, "is a block device")
                .help("`--in-place` writes over what is on it"));
        }
        if !kind.is_file() || is_descriptor(path) || target.is_made_up() {
            self.may(path, AccessFlags::W_OK)?;
            let fate = if kind.is_block_device() { Fate::Overwrite } else { Fate::Direct };
            let identity = identity.filter(|_| !kind.is_char_device());
            return Ok(Looked { fate, identity, directory: None });
        }
        if self.destination.existing == Existing::Refuse {
            return Err(self
                .problem(Exit::Overwrite, "is there already, and `--no-clobber` keeps it")
                .help("name another file, or remove this one"));
        }
        self.may(path, AccessFlags::W_OK)?;
        let old_bytes = metadata.len();
        let fate = match self.destination.how {
            How::Append => Fate::Append { old_bytes },
            How::InPlace => Fate::Overwrite,
            How::Replace if metadata.nlink() > 1 => {
                let names = metadata.nlink();
                return Err(self
                    .problem(Exit::Overwrite, &format!("has {names} names, and only this one would change"))
                    .help("`--in-place` writes the file behind all of them; it cannot be undone"));
            }
            How::Replace => {
                self.may(&target.directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
                Fate::Replace { old_bytes }
            }
        };
        Ok(Looked { fate, identity, directory: Some(target.directory.clone()) })
    }

    fn new_file(&self, target: &Target) -> Result<Looked, Problem> {
        if target.is_made_up() {
            return Err(self.problem(Exit::Failed, "is not there, and nothing is created among devices"));
        }
        self.may(&target.directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
        let identity = Some(target.identity.clone());
        let fate = match self.destination.how {
            // It is there as soon as the run begins, and gone again when it fails.
            How::Append => Fate::Append { old_bytes: 0 },
            How::InPlace | How::Replace => Fate::Create,
        };
        Ok(Looked { fate, identity, directory: Some(target.directory.clone()) })
    }

    fn may(&self, path: &Path, access: AccessFlags) -> Result<(), Problem> {
        may(path, access).map_err(|error| {
            let cause = cause(&error.into());
            if path == self.destination.path {
                return self.problem(Exit::Failed, &cause);
            }
            let directory = printable(path.as_os_str().as_bytes());
            self.problem(Exit::Failed, &format!("cannot create a file in `{directory}`: {cause}"))
        })
    }
}
