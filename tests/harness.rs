//! A directory, files in it, and weir run there: what every test through the binary is written with.
//! Knows nothing of what is tested.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing in these tests takes longer, on the slowest machine; what does hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub fn weir() -> PathBuf {
    std::env::var_os("WEIR_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_weir")), PathBuf::from)
}

/// A directory of its own, gone at the end of the test.
pub struct World {
    directory: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        World { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.directory.path().join(name.as_ref())
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Puts a file there.
    pub fn with(self, name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> World {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// A program in place of ssh, of the login shell at its other end, and of the network between them.
    pub fn ssh_stand_in(&self) -> PathBuf {
        let path = self.path("ssh-stand-in");
        let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n";
        // Not by this process: what is open for writing cannot be run, and a child of another test may still have it open.
        let mut write = Command::new("sh");
        write.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", script]).arg(&path);
        assert!(write.status().unwrap().success());
        path
    }

    #[track_caller]
    pub fn bytes(&self, name: impl AsRef<OsStr>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All names in it, sorted: nothing more may be left behind.
    pub fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[track_caller]
    pub fn assert_names(&self, expected: &[&str]) {
        let names: Vec<_> = self.names().iter().map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(names, expected, "what is in the directory");
    }

    /// `weir CHAIN`, to be run here.
    pub fn weir(&self, chain: impl AsRef<OsStr>) -> Call {
        Call::new(Command::new(weir()), self.directory.path()).arg(chain)
    }

    /// A reference tool, to be run here; `None`, and noted as skipped, where it is not installed.
    pub fn tool(&self, name: &str) -> Option<Call> {
        has_tool(name).then(|| Call::new(Command::new(name), self.directory.path()))
    }

    /// A line of shell, with `weir` in the path.
    pub fn shell(&self, line: &str) -> Call {
        Call::new(Command::new("sh"), self.directory.path()).arg("-c").arg(line).env("PATH", search_path())
    }
}

/// Where a shell finds its commands, `weir` before all others.
pub fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let binary = weir();
    let directories = binary.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(directories).unwrap()
}

/// Whether a reference tool is installed. What is not is written to the list that `tests/run` prints at its end.
pub fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    if !is_there {
        skipped(&format!("{name} is not installed"));
    }
    is_there
}

/// Whether this build has every feature that is on by default.
pub const IS_WHOLE: bool = cfg!(all(
    feature = "age",
    feature = "brotli",
    feature = "bzip2",
    feature = "encode",
    feature = "hash",
    feature = "libdeflate",
    feature = "lz4",
    feature = "text",
    feature = "web",
    feature = "xz",
    feature = "zstd"
));

/// Notes that something could not be tried here.
pub fn skipped(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {test}: {why}");
    if let Some(list) = std::env::var_os("WEIR_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{test}: {why}").unwrap();
    }
}

/// A command being put together, then run.
pub struct Call {
    command: Command,
    stdin: Vec<u8>,
}

impl Call {
    fn new(mut command: Command, directory: &Path) -> Call {
        command.current_dir(directory).env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
        Call { command, stdin: Vec::new() }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Call {
        self.command.arg(argument);
        self
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.stdin = bytes.into();
        self
    }

    /// Starts it with the streams that the test sets; the test sees to the rest.
    pub fn spawn(mut self, set: impl FnOnce(&mut Command) -> &mut Command) -> Child {
        set(&mut self.command).spawn().unwrap()
    }

    /// Runs it to its end, its input fed from another thread.
    #[track_caller]
    pub fn run(mut self) -> Ran {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = self.stdin;
        // A command that does not read to the end hangs up: that is its right.
        let feeder = thread::spawn(move || stdin.write_all(&bytes).ok());
        let guard = Patience::with(&child);
        let output = child.wait_with_output().unwrap();
        drop(guard);
        feeder.join().unwrap();
        Ran { output, took: started.elapsed() }
    }
}

/// Kills a child that outlives everybody's patience, so that a hang is a failure and not a hang.
pub struct Patience {
    over: std::sync::mpsc::Sender<()>,
}

impl Patience {
    pub fn with(child: &Child) -> Patience {
        let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let (over, is_over) = std::sync::mpsc::channel();
        thread::spawn(move || {
            if is_over.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("killed after {PATIENCE:?}: it hung");
                nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).ok();
            }
        });
        Patience { over }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.over.send(()).ok();
    }
}

/// A command that has ended.
pub struct Ran {
    output: Output,
    pub took: Duration,
}

impl Ran {
    /// As a shell would show it: 128 and the signal's number for a signal.
    pub fn code(&self) -> i32 {
        let status = self.output.status;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
    }

    pub fn stdout(&self) -> &[u8] {
        &self.output.stdout
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// It went well and said nothing.
    #[track_caller]
    pub fn quietly(self) -> Ran {
        let ran = self.with_code(0);
        assert_eq!(ran.stderr(), "", "it said something");
        ran
    }

    #[track_caller]
    pub fn with_code(self, code: i32) -> Ran {
        assert_eq!(self.code(), code, "exit code; it said:\n{}", self.stderr());
        let stderr = self.stderr();
        for word in ["panicked", "Os {", "os error", "RUST_BACKTRACE", "\u{1b}"] {
            assert!(!stderr.contains(word), "`{word}` in:\n{stderr}");
        }
        self
    }

    /// It said this, among other things.
    #[track_caller]
    pub fn saying(self, part: &str) -> Ran {
        assert!(self.stderr().contains(part), "not said: {part}\nbut:\n{}", self.stderr());
        self
    }

    /// Its whole output.
    #[track_caller]
    pub fn giving(self, expected: impl AsRef<[u8]>) -> Ran {
        let (given, expected) = (self.stdout(), expected.as_ref());
        if given != expected {
            let at = given.iter().zip(expected).take_while(|(left, right)| left == right).count();
            panic!("{} bytes given, {} expected, different from byte {at} on", given.len(), expected.len());
        }
        self
    }
}
