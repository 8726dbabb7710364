//! A terminal that is given over to one program: its other screen, and keys as they are typed.
//! Knows nothing of what is drawn, nor of what a key is for. Signals stay signals: Ctrl-C and Ctrl-Z do what they do elsewhere.

use super::terminal::Terminal;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};

/// The other screen, and no cursor; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// A key that was pressed, as far as it means anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Character(char),
    /// There is nobody any more who could press one.
    Gone,
}

/// How the terminal treats what is typed; kept so that it can be put back from any thread.
#[derive(Debug)]
pub(super) struct Keyboard {
    device: File,
    /// As they were before; `None` while nothing is changed.
    before: Mutex<Option<Termios>>,
}

impl Keyboard {
    /// The one that belongs to the terminal behind stderr.
    ///
    /// # Errors
    /// When stderr is none, or must not be read.
    pub(super) fn of_stderr() -> io::Result<Keyboard> {
        // Opened anew, so that it can be made non-blocking for nobody else, and read where stderr can only be written.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY).bits());
        let device = options.open("/dev/fd/2")?;
        tcgetattr(&device)?;
        Ok(Keyboard { device, before: Mutex::default() })
    }

    /// Has keys come as they are typed, and not be seen.
    fn take(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(modes) = tcgetattr(&self.device) else { return };
        let mut raw = modes.clone();
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        if set(&self.device, &raw) {
            before.get_or_insert(modes);
        }
    }

    /// Puts everything back; nothing if nothing is changed, or if somebody else has the terminal, and sets it as they like. Never
    /// waits for the terminal.
    pub(super) fn give_back(&self) {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(modes) = before.filter(|_| self.is_ours()) {
            set(&self.device, &modes);
        }
    }

    /// What was typed since the last call; `None` when the terminal is gone.
    fn typed(&self) -> Option<Vec<u8>> {
        let mut typed = [0; 256];
        match (&self.device).read(&mut typed) {
            Ok(0) => None,
            Ok(count) => Some(typed[..count].to_vec()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }

    /// Whether keys come as they are typed.
    fn is_taken(&self) -> bool {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether the terminal is the process's to change: in the background it is the shell's.
    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.device).map_or(true, |group| group == getpgrp())
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Sets the modes at once; whether it could. In the background it would stop the process: there the signal is held off.
fn set(device: &File, modes: &Termios) -> bool {
    let before = SigSet::from(Signal::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let is_set = tcsetattr(device, SetArg::TCSANOW, modes).is_ok();
    let _ = before.and_then(|mask| mask.thread_set_mask());
    is_set
}

/// See the module. Dropped, it gives the terminal back.
#[derive(Debug)]
pub(super) struct FullScreen {
    terminal: Arc<Terminal>,
    keyboard: Arc<Keyboard>,
    is_up: bool,
}

impl FullScreen {
    pub(super) fn new(terminal: Arc<Terminal>, keyboard: Arc<Keyboard>) -> FullScreen {
        FullScreen { terminal, keyboard, is_up: false }
    }

    /// Draws the lines from the top left corner on, in one write. None may be wider than the screen, and there may be no more of
    /// them than it has rows.
    pub(super) fn draw(&mut self, lines: &[String]) {
        // It may have been given back although the screen could not be.
        if !self.keyboard.is_taken() {
            self.keyboard.take();
        }
        if !std::mem::replace(&mut self.is_up, true) {
            self.terminal.write(ENTER);
        }
        // Terminals that know it show the whole frame at once. What was there before goes line by line: no flicker.
        let lines = lines.join("\x1b[K\r\n");
        self.terminal.write(format!("\x1b[?2026h\x1b[H{lines}\x1b[K\x1b[J\x1b[?2026l").as_bytes());
    }

    /// The keys since the last call; none while nothing is drawn.
    pub(super) fn keys(&self) -> Vec<Key> {
        if !self.is_up || !self.keyboard.is_ours() {
            return Vec::new();
        }
        self.keyboard.typed().map_or_else(|| vec![Key::Gone], |typed| keys(&typed))
    }

    /// Gives the terminal back until something is drawn.
    pub(super) fn leave(&mut self) {
        // What is on a terminal that somebody else has by now is theirs.
        if std::mem::take(&mut self.is_up) && self.keyboard.is_ours() {
            self.terminal.write(LEAVE);
        }
        self.keyboard.give_back();
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The keys behind some bytes (ECMA-48 §5.4, and what DEC's terminals send in application mode). A sequence that means
/// nothing here is passed over as a whole.
fn keys(typed: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = typed;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (0x1b, [b'[', behind @ ..]) => {
                let end = behind.iter().position(|byte| (0x40..=0x7e).contains(byte)).unwrap_or(behind.len());
                keys.extend(behind.get(end).copied().and_then(arrow));
                rest = behind.get(end + 1..).unwrap_or_default();
            }
            (0x1b, [b'O', letter, behind @ ..]) => {
                keys.extend(arrow(*letter));
                rest = behind;
            }
            (b' '..=b'~', _) => keys.push(Key::Character(char::from(*first))),
            _ => {}
        }
    }
    keys
}

fn arrow(letter: u8) -> Option<Key> {
    match letter {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, keys};

    #[test]
    fn keys_are_told_from_sequences() {
        use Key::{Character, Down, Up};
        assert_eq!(keys(b"q +"), [Character('q'), Character(' '), Character('+')]);
        assert_eq!(keys(b"\x1b[A\x1b[Bj\x1bOA"), [Up, Down, Character('j'), Up]);
        assert_eq!(keys(b"\x1b[1;5A\x1b[3~f"), [Up, Character('f')]);
        assert_eq!(keys(b"\x1b[200\x1b\x1b[\x00\xff\r"), []);
        assert_eq!(keys(b"\x1b[M"), []);
    }
}
