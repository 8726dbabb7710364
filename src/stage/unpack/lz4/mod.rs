//! The lz4 format (LZ4 Frame Format 1.6): all frames of an input, those to be skipped, and those of the old format.
//! The coder of a block is the library's; everything around it is read here.

mod block;
mod frame;
mod header;
#[cfg(test)]
mod tests;

use self::block::Form;
use self::frame::{Frame, Layout};
use self::header::Header;
pub(in crate::stage) use self::header::{FLAG_CONTENT_CHECKSUM, FLAG_INDEPENDENT, FLAG_VERSION, checksum};
use super::Unpacker;
use crate::stage::contract::Context;

/// What a frame begins with.
pub(in crate::stage) const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// What a frame of the old format begins with.
pub(in crate::stage) const LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What a frame to be skipped begins with, but for the lower half of the first byte; zstd has the same.
pub(in crate::stage) const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Set in the size of a block that is stored as it is.
pub(in crate::stage) const STORED_BIT: u32 = 1 << 31;
/// The size that ends a frame.
pub(in crate::stage) const END_MARK: u32 = 0;

/// What a block of the old format gives at most, in bytes.
const LEGACY_BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// And how large that block can be.
const LEGACY_PACKED_BYTES_MAX: u32 = (LEGACY_BLOCK_BYTES + LEGACY_BLOCK_BYTES / 255 + 16) as u32;

/// What begins with a magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Frame,
    Legacy,
    Skippable,
}

impl Kind {
    fn of(start: &[u8]) -> Option<Kind> {
        let start: [u8; 4] = start.try_into().ok()?;
        match start {
            MAGIC => Some(Kind::Frame),
            LEGACY_MAGIC => Some(Kind::Legacy),
            _ if [start[0] & 0xf0, start[1], start[2], start[3]] == SKIPPABLE_MAGIC => Some(Kind::Skippable),
            _ => None,
        }
    }
}

/// Unpacks all frames.
///
/// # Errors
/// A [`Fault`](crate::stage::fault::Fault) for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>, context: &Context) -> anyhow::Result<()> {
    let mut kind = first(unpacker)?;
    loop {
        match kind {
            Kind::Frame => frame(unpacker, context)?,
            Kind::Legacy => legacy(unpacker, context)?,
            Kind::Skippable => skip(unpacker)?,
        }
        let end = unpacker.offset();
        match Kind::of(&start(unpacker)?) {
            Some(next) => kind = next,
            None => return unpacker.refuse_bytes_behind(end),
        }
    }
}

/// The next four bytes, or fewer at the end.
fn start(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Vec<u8>> {
    let mut start = Vec::new();
    while start.len() < MAGIC.len()
        && let Some(byte) = unpacker.byte()?
    {
        start.push(byte);
    }
    Ok(start)
}

/// What the input begins with.
fn first(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Kind> {
    let start = start(unpacker)?;
    if let Some(kind) = Kind::of(&start) {
        return Ok(kind);
    }
    let is_cut = |magic: [u8; 4]| Kind::of(&[&start[..], &magic[start.len()..]].concat()).is_some();
    match start.len() {
        0 => Err(Unpacker::empty("lz4").into()),
        1..=3 if [MAGIC, LEGACY_MAGIC, SKIPPABLE_MAGIC].into_iter().any(is_cut) => {
            Err(unpacker.truncated("in a header").into())
        }
        _ => Err(Unpacker::not_of("lz4", &start).into()),
    }
}

/// Unpacks a frame, from behind its magic.
fn frame(unpacker: &mut Unpacker<'_>, context: &Context) -> anyhow::Result<()> {
    let header = Header::read(unpacker)?;
    let layout = Layout {
        is_linked: header.is_linked,
        has_checksums: header.has_block_checksums,
        block_bytes_max: header.block_bytes_max,
    };
    let mut frame = Frame::new(unpacker, layout, context);
    let result = blocks(&mut frame, header.block_bytes_max);
    // What is wrong with a block comes before what is wrong behind it.
    frame.flush()?;
    result?;
    if header.content_bytes.is_some_and(|bytes| bytes != frame.given_bytes()) {
        return Err(frame.corrupt("length mismatch"));
    }
    if header.has_content_checksum && frame.word("in a checksum")? != frame.checksum() {
        return Err(frame.corrupt("checksum mismatch"));
    }
    Ok(())
}

/// Reads all blocks and the mark that ends them.
fn blocks(frame: &mut Frame<'_, '_>, block_bytes_max: usize) -> anyhow::Result<()> {
    loop {
        let word = frame.word("in a block")?;
        if word == END_MARK {
            return Ok(());
        }
        let form = if word & STORED_BIT == 0 { Form::Compressed } else { Form::Stored };
        let length = (word & !STORED_BIT) as usize;
        if length > block_bytes_max {
            return Err(frame.corrupt("a block is larger than its frame allows"));
        }
        frame.block(form, length)?;
    }
}

/// Unpacks a frame of the old format, from behind its magic. It ends where the input does, or another frame begins: a cut
/// between its blocks cannot be seen.
fn legacy(unpacker: &mut Unpacker<'_>, context: &Context) -> anyhow::Result<()> {
    let layout = Layout { is_linked: false, has_checksums: false, block_bytes_max: LEGACY_BLOCK_BYTES };
    let mut frame = Frame::new(unpacker, layout, context);
    let result = legacy_blocks(&mut frame);
    frame.flush()?;
    result
}

fn legacy_blocks(frame: &mut Frame<'_, '_>) -> anyhow::Result<()> {
    while let Some(word) = frame.word_if_any()? {
        if word > LEGACY_PACKED_BYTES_MAX {
            frame.give_back(word);
            break;
        }
        frame.block(Form::Compressed, word as usize)?;
    }
    Ok(())
}

/// Reads over a frame that is to be skipped, from behind its magic.
fn skip(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    let mut left = u32::from_le_bytes(unpacker.bytes("in a header")?) as usize;
    let mut skipped = Vec::new();
    while left > 0 {
        skipped.clear();
        match unpacker.take(&mut skipped, left)? {
            0 => return Err(unpacker.truncated("in a frame to be skipped").into()),
            count => left -= count,
        }
    }
    Ok(())
}
