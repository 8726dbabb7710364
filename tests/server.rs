//! A server of ours on a free port of the loopback, started and ended by a test.
//! Knows nothing of what is served.

use crate::harness::{Call, PATIENCE, Patience, World};
use crate::peer::patient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

/// A server. Dropped, it is ended and reaped.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    said: String,
    place: String,
    _patience: Patience,
}

impl Server {
    /// Starts `chain`, a `serve` at port 0 or at a name in the file system, and waits until it listens.
    #[track_caller]
    pub fn start(world: &World, chain: &str) -> Server {
        Server::with(world, chain, &[])
    }

    /// The same, with more words for `weir`.
    #[track_caller]
    pub fn with(world: &World, chain: &str, words: &[&str]) -> Server {
        Server::of(world.weir(chain).args(words))
    }

    /// The same, of a call that is put together.
    #[track_caller]
    pub fn of(call: Call) -> Server {
        let mut child =
            call.spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
        let patience = Patience::with(&child);
        let (teller, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| teller.send(line)));
        let place = String::new();
        let mut server = Server { child, lines, said: String::new(), place, _patience: patience };
        let line = server.hears("listening on ");
        server.place = line.split("listening on ").nth(1).unwrap().to_owned();
        server
    }

    /// Where it listens, as it says: `tcp://127.0.0.1:4711`.
    #[cfg(feature = "web")]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The same without the protocol and without a path: `127.0.0.1:4711`.
    pub fn address(&self) -> &str {
        let address = self.place.split_once("://").map_or(&*self.place, |(_, address)| address);
        address.split('/').next().unwrap()
    }

    /// All that it has said so far.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// A connection to it, over TCP.
    pub fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address()).unwrap())
    }

    /// Waits for a line with `part` in it.
    #[track_caller]
    pub fn hears(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("not said: {part}\nbut:\n{}", self.said);
            };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.process(), signal).unwrap();
    }

    fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// A line of its /proc/PID/status, as a number.
    pub fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// How many descriptors it has.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// What it says until its end and nobody has heard; that it waits for somebody depends on the machine.
    fn rest(&self) -> Vec<String> {
        self.lines.iter().filter(|line| !line.contains(" may finish within ")).collect()
    }

    /// Waits for its end: its exit code, as a shell would show it, and all that it said.
    pub fn ended(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap();
        let rest = self.rest();
        self.said.extend(rest.into_iter().map(|line| line + "\n"));
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
        (code, std::mem::take(&mut self.said))
    }

    /// Waits for its end, which must be with this code and without another word.
    #[track_caller]
    pub fn ended_quietly(mut self, code: i32) {
        let status = self.child.wait().unwrap();
        let told = self.rest();
        let ended = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
        assert_eq!((ended, told), (code, Vec::new()));
    }

    /// Ends it while nothing is going on.
    #[track_caller]
    pub fn end_quietly(self) {
        self.signal(Signal::SIGTERM);
        self.ended_quietly(0);
    }

    /// Ends it, as people do.
    #[cfg(feature = "web")]
    pub fn end(self) -> (i32, String) {
        self.signal(Signal::SIGTERM);
        self.ended()
    }
}

/// Has the system allow this process as many connections as tests with a thousand clients have.
#[cfg(feature = "web")]
pub fn allow_many_connections() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192).max(soft), hard).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
