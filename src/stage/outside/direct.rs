//! Sinks that write at once to what can neither be replaced nor undone: standard output, FIFOs, devices.
//! Never creates a file, and never changes a mode.

use super::stream::{Handle, Kind, Stream, reason};
use super::target::Target;
use crate::diagnostic::printable;
use crate::flow::{Closed, Medium};
use crate::stage::contract::{Body, Context, Opening};

use crate::stage::fault::Fault;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How messages call descriptor 1.
const STDOUT_NAME: &str = "standard output";

/// How often a FIFO is tried while it has no reader. The system has nothing that could be waited for instead.
const READER_INTERVAL: Duration = Duration::from_millis(20);

/// A sink on standard output, watched for a reader who goes away.
///
/// # Errors
/// Those of looking at it.
pub(in crate::stage) fn open_stdout(opening: &mut Opening<'_>) -> anyhow::Result<Body> {
    if opening.has_given_ends() {
        let taken = || Fault::failed("another stage of the chain has it").of(STDOUT_NAME);
        return Ok(opening.take_given_stdout().ok_or_else(taken)?);
    }
    let fault = |error: io::Error| Fault::failed(reason(&error)).of(STDOUT_NAME);
    let stream = Stream::stdout().map_err(fault)?;
    watch(&stream, opening).map_err(fault)?;
    opening.cannot_be_undone(STDOUT_NAME);
    if stream.kind() == Kind::Pipe {
        opening.take_extents();
    }
    Ok(sink_on(Target::new(stream, STDOUT_NAME.to_owned())))
}

/// A sink on a device, or a file that the kernel makes up.
///
/// # Errors
/// Those of opening it.
pub(in crate::stage) fn open_device(path: &Path, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
    let target = device(path, opening)?;
    watch(target.stream(), opening).map_err(|error| Fault::failed(reason(&error)).of(target.subject()))?;
    Ok(sink_on(target))
}

/// A device, a file that the kernel makes up, or a FIFO that somebody reads, to be written by a stage.
///
/// # Errors
/// As [`ready`].
pub(in crate::stage) fn device(path: &Path, opening: &mut Opening<'_>) -> anyhow::Result<Target> {
    let target = ready(path)?;
    opening.cannot_be_undone(target.subject());
    Ok(target)
}

/// The same for whoever has no run.
///
/// # Errors
/// Those of opening it; a reader is not waited for.
pub(in crate::stage) fn ready(path: &Path) -> Result<Target, Fault> {
    let subject = printable(path.as_os_str().as_bytes());
    let fault = |error: io::Error| Fault::failed(reason(&error)).of(&subject);
    let file = open_without_waiting(path).map_err(|error| match error.raw_os_error() {
        Some(number) if number == Errno::ENXIO as i32 && is_fifo(path) => {
            Fault::failed("nobody reads it").of(&subject).help("start its reader first")
        }
        _ => fault(error),
    })?;
    resume(&file, path).map_err(fault)?;
    let stream = Stream::new(Handle::Own(file)).map_err(fault)?;
    Ok(Target::new(stream, subject))
}

/// A sink on a FIFO: it waits in its stage until somebody reads.
pub(in crate::stage) fn open_fifo(path: PathBuf, opening: &mut Opening<'_>) -> Body {
    opening.cannot_be_undone(printable(path.as_os_str().as_bytes()));
    Body::sink(move |inlet, context| {
        let subject = printable(path.as_os_str().as_bytes());
        let stream = match await_reader(&path, context) {
            Ok(stream) => stream,
            Err(error) if Closed::cause_of(&error).is_some() => return Err(error.into()),
            Err(error) => return Err(Fault::failed(reason(&error)).of(subject).into()),
        };
        let target = Target::new(stream, subject);
        target.pour(inlet, context)?;
        target.close()
    })
}

fn sink_on(target: Target) -> Body {
    Body::sink(move |inlet, context| {
        target.pour(inlet, context)?;
        target.close()
    })
}

/// Has a stream with a reader watched.
fn watch(stream: &Stream, opening: &mut Opening<'_>) -> io::Result<()> {
    if matches!(stream.kind(), Kind::Pipe | Kind::Socket) {
        opening.watch(stream.duplicate()?);
    }
    Ok(())
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path)
}

fn await_reader(path: &Path, context: &Context) -> io::Result<Stream> {
    loop {
        match open_without_waiting(path) {
            Ok(file) => return Stream::new(Handle::Own(file)),
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
                context.waits_for(Medium::Opener);
                context.sleep(READER_INTERVAL)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Goes on where the descriptor stands that `/dev/fd/N` names: opened by that name, a file begins at 0 again, and would
/// be written over where the shell's `>>` meant its end.
fn resume(file: &File, path: &Path) -> io::Result<()> {
    let Some(number) = path.to_str().and_then(descriptor_number) else { return Ok(()) };
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let Ok(facts) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { return Ok(()) };
    let fact = |name: &str| facts.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let position = fact("pos:").and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let flags = fact("flags:").and_then(|digits| i32::from_str_radix(digits, 8).ok()).unwrap_or(0);
    let mut file = file;
    let appends = OFlag::from_bits_truncate(flags).contains(OFlag::O_APPEND);
    file.seek(if appends { SeekFrom::End(0) } else { SeekFrom::Start(position) })?;
    Ok(())
}

/// N of `/dev/fd/N`.
fn descriptor_number(path: &str) -> Option<u32> {
    let digits = path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::flow::{Closed, Inlet};
    use crate::stage::testing_ends::{Bench, bench, fault, open, run_sink, words};
    use crate::stage::{Body, ReaderGone};
    use nix::sys::stat::Mode;
    use std::fs::{self, File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_full_device_says_after_how_many_bytes() {
        let before = fs::metadata("/dev/full").unwrap().mode();
        let opened = open(words!["write", "/dev/full"]).unwrap();
        assert!(opened.commits.is_empty());
        let told = fault(run_sink(opened.body, b"x"));
        assert_eq!(told.message, "no space left on device after 0 bytes");
        assert_eq!(fs::metadata("/dev/full").unwrap().mode(), before);
    }

    #[test]
    fn a_fifo_waits_for_its_reader_and_is_written_to_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        let opened = open(words!["write", &path]).unwrap();
        let writer = std::thread::spawn(move || run_sink(opened.body, &[7; 300_000]));
        // Opening it returns when the stage has opened the other end.
        let mut bytes = Vec::new();
        File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(bytes, [7; 300_000]);
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode(), mode);
    }

    #[test]
    fn a_fifo_whose_reader_leaves_is_a_hang_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let Body::Sink(run) = open(words!["write", &path]).unwrap().body else { panic!("no sink") };
        let Bench { mut outlet, reader, context, .. } = bench(64);
        let stage = std::thread::spawn(move || run(&mut Inlet::new(reader), &context));
        drop(File::open(&path).unwrap());
        outlet.write_all(b"nobody reads this").unwrap();
        outlet.finish();
        let error = stage.join().unwrap().unwrap_err();
        assert!(error.downcast_ref::<ReaderGone>().is_some());
        assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
    }

    #[test]
    fn waiting_for_a_reader_ends_when_the_run_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let Body::Sink(run) = open(words!["write", &path]).unwrap().body else { panic!("no sink") };
        let Bench { reader, context, alarm, .. } = bench(64);
        alarm.ring();
        let error = run(&mut Inlet::new(reader), &context).unwrap_err();
        assert!(Closed::cause_of(error.as_ref()).is_some());
    }

    #[test]
    fn a_descriptor_by_number_goes_on_where_it_stands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "there ").unwrap();
        let held = OpenOptions::new().append(true).open(&path).unwrap();
        let opened = open(words!["write", format!("/dev/fd/{}", held.as_raw_fd())]).unwrap();
        run_sink(opened.body, b"behind").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"there behind");
    }
}
