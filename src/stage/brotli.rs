//! `brotli`: compression to the brotli format (RFC 7932), one stream, by one thread.
//! The coder is the brotli crate's.

use super::contract::{Body, Entry, Example, NO_INTEGRITY_CHECK, Nature, Opening, Role, Stage};
use super::level::{LEVEL_OPTION, Level};
use crate::flow::{Inlet, Outlet};
use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderOperation as Operation, BrotliEncoderParameter as Parameter, BrotliEncoderStateStruct,
};
use std::io::{BufRead, Write};

/// The coder is given so much at once, so that what comes out does not depend on how the input came.
const PIECE_BYTES: usize = 512 * 1024;
/// Binary logarithms of the smallest and the largest window of RFC 7932 §9.1, which is 16 bytes less than a power of two.
const WINDOW_BITS_MIN: u32 = 10;
const WINDOW_BITS_MAX: u32 = 24;
const WINDOW_GAP_BYTES: usize = 16;
/// What the coder is told of an input whose size is not known: a large one.
const LARGE_BYTES: u32 = 1 << 30;

/// Compress to the brotli format
///
/// The output is one stream that browsers and every brotli read: the same for the same input. One thread makes it, with up
/// to 150 MiB of memory; levels 10 and 11 take up to 250 MiB, and much time. There is no integrity check in this format:
/// nothing in it tells a reader that it was damaged.
///
/// With `--stream` what has come is flushed whenever the input pauses, so that the other side sees it at once; that costs
/// some size, and the output then depends on the pauses.
#[derive(Debug, clap::Parser)]
pub(super) struct Brotli {
    #[command(flatten)]
    level: Level<0, 11, 5>,

    /// Flush whenever the input pauses
    #[arg(long)]
    stream: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    number_option: Some(LEVEL_OPTION),
    examples: &[Example {
        chain: "brotli -11 | unbrotli",
        input: b"there and back\n",
        output: b"there and back\n",
    }],
    ..Entry::of::<Brotli>("brotli", Role::Filter)
};

impl Stage for Brotli {
    fn label(&self) -> String {
        let level = self.level.number;
        if self.stream { format!("-{level} --stream") } else { format!("-{level}") }
    }

    fn caveat(&self) -> Option<&'static str> {
        Some(NO_INTEGRITY_CHECK)
    }

    fn advice(&self) -> Vec<&'static str> {
        match self.level.number {
            0 => vec!["zstd"],
            1 => vec!["brotli -0", "zstd"],
            _ => vec!["brotli -1", "zstd"],
        }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, _context| {
            if self.stream {
                compress_flushed(self.level.number, inlet, outlet)
            } else {
                compress(self.level.number, inlet, outlet)
            }
        }))
    }
}

/// Compresses all that comes, in pieces of one size.
fn compress(level: u8, inlet: &mut Inlet, outlet: &mut Outlet) -> anyhow::Result<()> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut coder = None;
    loop {
        let available = inlet.fill_buf()?;
        if available.is_empty() {
            break;
        }
        // Only now is it known that the piece is not the last one.
        if piece.len() == PIECE_BYTES {
            let coder = coder.get_or_insert_with(|| Coder::new(level, None));
            coder.pack(&piece, Operation::BROTLI_OPERATION_PROCESS, outlet)?;
            piece.clear();
        }
        let count = available.len().min(PIECE_BYTES - piece.len());
        piece.extend_from_slice(&available[..count]);
        inlet.consume(count);
    }
    let mut coder = coder.unwrap_or_else(|| Coder::new(level, Some(piece.len())));
    coder.pack(&piece, Operation::BROTLI_OPERATION_FINISH, outlet)
}

/// Compresses what comes as it comes, and flushes when there is nothing more.
fn compress_flushed(level: u8, inlet: &mut Inlet, outlet: &mut Outlet) -> anyhow::Result<()> {
    let mut coder = Coder::new(level, None);
    while let Some(chunk) = inlet.next_chunk()? {
        coder.pack(&chunk, Operation::BROTLI_OPERATION_PROCESS, outlet)?;
        if inlet.would_wait() {
            coder.pack(&[], Operation::BROTLI_OPERATION_FLUSH, outlet)?;
            outlet.flush()?;
        }
    }
    coder.pack(&[], Operation::BROTLI_OPERATION_FINISH, outlet)
}

struct Coder {
    state: BrotliEncoderStateStruct<StandardAlloc>,
}

impl Coder {
    /// For an input of `size` bytes, or one that is large.
    fn new(level: u8, size: Option<usize>) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        let known_bytes = size.and_then(|size| u32::try_from(size).ok());
        state.set_parameter(Parameter::BROTLI_PARAM_QUALITY, level.into());
        state.set_parameter(Parameter::BROTLI_PARAM_LGWIN, size.map_or(WINDOW_BITS_MAX, window_bits));
        // Of 0 the coder makes a hint of its own, which depends on the first piece.
        state.set_parameter(Parameter::BROTLI_PARAM_SIZE_HINT, known_bytes.unwrap_or(LARGE_BYTES).max(1));
        Coder { state }
    }

    /// Takes all of `bytes`, and writes what comes of it.
    fn pack(&mut self, bytes: &[u8], operation: Operation, outlet: &mut Outlet) -> anyhow::Result<()> {
        let (mut left_bytes, mut taken_bytes) = (bytes.len(), 0);
        loop {
            let is_good = self.state.compress_stream(
                operation,
                &mut left_bytes,
                bytes,
                &mut taken_bytes,
                // Without room of ours, the output is taken from the coder's own.
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            anyhow::ensure!(is_good, "the brotli coder failed");
            // 0 asks for all there is; what is returned goes on behind it.
            let mut packed_bytes = 0;
            let packed = self.state.take_output(&mut packed_bytes);
            outlet.write_all(&packed[..packed_bytes])?;
            let is_through = match operation {
                Operation::BROTLI_OPERATION_FINISH => self.state.is_finished(),
                _ => left_bytes == 0 && packed_bytes == 0,
            };
            if is_through {
                return Ok(());
            }
        }
    }
}

/// The smallest window that holds `size` bytes.
fn window_bits(size: usize) -> u32 {
    (WINDOW_BITS_MIN..WINDOW_BITS_MAX)
        .find(|bits| (1 << bits) - WINDOW_GAP_BYTES >= size)
        .unwrap_or(WINDOW_BITS_MAX)
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, run, stage};

    /// Text with a stretch that does not compress.
    fn bytes(count: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut bytes = Vec::with_capacity(count + 32);
        while bytes.len() < count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match bytes.len() {
                100_000..200_000 => bytes.extend_from_slice(&state.to_be_bytes()[..3]),
                _ => bytes.extend_from_slice(format!("word{} ", state >> 22).as_bytes()),
            }
        }
        bytes.truncate(count);
        bytes
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let outcome = run("unbrotli", &[packed]);
        assert_eq!(outcome.failure(), None);
        outcome.output
    }

    #[test]
    fn every_level_comes_back_and_the_cut_of_the_input_changes_nothing() {
        for level in 0..=11 {
            let call = format!("brotli --level {level}");
            let large: &[usize] = if level < 10 { &[524_287, 524_288, 524_289, 1_300_000] } else { &[] };
            for &size in [0, 1, 2, 1008, 1009, 65_536, 110_001].iter().chain(large) {
                let bytes = bytes(size);
                let whole = run(&call, &[&bytes]).output;
                assert!(unpacked(&whole) == bytes, "level {level}, {size} bytes");
                let piece_bytes = if size < 2000 { 1 } else { 65_521 };
                let small = Trial::of(&call).chunk_bytes(4096).run(&cut(&bytes, piece_bytes)).output;
                assert!(small == whole, "level {level}, {size} bytes");
            }
        }
    }

    #[test]
    fn more_is_made_of_more_work() {
        let bytes = bytes(100_000);
        let sizes: Vec<usize> =
            [0, 2, 5, 9, 11].map(|level| run(&format!("brotli -l {level}"), &[&bytes]).output.len()).to_vec();
        assert!(sizes.is_sorted_by(|left, right| left > right), "{sizes:?}");
    }

    #[test]
    fn a_stream_is_flushed_when_the_input_pauses() {
        let bytes = bytes(10_000);
        for level in [0, 1, 5, 9, 11] {
            let call = format!("brotli --stream -l {level}");
            // The input goes on when enough came out: without a flush that would be never.
            let flushed = Trial::of(&call).taking(100).ending(Ending::Awaited).run(&[&bytes[..1000]]);
            let got = run("unbrotli", &[&flushed.output]).output;
            assert!(got == bytes[..1000], "level {level}: {} bytes came through", got.len());
            assert!(unpacked(&run(&call, &cut(&bytes, 100)).output) == bytes, "level {level}");
        }
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("brotli").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_its_level() {
        assert_eq!(stage("brotli").unwrap().label(), "-5");
        assert_eq!(stage("brotli -0 --stream").unwrap().label(), "-0 --stream");
        assert!(stage("brotli -l 12").is_err());
    }
}
