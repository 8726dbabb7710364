//! Bytes to an age file: header, then blocks sealed on the worker pool, in an armor if wanted.
//! Knows nothing of where keys come from. What comes out depends on the input and chance, not on the timing.

use super::armor::Armor;
use super::header::compose;
use super::payload::{BATCH_BLOCKS, BLOCK_BYTES, PayloadKey, Place, TAG_BYTES};
use crate::flow::{Chunk, Inlet, Ordered, Outlet, Pool};
use crate::stage::contract::Context;
use std::io::BufRead;
use std::sync::Arc;

const SEALED_BYTES: usize = BLOCK_BYTES + TAG_BYTES;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Form {
    Binary,
    Armored,
}

/// Seals all that comes for `recipients`.
///
/// # Errors
/// That the recipients may not be mixed; those of the links.
pub(in crate::stage) fn seal(
    recipients: &[Box<dyn age::Recipient + Send>],
    form: Form,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> anyhow::Result<()> {
    let (header, key) = compose(recipients)?;
    let armor = match form {
        Form::Binary => None,
        Form::Armored => Some(Armor::begin(outlet)?),
    };
    let mut sealer = Sealer {
        key: Arc::new(key),
        ordered: Ordered::new(context.workers(), context.gauge()),
        pool: Pool::new(BATCH_BLOCKS * SEALED_BYTES),
        output: Output { outlet, armor },
    };
    sealer.output.write(&header)?;
    sealer.run(inlet)?;
    sealer.output.end()
}

/// Where the file goes.
struct Output<'o> {
    outlet: &'o mut Outlet,
    armor: Option<Armor>,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        use std::io::Write;
        match &mut self.armor {
            None => self.outlet.write_all(bytes)?,
            Some(armor) => armor.write(bytes, self.outlet)?,
        }
        Ok(())
    }

    fn send(&mut self, chunk: Chunk) -> anyhow::Result<()> {
        match &mut self.armor {
            None => self.outlet.send(chunk)?,
            Some(armor) => armor.write(&chunk, self.outlet)?,
        }
        Ok(())
    }

    /// Lets the reader have all that was written.
    fn flush(&mut self) -> anyhow::Result<()> {
        use std::io::Write;
        Ok(self.outlet.flush()?)
    }

    fn end(self) -> anyhow::Result<()> {
        if let Some(armor) = self.armor {
            armor.end(self.outlet)?;
        }
        Ok(())
    }
}

/// Blocks that are sealed as one.
struct Batch {
    first_number: u64,
    /// Each full block with room for its tag behind it, and then the last one, which is still filled.
    chunk: Chunk,
    full_blocks: usize,
}

impl Batch {
    /// How long the block is that is still filled.
    fn open_bytes(&self) -> usize {
        self.chunk.len() - self.full_blocks * SEALED_BYTES
    }

    /// Closes the block that is full.
    fn close(&mut self) {
        self.chunk.append(&[0; TAG_BYTES]);
        self.full_blocks += 1;
    }
}

struct Sealer<'a> {
    key: Arc<PayloadKey>,
    ordered: Ordered<'a, anyhow::Result<Chunk>>,
    pool: Pool,
    output: Output<'a>,
}

impl Sealer<'_> {
    fn run(&mut self, inlet: &mut Inlet) -> anyhow::Result<()> {
        let mut batch = Batch { first_number: 0, chunk: self.pool.chunk(), full_blocks: 0 };
        loop {
            if inlet.would_wait() {
                batch = self.send_before_a_wait(batch)?;
            }
            let available = inlet.fill_buf()?;
            if available.is_empty() {
                break;
            }
            // Only now is it known that the block is not the last one.
            if batch.open_bytes() == BLOCK_BYTES {
                batch.close();
                if batch.full_blocks == BATCH_BLOCKS {
                    let next = self.batch_behind(&batch);
                    self.submit(std::mem::replace(&mut batch, next))?;
                }
            }
            let count = available.len().min(BLOCK_BYTES - batch.open_bytes());
            batch.chunk.append(&available[..count]);
            inlet.consume(count);
        }
        self.drain()?;
        // On this thread: for a few blocks no worker is worth its start.
        let sealed = sealed(&self.key, batch, Place::Last)?;
        self.output.send(sealed)
    }

    /// An empty one, to be filled after `batch`.
    fn batch_behind(&self, batch: &Batch) -> Batch {
        let first_number = batch.first_number + batch.full_blocks as u64;
        Batch { first_number, chunk: self.pool.chunk(), full_blocks: 0 }
    }

    fn submit(&mut self, batch: Batch) -> anyhow::Result<()> {
        while self.ordered.is_full() {
            self.send_next()?;
        }
        let key = Arc::clone(&self.key);
        self.ordered.submit(move || sealed(&key, batch, Place::Inner));
        while let Some(sealed) = self.ordered.take_done() {
            self.output.send(sealed?)?;
        }
        Ok(())
    }

    fn send_next(&mut self) -> anyhow::Result<bool> {
        match self.ordered.take() {
            Some(sealed) => self.output.send(sealed?).map(|()| true),
            None => Ok(false),
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        while self.send_next()? {}
        Ok(())
    }

    /// Sends what is sure to be no last block; returns what is left.
    fn send_before_a_wait(&mut self, mut batch: Batch) -> anyhow::Result<Batch> {
        self.drain()?;
        if batch.full_blocks > 0 {
            let mut left = self.batch_behind(&batch);
            left.chunk.append(&batch.chunk[batch.full_blocks * SEALED_BYTES..]);
            batch.chunk.truncate(batch.full_blocks * SEALED_BYTES);
            let sealed = sealed(&self.key, batch, Place::Inner)?;
            self.output.send(sealed)?;
            batch = left;
        }
        self.output.flush()?;
        Ok(batch)
    }
}

/// The batch sealed. With the last place, the block that was filled last is the payload's last.
fn sealed(key: &PayloadKey, batch: Batch, place: Place) -> anyhow::Result<Chunk> {
    let Batch { first_number, mut chunk, full_blocks } = batch;
    if place == Place::Last {
        chunk.append(&[0; TAG_BYTES]);
    }
    for (number, sealed) in (first_number..).zip(chunk.bytes_mut().chunks_mut(SEALED_BYTES)) {
        let is_last = number == first_number + full_blocks as u64;
        let (block, tag) = sealed.split_at_mut(sealed.len() - TAG_BYTES);
        let place = if is_last { place } else { Place::Inner };
        tag.copy_from_slice(&key.seal(number, place, block)?);
    }
    Ok(chunk)
}
