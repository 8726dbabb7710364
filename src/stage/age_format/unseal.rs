//! An age file to its bytes: header, then blocks opened on the worker pool. Nothing goes out that is not authentic.
//! Knows nothing of where keys come from. What comes out, and what is refused, does not depend on the timing.

use super::header::{Header, Key};
use super::payload::{BATCH_BLOCKS, BLOCK_BYTES, PayloadKey, Place, TAG_BYTES, Tag};
use super::source::Source;
use super::{corrupt, truncated};
use crate::flow::{Chunk, Closed, Inlet, Ordered, Outlet, Pool};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use std::sync::Arc;

const SEALED_BYTES: usize = BLOCK_BYTES + TAG_BYTES;

/// Opens all that comes with `key`; messages call it `tried`. Whatever is found wrong, what is authentic before it goes through.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unseal(
    key: &Key,
    tried: &str,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> anyhow::Result<()> {
    let mut source = Source::begin(inlet)?;
    let key = Header::read(&mut source)?.unlock(key, tried, &mut source)?;
    let mut opener = Opener {
        key: Arc::new(key),
        ordered: Ordered::new(context.workers(), context.gauge()),
        pool: Pool::new(BATCH_BLOCKS * BLOCK_BYTES),
        has_ended: false,
        outlet,
    };
    opener.run(&mut source)?;
    source.finish()
}

/// A block as it came.
struct Block {
    begin_offset: u64,
    end_offset: u64,
    length: usize,
    tag: Tag,
    size: Size,
}

/// What its size says of a block's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Any.
    Full,
    /// The last.
    Short,
}

/// Blocks that are opened as one.
struct Batch {
    first_number: u64,
    /// The blocks without their tags, and then the one that is still coming.
    chunk: Chunk,
    blocks: Vec<Block>,
    /// Of the block that is still coming: where it begins, how much has come, and its tag.
    begin_offset: u64,
    coming_bytes: usize,
    tag: Tag,
}

impl Batch {
    /// The number of the block behind those that are whole.
    fn next_number(&self) -> u64 {
        self.first_number + self.blocks.len() as u64
    }

    /// Takes the first of `bytes`; how many.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let count = if self.coming_bytes < BLOCK_BYTES {
            self.chunk.append(&bytes[..bytes.len().min(BLOCK_BYTES - self.coming_bytes)])
        } else {
            let at = self.coming_bytes - BLOCK_BYTES;
            let count = bytes.len().min(TAG_BYTES - at);
            self.tag[at..at + count].copy_from_slice(&bytes[..count]);
            count
        };
        self.coming_bytes += count;
        count
    }

    /// Ends the block that is full.
    fn close(&mut self, end_offset: u64) {
        let begin_offset = self.begin_offset;
        self.blocks.push(Block {
            begin_offset,
            end_offset,
            length: BLOCK_BYTES,
            tag: self.tag,
            size: Size::Full,
        });
        self.coming_bytes = 0;
        self.begin_offset = end_offset;
    }

    /// Ends the block that the input ended in; it holds a tag at least.
    fn close_short(&mut self, end_offset: u64) {
        let length = self.coming_bytes - TAG_BYTES;
        let at = self.chunk.len() - self.coming_bytes.min(BLOCK_BYTES) + length;
        // The tag is what came last, wherever it was put.
        let tag_in_tag = self.coming_bytes.saturating_sub(BLOCK_BYTES);
        let mut tag = [0; TAG_BYTES];
        tag[..TAG_BYTES - tag_in_tag].copy_from_slice(&self.chunk[at..]);
        tag[TAG_BYTES - tag_in_tag..].copy_from_slice(&self.tag[..tag_in_tag]);
        self.chunk.truncate(at);
        let begin_offset = self.begin_offset;
        self.blocks.push(Block { begin_offset, end_offset, length, tag, size: Size::Short });
        self.coming_bytes = 0;
    }
}

/// A batch that was worked on.
struct Opened {
    /// The good bytes.
    chunk: Chunk,
    /// Where its first block began, if it had one.
    begin_offset: Option<u64>,
    /// Whether the payload ended in it.
    has_ended: bool,
    wrong: Option<Fault>,
}

struct Opener<'a> {
    key: Arc<PayloadKey>,
    ordered: Ordered<'a, Opened>,
    pool: Pool,
    /// The last block was opened: nothing may follow.
    has_ended: bool,
    outlet: &'a mut Outlet,
}

impl Opener<'_> {
    fn run(&mut self, source: &mut Source<'_>) -> anyhow::Result<()> {
        let mut batch = self.batch(0, source.offset());
        loop {
            if source.would_wait()? {
                batch = self.send_before_a_wait(batch)?;
            }
            let available = match source.fill() {
                Ok(available) => available,
                Err(error) if Closed::cause_of(error.as_ref()).is_some() => return Err(error),
                // What came before is good and goes through, or has something worse in it.
                Err(error) => {
                    self.submit(batch)?;
                    self.drain()?;
                    return Err(error);
                }
            };
            if available.is_empty() {
                break;
            }
            let count = batch.push(available);
            source.consume(count);
            if batch.coming_bytes == SEALED_BYTES {
                batch.close(source.offset());
                if batch.blocks.len() == BATCH_BLOCKS {
                    let next = self.batch(batch.next_number(), source.offset());
                    self.submit(std::mem::replace(&mut batch, next))?;
                }
            }
        }
        self.end(batch, source.offset())
    }

    /// What the input ended with.
    fn end(&mut self, mut batch: Batch, end_offset: u64) -> anyhow::Result<()> {
        let left_bytes = batch.coming_bytes;
        let (begin_offset, number) = (batch.begin_offset, batch.next_number());
        if left_bytes >= TAG_BYTES {
            batch.close_short(end_offset);
        }
        // What is before it comes before it; few blocks alone are not worth the start of a worker.
        self.drain()?;
        let opened = opened(&self.key, batch);
        let is_stub = (1..TAG_BYTES).contains(&left_bytes);
        self.send(opened)?;
        match (self.has_ended, is_stub) {
            (true, false) => Ok(()),
            (true, true) => Err(trailing(begin_offset).into()),
            (false, true) => Err(truncated(end_offset, "in the payload").into()),
            (false, false) if number == 0 => {
                Err(truncated(end_offset, "where the payload should begin").into())
            }
            (false, false) => Err(truncated(end_offset, "where another block should follow").into()),
        }
    }

    fn batch(&self, first_number: u64, begin_offset: u64) -> Batch {
        Batch {
            first_number,
            chunk: self.pool.chunk(),
            blocks: Vec::with_capacity(BATCH_BLOCKS),
            begin_offset,
            coming_bytes: 0,
            tag: [0; TAG_BYTES],
        }
    }

    fn submit(&mut self, batch: Batch) -> anyhow::Result<()> {
        while self.ordered.is_full() {
            self.send_next()?;
        }
        let key = Arc::clone(&self.key);
        self.ordered.submit(move || opened(&key, batch));
        while let Some(opened) = self.ordered.take_done() {
            self.send(opened)?;
        }
        Ok(())
    }

    fn send_next(&mut self) -> anyhow::Result<bool> {
        match self.ordered.take() {
            Some(opened) => self.send(opened).map(|()| true),
            None => Ok(false),
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        while self.send_next()? {}
        Ok(())
    }

    fn send(&mut self, opened: Opened) -> anyhow::Result<()> {
        if let (true, Some(offset)) = (self.has_ended, opened.begin_offset) {
            return Err(trailing(offset).into());
        }
        if !opened.chunk.is_empty() {
            self.outlet.send(opened.chunk)?;
        }
        self.has_ended |= opened.has_ended;
        opened.wrong.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Opens and sends what has come whole; returns what is left.
    fn send_before_a_wait(&mut self, mut batch: Batch) -> anyhow::Result<Batch> {
        self.drain()?;
        if batch.blocks.is_empty() {
            return Ok(batch);
        }
        let mut left = self.batch(batch.next_number(), batch.begin_offset);
        let whole_bytes = batch.blocks.len() * BLOCK_BYTES;
        left.chunk.append(&batch.chunk[whole_bytes..]);
        (left.coming_bytes, left.tag) = (batch.coming_bytes, batch.tag);
        batch.chunk.truncate(whole_bytes);
        let opened = opened(&self.key, batch);
        self.send(opened)?;
        Ok(left)
    }
}

fn trailing(offset: u64) -> Fault {
    Fault::refused(format!("trailing bytes after the end of the payload, from input byte {offset} on"))
        .help("all data before them is good")
}

/// The batch opened, up to what is wrong in it.
fn opened(key: &PayloadKey, batch: Batch) -> Opened {
    let begin_offset = batch.blocks.first().map(|block| block.begin_offset);
    let mut opened = Opened { chunk: batch.chunk, begin_offset, has_ended: false, wrong: None };
    let mut good_bytes = 0;
    let bytes = opened.chunk.bytes_mut();
    for (number, block) in (batch.first_number..).zip(&batch.blocks) {
        if opened.has_ended {
            opened.wrong = Some(trailing(block.begin_offset));
            break;
        }
        let sealed = &mut bytes[good_bytes..good_bytes + block.length];
        let is_inner = block.size == Size::Full && key.open(number, Place::Inner, sealed, &block.tag);
        let is_last = !is_inner && key.open(number, Place::Last, sealed, &block.tag);
        if !is_inner && !is_last {
            opened.wrong = Some(not_authentic(block));
            break;
        }
        if is_last && block.length == 0 && number > 0 {
            opened.wrong = Some(corrupt(block.end_offset, "the last block is empty"));
            break;
        }
        opened.has_ended = is_last;
        good_bytes += block.length;
    }
    opened.chunk.truncate(good_bytes);
    opened
}

fn not_authentic(block: &Block) -> Fault {
    let Block { begin_offset, end_offset, .. } = block;
    match block.size {
        Size::Full => Fault::refused(format!("tampered with: input bytes {begin_offset} to {end_offset} are not authentic"))
            .help("somebody changed them, or they were damaged on their way: fetch or copy it again"),
        // A part of a block and a changed one look the same.
        Size::Short => Fault::refused(format!(
            "truncated or tampered with: the last block, from input byte {begin_offset} to {end_offset}, is not authentic"
        ))
        .help("most often the input is not complete: fetch or copy it again"),
    }
}
