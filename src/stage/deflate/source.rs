//! A stage's input with a way back: bytes that were looked at too far ahead are given back and read again.
//! Knows nothing of formats.

use crate::flow::Inlet;
use std::io::{self, BufRead};

/// See the module.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Given back, and where the part begins that was not read again.
    front: Vec<u8>,
    front_at: usize,
    inlet: &'a mut Inlet,
    offset: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(inlet: &'a mut Inlet) -> Self {
        Source { front: Vec::new(), front_at: 0, inlet, offset: 0 }
    }

    /// Bytes that are there, at least one; none at the end.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.front_at < self.front.len() {
            Ok(&self.front[self.front_at..])
        } else {
            self.inlet.fill_buf()
        }
    }

    /// Takes the first `count` of the bytes that [`Source::fill`] gave.
    pub(super) fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        if self.front_at < self.front.len() {
            self.front_at += count;
        } else {
            self.inlet.consume(count);
        }
    }

    /// Where the next byte stands in the stage's input.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Has `bytes`, the last ones that were taken, read again.
    #[cfg(any(feature = "libdeflate", test))]
    pub(super) fn give_back(&mut self, mut bytes: Vec<u8>) {
        self.offset -= bytes.len() as u64;
        bytes.extend_from_slice(&self.front[self.front_at.min(self.front.len())..]);
        (self.front, self.front_at) = (bytes, 0);
    }
}
