//! The zlib format (RFC 1950), and a bare DEFLATE stream (RFC 1951): the single stream of an input.
//! The data is decoded by `deflate`; header and checksum are read here.

use super::deflate::Inflate;
use super::formats::Fit;
use super::{Coder, Outcome, Unpacker};
use crate::stage::deflate_engine::{Adler, Unchecked};
use crate::stage::fault::Fault;

/// RFC 1950 §2.2: the only method there is.
const METHOD_DEFLATE: u8 = 8;
/// CINFO of a window of 32 KiB, the largest there is.
const WINDOW_MAX: u8 = 7;
const FLAG_DICTIONARY: u8 = 1 << 5;
/// What a flush leaves behind: an empty stored block (RFC 1951 §3.2.4).
const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];
/// How much of an input is decoded to see whether it is of the format: text stumbles long before. The codes of a block, which
/// come before its first byte, are shorter than the second.
const LOOKED_AT_BYTES: usize = 128;
const LOOKED_AT_BYTES_MAX: usize = 1024;

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

/// Whether an input that begins with `start` is of the zlib format. Its header alone tells too little, `x ` or `hC` is one: the
/// first block has to be good, as far as it is looked at. A stream may pause behind a flush, so there no more is asked for.
pub(super) fn fit(start: &[u8]) -> Fit {
    let [method, flags, data @ ..] = start else {
        let can_be = start.first().is_none_or(|&method| is_method(method));
        return if can_be { Fit::Perhaps(start.len() + 1) } else { Fit::Not };
    };
    // With a dictionary, nothing can be decoded without it.
    if !is_header(*method, *flags) || flags & FLAG_DICTIONARY != 0 {
        return Fit::Not;
    }
    let mut coder = Inflate::<Unchecked>::new();
    let (mut left, mut has_given) = (data, false);
    let mut room = [0; 4096];
    loop {
        let step = coder.step(left, &mut room);
        left = &left[step.taken..];
        has_given |= step.given > 0;
        match step.outcome {
            Outcome::End => return Fit::Certainly,
            Outcome::Wrong(_) => return Fit::Not,
            Outcome::More if step.given == room.len() => {}
            Outcome::More => break,
        }
    }
    let is_enough = (has_given && data.len() >= LOOKED_AT_BYTES) || data.len() >= LOOKED_AT_BYTES_MAX;
    match start.len() + 1 {
        _ if is_enough || data.ends_with(&FLUSH) => Fit::Certainly,
        needed if has_given => Fit::Probably(needed),
        needed => Fit::Perhaps(needed),
    }
}

fn is_method(method: u8) -> bool {
    method & 0x0f == METHOD_DEFLATE && method >> 4 <= WINDOW_MAX
}

/// Whether `method` and `flags` can be the first two bytes of the zlib format: RFC 1950 §2.2.
fn is_header(method: u8, flags: u8) -> bool {
    is_method(method) && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

fn header(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    let start = unpacker.peek(4)?;
    match start[..] {
        [] => return Err(Unpacker::empty("zlib").into()),
        [method] if !is_method(method) => return Err(Unpacker::not_of("zlib", &start).into()),
        [method, flags, ..] if !is_header(method, flags) => {
            return Err(Unpacker::not_of("zlib", &start).into());
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
