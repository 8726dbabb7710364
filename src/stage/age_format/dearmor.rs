//! The armor taken off: lines of base64 between two marks (c2sp.org/age, "ASCII armor"), read strictly.
//! Knows nothing of what is in it.

use super::{corrupt, truncated};
use crate::flow::Inlet;
use crate::stage::fault::Fault;
use data_encoding::BASE64;
use std::io::{self, BufRead};

pub(super) const BEGIN_MARK: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
pub(super) const END_MARK: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
/// Characters in every line but the last.
pub(super) const COLUMNS: usize = 64;
/// What such a line holds.
pub(super) const LINE_BYTES: usize = COLUMNS / 4 * 3;
/// With its end, which may be of two characters.
const LINE_CHARACTERS_MAX: usize = COLUMNS + 2;

/// What may still come.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Line,
    /// The last line was short, or padded.
    EndMark,
    Nothing,
}

/// An armor, behind its first mark.
pub(super) struct Dearmor {
    /// As much of the line as has come.
    line: Vec<u8>,
    decoded: [u8; LINE_BYTES],
    at: usize,
    length: usize,
    /// Where the decoded line begins in the input.
    line_offset: u64,
    next: Next,
}

impl Dearmor {
    /// Reads the end of the mark's line.
    ///
    /// # Errors
    /// A [`Fault`] for what else stands there; those of the links.
    pub(super) fn begin(inlet: &mut Inlet) -> anyhow::Result<Dearmor> {
        let mut armor = Dearmor {
            line: Vec::with_capacity(LINE_CHARACTERS_MAX),
            decoded: [0; LINE_BYTES],
            at: 0,
            length: 0,
            line_offset: 0,
            next: Next::Line,
        };
        match armor.whole_line(inlet)? {
            Line::Whole if armor.line.is_empty() => Ok(armor),
            Line::Whole => Err(corrupt(inlet.offset(), "something behind the armor's first mark").into()),
            Line::Cut => Err(truncated(inlet.offset(), "in the armor").into()),
        }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// A [`Fault`] for what is no armor, or cut; those of the links.
    pub(super) fn fill(&mut self, inlet: &mut Inlet) -> anyhow::Result<&[u8]> {
        if self.at == self.length && self.next != Next::Nothing {
            self.line_offset = inlet.offset() - self.line.len() as u64;
            self.decode(inlet)?;
        }
        Ok(&self.decoded[self.at..self.length])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.length);
    }

    /// Where in the input the next byte stands: the character that begins it.
    pub(super) fn offset(&self, inlet: &Inlet) -> u64 {
        if self.at == self.length {
            return inlet.offset() - self.line.len() as u64;
        }
        self.line_offset + (self.at / 3 * 4 + self.at % 3) as u64
    }

    /// Whether [`Dearmor::fill`] would have to wait. The beginning of a line is taken here, so that it is not waited behind.
    ///
    /// # Errors
    /// Those of the links.
    pub(super) fn would_wait(&mut self, inlet: &mut Inlet) -> io::Result<bool> {
        if self.at < self.length || self.next == Next::Nothing {
            return Ok(false);
        }
        while !inlet.would_wait() {
            let bytes = inlet.fill_buf()?;
            let count = bytes.len();
            if count == 0 || bytes.contains(&b'\n') || self.line.len() + count > LINE_CHARACTERS_MAX {
                return Ok(false);
            }
            self.line.extend_from_slice(bytes);
            inlet.consume(count);
        }
        Ok(true)
    }

    /// Takes the next line apart.
    fn decode(&mut self, inlet: &mut Inlet) -> anyhow::Result<()> {
        (self.at, self.length) = (0, 0);
        let line = self.whole_line(inlet)?;
        if self.line == END_MARK {
            self.line.clear();
            self.next = Next::Nothing;
            return Ok(());
        }
        if line == Line::Cut {
            let end = inlet.offset();
            self.line.clear();
            return Err(truncated(end, "in the armor").into());
        }
        if self.next == Next::EndMark {
            return Err(self.wrong(inlet, "a short line in the middle of the armor").into());
        }
        let length = self.line.len();
        let padding = self.line.iter().rev().take_while(|&&byte| byte == b'=').count();
        let is_sound = (1..=COLUMNS).contains(&length)
            && padding <= 2
            && !self.line[..length - padding].contains(&b'=')
            && BASE64.decode_len(length).is_ok_and(|room| room <= LINE_BYTES);
        if !is_sound {
            return Err(self.wrong(inlet, "a malformed line in the armor").into());
        }
        let room = length / 4 * 3;
        match BASE64.decode_mut(&self.line, &mut self.decoded[..room]) {
            Ok(count) => self.length = count,
            Err(_) => return Err(self.wrong(inlet, "a line of the armor is not base64").into()),
        }
        if self.length < LINE_BYTES {
            self.next = Next::EndMark;
        }
        self.line.clear();
        Ok(())
    }

    /// Completes the line, and drops its end.
    fn whole_line(&mut self, inlet: &mut Inlet) -> anyhow::Result<Line> {
        loop {
            let bytes = inlet.fill_buf()?;
            if bytes.is_empty() {
                return Ok(Line::Cut);
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(bytes.len(), |end| end + 1);
            if self.line.len() + count > LINE_CHARACTERS_MAX {
                return Err(self.wrong(inlet, "a line of the armor is too long").into());
            }
            self.line.extend_from_slice(&bytes[..count]);
            inlet.consume(count);
            if end.is_some() {
                self.line.pop();
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(Line::Whole);
            }
        }
    }

    /// That the line is not as it should be.
    fn wrong(&mut self, inlet: &Inlet, what: &str) -> Fault {
        // Where the line began, however much of it had come.
        self.line.clear();
        self.next = Next::Nothing;
        corrupt(self.line_offset.min(inlet.offset()), what)
    }
}

/// How a line came.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Whole,
    /// The input ended in it.
    Cut,
}

/// Refuses what stands behind the last mark and is no white space.
///
/// # Errors
/// A [`Fault`] with the place of it; those of the links.
pub(super) fn nothing_behind(inlet: &mut Inlet) -> anyhow::Result<()> {
    loop {
        let bytes = inlet.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
            let offset = inlet.offset() + at as u64;
            let message = format!("trailing bytes after the end of the armor, from input byte {offset} on");
            return Err(Fault::refused(message).help("all data before them is good").into());
        }
        inlet.consume(count);
    }
}
