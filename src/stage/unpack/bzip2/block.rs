//! One block, decoded by itself.
//! Knows nothing of what stands around it.

use crate::flow::{CHUNK_BYTES, Chunk, Pool};
use crate::stage::kits::Kits;
use pbz2_core::{BlockOutput, Error, Level, decode_block_into, decode_scratch_words, native};

/// How much of a block is decoded by a worker. A block of text is a megabyte at most, one of zeros can be 45.
const AHEAD_CHUNKS: usize = 4 * 1024 * 1024 / CHUNK_BYTES;

/// What it takes to decode a block.
static SCRATCH: Kits<Vec<u32>> = Kits::new();

/// A block as it stands in some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Of its stream.
    pub(super) level: Level,
    /// At which bit it begins.
    pub(super) begin: u64,
    /// It ends at this bit or before.
    pub(super) end_max: u64,
}

/// What has become of a block.
pub(super) struct Decoded {
    /// What it begins with.
    pub(super) output: Vec<Chunk>,
    /// And the rest.
    pub(super) rest: Rest,
    /// Its length.
    pub(super) bits: u64,
}

/// What a block holds behind what is decoded.
pub(super) enum Rest {
    /// Nothing; this is its checksum, which is right.
    None(u32),
    /// More.
    More(Unread),
    /// The checksum is wrong; then nothing is kept of what it begins with.
    Broken,
}

impl Span {
    /// Decodes what stands there in `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if it does not end in time, and others if it is corrupt before.
    pub(super) fn decode(self, bytes: &[u8], pool: &Pool) -> Result<Decoded, Error> {
        with_scratch(self.level, |scratch| {
            let block = self.block(bytes, scratch)?;
            let bits = block.end_bit() - self.begin;
            let (output, rest) = read(block, scratch, pool);
            Ok(Decoded { output, rest, bits })
        })
    }

    fn block(self, bytes: &[u8], scratch: &mut [u32]) -> Result<BlockOutput, Error> {
        decode_block_into(native(), bytes, self.begin, self.end_max, self.level, scratch)
    }

    /// The bit, counted from the first, in which it proves corrupt: what stands before could be the beginning of a block.
    pub(super) fn corrupt_bit(self, bytes: &[u8]) -> u64 {
        with_scratch(self.level, |scratch| {
            let (mut good, mut bad) = (self.begin, self.end_max);
            while bad - good > 1 {
                let middle = good + (bad - good) / 2;
                match (Span { end_max: middle, ..self }).block(bytes, scratch) {
                    Err(Error::Truncated) => good = middle,
                    _ => bad = middle,
                }
            }
            good - self.begin
        })
    }
}

fn with_scratch<T>(level: Level, work: impl FnOnce(&mut [u32]) -> T) -> T {
    let words = decode_scratch_words(level);
    SCRATCH.with(|scratch| scratch.len() >= words, || vec![0; words], |scratch| work(scratch))
}

/// Reads as much of a block as a worker may.
fn read(mut block: BlockOutput, scratch: &[u32], pool: &Pool) -> (Vec<Chunk>, Rest) {
    let mut output = Vec::new();
    loop {
        let mut chunk = pool.chunk();
        let count = block.read(scratch, chunk.spare());
        chunk.fill(count);
        output.push(chunk);
        if !block.is_finished() && output.len() < AHEAD_CHUNKS {
            continue;
        }
        let rest = match block.finish() {
            Ok(crc) => Rest::None(crc),
            Err(Error::Truncated) => Unread::of(&block, scratch).map_or(Rest::Broken, Rest::More),
            Err(_) => Rest::Broken,
        };
        if let Rest::Broken = rest {
            output.clear();
        }
        return (output, rest);
    }
}

/// The rest of a block, which is at most a megabyte, whatever it unpacks to.
pub(super) struct Unread {
    block: BlockOutput,
    words: Vec<u32>,
}

/// What came of reading more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// There may be more.
    More,
    /// That was all; this is the checksum, which is right.
    End(u32),
    /// That was all, and the checksum is wrong.
    Broken,
}

impl Unread {
    fn of(block: &BlockOutput, scratch: &[u32]) -> Option<Self> {
        let mut words = vec![0; block.byte_words()];
        let block = block.move_bytes(scratch, &mut words).ok()?;
        Some(Unread { block, words })
    }

    /// Fills a chunk.
    pub(super) fn fill(&mut self, chunk: &mut Chunk) -> Given {
        let count = self.block.read(&self.words, chunk.spare());
        chunk.fill(count);
        match self.block.finish() {
            Ok(crc) => Given::End(crc),
            Err(Error::Truncated) => Given::More,
            Err(_) => Given::Broken,
        }
    }
}
