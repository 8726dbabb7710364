//! `bzip2`: compression to the bzip2 format, one stream, its blocks coded side by side on the worker pool.
//! What codes a block is the library.

use super::blocks::{Block, Cutter, Place, work_on_blocks};
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::kits::Kits;
use super::level;
use pbz2_core::{
    BlockSplitter, EncodedBlock, Error, InputBlock, Level, StreamAssembler, encode_block,
    encode_scratch_words, encoded_block_bytes, native,
};
use std::io::{self, Write};

/// What stands around the blocks of a stream, at most.
const AROUND_BYTES: usize = 16;

/// Compress to the bzip2 format
///
/// The blocks, 100 kB each times the level, are packed side by side on all cores and written one behind the other, as one
/// stream. The same input gives the same output, whatever the number of threads.
#[derive(Debug, clap::Parser)]
pub(super) struct Bzip2 {
    #[command(flatten)]
    level: level::Level<1, 9, 9>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    examples: &[
        Example { chain: "bzip2 | bunzip2", input: b"there and back\n", output: b"there and back\n" },
        Example { chain: "bzip2 -1", input: b"", output: b"BZh1\x17\x72\x45\x38\x50\x90\0\0\0\0" },
    ],
    ..Entry::of::<Bzip2>("bzip2", Role::Filter)
};

impl Stage for Bzip2 {
    fn label(&self) -> String {
        format!("-{}", self.level.number)
    }

    fn advice(&self) -> Vec<&'static str> {
        vec!["gzip"]
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        // The arguments allow no others than the format has.
        let level = Level::new(self.level.number).unwrap_or_default();
        Ok(Body::filter(move |inlet, outlet, context| {
            let mut assembler = StreamAssembler::new(level);
            let mut room = vec![0; encoded_block_bytes(level.block_bytes()) + AROUND_BYTES];
            let work = move |block: &mut Block<Made>| code(level, block);
            work_on_blocks(Splitter::new(level), inlet, context, work, |block| {
                let Some(coded) = block.made.coded else { return Ok(()) };
                let count = coded.and_then(|coded| assembler.append(&block.output, coded, &mut room));
                outlet.write_all(&room[..count.map_err(failed)?])
            })?;
            let count = assembler.finish(&mut room).map_err(failed)?;
            Ok(outlet.write_all(&room[..count])?)
        }))
    }
}

/// What is known of a block.
#[derive(Debug, Default)]
struct Made {
    /// Its extent, once it is cut; the only input that has a block without is an empty one.
    cut: Option<InputBlock>,
    /// Whether the output holds its code, once it went through a worker.
    coded: Option<Result<EncodedBlock, Error>>,
}

/// The buffers are as large as the library says, and there is no other error it could have.
fn failed(error: Error) -> io::Error {
    io::Error::other(format!("the bzip2 coder failed: {error}"))
}

/// Cuts as the format has it: a block is full when its bytes are, with the runs among them coded as a byte each.
struct Splitter {
    splitter: BlockSplitter,
    block_bytes: usize,
}

impl Splitter {
    fn new(level: Level) -> Self {
        Splitter { splitter: BlockSplitter::new(level), block_bytes: level.block_bytes() }
    }
}

impl Cutter<Made> for Splitter {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn fill(&mut self, available: &[u8], block: &mut Block<Made>) -> io::Result<usize> {
        block.input.resize(self.block_bytes, 0);
        let (taken, cut) = self.splitter.fill(native(), available, &mut block.input).map_err(failed)?;
        block.made.cut = cut;
        Ok(taken)
    }

    fn finish(&mut self, block: &mut Block<Made>) -> io::Result<Place> {
        block.input.resize(self.block_bytes, 0);
        block.made.cut = self.splitter.finish(&mut block.input).map_err(failed)?;
        // The last run, if it does not fit, is a block of its own.
        let (_, pending) = self.splitter.pending_run();
        Ok(if pending == 0 { Place::Last } else { Place::Inner })
    }
}

/// What it takes to code a block.
static SCRATCH: Kits<Vec<u32>> = Kits::new();

/// Makes a block's code.
fn code(level: Level, block: &mut Block<Made>) {
    let Some(cut) = block.made.cut else { return };
    // New memory takes none until something is written there.
    if block.output.is_empty() {
        block.output = vec![0; encoded_block_bytes(level.block_bytes())];
    }
    let words = encode_scratch_words(level);
    block.made.coded = Some(SCRATCH.with(
        |scratch| scratch.len() >= words,
        || vec![0; words],
        |scratch| encode_block(native(), &mut block.input, cut, scratch, &mut block.output),
    ));
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use bzip2::read::BzDecoder;
    use std::io::Read;

    /// What a block of level 1 holds.
    const BLOCK_BYTES: usize = 99_981;

    /// Neither trivial nor incompressible, with runs of every length.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u64).map(|index| ((index * index) >> 9) as u8 & 0x3f).collect()
    }

    /// Bytes none of which is followed by itself.
    fn without_runs(count: usize) -> Vec<u8> {
        (0..count as u64)
            .map(|index| ((index * index * index) >> 11) as u8 & 0x3e | index as u8 & 1)
            .collect()
    }

    /// What the reference makes of the first stream, behind which nothing may stand.
    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut reader = BzDecoder::new(packed);
        reader.read_to_end(&mut bytes).expect("a good stream");
        assert_eq!(reader.total_in(), packed.len() as u64, "one stream");
        bytes
    }

    /// Fails unless what `bzip2 -1` makes of `bytes` is `bytes`, in that many blocks.
    fn assert_comes_back(bytes: &[u8], block_count: usize, what: &str) {
        let packed = run("bzip2 -1", &[bytes]);
        assert_eq!(packed.failure(), None);
        assert!(unpacked(&packed.output) == bytes, "{what}");
        let marks = packed.output.windows(6).filter(|window| window == b"\x31\x41\x59\x26\x53\x59");
        assert_eq!(marks.count(), block_count, "{what}");
    }

    #[test]
    fn blocks_are_full_and_begin_at_a_byte() {
        for (size, block_count) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (4097, 1),
            (BLOCK_BYTES - 1, 1),
            (BLOCK_BYTES, 1),
            (BLOCK_BYTES + 1, 2),
            (2 * BLOCK_BYTES, 2),
            (2 * BLOCK_BYTES + 1, 3),
            (250_000, 3),
        ] {
            assert_comes_back(&without_runs(size), block_count, &format!("{size} bytes"));
        }
    }

    #[test]
    fn runs_across_the_edge_of_a_block_come_back() {
        for length in [1, 2, 3, 4, 5, 6, 254, 255, 256, 257, 260] {
            for before_edge in 0..6 {
                for behind in [0, 100] {
                    let run = vec![b'x'; length];
                    let parts = [without_runs(BLOCK_BYTES - before_edge), run, without_runs(behind)];
                    // A run is coded as itself or, from 4 on, as five bytes for each 255; it is not divided.
                    let coded = length / 255 * 5 + if length % 255 < 4 { length % 255 } else { 5 };
                    let block_count = if coded + behind > before_edge { 2 } else { 1 };
                    let what = format!("{length} bytes from {before_edge} before the edge, {behind} behind");
                    assert_comes_back(&parts.concat(), block_count, &what);
                }
            }
        }
    }

    #[test]
    fn bytes_that_run_coding_expands_or_shrinks_come_back() {
        let fours: Vec<u8> = (0..200_000_u32).map(|index| (index / 4) as u8).collect();
        assert_comes_back(&fours, 3, "runs of four become five");
        assert_comes_back(&[0; 5_200_000], 2, "runs of 255 become five");
    }

    #[test]
    fn the_output_does_not_depend_on_how_the_input_is_cut() {
        let bytes = bytes(300_000);
        let whole = run("bzip2 -2", &[&bytes]).output;
        for size in [251, 4093, 262_144] {
            assert!(run("bzip2 -2", &cut(&bytes, size)).output == whole, "pieces of {size}");
        }
        let output = Trial::of("bzip2 -2").chunk_bytes(7).run(&[&bytes]).output;
        assert!(output == whole, "into chunks of 7");
    }

    #[test]
    fn every_level_is_written_into_the_header() {
        for level in 1..=9 {
            let packed = run(&format!("bzip2 -{level}"), &[b"a"]).output;
            assert_eq!(packed[..4], *format!("BZh{level}").as_bytes());
            assert_eq!(unpacked(&packed), b"a");
            // Two blocks and some.
            let bytes = bytes(210_000 * level);
            assert!(unpacked(&run(&format!("bzip2 -{level}"), &[&bytes]).output) == bytes);
        }
        assert_eq!(run("bzip2", &[b"a"]).output[3], b'9');
    }

    #[test]
    fn nothing_becomes_the_empty_stream() {
        assert_eq!(run("bzip2", &[]).output, b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("bzip2").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_its_level() {
        assert_eq!(stage("bzip2").unwrap().label(), "-9");
        assert_eq!(stage("bzip2 -l 1").unwrap().label(), "-1");
    }
}
