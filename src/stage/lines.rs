//! A stream as whole lines, many at a time, wherever its chunks end: what the stages that handle lines share.
//! Knows nothing of what is done with a line.

use super::fault::Fault;
#[cfg(feature = "text")]
use crate::flow::{Inlet, Outlet};
#[cfg(feature = "text")]
use std::io::{self, Write};

/// The longest line there may be, its newline not counted.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// So much of a chunk is looked at together, at the most: a line that is too long is then always one that was carried.
#[cfg(feature = "text")]
const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// More room than this is not kept for the next line.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Has `handle` write what it makes of the input, block by block. A block is one or more whole lines; each ends with a newline,
/// except that the last one of the input may not.
///
/// What was written is sent before the stage waits for more.
#[cfg(feature = "text")]
pub(super) fn for_each_block(
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    mut handle: impl FnMut(&[u8], &mut Outlet) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut carry = Carry::default();
    while let Some(chunk) = inlet.next_chunk()? {
        for piece in chunk.chunks(BLOCK_BYTES_MAX) {
            if let Err(error) = carry.push(piece, |block| handle(block, outlet)) {
                // What was good goes out first; of two failures the first one is told.
                let _ = outlet.flush();
                return Err(error);
            }
        }
        if inlet.would_wait() {
            outlet.flush()?;
        }
    }
    if carry.line.is_empty() { Ok(()) } else { Ok(handle(&carry.line, outlet)?) }
}

/// Without its newline.
pub(super) fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

pub(super) fn is_newline(byte: &u8) -> bool {
    *byte == b'\n'
}

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Carry {
    line: Vec<u8>,
    /// Where it begins in the input.
    offset: u64,
}

impl Carry {
    /// Has `handle` take the whole lines that end in `piece`, block by block, and keeps the rest.
    ///
    /// # Errors
    /// Those of `handle`; a [`Fault`] for a line that is too long.
    pub(super) fn push<E: Into<anyhow::Error>>(
        &mut self,
        piece: &[u8],
        mut handle: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> anyhow::Result<()> {
        let end = piece.iter().rposition(is_newline).map_or(0, |last| last + 1);
        let (mut whole, rest) = piece.split_at(end);
        if !self.line.is_empty() && !whole.is_empty() {
            let first = whole.iter().position(is_newline).map_or(whole.len(), |at| at + 1);
            self.append(&whole[..first])?;
            whole = &whole[first..];
            handle(&self.line).map_err(Into::into)?;
            self.offset += self.line.len() as u64;
            self.line.clear();
            if self.line.capacity() > KEPT_BYTES_MAX {
                self.line = Vec::new();
            }
        }
        if !whole.is_empty() {
            handle(whole).map_err(Into::into)?;
            self.offset += whole.len() as u64;
        }
        Ok(self.append(rest)?)
    }

    /// What has come of a line whose end has not.
    #[cfg(feature = "web")]
    pub(super) fn rest(&self) -> &[u8] {
        &self.line
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = self.line.len() + bytes.len();
        if self.line.len() + without_newline(bytes).len() > LINE_BYTES_MAX {
            return Err(Fault::refused(format!(
                "the line that begins at input byte {} is longer than 64 MiB",
                self.offset
            ))
            .help("lines end with a newline: see what `file` makes of the data"));
        }
        if length > self.line.capacity() {
            // As usual twice as much, but never beyond the bound.
            let room = (2 * length).min(LINE_BYTES_MAX + 1);
            self.line.reserve_exact(room - self.line.len());
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Carry, LINE_BYTES_MAX};

    /// The blocks that are made of `text` in pieces of `size`, and what is left.
    fn blocks(text: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut carry, mut blocks) = (Carry::default(), Vec::new());
        for piece in text.chunks(size) {
            let take = |block: &[u8]| {
                blocks.push(block.to_vec());
                Ok::<_, std::io::Error>(())
            };
            carry.push(piece, take).expect("no line is too long");
        }
        (blocks, carry.line)
    }

    #[test]
    fn every_block_is_whole_lines_and_nothing_is_lost() {
        let text = b"one\n\ntwo and more\n\n\nthree\nno end";
        for size in 1..=text.len() {
            let (blocks, left) = blocks(text, size);
            assert_eq!([blocks.concat(), left.clone()].concat(), text, "pieces of {size}");
            assert!(blocks.iter().all(|block| block.ends_with(b"\n")), "pieces of {size}");
            assert_eq!(left, b"no end", "pieces of {size}");
        }
        assert_eq!(blocks(text, text.len()).0.len(), 1);
    }

    #[test]
    fn a_line_may_be_as_long_as_the_bound_and_no_longer() {
        let mut carry = Carry::default();
        let mut longest = 0;
        let mut push = |bytes: &[u8]| {
            carry.push(bytes, |block| {
                longest = longest.max(block.len());
                Ok::<_, std::io::Error>(())
            })
        };
        let part = vec![b'x'; LINE_BYTES_MAX / 4];
        push(b"before\n").expect("a short line");
        for _ in 0..4 {
            push(&part).expect("within the bound");
        }
        push(b"\nshort\n").expect("the newline does not count");
        for _ in 0..4 {
            push(&part).expect("within the bound");
        }
        let error = push(b"x").expect_err("one byte more");
        let begins = 7 + LINE_BYTES_MAX + 1 + 6;
        assert_eq!(
            error.to_string(),
            format!("the line that begins at input byte {begins} is longer than 64 MiB")
        );
        assert_eq!(longest, LINE_BYTES_MAX + 1);
        assert!(carry.line.capacity() <= LINE_BYTES_MAX + 1);
    }
}
