//! Bytes to one gzip member, its blocks compressed on the worker pool.
//! Knows nothing of how a block is compressed. What comes out depends on the input and the preset alone.

use super::block::{self, BEFORE_BYTES, Form, IS_INDEPENDENT, Place};
use super::member;
use super::preset::Preset;
use crate::flow::{Inlet, Ordered, Outlet};
use crate::stage::contract::Context;
use flate2::Crc;
use std::io::{self, BufRead, Write};

/// What the blocks under way may hold of memory, in bytes, unless the workers need more to be busy.
const UNDER_WAY_BYTES: usize = 20 * 1024 * 1024;

/// The most a stored block holds: RFC 1951 §3.2.4.
const STORED_BYTES_MAX: usize = 0xffff;

/// A block and what has become of it.
struct Piece {
    input: Vec<u8>,
    output: Vec<u8>,
    before: Vec<u8>,
    place: Place,
    form: Form,
    crc: Crc,
}

/// Compresses all that comes into one member.
///
/// # Errors
/// Those of the links.
pub(in crate::stage) fn compress(
    preset: Preset,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> io::Result<()> {
    let workers = context.workers();
    let mut packer = Packer {
        preset,
        ordered: Ordered::new(workers, context.gauge()),
        under_way: 0,
        under_way_max: under_way_max(workers.threads_max(), preset.block_bytes()),
        spare: Vec::new(),
        before: Vec::new(),
        crc: Crc::new(),
        outlet,
    };
    packer.run(inlet)
}

/// Blocks under way at once: enough that no worker waits for the stage, fewer where blocks are large.
fn under_way_max(threads: usize, block_bytes: usize) -> usize {
    // A block and what comes of it, which is as large at worst.
    let affordable = UNDER_WAY_BYTES / (2 * block_bytes);
    (2 * threads + 2).min(affordable.max(threads + 2))
}

struct Packer<'a> {
    preset: Preset,
    ordered: Ordered<'a, Piece>,
    under_way: usize,
    under_way_max: usize,
    /// Buffers to use again.
    spare: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// The end of the block before.
    before: Vec<u8>,
    crc: Crc,
    outlet: &'a mut Outlet,
}

impl Packer<'_> {
    fn run(&mut self, inlet: &mut Inlet) -> io::Result<()> {
        let block_bytes = self.preset.block_bytes();
        let mut block = self.block();
        let mut has_begun = false;
        loop {
            let available = inlet.fill_buf()?;
            if available.is_empty() {
                break;
            }
            // Only now is it known that the block is not the last one.
            if block.input.len() == block_bytes {
                if !has_begun {
                    has_begun = true;
                    let hint = IS_INDEPENDENT.then_some(block_bytes);
                    self.outlet.write_all(&member::header(self.preset, hint))?;
                }
                self.submit(block, Place::Inner)?;
                block = self.block();
            }
            let count = available.len().min(block_bytes - block.input.len());
            block.input.extend_from_slice(&available[..count]);
            inlet.consume(count);
        }
        if has_begun {
            self.submit(block, Place::Last)?;
            while let Some(piece) = self.ordered.take() {
                self.write(piece)?;
            }
        } else {
            // A single block: no worker is worth its start.
            self.outlet.write_all(&member::header(self.preset, None))?;
            let piece = worked(self.preset, block, Place::Last);
            self.write(piece)?;
        }
        self.outlet.write_all(&member::trailer(&self.crc))
    }

    fn block(&mut self) -> Piece {
        let (input, output, before) = self.spare.pop().unwrap_or_default();
        Piece { input, output, before, place: Place::Inner, form: Form::Stored, crc: Crc::new() }
    }

    fn submit(&mut self, mut block: Piece, place: Place) -> io::Result<()> {
        std::mem::swap(&mut block.before, &mut self.before);
        self.before.clear();
        self.before.extend_from_slice(&block.input[block.input.len().saturating_sub(BEFORE_BYTES)..]);
        while self.under_way >= self.under_way_max {
            let Some(piece) = self.ordered.take() else { break };
            self.under_way -= 1;
            self.write(piece)?;
        }
        let preset = self.preset;
        self.ordered.submit(move || worked(preset, block, place));
        self.under_way += 1;
        while let Some(piece) = self.ordered.take_done() {
            self.under_way -= 1;
            self.write(piece)?;
        }
        Ok(())
    }

    fn write(&mut self, mut piece: Piece) -> io::Result<()> {
        match piece.form {
            Form::Compressed => self.outlet.write_all(&piece.output)?,
            Form::Stored => store(&piece.input, piece.place, self.outlet)?,
        }
        self.crc.combine(&piece.crc);
        piece.input.clear();
        self.spare.push((piece.input, piece.output, piece.before));
        Ok(())
    }
}

/// The block compressed.
fn worked(preset: Preset, mut block: Piece, place: Place) -> Piece {
    block.place = place;
    block.crc.update(&block.input);
    block.form = block::compress(preset, place, &block.before, &block.input, &mut block.output);
    block
}

/// Writes `bytes` as stored blocks; to a byte edge of its own, as every piece, if others follow.
fn store(bytes: &[u8], place: Place, outlet: &mut impl Write) -> io::Result<()> {
    let mut left = bytes;
    loop {
        let (part, rest) = left.split_at(left.len().min(STORED_BYTES_MAX));
        left = rest;
        let is_last = left.is_empty() && place == Place::Last;
        let [low, high] = u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
        outlet.write_all(&[u8::from(is_last), low, high, !low, !high])?;
        outlet.write_all(part)?;
        if is_last || part.is_empty() {
            return Ok(());
        }
    }
}
