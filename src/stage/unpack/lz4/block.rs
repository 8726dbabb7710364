//! Blocks of an lz4 frame, several of them at once or one that refers to those before it: checked and decoded.
//! Knows nothing of links and frames.

use crate::flow::Chunk;
use lz4::block::decompress_to_buffer;
use xxhash_rust::xxh32::xxh32;

/// How far back a block refers.
pub(super) const HISTORY_BYTES: usize = 64 * 1024;
/// A length that does not fit into half a byte goes on behind it.
const LENGTH_MAX: usize = 15;

/// What is wrong with a block, and where in the input that block ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    pub(super) what: &'static str,
    pub(super) offset: u64,
}

/// How a block holds its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Compressed,
    Stored,
}

/// A block in the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) form: Form,
    /// Its length there, without its checksum.
    pub(super) length: usize,
    /// What it states.
    pub(super) checksum: Option<u32>,
    /// Where it ends.
    pub(super) offset: u64,
}

/// Blocks on their way to a worker and back.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) blocks: Vec<Block>,
    /// The bytes of the blocks, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// What came out, with room for all of it.
    pub(super) output: Chunk,
    /// What was found wrong behind that.
    pub(super) wrong: Option<Wrong>,
}

impl Batch {
    /// Of no block yet, with room for what will come out.
    pub(super) fn new(bytes: Vec<u8>, output: Chunk) -> Self {
        Batch { blocks: Vec::new(), bytes, output, wrong: None }
    }

    /// Decodes all blocks, or up to one that is wrong; each is at most `block_bytes_max`, and may refer to `history`.
    pub(super) fn decode(&mut self, block_bytes_max: usize, history: &[u8]) {
        let mut rest = &self.bytes[..];
        for block in &self.blocks {
            let (bytes, behind) = rest.split_at(block.length.min(rest.len()));
            rest = behind;
            if let Err(what) = decode(block, bytes, block_bytes_max, history, &mut self.output) {
                self.wrong = Some(Wrong { what, offset: block.offset });
                return;
            }
        }
    }
}

/// Decodes one block, behind what the chunk holds.
fn decode(
    block: &Block,
    bytes: &[u8],
    block_bytes_max: usize,
    history: &[u8],
    output: &mut Chunk,
) -> Result<(), &'static str> {
    if block.checksum.is_some_and(|checksum| checksum != xxh32(bytes, 0)) {
        return Err("checksum mismatch in a block");
    }
    if block.form == Form::Stored {
        output.append(bytes);
        return Ok(());
    }
    let primed = if history.is_empty() { None } else { Some(primed(bytes, history).ok_or(INVALID)?) };
    let bytes = primed.as_deref().unwrap_or(bytes);
    let room = output.spare();
    let count = room.len().min(history.len() + block_bytes_max);
    let size = i32::try_from(count).map_err(|_| INVALID)?;
    let count = decompress_to_buffer(bytes, Some(size), &mut room[..count]).map_err(|_| INVALID)?;
    output.fill(count);
    output.advance(history.len());
    Ok(())
}

const INVALID: &str = "invalid lz4 data";

/// The block with its history as data of its own: the literals that it begins with have those bytes before them.
/// What it gives is the history and then the block. `None` if it has not even a beginning.
fn primed(block: &[u8], history: &[u8]) -> Option<Vec<u8>> {
    let (&token, mut rest) = block.split_first()?;
    let mut literals = usize::from(token >> 4);
    if literals == LENGTH_MAX {
        loop {
            let (&more, behind) = rest.split_first()?;
            (literals, rest) = (literals + usize::from(more), behind);
            if more != u8::MAX {
                break;
            }
        }
    }
    literals += history.len();
    let mut primed = Vec::with_capacity(block.len() + history.len() + history.len() / 255 + 16);
    if let Some(over) = literals.checked_sub(LENGTH_MAX) {
        primed.push((LENGTH_MAX as u8) << 4 | token & 0xf);
        primed.extend(std::iter::repeat_n(u8::MAX, over / 255));
        primed.push((over % 255) as u8);
    } else {
        primed.push((literals as u8) << 4 | token & 0xf);
    }
    primed.extend_from_slice(history);
    primed.extend_from_slice(rest);
    Some(primed)
}

#[cfg(test)]
mod tests {
    use super::primed;
    use lz4::block::{compress, decompress};

    #[test]
    fn a_primed_block_gives_its_history_first() {
        for literals in [1, 14, 15, 16, 269, 270, 271, 600] {
            for history in [1, 2, 13, 14, 254, 255, 256, 65_535, 65_536] {
                let bytes: Vec<u8> = (0..literals).map(|index: usize| (index * index / 7) as u8).collect();
                let bytes = [&bytes[..], &[7; 100]].concat();
                let history: Vec<u8> = (0..history).map(|index: usize| (index * index / 5) as u8).collect();
                let block = compress(&bytes, None, false).unwrap();
                let primed = primed(&block, &history).unwrap();
                let unpacked = decompress(&primed, Some(100_000)).unwrap();
                assert!(unpacked == [history, bytes].concat(), "{literals} literals");
            }
        }
        assert_eq!(primed(&[], b"a"), None);
        assert_eq!(primed(&[0xf0, 255], b"a"), None);
    }
}
