//! The zstd format (RFC 8878): all frames of an input, those that are to be skipped included.
//! The coder is the zstd library's; frame headers and what stands between frames are read here, and blocks are counted, so
//! that a fault is found at the same place however the input comes.

use super::{Coder, Outcome, Step, Unpacker, Wrong};
use crate::stage::fault::Fault;
use crate::units;
use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer};

/// RFC 8878 §3.1.1: what a frame begins with.
pub(in crate::stage) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// RFC 8878 §3.1.2: what a frame that is to be skipped begins with, whatever the low half of the first byte.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// The end of the magic of the formats before version 0.8; the first byte tells which.
const LEGACY_MAGIC_END: [u8; 3] = [0xb5, 0x2f, 0xfd];

/// The largest window that is unpacked unless a larger one is allowed: that of `zstd -d`.
pub(in crate::stage) const MEMORY_BYTES: u64 = 128 << 20;
/// The largest window that the library unpacks.
const WINDOW_LOG_MAX: u32 = if usize::BITS == 32 { 30 } else { 31 };

const BLOCK_HEADER_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 4;
/// RFC 8878 §3.1.1.2.2: a block of bytes as they are, and one of a single byte, repeated.
const BLOCK_TYPE_RAW: u32 = 0;
const BLOCK_TYPE_RLE: u32 = 1;

/// Whether `start`, four bytes, begins a frame of either kind.
pub(in crate::stage) fn is_magic(start: &[u8]) -> bool {
    start == MAGIC || is_skippable(start)
}

fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [first, rest @ ..] if first & 0xf0 == SKIPPABLE_MAGIC[0] && rest == &SKIPPABLE_MAGIC[1..])
}

/// Whether `start`, fewer than four bytes, may go on as the magic of a frame.
fn may_be_magic(start: &[u8]) -> bool {
    let like = |magic: [u8; 4]| {
        let mut whole = magic;
        whole[..start.len()].copy_from_slice(start);
        is_magic(&whole)
    };
    like(MAGIC) || like(SKIPPABLE_MAGIC)
}

/// Unpacks all frames; their windows may be as large as `memory_bytes`.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>, memory_bytes: u64) -> anyhow::Result<()> {
    let mut start = unpacker.next_bytes(MAGIC.len())?;
    match &start[..] {
        [] => return Err(Unpacker::empty("zstd").into()),
        [version @ 0x22..=0x27, end @ ..] if end == LEGACY_MAGIC_END => {
            return Err(legacy(version - 0x20).into());
        }
        [0x1e, end @ ..] if end == LEGACY_MAGIC_END => return Err(legacy(1).into()),
        start if start.len() < MAGIC.len() && may_be_magic(start) => {
            return Err(unpacker.truncated("in a header").into());
        }
        start if !is_magic(start) => return Err(Unpacker::not_of("zstd", start).into()),
        _ => {}
    }
    let mut frame = Frame::new()?;
    loop {
        if is_skippable(&start) {
            let place = "in a frame to be skipped";
            let count = u32::from_le_bytes(unpacker.bytes(place)?);
            unpacker.skip(u64::from(count), place)?;
        } else {
            let header = Header::read(unpacker)?;
            header.refuse_what_cannot_be(unpacker, memory_bytes)?;
            frame.begin(&header, unpacker)?;
            unpacker.decode(&mut frame)?;
        }
        let end = unpacker.offset();
        start = unpacker.next_bytes(MAGIC.len())?;
        match &start[..] {
            [] => return Ok(()),
            start if start.len() < MAGIC.len() && may_be_magic(start) => {
                return Err(unpacker.truncated("in a header").into());
            }
            start if !is_magic(start) => return unpacker.refuse_bytes_behind(end),
            _ => {}
        }
    }
}

fn legacy(version: u8) -> Fault {
    Fault::refused(format!("zstd data of the format of version 0.{version}, which is not supported"))
        .help("unpack it with a `zstd` that was built for old formats, and pack it again")
}

/// A frame's header: RFC 8878 §3.1.1.1.
struct Header {
    /// All of it, the magic included.
    bytes: Vec<u8>,
    window_bytes: u64,
    dictionary: u32,
    has_checksum: bool,
}

impl Header {
    /// Reads it, from behind the magic.
    fn read(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Header> {
        let place = "in a header";
        let [descriptor] = unpacker.bytes(place)?;
        let is_single_segment = descriptor & 1 << 5 != 0;
        if descriptor & 1 << 3 != 0 {
            return Err(unpacker.corrupt("a reserved bit is set in a header").into());
        }
        let mut bytes = [&MAGIC[..], &[descriptor]].concat();
        let mut number = |length: usize| -> anyhow::Result<u64> {
            let mut number = [0; 8];
            for byte in &mut number[..length] {
                [*byte] = unpacker.bytes(place)?;
                bytes.push(*byte);
            }
            Ok(u64::from_le_bytes(number))
        };
        let window = if is_single_segment { 0 } else { number(1)? };
        let dictionary = number([0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let content_bytes = match descriptor >> 6 {
            0 => number(usize::from(is_single_segment))?,
            1 => number(2)? + 256,
            2 => number(4)?,
            _ => number(8)?,
        };
        let base = 1_u64 << (10 + (window >> 3));
        let window_bytes = if is_single_segment { content_bytes } else { base + base / 8 * (window & 7) };
        // Four bytes at most.
        let dictionary = u32::try_from(dictionary).unwrap_or(u32::MAX);
        Ok(Header { bytes, window_bytes, dictionary, has_checksum: descriptor & 1 << 2 != 0 })
    }

    fn refuse_what_cannot_be(&self, unpacker: &Unpacker<'_>, memory_bytes: u64) -> Result<(), Fault> {
        let offset = unpacker.offset();
        if self.dictionary != 0 {
            let message = format!("needs dictionary ID {}, at input byte {offset}", self.dictionary);
            return Err(Fault::refused(message).help("`zstd -d -D FILE` unpacks it with its dictionary"));
        }
        let (window, allowed) = (units::size(self.window_bytes), units::size(memory_bytes));
        if self.window_bytes > 1 << WINDOW_LOG_MAX {
            let most = units::size(1 << WINDOW_LOG_MAX);
            let message = format!("needs a window of {window}, at input byte {offset}");
            return Err(Fault::refused(message).help(format!("windows are at most {most} large")));
        }
        if self.window_bytes > memory_bytes {
            let message =
                format!("needs a window of {window}, at input byte {offset}; {allowed} are allowed");
            let needed = self.window_bytes.div_ceil(1 << 20);
            return Err(Fault::refused(message).help(format!("`unzstd --memory {needed}M` allows it")));
        }
        Ok(())
    }
}

/// One frame after another, from behind its header.
struct Frame {
    coder: DCtx<'static>,
    part: Part,
    /// Whether a checksum follows the last block.
    has_checksum: bool,
    /// The room was filled to the end, so the coder may have more to give.
    is_held_back: bool,
}

/// What of a frame comes next. All blocks are given to the coder up to their ends, so that it finds what is wrong there.
#[derive(Debug, Clone, Copy)]
enum Part {
    BlockHeader { bytes: [u8; BLOCK_HEADER_BYTES], count: usize },
    Block { left: usize, is_raw: bool, is_last: bool },
    Checksum { left: usize },
}

const BLOCK_HEADER: Part = Part::BlockHeader { bytes: [0; BLOCK_HEADER_BYTES], count: 0 };

impl Part {
    /// How much of it the coder may get at once.
    fn left(&self) -> usize {
        match *self {
            Part::BlockHeader { count, .. } => BLOCK_HEADER_BYTES - count,
            // The coder gives these bytes as they come, and may find something wrong behind the last.
            Part::Block { left, is_raw: true, .. } if left > 1 => left - 1,
            Part::Block { left, .. } | Part::Checksum { left } => left,
        }
    }

    /// What comes when `taken` of it are taken.
    fn after(self, taken: &[u8], has_checksum: bool) -> Part {
        let behind = |is_last: bool| match is_last {
            false => BLOCK_HEADER,
            true => Part::Checksum { left: if has_checksum { CHECKSUM_BYTES } else { 0 } },
        };
        match self {
            Part::BlockHeader { mut bytes, count } => {
                let end = count + taken.len();
                bytes[count..end].copy_from_slice(taken);
                if end < BLOCK_HEADER_BYTES {
                    return Part::BlockHeader { bytes, count: end };
                }
                let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
                let (kind, is_last) = (number >> 1 & 3, number & 1 != 0);
                let left = if kind == BLOCK_TYPE_RLE { 1 } else { (number >> 3) as usize };
                let is_raw = kind == BLOCK_TYPE_RAW;
                if left > 0 { Part::Block { left, is_raw, is_last } } else { behind(is_last) }
            }
            Part::Block { left, is_last, .. } if left == taken.len() => behind(is_last),
            Part::Block { left, is_raw, is_last } => {
                Part::Block { left: left - taken.len(), is_raw, is_last }
            }
            Part::Checksum { left } => Part::Checksum { left: left - taken.len() },
        }
    }

    fn wrong(&self) -> Wrong {
        Wrong::corrupt(match self {
            Part::BlockHeader { .. } => "invalid block header",
            Part::Block { .. } => "invalid block",
            Part::Checksum { .. } => "checksum mismatch",
        })
    }
}

impl Frame {
    fn new() -> Result<Frame, Fault> {
        let mut coder = DCtx::try_create().ok_or_else(|| Fault::failed("no memory is left"))?;
        coder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(failed)?;
        Ok(Frame { coder, part: BLOCK_HEADER, has_checksum: false, is_held_back: false })
    }

    /// Hands the coder a frame's header, which gives nothing.
    fn begin(&mut self, header: &Header, unpacker: &Unpacker<'_>) -> Result<(), Fault> {
        (self.part, self.has_checksum, self.is_held_back) = (BLOCK_HEADER, header.has_checksum, false);
        match self.run(&header.bytes, &mut []) {
            Ok((taken, _, _)) if taken == header.bytes.len() => Ok(()),
            Ok(_) => Err(unpacker.corrupt("invalid header")),
            Err(_) => {
                let window = units::size(header.window_bytes);
                Err(Fault::failed(format!("no memory is left for a window of {window}")))
            }
        }
    }

    /// What the coder took, what it gave, and whether the frame has ended.
    fn run(&mut self, packed: &[u8], room: &mut [u8]) -> Result<(usize, usize, bool), usize> {
        let mut input = InBuffer::around(packed);
        let mut output = OutBuffer::around(room);
        let hint = self.coder.decompress_stream(&mut output, &mut input)?;
        Ok((input.pos(), output.pos(), hint == 0))
    }
}

fn failed(code: usize) -> Fault {
    Fault::failed(format!("the zstd library failed: {}", zstd_safe::get_error_name(code).to_lowercase()))
}

impl Coder for Frame {
    fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Step {
        let (mut taken, mut given) = (0, 0);
        let outcome = loop {
            let room = &mut room[given..];
            if room.is_empty() {
                break Outcome::More;
            }
            // What is held back comes first: with the next block, it would be lost to what is wrong there.
            let count = if self.is_held_back { 0 } else { self.part.left().min(packed.len() - taken) };
            if count == 0 && !self.is_held_back {
                break Outcome::More;
            }
            let part = &packed[taken..taken + count];
            let room_bytes = room.len();
            match self.run(part, room) {
                Ok((part_taken, part_given, has_ended)) => {
                    self.part = self.part.after(&part[..part_taken], self.has_checksum);
                    (taken, given) = (taken + part_taken, given + part_given);
                    self.is_held_back = part_given == room_bytes;
                    if has_ended {
                        break Outcome::End;
                    }
                }
                Err(_) => {
                    taken += count;
                    break Outcome::Wrong(self.part.wrong());
                }
            }
        };
        Step { taken, given, outcome }
    }
}
