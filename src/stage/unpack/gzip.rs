//! The gzip format (RFC 1952): all members of an input.
//! The data is decoded by `deflate`; headers, trailers and what stands between members are read here.

use super::Unpacker;
use super::deflate::Inflate;
use crate::stage::contract::Context;
use crate::stage::deflate_engine;
use crate::stage::fault::Fault;
use flate2::{Crc, Decompress};

/// RFC 1952 §2.3.1: what a member begins with.
pub(in crate::stage) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The only method there is: deflate.
const METHOD_DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

/// What to do with bytes behind the last member that are no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Trailing {
    /// Refuse the input, after all data is through.
    Refused,
    /// Read over them.
    Ignored,
}

/// Unpacks all members.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unpack(
    unpacker: &mut Unpacker<'_>,
    trailing: Trailing,
    context: &Context,
) -> anyhow::Result<()> {
    let trailing_bytes = members(unpacker, context)?;
    if trailing_bytes > 0 && trailing == Trailing::Refused {
        let unit = if trailing_bytes == 1 { "byte" } else { "bytes" };
        let message = format!("{trailing_bytes} trailing {unit} after the end of the stream");
        let help = "all data before them is good; `gunzip --allow-trailing` ignores them";
        return Err(Fault::refused(message).help(help).into());
    }
    Ok(())
}

/// Unpacks all members, and returns how many bytes that are no padding follow the last.
fn members(unpacker: &mut Unpacker<'_>, context: &Context) -> anyhow::Result<u64> {
    unpacker.expect_magic(&MAGIC, "gzip")?;
    let mut coder = Inflate::new();
    loop {
        let hint = header(unpacker)?;
        data(unpacker, hint, &mut coder, context)?;
        let end = unpacker.offset();
        match unpacker.byte()? {
            None => return Ok(0),
            Some(byte) if byte == MAGIC[0] => match unpacker.byte()? {
                Some(byte) if byte == MAGIC[1] => coder.coder.reset(false),
                _ => return Ok(unpacker.rest_since(end)?),
            },
            Some(0) if unpacker.is_padding_to_the_end()? => return Ok(0),
            Some(_) => return Ok(unpacker.rest_since(end)?),
        }
    }
}

/// Reads a member's header, from behind the magic (RFC 1952 §2.3), and returns the hint that one of ours holds.
fn header(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Option<usize>> {
    let mut crc = Crc::new();
    crc.update(&MAGIC);
    let [method, flags, ..] = header_bytes::<8>(unpacker, &mut crc)?;
    if method != METHOD_DEFLATE {
        return Err(unpacker.corrupt(&format!("unknown compression method {method}")).into());
    }
    if flags & FLAGS_RESERVED != 0 {
        return Err(unpacker.corrupt("reserved flags are set in a header").into());
    }
    let mut extra = Vec::new();
    if flags & FLAG_EXTRA != 0 {
        let length = u16::from_le_bytes(header_bytes(unpacker, &mut crc)?);
        for _ in 0..length {
            extra.extend(header_bytes::<1>(unpacker, &mut crc)?);
        }
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        while flags & flag != 0 && header_bytes(unpacker, &mut crc)? != [0] {}
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let [low, high, ..] = crc.sum().to_le_bytes();
        if header_bytes(unpacker, &mut crc)? != [low, high] {
            return Err(unpacker.corrupt("crc mismatch in a header").into());
        }
    }
    Ok(deflate_engine::hint(&extra))
}

fn header_bytes<const COUNT: usize>(
    unpacker: &mut Unpacker<'_>,
    crc: &mut Crc,
) -> anyhow::Result<[u8; COUNT]> {
    let bytes = unpacker.bytes("in a header")?;
    crc.update(&bytes);
    Ok(bytes)
}

/// Unpacks a member's data and compares it with the trailer.
fn data(
    unpacker: &mut Unpacker<'_>,
    hint: Option<usize>,
    coder: &mut Inflate<Crc>,
    context: &Context,
) -> anyhow::Result<()> {
    coder.check = match hint {
        Some(block_bytes) => ahead(unpacker, block_bytes, &mut coder.coder, context)?,
        None => Crc::new(),
    };
    unpacker.decode(coder)?;
    let expected = u32::from_le_bytes(unpacker.bytes("in a trailer")?);
    if expected != coder.check.sum() {
        return Err(unpacker.corrupt("crc mismatch").into());
    }
    let expected = u32::from_le_bytes(unpacker.bytes("in a trailer")?);
    if expected != coder.check.amount() {
        return Err(unpacker.corrupt("length mismatch").into());
    }
    Ok(())
}

/// Unpacks side by side what a hinted member lets; the coder then goes on where that ended.
fn ahead(
    unpacker: &mut Unpacker<'_>,
    block_bytes: usize,
    coder: &mut Decompress,
    context: &Context,
) -> anyhow::Result<Crc> {
    let allowed_bytes = unpacker.allowed_bytes();
    let (inlet, outlet) = unpacker.ends()?;
    let begun = deflate_engine::ahead(block_bytes, allowed_bytes, inlet, outlet, context)?;
    if !begun.window.is_empty() {
        coder.set_dictionary(&begun.window)?;
    }
    unpacker.gave(begun.bytes);
    Ok(begun.crc)
}
