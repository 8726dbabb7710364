//! Bytes to one DEFLATE stream in a framing, its blocks compressed on the worker pool.
//! Knows nothing of how a block is compressed. What comes out depends on the input and the preset alone.

use super::block::{self, BEFORE_BYTES, IS_INDEPENDENT};
use super::checksum::Checksum;
use super::framing::Framing;
use super::preset::Preset;
use crate::flow::{Inlet, Outlet};
use crate::stage::blocks::{Block, Cut, Place, work_on_blocks};
use crate::stage::contract::Context;
use std::io::{self, Write};

/// The most a stored block holds: RFC 1951 §3.2.4.
const STORED_BYTES_MAX: usize = 0xffff;

/// What has become of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// The output is its piece.
    Compressed,
    /// It cannot be compressed: to be stored as it is.
    #[default]
    Stored,
}

/// What a worker says of a block.
#[derive(Debug, Default)]
struct Made<Check> {
    form: Form,
    check: Check,
}

/// Compresses all that comes into one stream, with what `F` puts around it.
///
/// # Errors
/// Those of the links.
pub(in crate::stage) fn compress<F: Framing>(
    preset: Preset,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> io::Result<()> {
    let cut = Cut { block_bytes: preset.block_bytes(), before_bytes: BEFORE_BYTES };
    let work = move |block: &mut Block<Made<F::Check>>| {
        block.made.check.update(&block.input);
        block.made.form =
            block::compress(preset, block.place, &block.before, &block.input, &mut block.output);
    };
    let mut check = F::Check::default();
    work_on_blocks(cut, inlet, context, work, |block| {
        if block.number == 0 {
            let has_others = block.place == Place::Inner;
            let hint = (has_others && IS_INDEPENDENT).then_some(cut.block_bytes);
            outlet.write_all(&F::header(preset, hint))?;
        }
        match block.made.form {
            Form::Compressed => outlet.write_all(&block.output)?,
            Form::Stored => store(&block.input, block.place, outlet)?,
        }
        check.append(&block.made.check);
        Ok(())
    })?;
    outlet.write_all(&F::trailer(&check))
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
