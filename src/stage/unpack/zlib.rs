//! The zlib format (RFC 1950), and a bare DEFLATE stream (RFC 1951): the single stream of an input.
//! The data is decoded by `deflate`; header and checksum are read here.

use super::Unpacker;
use super::deflate::Inflate;
use crate::stage::deflate_engine::{Adler, Unchecked};
use crate::stage::fault::Fault;

/// RFC 1950 §2.2: the only method there is.
const METHOD_DEFLATE: u8 = 8;
/// CINFO of a window of 32 KiB, the largest there is.
const WINDOW_MAX: u8 = 7;
const FLAG_DICTIONARY: u8 = 1 << 5;

/// Unpacks the zlib format.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    header(unpacker)?;
    let mut coder = Inflate::<Adler>::new();
    unpacker.decode(&mut coder)?;
    let expected = u32::from_be_bytes(unpacker.bytes("in the checksum")?);
    if expected != coder.check.sum() {
        return Err(unpacker.corrupt("adler-32 mismatch").into());
    }
    unpacker.refuse_bytes_behind(unpacker.offset())
}

/// Unpacks a DEFLATE stream that has neither header nor checksum.
///
/// # Errors
/// As [`unpack`].
pub(in crate::stage) fn unpack_raw(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    unpacker.decode(&mut Inflate::<Unchecked>::new())?;
    unpacker.refuse_bytes_behind(unpacker.offset())
}

/// Whether `method` and `flags` can be the first two bytes of the zlib format: RFC 1950 §2.2.
pub(super) fn is_header(method: u8, flags: u8) -> bool {
    let is_deflate = method & 0x0f == METHOD_DEFLATE && method >> 4 <= WINDOW_MAX;
    is_deflate && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

fn header(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    let start = unpacker.peek(4)?;
    match start[..] {
        [] => return Err(unpacker.empty("zlib").into()),
        // What other bytes can stand at the beginning depends on the next one: enough is known of some.
        [method] if method & 0x0f != METHOD_DEFLATE => return Err(unpacker.not_of("zlib", &start).into()),
        [method, flags, ..] if !is_header(method, flags) => {
            return Err(unpacker.not_of("zlib", &start).into());
        }
        _ => {}
    }
    let [_, flags] = unpacker.bytes("in the header")?;
    if flags & FLAG_DICTIONARY != 0 {
        let adler = u32::from_be_bytes(unpacker.bytes("in the header")?);
        let message = format!("needs a preset dictionary (adler-32 {adler:08x})");
        let help = "only the program that wrote the data can read it: it knows the dictionary";
        return Err(Fault::refused(message).help(help).into());
    }
    Ok(())
}
