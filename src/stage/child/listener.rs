//! What a child says on standard error: passed on by line, no faster than it is heard, to the last one.
//! Does not look into the lines, and shows nothing itself.

use crate::flow::{Alarm, Woken};
use crate::stage::contract::Context;
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::unistd::read;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A longer line is cut into pieces of it: nothing is kept of one that never ends.
const LINE_BYTES_MAX: usize = 2048;
/// Lines are passed on together until they come to this, or to so many. With [`LINE_BYTES_MAX`] it makes a page, which a
/// pipe takes at once.
const BATCH_BYTES: usize = 1024;
const BATCH_LINES: usize = 32;

const READ_BYTES: usize = 16 * 1024;
/// When the child is gone no more than a pipe holds is still its own: the rest comes from somebody it left behind.
const LEFT_BYTES_MAX: usize = 1024 * 1024;

/// A thread that reads what a child says.
#[derive(Debug)]
pub(super) struct Listener {
    /// Returns whether there was anything to read.
    thread: JoinHandle<bool>,
    child_is_gone: Arc<Alarm>,
}

impl Listener {
    /// Reads `stderr`, which does not block, and has the run pass it on.
    ///
    /// # Errors
    /// When no thread or descriptor is left.
    pub(super) fn start(stderr: File, context: &Context) -> io::Result<Listener> {
        let child_is_gone = Arc::new(Alarm::new()?);
        let (bell, context) = (Arc::clone(&child_is_gone), context.clone());
        let thread = thread::Builder::new()
            .name("child".to_owned())
            .spawn(move || listen(&stderr, &bell, &mut |lines| context.quote(lines)))?;
        Ok(Listener { thread, child_is_gone })
    }

    /// The child is gone: passes on what it still said, without waiting for anybody it has left behind.
    ///
    /// Whether it has said anything from its beginning on.
    pub(super) fn finish(self) -> bool {
        self.child_is_gone.ring();
        // A panic in it costs the lines it had, nothing else.
        self.thread.join().unwrap_or(true)
    }
}

fn listen(stderr: &File, child_is_gone: &Alarm, pass_on: &mut dyn FnMut(Vec<u8>)) -> bool {
    let mut has_said_something = false;
    let mut lines = Lines::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut left_bytes = LEFT_BYTES_MAX;
    loop {
        let woken = child_is_gone.wait(Some((stderr.as_fd(), PollFlags::POLLIN)), PollTimeout::NONE);
        let is_over = !matches!(woken, Ok(Woken::Ready | Woken::Timeout));
        match read(stderr, &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                has_said_something = true;
                lines.add(&buffer[..count], pass_on);
                left_bytes = if is_over { left_bytes.saturating_sub(count) } else { left_bytes };
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if !is_over => {}
            Err(_) => break,
        }
        if left_bytes == 0 {
            break;
        }
    }
    lines.finish(pass_on);
    has_said_something
}

/// Bytes to batches of whole lines.
#[derive(Debug, Default)]
struct Lines {
    /// Whole ones, then what has come of the next.
    held: Vec<u8>,
    /// Where the next one begins.
    begin: usize,
    count: usize,
}

impl Lines {
    /// Takes bytes, and passes on the lines that are whole with them.
    fn add(&mut self, bytes: &[u8], pass_on: &mut dyn FnMut(Vec<u8>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let mut rest = piece;
            while self.held.len() - self.begin + rest.len() > LINE_BYTES_MAX {
                let (head, tail) = rest.split_at(LINE_BYTES_MAX - (self.held.len() - self.begin));
                // The line feed of a line that fills a piece to its end belongs to that piece.
                if tail == b"\n" {
                    break;
                }
                self.held.extend_from_slice(head);
                self.held.push(b'\n');
                self.end_line(pass_on);
                rest = tail;
            }
            self.held.extend_from_slice(rest);
            if rest.ends_with(b"\n") {
                self.end_line(pass_on);
            }
        }
        self.send(pass_on);
    }

    fn end_line(&mut self, pass_on: &mut dyn FnMut(Vec<u8>)) {
        self.begin = self.held.len();
        self.count += 1;
        if self.begin >= BATCH_BYTES || self.count >= BATCH_LINES {
            self.send(pass_on);
        }
    }

    /// Passes on the whole ones.
    fn send(&mut self, pass_on: &mut dyn FnMut(Vec<u8>)) {
        let begun = self.held.split_off(self.begin);
        let whole = std::mem::replace(&mut self.held, begun);
        (self.begin, self.count) = (0, 0);
        if !whole.is_empty() {
            pass_on(whole);
        }
    }

    /// Nothing comes any more: what was begun is a line.
    fn finish(mut self, pass_on: &mut dyn FnMut(Vec<u8>)) {
        if !self.held.is_empty() {
            self.held.push(b'\n');
            self.begin = self.held.len();
            self.send(pass_on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_BYTES, BATCH_LINES, LINE_BYTES_MAX, Lines};

    fn batches(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut batches = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.add(piece, &mut |batch| batches.push(batch));
        }
        lines.finish(&mut |batch| batches.push(batch));
        batches
    }

    #[test]
    fn whole_lines_are_passed_on_at_once_and_the_last_one_in_the_end() {
        let expected: [&[u8]; 3] = [b"one\ntwo\n", b"three\n", b"four\n"];
        assert_eq!(batches(&[b"one\ntwo\nthr", b"ee\n", b"fo", b"ur"]), expected);
        assert_eq!(batches(&[b"\n\n"]), [b"\n\n"]);
        assert_eq!(batches(&[b""]), [b""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_into_pieces() {
        for more in [0, 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1] {
            let line = vec![b'x'; LINE_BYTES_MAX + more];
            for size in [1, 1009, line.len()] {
                let bytes = batches(&line.chunks(size).collect::<Vec<_>>()).concat();
                let pieces: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                let expected: Vec<usize> = line.chunks(LINE_BYTES_MAX).map(|piece| piece.len() + 1).collect();
                assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), expected);
            }
        }
        let full = [vec![b'x'; LINE_BYTES_MAX], b"\nnext\n".to_vec()].concat();
        assert_eq!(batches(&[&full]).concat(), full);
    }

    #[test]
    fn a_batch_is_small_enough_for_a_pipe_whatever_comes() {
        for line in ["\n".to_owned(), "a\n".to_owned(), "x".repeat(700) + "\n", "x".repeat(5000) + "\n"] {
            let batches = batches(&[line.repeat(200).as_bytes()]);
            assert!(batches.iter().all(|batch| batch.len() <= BATCH_BYTES + LINE_BYTES_MAX + 1));
            let most = batches.iter().map(|batch| batch.iter().filter(|&&byte| byte == b'\n').count()).max();
            assert!(most <= Some(BATCH_LINES));
        }
    }
}
