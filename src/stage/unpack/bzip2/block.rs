//! One block, decoded by itself: the library is given a stream that holds nothing else.
//! Knows nothing of what stands around it.

use super::window::{END_MARK, MARK_BITS};
use crate::flow::{CHUNK_BYTES, Chunk, Pool};
use bzip2::{Decompress, Status};

/// What a stream begins with: three letters, and the level as a digit.
const HEADER_BYTES: usize = 4;
/// So many bytes are taken one by one, none before it is needed.
const FEW_BYTES: usize = 7;
/// How much of a block is decoded by a worker. A block of text is a megabyte at most, one of zeros can be 45.
const AHEAD_CHUNKS: usize = 4 * 1024 * 1024 / CHUNK_BYTES;

/// A block as it stands in the input.
#[derive(Debug)]
pub(super) struct Block {
    /// Of its stream, as a digit.
    pub(super) level: u8,
    /// How many bits of the first byte are not its own.
    pub(super) skipped_bits: u32,
    /// Its length.
    pub(super) bits: u64,
    /// Its bytes, with those in which it begins and ends.
    pub(super) bytes: Vec<u8>,
}

/// What has become of a block.
pub(super) struct Decoded {
    /// Its level.
    pub(super) level: u8,
    /// Its checksum.
    pub(super) crc: u32,
    /// What it begins with.
    pub(super) output: Vec<Chunk>,
    /// And the rest.
    pub(super) rest: Rest,
}

/// What a block holds behind what is decoded.
pub(super) enum Rest {
    /// Nothing; the checksum is right.
    None,
    /// More.
    More(Coder),
    /// It is none, or does not end where it seemed to, or the checksum is wrong.
    Broken,
}

/// How long a block is, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// It goes on behind the bytes given.
    Open,
    /// It ends at this bit, or up to seven before it.
    Ends(u64),
    /// It is corrupt at this bit, or up to seven before it.
    Corrupt(u64),
}

impl Block {
    /// Decodes it.
    pub(super) fn decode(&self, pool: &Pool) -> Decoded {
        let mut decoded = Decoded { level: self.level, crc: 0, output: Vec::new(), rest: Rest::Broken };
        let Some((stream, crc)) = self.stream() else { return decoded };
        decoded.crc = crc;
        let mut coder = Coder { coder: Decompress::new(false), stream, taken: 0 };
        // Before anything is given, the block has to be read to its end, and no byte behind it asked for.
        let end = HEADER_BYTES + self.bits.div_ceil(8) as usize;
        let is_read = coder.step(end, &mut []) == Given::More && coder.step(end + 1, &mut []) == Given::More;
        if !is_read || coder.taken != end {
            return decoded;
        }
        loop {
            let mut chunk = pool.chunk();
            let given = coder.fill(&mut chunk);
            decoded.output.push(chunk);
            match given {
                Given::End => decoded.rest = Rest::None,
                Given::More if decoded.output.len() < AHEAD_CHUNKS => continue,
                Given::More => decoded.rest = Rest::More(coder),
                Given::Broken => decoded.output.clear(),
            }
            return decoded;
        }
    }

    /// A stream of this block alone, and the checksum of both: for a single block it is the same. `None` if it is too short.
    fn stream(&self) -> Option<(Vec<u8>, u32)> {
        let mut stream = begin(self.level, self.bytes.len() + 16);
        shift(&self.bytes, self.skipped_bits, &mut stream);
        // This far: the block's mark, then its checksum.
        let crc = stream.get(HEADER_BYTES + 6..HEADER_BYTES + 10)?;
        let crc = u32::from_be_bytes(crc.try_into().ok()?);
        let whole_bytes = HEADER_BYTES + usize::try_from(self.bits / 8).ok()?;
        let over_bits = (self.bits % 8) as u32;
        // The bits behind the last whole byte, then the end mark, the checksum, and zeros up to a byte.
        let last = if over_bits == 0 { 0 } else { stream.get(whole_bytes)? >> (8 - over_bits) };
        stream.truncate(whole_bytes);
        let over = u128::from(last) << MARK_BITS | u128::from(END_MARK);
        let tail = (over << 32 | u128::from(crc)) << (40 - over_bits);
        stream.extend_from_slice(&tail.to_be_bytes()[1..]);
        stream.truncate(whole_bytes + (over_bits as usize + 80).div_ceil(8));
        Some((stream, crc))
    }
}

/// How far the block reaches that begins in `bytes` behind `skipped_bits`; counted from where it begins.
pub(super) fn extent(level: u8, skipped_bits: u32, bytes: &[u8]) -> Extent {
    let mut stream = begin(level, bytes.len());
    shift(bytes, skipped_bits, &mut stream);
    let mut coder = Coder { coder: Decompress::new(false), stream, taken: 0 };
    loop {
        let before = coder.taken;
        // Of more than that, the library takes some bytes too many.
        let given = coder.step(before + FEW_BYTES, &mut []);
        let bits = (coder.taken.saturating_sub(HEADER_BYTES) * 8) as u64;
        match given {
            Given::Broken => return Extent::Corrupt(bits),
            _ if coder.taken == coder.stream.len() => return Extent::Open,
            _ if coder.taken == before => return Extent::Ends(bits),
            _ => {}
        }
    }
}

fn begin(level: u8, bytes: usize) -> Vec<u8> {
    let mut stream = Vec::with_capacity(HEADER_BYTES + bytes);
    stream.extend_from_slice(b"BZh");
    stream.push(level);
    stream
}

/// Puts what is behind the first `skipped_bits` (less than 8) of `bytes` into `shifted`, with zeros up to a byte.
fn shift(bytes: &[u8], skipped_bits: u32, shifted: &mut Vec<u8>) {
    if skipped_bits == 0 {
        shifted.extend_from_slice(bytes);
        return;
    }
    let pair = |pair: &[u8]| pair[0] << skipped_bits | pair[1] >> (8 - skipped_bits);
    shifted.extend(bytes.windows(2).map(pair));
    shifted.extend(bytes.last().map(|last| last << skipped_bits));
}

/// A block in the middle of being decoded.
pub(super) struct Coder {
    coder: Decompress,
    stream: Vec<u8>,
    /// Bytes of the stream that the library has.
    taken: usize,
}

/// What came of asking for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// There may be more.
    More,
    /// That was all, and the checksum is right.
    End,
    /// It does not end well.
    Broken,
}

impl Coder {
    /// Fills a chunk.
    pub(super) fn fill(&mut self, chunk: &mut Chunk) -> Given {
        loop {
            let before = (self.coder.total_out(), self.taken);
            let given = self.step(self.stream.len(), chunk.spare());
            chunk.fill(usize::try_from(self.coder.total_out() - before.0).unwrap_or(0));
            if given != Given::More || chunk.spare().is_empty() {
                return given;
            }
            if before == (self.coder.total_out(), self.taken) {
                // It wants more than there is.
                return Given::Broken;
            }
        }
    }

    /// Decodes as far as the bytes before `end` and the room last.
    fn step(&mut self, end: usize, room: &mut [u8]) -> Given {
        let before = self.coder.total_in();
        let end = end.min(self.stream.len());
        let status = self.coder.decompress(&self.stream[self.taken..end], room);
        self.taken += usize::try_from(self.coder.total_in() - before).unwrap_or(0);
        match status {
            Ok(Status::StreamEnd) if self.taken == self.stream.len() => Given::End,
            Ok(Status::StreamEnd) | Err(_) => Given::Broken,
            Ok(_) => Given::More,
        }
    }
}
