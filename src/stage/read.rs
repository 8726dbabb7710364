//! `read`: files one after another.

use super::arguments::PathArgument;
use super::contract::{Body, Context, Entry, Example, Opening, Role, Stage, Touch};
use super::fault::Fault;
use super::outside::follow::Follow;
use super::outside::input::{Removal, SourceFile};
use super::outside::origin::{Origin, STDIN_NAME};
use super::outside::standard::{is_made_up, names_stdin};
use crate::flow::Outlet;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{ArgMatches, FromArgMatches};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

/// Read files, one after another
///
/// Every file is opened once before any byte moves, so that one that is missing or may not be read fails the run
/// at its beginning. FIFOs are opened when their turn comes, and waited for until somebody writes to them.
/// Devices and the files of /proc and /sys work. A directory is refused.
///
/// `--follow` reads one file from its beginning and goes on with what is written to it, as `tail -F` does: when another
/// file takes its name it reads the old one to its end and then the new one, when it becomes shorter it begins again, and
/// when there is no such file it waits for one. The first INT or TERM is its end: everything it gave is finished and kept;
/// a second one gives the run up. As a file is put in place only at the end, such a chain needs `write --append`.
///
/// `--remove` removes each file in the end, when every output is in place and synced, and only if the file was read to its
/// end and is still the one that was read, unchanged. What is kept is told. Links, FIFOs, devices and `-` are refused, and
/// so is a chain that keeps nothing.
#[derive(Debug, clap::Parser)]
pub(super) struct Read {
    /// The files; `-` is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathArgument>,
    /// Go on with what is written to the file, across rotation, until INT or TERM
    #[arg(long, conflicts_with = "remove")]
    follow: bool,
    /// Remove the files in the end, when all that was made of them is in place
    #[arg(long)]
    remove: bool,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "read -", input: b"from standard input\n", output: b"from standard input\n" },
        Example { chain: "read /dev/null - /dev/null", input: b"between\n", output: b"between\n" },
    ],
    parse,
    ..Entry::of::<Read>("read", Role::Source)
};

fn parse(matches: &ArgMatches) -> Result<Box<dyn Stage>, Error> {
    let read = Read::from_arg_matches(matches)?;
    let refusal = |option: &str, message: &str| {
        let mut error = Error::raw(ErrorKind::TooManyValues, format!("`{option}` {message}"));
        error.insert(ContextKind::InvalidArg, ContextValue::String(option.to_owned()));
        Err(error)
    };
    let has_stdin = read.paths.iter().any(names_stdin);
    match (read.follow, read.remove) {
        (true, _) if read.paths.len() > 1 => {
            refusal("--follow", "goes on with one file, and several are named")
        }
        (true, _) if has_stdin => refusal("--follow", "needs a name, and standard input has none"),
        (_, true) if has_stdin => refusal("--remove", "needs names, and standard input has none"),
        _ => Ok(Box::new(read)),
    }
}

/// One of the files, as far as it is opened.
enum Next {
    Opened(Origin),
    Named(PathArgument),
    /// What stands for standard input.
    Given(Body),
}

impl Next {
    fn origin(name: &PathArgument) -> anyhow::Result<Origin> {
        if names_stdin(name) { Origin::stdin() } else { Origin::open(&name.path) }
    }

    fn pump(self, removal: Option<&Removal>, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        let origin = match self {
            Next::Opened(origin) => origin,
            Next::Named(name) => Next::origin(&name)?,
            Next::Given(Body::Source(give)) => return give(outlet, context),
            Next::Given(_) => anyhow::bail!("internal error: what stands for standard input is no source"),
        };
        origin.pump(outlet, context)?;
        if let Some(removal) = removal {
            origin.tell_end(removal);
        }
        Ok(())
    }
}

impl Stage for Read {
    fn label(&self) -> String {
        match &self.paths[..] {
            [] => String::new(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first} +{}", rest.len()),
        }
    }

    fn touches(&self) -> Vec<Touch> {
        let touch = |name: &PathArgument| match names_stdin(name) {
            true => Touch::Stdin,
            false => Touch::Read(name.path.clone()),
        };
        self.paths.iter().map(touch).collect()
    }

    fn size_after(&self, _input: Option<u64>) -> Option<u64> {
        if self.follow { None } else { self.paths.iter().map(size).sum() }
    }

    fn is_endless(&self) -> bool {
        self.follow
    }

    fn removes_its_input(&self) -> bool {
        self.remove
    }

    /// Only the first file is kept open, so that a `read` of a thousand files needs one descriptor like any other.
    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        if let (true, [name]) = (self.follow, &self.paths[..]) {
            let follow = Follow::open(name.path.clone())?;
            opening.reads(SourceFile { path: name.path.clone(), metadata: follow.metadata() });
            return Ok(Body::source(move |outlet, context| follow.pump(outlet, context)));
        }
        let is_only_one = self.paths.len() == 1;
        let mut queue = Vec::with_capacity(self.paths.len());
        for name in self.paths {
            if names_stdin(&name) && opening.has_given_ends() {
                let taken = || Fault::failed("can be read once").of(STDIN_NAME);
                queue.push((Next::Given(opening.take_given_stdin().ok_or_else(taken)?), None));
                continue;
            }
            let is_fifo = !names_stdin(&name) && is_fifo(&name);
            // Opening a FIFO lets a writer go who waits for it: only when it is going to be read.
            let origin = if is_fifo { None } else { Some(Next::origin(&name)?) };
            if is_only_one && !names_stdin(&name) {
                let metadata = origin.as_ref().and_then(|origin| origin.metadata().ok());
                opening.reads(SourceFile { path: name.path.clone(), metadata });
            }
            let removal = self.remove.then(|| Arc::new(Removal::new(name.path.clone())));
            removal.iter().for_each(|removal| opening.remove(Arc::clone(removal)));
            let next = match origin {
                Some(origin) if queue.is_empty() => Next::Opened(origin),
                _ => Next::Named(name),
            };
            queue.push((next, removal));
        }
        Ok(Body::source(move |outlet, context| {
            for (next, removal) in queue {
                next.pump(removal.as_deref(), outlet, context)?;
            }
            Ok(())
        }))
    }
}

fn is_fifo(name: &PathArgument) -> bool {
    fs::metadata(&name.path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// The size of one file, when it can be known without opening what might mind.
fn size(name: &PathArgument) -> Option<u64> {
    if names_stdin(name) {
        return Origin::stdin().ok()?.left_bytes();
    }
    let metadata = fs::metadata(&name.path).ok()?;
    if metadata.file_type().is_block_device() {
        return Origin::open(&name.path).ok()?.left_bytes();
    }
    // A file that the kernel makes up has no size, whatever is in it.
    let may_be_made_up = || fs::canonicalize(&name.path).map_or(true, |path| is_made_up(&path));
    (metadata.is_file() && (metadata.len() > 0 || !may_be_made_up())).then_some(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::super::testing_ends::{bench, fault, open, run_source, words};
    use crate::flow::{Closed, Inlet, Medium};
    use crate::stage::Body;
    use nix::sys::stat::Mode;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::sync::mpsc;

    fn read(words: &[std::ffi::OsString]) -> Vec<u8> {
        let (result, bytes, reading) = run_source(open(words).unwrap().body);
        result.unwrap();
        assert_eq!(reading.bytes_read, bytes.len() as u64);
        bytes
    }

    #[test]
    fn files_come_one_after_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "a".repeat(200)).unwrap();
        fs::write(path("empty"), "").unwrap();
        fs::write(path("new\nline"), "b").unwrap();
        let bytes = read(words!["read", path("a"), path("empty"), path("new\nline"), path("a")]);
        assert_eq!(bytes, [&[b'a'; 200][..], b"b", &[b'a'; 200][..]].concat());
    }

    #[test]
    fn a_file_of_the_kernel_is_read_though_it_has_no_size() {
        let bytes = read(words!["read", "/proc/version", "/dev/null"]);
        assert_eq!(bytes, fs::read("/proc/version").unwrap());
    }

    #[test]
    fn the_last_of_several_is_missed_before_the_first_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("there"), "x").unwrap();
        let missing = fault(open(words!["read", path("there"), path("not\tthere")]));
        assert_eq!(missing.message, "no such file or directory");
        assert!(missing.subject.unwrap().contains("not\\tthere"));
        assert_eq!(fault(open(words!["read", path("there"), directory.path()])).message, "is a directory");
    }

    #[test]
    fn a_read_error_names_the_byte() {
        // Reading the memory of a process at address 0 fails with EIO.
        let (result, bytes, _) = run_source(open(words!["read", "/proc/self/mem"]).unwrap().body);
        let fault = fault(result);
        assert_eq!((&fault.message[..], bytes.len()), ("read error at byte 0: I/O error", 0));
        assert_eq!(fault.subject.as_deref(), Some("/proc/self/mem"));
    }

    #[test]
    fn a_fifo_is_waited_for_and_read_to_the_end_of_its_writer() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let Body::Source(run) = open(words!["read", &fifo]).unwrap().body else { panic!("no source") };
        let mut bench = bench(64);
        let context = bench.context.clone();
        let reader = std::thread::spawn(move || {
            run(&mut bench.outlet, &bench.context).unwrap();
            bench.outlet.finish();
        });
        // Opening it for writing returns when the stage has opened it for reading: that is the gate.
        let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
        let mut inlet = Inlet::new(bench.reader);
        writer.write_all(b"first").unwrap();
        assert_eq!(&inlet.next_chunk().unwrap().unwrap()[..], b"first");
        writer.write_all(b"second").unwrap();
        assert_eq!(&inlet.next_chunk().unwrap().unwrap()[..], b"second");
        drop(writer);
        assert!(inlet.next_chunk().unwrap().is_none());
        reader.join().unwrap();
        assert_eq!(context.gauge().reading().medium, Medium::Pipe);
    }

    #[test]
    fn waiting_for_a_writer_ends_when_the_run_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let Body::Source(run) = open(words!["read", &fifo]).unwrap().body else { panic!("no source") };
        let mut bench = bench(64);
        let (context, alarm) = (bench.context.clone(), bench.alarm);
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || ended.send(run(&mut bench.outlet, &bench.context)));
        // It says what it waits for, then waits; the bell, once rung, stays rung.
        while context.gauge().reading().medium != Medium::Opener {
            std::thread::yield_now();
        }
        alarm.ring();
        let error = end.recv().unwrap().unwrap_err();
        assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
    }

    #[test]
    fn an_endless_device_stops_when_nobody_wants_more() {
        let Body::Source(run) = open(words!["read", "/dev/zero"]).unwrap().body else { panic!("no source") };
        let mut bench = bench(64);
        drop(bench.reader);
        let error = run(&mut bench.outlet, &bench.context).unwrap_err();
        assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
    }

    #[test]
    fn the_size_is_known_where_it_can_be() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let empty = directory.path().join("empty");
        fs::write(&file, "12345").unwrap();
        fs::write(&empty, "").unwrap();
        let size = |words: &[std::ffi::OsString]| {
            let entry = crate::stage::find("read").unwrap();
            let matches = entry.command().try_get_matches_from(words).unwrap();
            entry.parse(&matches).unwrap().size_after(None)
        };
        assert_eq!(size(words![&file, &empty, &file]), Some(10));
        assert_eq!(size(words![&file, "/proc/version"]), None);
        assert_eq!(size(words!["/dev/zero"]), None);
    }
}
