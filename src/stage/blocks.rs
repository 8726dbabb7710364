//! A stream cut into blocks, each worked on by the run's worker pool, the results taken in order.
//! Knows nothing of what is made of a block. What comes out depends on the input and on who cuts it alone, never on the
//! number of threads or on how the input came.

use super::contract::Context;
use crate::flow::{Inlet, Ordered};
use std::io::{self, BufRead};

/// What the blocks under way may hold of memory, in bytes, unless the workers need more to be busy.
const UNDER_WAY_BYTES: usize = 20 * 1024 * 1024;

/// Who says where a block ends, which may not depend on how the input comes.
pub(in crate::stage) trait Cutter<T> {
    /// The most that the input of a block holds; not 0.
    fn block_bytes(&self) -> usize;

    /// How much of the block before it each is accompanied by.
    fn before_bytes(&self) -> usize {
        0
    }

    /// Puts the beginning of `available`, which is not empty, into `block`, and says how much that is: less than all of it
    /// if the block is full, which is then complete.
    ///
    /// # Errors
    /// Its own, which are passed up.
    fn fill(&mut self, available: &[u8], block: &mut Block<T>) -> io::Result<usize>;

    /// Completes `block`, since no more comes. Where it stands: unless it is the last, it is asked again, with the next.
    ///
    /// # Errors
    /// Its own, which are passed up.
    fn finish(&mut self, _block: &mut Block<T>) -> io::Result<Place> {
        Ok(Place::Last)
    }
}

/// Cuts into blocks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) struct Cut {
    /// The size of every block but the last; not 0.
    pub(in crate::stage) block_bytes: usize,
    /// How much of the block before it each is accompanied by.
    pub(in crate::stage) before_bytes: usize,
}

impl<T> Cutter<T> for Cut {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn before_bytes(&self) -> usize {
        self.before_bytes
    }

    fn fill(&mut self, available: &[u8], block: &mut Block<T>) -> io::Result<usize> {
        let count = available.len().min(self.block_bytes - block.input.len());
        block.input.extend_from_slice(&available[..count]);
        Ok(count)
    }
}

/// Where a block stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::stage) enum Place {
    /// Others follow.
    #[default]
    Inner,
    /// It is the last.
    Last,
}

/// A block on its way to a worker and back. Its buffers come from blocks that are done with.
#[derive(Debug, Default)]
pub(in crate::stage) struct Block<T> {
    /// What the cutter put into it.
    pub(in crate::stage) input: Vec<u8>,
    /// The end of the block before.
    pub(in crate::stage) before: Vec<u8>,
    /// For what is made of it; at first it holds what its last use left there.
    pub(in crate::stage) output: Vec<u8>,
    /// 0 for the first.
    pub(in crate::stage) number: u64,
    /// Where it stands.
    pub(in crate::stage) place: Place,
    /// What else the cutter and the worker have to say of it.
    pub(in crate::stage) made: T,
}

/// Cuts all that comes, has `work` done on each block by a worker, and gives the blocks to `take` in order; there is at
/// least one. An input of a single block is worked on here: no worker is worth its start.
///
/// # Errors
/// Those of the links, of the cutter, and of `take`.
pub(in crate::stage) fn work_on_blocks<T: Default + Send + 'static>(
    cutter: impl Cutter<T>,
    inlet: &mut Inlet,
    context: &Context,
    work: impl Fn(&mut Block<T>) + Clone + Send + 'static,
    take: impl FnMut(&mut Block<T>) -> io::Result<()>,
) -> io::Result<()> {
    let workers = context.workers();
    let mut line = Line {
        ordered: Ordered::new(workers, context.gauge()),
        under_way: 0,
        under_way_max: under_way_max(workers.threads_max(), cutter.block_bytes()),
        cutter,
        submitted: 0,
        spare: Vec::new(),
        before: Vec::new(),
        work,
        take,
    };
    line.run(inlet)
}

/// Blocks under way at once: enough that no worker waits for the stage, fewer where blocks are large.
fn under_way_max(threads: usize, block_bytes: usize) -> usize {
    // A block and what comes of it, which is as large at worst.
    let affordable = UNDER_WAY_BYTES / (2 * block_bytes);
    (2 * threads + 2).min(affordable.max(threads + 2))
}

struct Line<'a, T, Cutting, Work, Take> {
    cutter: Cutting,
    ordered: Ordered<'a, Block<T>>,
    under_way: usize,
    under_way_max: usize,
    submitted: u64,
    /// Blocks whose buffers can be used again.
    spare: Vec<Block<T>>,
    /// The end of the block before.
    before: Vec<u8>,
    work: Work,
    take: Take,
}

impl<T, Cutting, Work, Take> Line<'_, T, Cutting, Work, Take>
where
    T: Default + Send + 'static,
    Cutting: Cutter<T>,
    Work: Fn(&mut Block<T>) + Clone + Send + 'static,
    Take: FnMut(&mut Block<T>) -> io::Result<()>,
{
    fn run(&mut self, inlet: &mut Inlet) -> io::Result<()> {
        let mut block = self.block();
        loop {
            let available = inlet.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let taken = self.cutter.fill(available, &mut block)?;
            let is_full = taken < available.len();
            inlet.consume(taken);
            // What did not fit has another block follow: this one is not the last.
            if is_full {
                self.submit(block)?;
                block = self.block();
            }
        }
        loop {
            block.place = self.cutter.finish(&mut block)?;
            if block.place == Place::Last {
                break;
            }
            self.submit(block)?;
            block = self.block();
        }
        if self.submitted == 0 {
            (self.work)(&mut block);
            return (self.take)(&mut block);
        }
        self.submit(block)?;
        while let Some(block) = self.ordered.take() {
            self.done(block)?;
        }
        Ok(())
    }

    fn block(&mut self) -> Block<T> {
        self.spare.pop().unwrap_or_default()
    }

    fn submit(&mut self, mut block: Block<T>) -> io::Result<()> {
        std::mem::swap(&mut block.before, &mut self.before);
        self.before.clear();
        let kept = block.input.len().saturating_sub(self.cutter.before_bytes());
        self.before.extend_from_slice(&block.input[kept..]);
        block.number = self.submitted;
        self.submitted += 1;
        while self.under_way >= self.under_way_max {
            let Some(block) = self.ordered.take() else { break };
            self.under_way -= 1;
            self.done(block)?;
        }
        let work = self.work.clone();
        self.ordered.submit(move || {
            work(&mut block);
            block
        });
        self.under_way += 1;
        while let Some(block) = self.ordered.take_done() {
            self.under_way -= 1;
            self.done(block)?;
        }
        Ok(())
    }

    fn done(&mut self, mut block: Block<T>) -> io::Result<()> {
        (self.take)(&mut block)?;
        block.input.clear();
        block.made = T::default();
        self.spare.push(block);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Cut, Cutter, Place, work_on_blocks};
    use crate::flow::Inlet;
    use crate::stage::testing_ends::{Bench, bench};
    use std::io::{self, Write};

    /// The blocks of `bytes`: input, before, place.
    fn blocks(cutter: impl Cutter<usize>, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Place)> {
        let Bench { mut outlet, reader, context, .. } = bench(7);
        outlet.write_all(bytes).unwrap();
        outlet.finish();
        let mut blocks = Vec::new();
        let work = |block: &mut Block<usize>| block.made = block.input.len();
        work_on_blocks(cutter, &mut Inlet::new(reader), &context, work, |block| {
            assert_eq!(block.number, blocks.len() as u64);
            assert_eq!(block.made, block.input.len());
            blocks.push((block.input.clone(), block.before.clone(), block.place));
            Ok(())
        })
        .unwrap();
        blocks
    }

    #[test]
    fn every_block_but_the_last_is_full_and_knows_the_end_of_the_one_before() {
        let bytes: Vec<u8> = (0..=255).collect();
        let cut = Cut { block_bytes: 10, before_bytes: 3 };
        for length in [1, 9, 10, 11, 20, 21, 256] {
            let blocks = blocks(cut, &bytes[..length]);
            assert_eq!(blocks.len(), length.div_ceil(10));
            for (number, (input, before, place)) in blocks.iter().enumerate() {
                let begin = number * 10;
                assert_eq!(input[..], bytes[begin..length.min(begin + 10)]);
                assert_eq!(before[..], bytes[begin.saturating_sub(3)..begin]);
                assert_eq!(*place == Place::Last, number + 1 == blocks.len());
            }
        }
    }

    #[test]
    fn no_input_is_one_block_of_nothing() {
        let cut = Cut { block_bytes: 10, before_bytes: 3 };
        assert_eq!(blocks(cut, b""), [(Vec::new(), Vec::new(), Place::Last)]);
    }

    /// Each block is a byte longer than the one before, and the last byte of all is a block of its own.
    #[derive(Default)]
    struct Growing {
        length: usize,
        held: Option<u8>,
    }

    impl Cutter<usize> for Growing {
        fn block_bytes(&self) -> usize {
            100
        }

        fn fill(&mut self, available: &[u8], block: &mut Block<usize>) -> io::Result<usize> {
            for (taken, &byte) in available.iter().enumerate() {
                if block.input.len() > self.length {
                    self.length += 1;
                    return Ok(taken);
                }
                block.input.extend(self.held.replace(byte));
            }
            Ok(available.len())
        }

        fn finish(&mut self, block: &mut Block<usize>) -> io::Result<Place> {
            if !block.input.is_empty() {
                return Ok(Place::Inner);
            }
            block.input.extend(self.held.take());
            Ok(Place::Last)
        }
    }

    #[test]
    fn the_cutter_says_where_a_block_ends_and_whether_another_follows_the_end() {
        let expected =
            [(&b"a"[..], Place::Inner), (b"bc", Place::Inner), (b"de", Place::Inner), (b"f", Place::Last)];
        let blocks = blocks(Growing::default(), b"abcdef");
        assert_eq!(blocks.len(), expected.len());
        for ((input, _, place), expected) in blocks.iter().zip(expected) {
            assert_eq!((&input[..], *place), expected);
        }
    }
}
