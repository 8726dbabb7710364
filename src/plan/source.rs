//! What may be expected of the file that a source reads: that it can be followed, removed, or taken after.
//! Only looks; knows nothing of outputs.

use super::Plan;
use super::target::{Target, cause, may};
use crate::exit::Exit;
use nix::unistd::AccessFlags;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Why a source cannot do with a file what it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// `is a FIFO`.
    pub(super) what: String,
    pub(super) help: Option<&'static str>,
    pub(super) exit: Exit,
}

fn unfit(what: impl Into<String>, help: &'static str) -> Unfit {
    Unfit { what: what.into(), help: Some(help), exit: Exit::Usage }
}

/// Whether the run waits for the file at `path` to appear, as `error` says that it is not there.
pub(super) fn is_awaited(plan: &Plan, error: &io::Error) -> bool {
    plan.is_endless() && error.kind() == io::ErrorKind::NotFound
}

/// Looks whether the source of `plan` can do all it is asked to with the file at `path`, which is there and no directory.
///
/// # Errors
/// The first thing that stands against it.
pub(super) fn look(plan: &Plan, path: &Path, metadata: &Metadata) -> Result<(), Unfit> {
    let takes_after = plan.stages.iter().find_map(|planned| planned.stage.needs_one_file());
    if plan.is_endless() {
        regular(path, metadata, "only ordinary files are followed")?;
    }
    if let Some(option) = takes_after
        && regular(path, metadata, "").is_err()
    {
        let what = format!("{}, and `{option}` takes after a regular file", kind(metadata));
        return Err(unfit(what, "leave that option out"));
    }
    if plan.removes_its_input() {
        if fs::symlink_metadata(path).is_ok_and(|link| link.is_symlink()) {
            let help = "name the file it leads to, so that it is clear what is removed";
            return Err(unfit("is a symbolic link, and links are not removed", help));
        }
        regular(path, metadata, "only ordinary files are removed")?;
        removable(path)?;
    }
    Ok(())
}

fn regular(path: &Path, metadata: &Metadata, rule: &'static str) -> Result<(), Unfit> {
    if !metadata.is_file() {
        return Err(unfit(kind(metadata), rule));
    }
    match Target::of(path) {
        Ok(target) if target.is_made_up() => Err(unfit("is made up by the kernel", rule)),
        _ => Ok(()),
    }
}

/// Whether the directory lets go of its files.
fn removable(path: &Path) -> Result<(), Unfit> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    may(parent.unwrap_or(Path::new(".")), AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| Unfit {
        what: format!("could not be removed from its directory: {}", cause(&error.into())),
        help: Some("leave `--remove` out"),
        exit: Exit::Failed,
    })
}

fn kind(metadata: &Metadata) -> String {
    let file_type = metadata.file_type();
    let kind = if file_type.is_fifo() {
        "a FIFO"
    } else if file_type.is_socket() {
        "a socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "a device"
    } else {
        "made up by the kernel"
    };
    format!("is {kind}")
}
