//! A terminal made for a test: what is typed on it, what is seen on it, and when.
//! Knows nothing of what is tested.

use crate::harness::{PATIENCE, Patience, World, has_tool, search_path};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What begins and ends every frame that is drawn.
pub const FRAME: [&str; 2] = ["\u{1b}[?2026h", "\u{1b}[?2026l"];

/// A terminal, read all the time so that nobody who writes to it has to wait.
pub struct Tty {
    keyboard: File,
    line: OwnedFd,
    name: PathBuf,
    arrivals: mpsc::Receiver<(Instant, Vec<u8>)>,
    /// All that came.
    pub seen: String,
    /// How much of it has been waited for.
    told: usize,
    screen: vt100::Parser,
}

impl Tty {
    /// A window of so many rows and columns.
    pub fn new(rows: u16, columns: u16) -> Tty {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // A child of another test that held it would keep the line open, and what runs on it alive, for good.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let name = ttyname(&pty.slave).unwrap();
        let mut output = File::from(pty.master.try_clone().unwrap());
        let (sender, arrivals) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 65536];
            // A terminal whose last user is gone gives an error in place of an end.
            while let Ok(count) = output.read(&mut bytes) {
                if sender.send((Instant::now(), bytes[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        let (rows, columns) = screen_size(rows, columns);
        let screen = vt100::Parser::new(rows, columns, 0);
        Tty {
            keyboard: pty.master.into(),
            line: pty.slave,
            name,
            arrivals,
            seen: String::new(),
            told: 0,
            screen,
        }
    }

    /// The terminal as a standard stream.
    pub fn stream(&self) -> Stdio {
        self.line.try_clone().unwrap().into()
    }

    /// A line of shell in a session of its own, which this terminal controls; `None`, and noted, where that cannot be had.
    pub fn shell(&self, world: &World, line: &str) -> Option<Shell> {
        let call = world.tool("setsid")?.args(["--ctty", "sh", "-c", line]);
        let call = call.env("PATH", search_path()).env("TERM", "xterm").env("XTERM_VERSION", "1");
        let child =
            call.spawn(|command| command.stdin(self.stream()).stdout(self.stream()).stderr(self.stream()));
        Some(Shell { guard: Patience::with(&child), child })
    }

    pub fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Another size of the window; whether there is a tool to give it.
    pub fn resize(&mut self, rows: u16, columns: u16) -> bool {
        let is_there = has_tool("stty");
        if is_there {
            let mut stty = Command::new("stty");
            stty.arg("-F").arg(&self.name).args(["rows", &rows.to_string(), "cols", &columns.to_string()]);
            assert!(stty.status().unwrap().success());
            let (rows, columns) = screen_size(rows, columns);
            self.screen.screen_mut().set_size(rows, columns);
        }
        is_there
    }

    /// Its modes: echo, lines, signals and all else that a program may set and forget.
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.line).unwrap()
    }

    /// Takes what comes until `is_there`; when the last of it came.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_there: impl Fn(&Tty) -> bool) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Instant::now();
        while !is_there(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.arrivals.recv_timeout(left) {
                Ok((at, bytes)) => {
                    self.take(&bytes);
                    last = at;
                }
                Err(_) => panic!("{what} never came:\n{}\n{:?}", self.shows(), self.seen),
            }
        }
        last
    }

    /// As `until`, for a text that comes after the last one that was waited for.
    #[track_caller]
    pub fn until_text(&mut self, text: &str) -> Instant {
        let from = self.told;
        let came = self.until(text, |tty| tty.seen[from..].contains(text));
        self.told += self.seen[from..].find(text).unwrap() + text.len();
        came
    }

    /// Waits for a whole frame that begins after all that came by now.
    #[track_caller]
    pub fn until_frame(&mut self) -> Instant {
        self.told = self.seen.len();
        self.until_text(FRAME[0]);
        self.until_text(FRAME[1])
    }

    /// Takes what comes in that time.
    pub fn watch(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok((_, bytes)) = self.arrivals.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        // Cut in the middle of a character it is not whole here; texts looked for are ASCII.
        self.seen.push_str(&String::from_utf8_lossy(bytes));
        self.screen.process(bytes);
    }

    /// The screen as a person sees it.
    pub fn shows(&self) -> String {
        self.screen.screen().contents()
    }

    /// The lines on the screen that begin with `text`.
    pub fn lines(&self, text: &str) -> usize {
        self.shows().lines().filter(|line| line.starts_with(text)).count()
    }

    /// Whether a line was too long for the window and is continued on the next one.
    pub fn is_wrapped(&self) -> bool {
        let screen = self.screen.screen();
        (0..screen.size().0).any(|row| screen.row_wrapped(row))
    }
}

/// The size of the screen behind a window: that of a window in which nothing can be seen anyway does not matter, and none is
/// that small.
fn screen_size(rows: u16, columns: u16) -> (u16, u16) {
    (rows.max(3), columns.max(10))
}

/// A shell on a terminal, which ends with the test.
pub struct Shell {
    child: Child,
    guard: Patience,
}

impl Shell {
    pub fn wait(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        drop(self.guard);
        status
    }
}
