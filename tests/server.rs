//! A server of weir's, for a test: started, found, ended, and what it said.
//! Knows nothing of what it serves.

use crate::harness::{Call, PATIENCE, Patience, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server that listens. Dropped, it is killed.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    place: String,
    _patience: Patience,
}

impl Server {
    /// Starts `weir CHAIN`, with these options in front of it, and returns when it listens.
    pub fn start(world: &World, options: &[&str], chain: &str) -> Server {
        let call = options.iter().fold(world.weir("--progress=never"), |call, option| call.arg(option));
        Server::of(call.arg("--").arg(chain))
    }

    /// As [`Server::start`], of a call that is put together.
    pub fn of(call: Call) -> Server {
        let mut child =
            call.spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let patience = Patience::with(&child);
        let mut server = Server { child, lines, place: String::new(), _patience: patience };
        let line = server.says("listening on ");
        server.place = line.rsplit("listening on ").next().unwrap().to_owned();
        server
    }

    /// Where it listens, without the scheme: `127.0.0.1:4711`.
    pub fn address(&self) -> &str {
        self.place.split("://").last().unwrap().trim_end_matches('/')
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        crate::peer::patient(TcpStream::connect(self.address()).unwrap())
    }

    /// The next line that holds `part`; fails when none comes.
    #[track_caller]
    pub fn says(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never said: {part}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// A number out of what the system says of it, such as `VmHWM` in KiB.
    pub fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_ascii_whitespace().next().unwrap().parse().unwrap()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits for its end: the exit code as a shell shows it, and what it said that nobody has heard yet.
    pub fn ended(mut self) -> (i32, Vec<String>) {
        let status = self.child.wait().unwrap();
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
        (code, self.lines.iter().collect())
    }

    /// Ends it as TERM does, when nothing is going on any more, and fails if it says anything else.
    #[track_caller]
    pub fn end_quietly(self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended(), (0, Vec::new()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
