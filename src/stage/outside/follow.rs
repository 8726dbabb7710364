//! A file that is read on as it grows, by its name: through rotation, truncation, and times when there is none.
//! Knows nothing of arguments, or of why it is to end.
//!
//! ```text
//!   read to the end ─▶ shorter than what was read?      ─▶ from its beginning
//!         ▲            the name leads to another file?  ─▶ the rest of the old one, then the new one
//!         │            no file?                         ─▶ the old one, while it is all there is
//!         └─────────── nothing new: wait for a notice, a second at most
//! ```

use super::standard::is_made_up;
use super::stream::{Handle, Kind, Stream, reason, same_file};
use super::watch::Watch;
use crate::diagnostic::printable;
use crate::flow::{Closed, Medium, Outlet};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use nix::fcntl::OFlag;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked without any notice.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// At most this much is read after the word to end: what was just written comes along, a long way to go does not.
const LAST_BYTES: u64 = 1024 * 1024;

/// A followed name.
#[derive(Debug)]
pub(in crate::stage) struct Follow {
    path: PathBuf,
    name: String,
    current: Option<Current>,
    watch: Watch,
    last_bytes: u64,
    /// Why the name could not be opened, as told last.
    told: String,
}

/// The file that is read.
#[derive(Debug)]
struct Current {
    stream: Stream,
    /// When it was opened.
    metadata: Metadata,
    read_bytes: u64,
    /// When it was last looked at.
    length_bytes: u64,
}

impl Current {
    fn open(path: &Path) -> io::Result<Current> {
        let mut options = OpenOptions::new();
        // What is no regular file is refused, and may not hold the open itself.
        options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("is no regular file, and only those are followed"));
        }
        if fs::canonicalize(path).is_ok_and(|path| is_made_up(&path)) {
            return Err(io::Error::other("is made up by the kernel, and cannot be followed"));
        }
        let length_bytes = metadata.len();
        let stream = Stream::new(Handle::Own(file))?;
        debug_assert_eq!(stream.kind(), Kind::Regular, "looked at above");
        Ok(Current { stream, metadata, read_bytes: 0, length_bytes })
    }

    fn is(&self, found: &Metadata) -> bool {
        same_file(&self.metadata, found)
    }

    /// Whether it has become shorter than what was read of it. A file system that tells no length is not believed.
    fn was_cut(&mut self) -> io::Result<bool> {
        let length_bytes = self.stream.length_bytes()?;
        let has_shrunk = length_bytes < self.length_bytes;
        self.length_bytes = length_bytes;
        Ok(has_shrunk && length_bytes < self.read_bytes)
    }
}

impl Follow {
    /// Opens what is there; a file that is not there yet is waited for.
    ///
    /// # Errors
    /// A [`Fault`] that names the file, for any other reason.
    pub(in crate::stage) fn open(path: PathBuf) -> anyhow::Result<Follow> {
        let name = printable(path.as_os_str().as_bytes());
        let mut watch = Watch::new();
        watch.on_name(&path);
        let current = match Current::open(&path) {
            Ok(current) => Some(current),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::failed(reason(&error)).of(name).into()),
        };
        if let Some(current) = &current {
            watch.on_file(&current.stream);
        }
        Ok(Follow { path, name, current, watch, last_bytes: LAST_BYTES, told: String::new() })
    }

    /// The file as it was opened, if it was there.
    pub(in crate::stage) fn metadata(&self) -> Option<Metadata> {
        self.current.as_ref().map(|current| current.metadata.clone())
    }

    /// Passes on what is there and what comes, at once, until the run is told to end.
    ///
    /// # Errors
    /// A [`Fault`] that names the file and the byte; a [`Closed`] when nobody wants more.
    pub(in crate::stage) fn pump(mut self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        loop {
            self.watch.forget();
            // Asked before reading: what was there when the word came is read.
            let is_ending = context.is_ending();
            self.read_on(outlet, context)?;
            context.waits_for(Medium::Writer);
            if self.has_moved_on(outlet, context)? {
                continue;
            }
            if is_ending {
                return Ok(());
            }
            context.await_more(self.watch.fd(), LOOK_INTERVAL)?;
        }
    }

    /// Reads to the end as it is now.
    fn read_on(&mut self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        context.waits_for(Medium::Disk);
        loop {
            let is_ending = context.is_ending();
            let mut chunk = outlet.chunk();
            let mut spare = chunk.spare();
            if is_ending {
                let limit = usize::try_from(self.last_bytes).unwrap_or(usize::MAX).min(spare.len());
                spare = &mut spare[..limit];
            }
            if spare.is_empty() {
                return Ok(());
            }
            let read = current.stream.read(spare, context);
            let count = read.map_err(|error| lost(&self.name, current.read_bytes, error))?;
            if count == 0 {
                return Ok(());
            }
            current.read_bytes += count as u64;
            if is_ending {
                self.last_bytes -= count as u64;
            }
            context.gauge().read(count as u64);
            chunk.fill(count);
            outlet.send(chunk)?;
        }
    }

    /// Whether there is something else to read now than there was: the file from its beginning, or another one.
    fn has_moved_on(&mut self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<bool> {
        if let Some(current) = &mut self.current
            && current.was_cut().map_err(|error| lost(&self.name, current.read_bytes, error))?
        {
            current.stream.seek(0).map_err(|error| lost(&self.name, 0, error))?;
            current.read_bytes = 0;
            context.remark(format!("{}: has become shorter: read again from its beginning", self.name));
            return Ok(true);
        }
        let is_the_same = |found: &Metadata| self.current.as_ref().is_some_and(|current| current.is(found));
        if fs::metadata(&self.path).is_ok_and(|found| is_the_same(&found)) {
            return Ok(false);
        }
        // The directory may be another one, too.
        self.watch.on_name(&self.path);
        match Current::open(&self.path) {
            Ok(next) => {
                // Whoever wrote to the old file did so before the name led to the new one, but maybe after the last read.
                self.read_on(outlet, context)?;
                self.watch.on_file(&next.stream);
                self.current = Some(next);
                self.told.clear();
                Ok(true)
            }
            Err(error) => {
                self.tell(&error, context);
                Ok(false)
            }
        }
    }

    /// Says once why the name cannot be opened, unless it is only that there is no file.
    fn tell(&mut self, error: &io::Error, context: &Context) {
        let why = if error.kind() == io::ErrorKind::NotFound { String::new() } else { reason(error) };
        if why != self.told && !why.is_empty() {
            context.remark(format!("{}: cannot be opened, and is tried again: {why}", self.name));
        }
        self.told = why;
    }
}

/// What a failed read is to the run.
fn lost(name: &str, read_bytes: u64, error: io::Error) -> anyhow::Error {
    if Closed::cause_of(&error).is_some() {
        return error.into();
    }
    Fault::failed(format!("read error at byte {read_bytes}: {}", reason(&error))).of(name).into()
}

#[cfg(test)]
mod tests {
    use super::{Follow, LAST_BYTES};
    use crate::flow::{Alarm, Closed, Inlet, Medium};
    use crate::stage::testing_ends::bench;
    use crate::stage::{Calls, Saying};
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;
    use std::sync::{Arc, mpsc};

    /// A run of a followed name: what comes out of it, the word to end, what it remarked.
    struct Run {
        inlet: Inlet,
        ending: Arc<Alarm>,
        remarks: mpsc::Receiver<String>,
        stage: std::thread::JoinHandle<anyhow::Result<()>>,
    }

    fn run(path: &Path) -> Run {
        let follow = Follow::open(path.to_owned()).unwrap();
        let (told, remarks) = mpsc::channel();
        let ending = Arc::new(Alarm::new().unwrap());
        let calls = Calls::new(Arc::clone(&ending), move |saying| {
            let Saying::Remark(line) = saying else { panic!("no remark: {saying:?}") };
            told.send(line).unwrap();
        });
        let mut bench = bench(64);
        let stage = std::thread::spawn(move || {
            let result = follow.pump(&mut bench.outlet, &bench.context.with_calls(calls));
            bench.outlet.finish();
            result
        });
        Run { inlet: Inlet::new(bench.reader), ending, remarks, stage }
    }

    impl Run {
        #[track_caller]
        fn gives(&mut self, expected: &[u8]) {
            let mut came = Vec::new();
            while came.len() < expected.len() {
                came.extend_from_slice(&self.inlet.next_chunk().unwrap().expect("more"));
            }
            assert_eq!(String::from_utf8_lossy(&came), String::from_utf8_lossy(expected));
        }

        /// What comes behind all that was taken.
        fn end(mut self) -> Vec<u8> {
            self.ending.ring();
            let mut rest = Vec::new();
            while let Some(chunk) = self.inlet.next_chunk().unwrap() {
                rest.extend_from_slice(&chunk);
            }
            self.stage.join().unwrap().unwrap();
            rest
        }
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn a_file_is_read_from_its_beginning_and_on_as_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "there ").unwrap();
        let mut run = run(&path);
        run.gives(b"there ");
        append(&path, b"and more");
        run.gives(b"and more");
        append(&path, b", to the last byte");
        assert_eq!(run.end(), b", to the last byte");
    }

    #[test]
    fn the_old_file_is_read_to_its_end_before_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
        fs::write(&path, "one ").unwrap();
        let mut run = run(&path);
        run.gives(b"one ");
        for turn in 0..20 {
            fs::rename(&path, &old).unwrap();
            append(&old, b"late ");
            append(&path, format!("new {turn} ").as_bytes());
            run.gives(format!("late new {turn} ").as_bytes());
        }
        fs::write(&old, "put in place").unwrap();
        fs::rename(&old, &path).unwrap();
        assert_eq!(run.end(), b"put in place");
    }

    #[test]
    fn a_file_that_is_missing_is_waited_for_and_one_that_comes_back_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut run = run(&path);
        for content in ["appears", "comes back"] {
            append(&path, content.as_bytes());
            run.gives(content.as_bytes());
            fs::remove_file(&path).unwrap();
        }
        assert_eq!((run.remarks.try_iter().count(), run.end()), (0, Vec::new()));
    }

    #[test]
    fn a_directory_that_is_missing_is_waited_for_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later/log");
        let mut run = run(&path);
        fs::create_dir(directory.path().join("later")).unwrap();
        append(&path, b"found without a notice");
        run.gives(b"found without a notice");
        assert_eq!(run.end(), b"");
    }

    #[test]
    fn a_file_that_becomes_shorter_is_read_again_and_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "long content").unwrap();
        let mut run = run(&path);
        run.gives(b"long content");
        fs::write(&path, "short").unwrap();
        let told = run.remarks.recv().unwrap();
        assert!(told.ends_with("log: has become shorter: read again from its beginning"), "{told}");
        run.gives(b"short");
        assert_eq!(run.end(), b"");
    }

    #[test]
    fn what_takes_the_name_and_is_no_file_is_told_once_and_waited_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "one").unwrap();
        let mut run = run(&path);
        run.gives(b"one");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let told = run.remarks.recv().unwrap();
        assert!(told.contains("cannot be opened, and is tried again: is a directory"), "{told}");
        fs::remove_dir(&path).unwrap();
        append(&path, b"two");
        run.gives(b"two");
        assert_eq!((run.remarks.try_iter().count(), run.end()), (0, Vec::new()));
    }

    #[test]
    fn a_link_that_is_led_elsewhere_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("one"), "one").unwrap();
        fs::write(at("two"), "two").unwrap();
        std::os::unix::fs::symlink("one", at("log")).unwrap();
        std::os::unix::fs::symlink("two", at("next")).unwrap();
        let mut run = run(&at("log"));
        run.gives(b"one");
        fs::rename(at("next"), at("log")).unwrap();
        run.gives(b"two");
        assert_eq!(run.end(), b"");
    }

    #[test]
    fn a_long_way_to_go_is_not_gone_after_the_word_to_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::File::create(&path).unwrap().set_len(3 * LAST_BYTES).unwrap();
        let follow = Follow::open(path).unwrap();
        let ending = Arc::new(Alarm::new().unwrap());
        ending.ring();
        let mut bench = bench(1 << 16);
        let context = bench.context.with_calls(Calls::new(ending, |_| {}));
        follow.pump(&mut bench.outlet, &context).unwrap();
        assert_eq!(context.gauge().reading().bytes_read, LAST_BYTES);
    }

    #[test]
    fn waiting_for_more_ends_when_the_run_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "").unwrap();
        let follow = Follow::open(path).unwrap();
        let mut bench = bench(64);
        let (context, alarm) = (bench.context.clone(), bench.alarm);
        let stage = std::thread::spawn(move || follow.pump(&mut bench.outlet, &bench.context));
        while context.gauge().reading().medium != Medium::Writer {
            std::thread::yield_now();
        }
        alarm.ring();
        let error = stage.join().unwrap().unwrap_err();
        assert_eq!(Closed::cause_of(error.as_ref()), Some(Closed::HungUp));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_at_once() {
        let refused = |path: &str| Follow::open(path.into()).unwrap_err().to_string();
        assert_eq!(refused("/dev/null"), "/dev/null: is no regular file, and only those are followed");
        assert_eq!(refused("/proc/uptime"), "/proc/uptime: is made up by the kernel, and cannot be followed");
        assert!(refused("/").contains("is a directory"));
    }
}
