//! `lz4`: compression to the lz4 format, one frame of independent blocks, packed side by side on the worker pool.
//! What compresses a block is the library.

use super::blocks::{Block, Cut, Place, work_on_blocks};
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::level::Level;
use super::unpack::lz4::{
    END_MARK, FLAG_CONTENT_CHECKSUM, FLAG_INDEPENDENT, FLAG_VERSION, MAGIC, STORED_BIT, checksum,
};
use crate::flow::{Inlet, Outlet};
use crate::stage::contract::Context;
use lz4::block::{CompressionMode, compress_to_buffer};
use std::io::{self, Write};
use xxhash_rust::xxh32::Xxh32;

/// In the header: what blocks give at most. Of the sizes that there are, the one below the largest: more work side by
/// side, in less memory, for a size that differs by a tenth of a percent.
const BLOCK_SIZE_NUMBER: u8 = 6;
const BLOCK_BYTES: usize = 1 << (2 * BLOCK_SIZE_NUMBER + 8);

/// Compress to the lz4 format
///
/// The output is one frame that every lz4 reads, with a checksum. Its blocks of 1 MiB do not depend on each other and are
/// packed side by side on all cores. The same input gives the same output, whatever the number of threads.
#[derive(Debug, clap::Parser)]
pub(super) struct Lz4 {
    #[command(flatten)]
    level: Level<1, 9, 1>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    examples: &[Example { chain: "lz4 -9 | unlz4", input: b"there and back\n", output: b"there and back\n" }],
    ..Entry::of::<Lz4>("lz4", Role::Filter)
};

impl Stage for Lz4 {
    fn label(&self) -> String {
        format!("-{}", self.level.number)
    }

    fn advice(&self) -> Vec<&'static str> {
        if self.level.number == 1 { Vec::new() } else { vec!["lz4 -1"] }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let mode = match self.level.number {
            1 => CompressionMode::DEFAULT,
            level => CompressionMode::HIGHCOMPRESSION(i32::from(level)),
        };
        Ok(Body::filter(move |inlet, outlet, context| Ok(compress(mode, inlet, outlet, context)?)))
    }
}

/// What has become of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// This many bytes of the output.
    Compressed(usize),
    /// It cannot be compressed.
    #[default]
    Stored,
}

/// Compresses all that comes into one frame.
fn compress(
    mode: CompressionMode,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> io::Result<()> {
    let descriptor = [FLAG_VERSION | FLAG_INDEPENDENT | FLAG_CONTENT_CHECKSUM, BLOCK_SIZE_NUMBER << 4];
    let mut content = Xxh32::new(0);
    let cut = Cut { block_bytes: BLOCK_BYTES, before_bytes: 0 };
    work_on_blocks(
        cut,
        inlet,
        context,
        move |block| work(mode, block),
        |block| {
            if block.number == 0 {
                outlet.write_all(&MAGIC)?;
                outlet.write_all(&descriptor)?;
                outlet.write_all(&[checksum(&descriptor)])?;
            }
            content.update(&block.input);
            let (bytes, flag) = match block.made {
                Form::Compressed(length) => (&block.output[..length], 0),
                Form::Stored => (&block.input[..], STORED_BIT),
            };
            // A block of none would be the end.
            if !bytes.is_empty() {
                // No block is larger than 31 bits can say.
                outlet.write_all(&(bytes.len() as u32 | flag).to_le_bytes())?;
                outlet.write_all(bytes)?;
            }
            if block.place == Place::Last {
                outlet.write_all(&END_MARK.to_le_bytes())?;
                outlet.write_all(&content.digest().to_le_bytes())?;
            }
            Ok(())
        },
    )
}

/// Compresses a block, if that makes it smaller.
fn work(mode: CompressionMode, block: &mut Block<Form>) {
    block.output.resize(BLOCK_BYTES, 0);
    let room = block.input.len().saturating_sub(1);
    // That it does not fit is the only error there is.
    block.made = match compress_to_buffer(&block.input, Some(mode), false, &mut block.output[..room]) {
        Ok(length) => Form::Compressed(length),
        Err(_) => Form::Stored,
    };
}

#[cfg(test)]
mod tests {
    use super::BLOCK_BYTES;
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use std::io::Read;

    /// Neither trivial nor incompressible.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u64).map(|index| ((index * index) >> 11) as u8).collect()
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut decoder = lz4::Decoder::new(packed).unwrap();
        decoder.read_to_end(&mut bytes).expect("one good frame");
        let (rest, result) = decoder.finish();
        result.expect("its end");
        assert!(rest.is_empty(), "there is something behind the frame");
        bytes
    }

    #[test]
    fn sizes_around_the_edge_of_a_block_come_back() {
        for size in [0, 1, 2, 4097, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES] {
            let bytes = bytes(size);
            let packed = run("lz4", &cut(&bytes, 65_537));
            assert_eq!(packed.failure(), None);
            assert!(unpacked(&packed.output) == bytes, "{size} bytes");
        }
    }

    #[test]
    fn the_output_does_not_depend_on_how_the_input_is_cut() {
        let bytes = bytes(BLOCK_BYTES + 50_000);
        for level in 1..=9 {
            let call = format!("lz4 -{level}");
            let whole = run(&call, &[&bytes]).output;
            assert!(unpacked(&whole) == bytes);
            assert!(run(&call, &cut(&bytes, 4093)).output == whole, "level {level}");
            assert!(Trial::of(&call).chunk_bytes(4096).run(&[&bytes]).output == whole, "level {level}");
        }
    }

    #[test]
    fn what_cannot_be_compressed_is_stored() {
        let packed = run("lz4", &[b"abc"]).output;
        assert_eq!(packed[..14], *b"\x04\x22\x4d\x18\x64\x60\x85\x03\0\0\x80abc");
        assert_eq!(packed.len(), 22);
        assert_eq!(unpacked(&packed), b"abc");
    }

    #[test]
    fn nothing_becomes_a_frame_without_blocks() {
        assert_eq!(run("lz4", &[]).output, b"\x04\x22\x4d\x18\x64\x60\x85\0\0\0\0\x05\x5d\xcc\x02");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("lz4").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_its_level() {
        assert_eq!(stage("lz4").unwrap().label(), "-1");
        assert_eq!(stage("lz4 -l 9").unwrap().label(), "-9");
    }
}
