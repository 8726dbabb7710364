//! Words to a running child, its pipes ready to be polled; or what to say when there is none.
//! Looks at no byte that goes to it or comes from it.

use super::process::{Child, Pipes};
use crate::diagnostic::printable;
use crate::stage::arguments::{DATA_MARK, TextArgument};
use crate::stage::fault::Fault;
use crate::stage::outside::stream::{Handle, Stream, reason};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A child that runs, and our ends of its pipes, which do not block.
#[derive(Debug)]
pub(in crate::stage) struct Started {
    pub(super) child: Arc<Child>,
    /// How messages call it.
    pub(super) name: String,
    /// `None` for a child that is given nothing.
    pub(super) stdin: Option<Stream>,
    pub(super) stdout: Stream,
    pub(super) stderr: File,
}

/// What the child's standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Given {
    /// What comes in.
    Pipe,
    /// The empty device.
    Nothing,
}

/// How messages call a command.
pub(in crate::stage) fn name_of(command: &OsStr) -> String {
    printable(command.as_bytes())
}

/// The words of a chain as another program gets them: without the marks of data.
pub(in crate::stage) fn plain(words: &[TextArgument]) -> Vec<OsString> {
    // A mark may stand inside one, where an operand is glued to an option.
    let plain = |word: &TextArgument| {
        OsString::from_vec(word.0.as_bytes().iter().copied().filter(|&byte| byte != DATA_MARK).collect())
    };
    words.iter().map(plain).collect()
}

/// Starts the command of `words`, looked up as a shell would; no shell sees them. Where there is no such command, `remedy`
/// is what the user may do.
///
/// # Errors
/// A [`Fault`] that names the command, when it cannot be run.
pub(in crate::stage) fn start(
    words: &[OsString],
    given: Given,
    remedy: Option<String>,
) -> Result<Started, Fault> {
    let (program, arguments) = words.split_first().ok_or_else(|| Fault::failed("there is no command"))?;
    let name = name_of(program);
    let stdin = match given {
        Given::Pipe => Stdio::piped(),
        Given::Nothing => Stdio::null(),
    };
    let mut command = Command::new(program);
    command.args(arguments).env_remove(crate::stage::PASSPHRASE_VARIABLE);
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (child, pipes) = Child::spawn(&mut command).map_err(|error| refusal(&error, program, remedy))?;
    prepare(Arc::new(child), name.clone(), pipes)
        .map_err(|error| Fault::failed(format!("cannot talk to it: {}", reason(&error))).of(name))
}

fn prepare(child: Arc<Child>, name: String, pipes: Pipes) -> io::Result<Started> {
    let stdin = pipes.stdin.map(|pipe| stream(pipe.into())).transpose()?;
    let missing = || io::Error::from(Errno::EBADF);
    let stdout = stream(pipes.stdout.ok_or_else(missing)?.into())?;
    let stderr = OwnedFd::from(pipes.stderr.ok_or_else(missing)?);
    unblock(&stderr)?;
    Ok(Started { child, name, stdin, stdout, stderr: stderr.into() })
}

/// Our end of a pipe. That it does not block is not the child's concern: its end is another open file.
fn stream(pipe: OwnedFd) -> io::Result<Stream> {
    unblock(&pipe)?;
    Stream::new(Handle::Own(pipe.into()))
}

fn unblock(pipe: &impl AsFd) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Why there is no child, and what to do about it.
fn refusal(error: &io::Error, program: &OsStr, remedy: Option<String>) -> Fault {
    let name = name_of(program);
    let file = found(program);
    let fault = |message: &str| Fault::failed(message).of(&name);
    match (error.raw_os_error().map(Errno::from_raw), &file) {
        (Some(Errno::ENOENT), Some(_)) => {
            fault("cannot be run: what its first line names is not there").help("see its line `#!…`")
        }
        (Some(Errno::ENOENT), None) if is_path(program) => {
            Fault { help: remedy, ..fault("no such file or directory") }
        }
        (Some(Errno::ENOENT), None) => Fault { help: remedy, ..fault("command not found") },
        (Some(Errno::EACCES), Some(file)) if file.is_dir() => fault("is a directory, not a command"),
        (Some(Errno::EACCES), Some(file)) if is_path(program) => {
            fault("is not executable").help(format!("`chmod +x {}` makes it so", name_of(file.as_os_str())))
        }
        (Some(Errno::ENOEXEC), _) => fault("is no program that this system can run")
            .help("a script needs a first line that names what runs it, as `#!/bin/sh`"),
        (Some(Errno::E2BIG), _) => fault("its arguments and the environment are too long for the system"),
        _ => fault(&format!("cannot be run: {}", reason(error))),
    }
}

fn is_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

/// The file that the name of a command leads to, whether it can be run or not.
fn found(program: &OsStr) -> Option<PathBuf> {
    let is_there = |path: &Path| fs::metadata(path).is_ok();
    if is_path(program) {
        return Some(PathBuf::from(program)).filter(|path| is_there(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| is_there(path))
}

#[cfg(test)]
mod tests {
    use super::{Given, start};
    use std::ffi::OsString;

    fn refused(words: &[&str]) -> (String, Option<String>) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let fault = start(&words, Given::Nothing, Some("remedy".to_owned())).unwrap_err();
        (fault.to_string(), fault.help)
    }

    #[test]
    fn what_cannot_be_run_is_named_and_why() {
        let is_missing = |message: &str| (message.to_owned(), Some("remedy".to_owned()));
        assert_eq!(refused(&["no-such-command"]), is_missing("no-such-command: command not found"));
        assert_eq!(refused(&["./no/such"]), is_missing("./no/such: no such file or directory"));
        assert_eq!(refused(&["/dev"]), ("/dev: is a directory, not a command".to_owned(), None));
        let long = "x".repeat(8 << 20);
        assert!(
            refused(&["true", &long]).0.starts_with("true: its arguments and the environment are too long")
        );
    }
}
