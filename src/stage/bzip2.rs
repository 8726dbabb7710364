//! `bzip2`: compression to the bzip2 format, a stream for every block, side by side on the worker pool.
//! What compresses a block is the library.

use super::blocks::{Block, Cut, work_on_blocks};
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::level::Level;
use bzip2::{Action, Compress, Compression, Status};
use std::io::Write;

/// What a stream packs, in bytes for each level: as much as a block holds, but for a few. So most streams are a block and a
/// tiny one; with a little less they would be one, and the whole file half a percent larger.
const STREAM_BYTES_PER_LEVEL: usize = 100_000;

/// Compress to the bzip2 format
///
/// Every 100 kB times the level become a stream of their own, and the streams are packed side by side on all cores, then
/// written one behind the other: bzip2 and its like read that as one file. The same input gives the same output, whatever
/// the number of threads.
#[derive(Debug, clap::Parser)]
pub(super) struct Bzip2 {
    #[command(flatten)]
    level: Level<1, 9, 9>,
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
        let level = u32::from(self.level.number);
        let block_bytes = STREAM_BYTES_PER_LEVEL * usize::from(self.level.number);
        Ok(Body::filter(move |inlet, outlet, context| {
            let cut = Cut { block_bytes, before_bytes: 0 };
            let work = move |block: &mut Block<Made>| block.made = compress(level, block);
            work_on_blocks(cut, inlet, context, work, |block| match block.made {
                Made::Stream => outlet.write_all(&block.output),
                Made::Nothing => Err(std::io::Error::other("the bzip2 coder failed")),
            })?;
            Ok(())
        }))
    }
}

/// What has become of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Made {
    /// The output is a whole stream.
    Stream,
    /// The library failed.
    #[default]
    Nothing,
}

/// Makes a stream of a block.
fn compress(level: u32, block: &mut Block<Made>) -> Made {
    block.output.clear();
    // The worst there is, as the format's manual has it.
    block.output.reserve(block.input.len() + block.input.len() / 100 + 600);
    let mut coder = Compress::new(Compression::new(level), 0);
    let mut rest = &block.input[..];
    loop {
        let taken_before = coder.total_in();
        match coder.compress_vec(rest, &mut block.output, Action::Finish) {
            Ok(Status::StreamEnd) => return Made::Stream,
            Ok(_) => {}
            Err(_) => return Made::Nothing,
        }
        let taken = usize::try_from(coder.total_in() - taken_before).unwrap_or(0);
        rest = rest.get(taken..).unwrap_or_default();
        block.output.reserve(4096);
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use bzip2::read::MultiBzDecoder;
    use std::io::Read;

    /// Neither trivial nor incompressible, with runs of every length.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u64).map(|index| ((index * index) >> 9) as u8 & 0x3f).collect()
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        MultiBzDecoder::new(packed).read_to_end(&mut bytes).expect("good streams");
        bytes
    }

    #[test]
    fn sizes_around_the_edge_of_a_stream_come_back() {
        for size in [0, 1, 2, 4097, 99_980, 99_981, 99_982, 99_999, 100_000, 100_001, 200_000, 250_000] {
            let bytes = bytes(size);
            let packed = run("bzip2 -1", &cut(&bytes, 65_537));
            assert_eq!(packed.failure(), None);
            assert!(unpacked(&packed.output) == bytes, "{size} bytes");
        }
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
