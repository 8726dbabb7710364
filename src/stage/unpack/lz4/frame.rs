//! The blocks of one frame, read one after another and decoded on the worker pool, or here if each refers to the one before.
//! Knows nothing of headers, and of what ends a frame.

use super::block::{Batch, Block, Form, HISTORY_BYTES};
use crate::flow::{Ordered, Pool};
use crate::stage::contract::Context;
use crate::stage::unpack::Unpacker;
use xxhash_rust::xxh32::Xxh32;

/// Small blocks are decoded together, until they may give that much.
const BATCH_BYTES: usize = 1024 * 1024;
/// What the batches under way may hold of memory, in bytes, unless the workers need more to be busy.
const UNDER_WAY_BYTES: usize = 24 * 1024 * 1024;

/// What the blocks of a frame are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Each refers to those before it.
    pub(super) is_linked: bool,
    /// A checksum follows each.
    pub(super) has_checksums: bool,
    /// The most that comes out of one.
    pub(super) block_bytes_max: usize,
}

/// A frame that is being decoded.
pub(super) struct Frame<'a, 'e> {
    unpacker: &'a mut Unpacker<'e>,
    layout: Layout,
    blocks_per_batch: usize,
    pool: Pool,
    ordered: Ordered<'a, Batch>,
    under_way: usize,
    under_way_max: usize,
    /// To be decoded when it is full.
    open: Batch,
    /// How many bytes of the open batch are of blocks that are complete.
    complete_bytes: usize,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    /// What linked blocks refer to.
    history: Vec<u8>,
    /// Of what came out.
    checksum: Xxh32,
    given_bytes: u64,
}

impl<'a, 'e> Frame<'a, 'e> {
    pub(super) fn new(unpacker: &'a mut Unpacker<'e>, layout: Layout, context: &'a Context) -> Self {
        let workers = context.workers();
        let ordered = Ordered::new(workers, context.gauge());
        let batch_bytes = layout.block_bytes_max.max(BATCH_BYTES);
        // A batch and what comes of it, which is as large at worst.
        let affordable = UNDER_WAY_BYTES / (2 * batch_bytes);
        let blocks_per_batch = if layout.is_linked { 1 } else { batch_bytes / layout.block_bytes_max };
        let room = if layout.is_linked { HISTORY_BYTES + layout.block_bytes_max } else { batch_bytes };
        let pool = Pool::new(room);
        Frame {
            unpacker,
            layout,
            blocks_per_batch,
            open: Batch::new(Vec::new(), pool.chunk()),
            pool,
            under_way: 0,
            under_way_max: ordered.pending_max().min(affordable.max(workers.threads_max() + 1)),
            ordered,
            complete_bytes: 0,
            spare: Vec::new(),
            history: Vec::new(),
            checksum: Xxh32::new(0),
            given_bytes: 0,
        }
    }

    /// Reads a word. What came before it is given before the stage waits.
    pub(super) fn word(&mut self, place: &str) -> anyhow::Result<u32> {
        let mut word = [0; 4];
        for byte in &mut word {
            self.flush_before_a_wait()?;
            *byte = self.unpacker.byte()?.ok_or_else(|| self.unpacker.truncated(place))?;
        }
        Ok(u32::from_le_bytes(word))
    }

    /// As [`Frame::word`]; `None` if the input ends before it.
    pub(super) fn word_if_any(&mut self) -> anyhow::Result<Option<u32>> {
        self.flush_before_a_wait()?;
        if self.unpacker.is_at_the_end()? { Ok(None) } else { self.word("in a block").map(Some) }
    }

    /// Has the next word read again.
    pub(super) fn give_back(&mut self, word: u32) {
        self.unpacker.give_back(&word.to_le_bytes());
    }

    /// Reads a block of `length` bytes, of which the size was read, and has it decoded.
    pub(super) fn block(&mut self, form: Form, length: usize) -> anyhow::Result<()> {
        let mut left = length;
        while left > 0 {
            self.flush_before_a_wait()?;
            match self.unpacker.take(&mut self.open.bytes, left)? {
                0 => return Err(self.unpacker.truncated("in a block").into()),
                count => left -= count,
            }
        }
        let checksum = if self.layout.has_checksums { Some(self.word("in a block")?) } else { None };
        self.complete_bytes += length;
        self.open.blocks.push(Block { form, length, checksum, offset: self.unpacker.offset() });
        if self.open.blocks.len() == self.blocks_per_batch {
            self.submit()?;
        }
        Ok(())
    }

    /// Gives all that was read, and tells the first that is wrong with it.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.submit()?;
        while let Some(batch) = self.ordered.take() {
            self.give(batch)?;
        }
        Ok(())
    }

    /// That the data is corrupt here.
    pub(super) fn corrupt(&self, what: &str) -> anyhow::Error {
        self.unpacker.corrupt(what).into()
    }

    /// Of all that was given.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum.digest()
    }

    /// How much was given.
    pub(super) fn given_bytes(&self) -> u64 {
        self.given_bytes
    }

    fn flush_before_a_wait(&mut self) -> anyhow::Result<()> {
        if self.unpacker.would_wait() { self.flush() } else { Ok(()) }
    }

    /// Has the blocks of the open batch decoded, if there are any.
    fn submit(&mut self) -> anyhow::Result<()> {
        if self.open.blocks.is_empty() {
            return Ok(());
        }
        let next = Batch::new(self.spare.pop().unwrap_or_default(), self.pool.chunk());
        let mut batch = std::mem::replace(&mut self.open, next);
        // The beginning of the next block may be there.
        self.open.bytes.extend(batch.bytes.drain(self.complete_bytes..));
        self.complete_bytes = 0;
        let block_bytes_max = self.layout.block_bytes_max;
        if self.layout.is_linked {
            batch.decode(block_bytes_max, &self.history);
            return self.give(batch);
        }
        while self.under_way >= self.under_way_max {
            let Some(batch) = self.ordered.take() else { break };
            self.give(batch)?;
        }
        self.ordered.submit(move || {
            batch.decode(block_bytes_max, &[]);
            batch
        });
        self.under_way += 1;
        Ok(())
    }

    fn give(&mut self, mut batch: Batch) -> anyhow::Result<()> {
        self.under_way = self.under_way.saturating_sub(1);
        self.checksum.update(&batch.output);
        self.given_bytes += batch.output.len() as u64;
        if self.layout.is_linked {
            let kept = HISTORY_BYTES.saturating_sub(batch.output.len()).min(self.history.len());
            self.history.drain(..self.history.len() - kept);
            let begin = batch.output.len().saturating_sub(HISTORY_BYTES);
            self.history.extend_from_slice(&batch.output[begin..]);
        }
        let offset = batch.blocks.last().map_or(0, |block| block.offset);
        self.unpacker.give(batch.output, offset)?;
        if let Some(wrong) = batch.wrong {
            return Err(Unpacker::corrupt_at(wrong.offset, wrong.what).into());
        }
        batch.bytes.clear();
        self.spare.push(batch.bytes);
        Ok(())
    }
}
