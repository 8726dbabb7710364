//! One block of input to one piece of a DEFLATE stream, with libdeflate.
//! Knows nothing of other blocks and of threads.

use super::compress::Form;
use super::preset::Preset;
use super::walk::Walker;
use crate::stage::blocks::Place;
use crate::stage::kits::Kits;
use libdeflater::{CompressionLvl, Compressor};

/// Whether the pieces can be decoded without each other.
pub(super) const IS_INDEPENDENT: bool = true;

/// How many bytes of the block before it a block is compressed with.
pub(super) const BEFORE_BYTES: usize = 0;

/// Samples are taken from blocks of at least this size: from smaller ones there is little to gain.
const PROBED_BYTES_MIN: usize = 64 * 1024;
const SAMPLES: usize = 4;
const SAMPLE_BYTES: usize = 4096;

/// What it takes to compress a block.
struct Kit {
    effort: u8,
    compressor: Compressor,
    probe: Compressor,
    walker: Walker,
    /// As long as the largest output may become: only what came out of it is copied on.
    room: Vec<u8>,
}

static KITS: Kits<Kit> = Kits::new();

fn compressor(effort: u8) -> Compressor {
    Compressor::new(CompressionLvl::new(i32::from(effort)).unwrap_or_default())
}

impl Kit {
    fn new(effort: u8) -> Self {
        Kit {
            effort,
            compressor: compressor(effort),
            probe: compressor(1),
            walker: Walker::new(),
            room: Vec::new(),
        }
    }
}

/// Compresses `input` into `output`, whose old content is lost.
pub(super) fn compress(
    preset: Preset,
    place: Place,
    _before: &[u8],
    input: &[u8],
    output: &mut Vec<u8>,
) -> Form {
    let effort = preset.effort();
    let compress = |kit: &mut Kit| {
        if input.len() >= PROBED_BYTES_MIN && is_incompressible(&mut kit.probe, input) {
            return Form::Stored;
        }
        let bound = kit.compressor.deflate_compress_bound(input.len());
        if kit.room.len() < bound {
            kit.room.resize(bound, 0);
        }
        // Neither can fail: the room suffices, and the stream is libdeflate's own. If one did, stored is right as well.
        let Ok(length) = kit.compressor.deflate_compress(input, &mut kit.room) else { return Form::Stored };
        output.clear();
        output.extend_from_slice(&kit.room[..length]);
        match place {
            Place::Last => Form::Compressed,
            Place::Inner => match open_end(&mut kit.walker, output) {
                Some(()) => Form::Compressed,
                None => Form::Stored,
            },
        }
    };
    KITS.with(|kit| kit.effort == effort, || Kit::new(effort), compress)
}

/// Whether samples of `input` keep over 98 % of their size.
fn is_incompressible(probe: &mut Compressor, input: &[u8]) -> bool {
    let mut output = [0; 2 * SAMPLE_BYTES];
    let stride = (input.len() - SAMPLE_BYTES) / (SAMPLES - 1);
    let compressed: usize = (0..SAMPLES)
        .filter_map(|sample| input.get(sample * stride..sample * stride + SAMPLE_BYTES))
        .map(|sample| probe.deflate_compress(sample, &mut output).unwrap_or(SAMPLE_BYTES))
        .sum();
    compressed > SAMPLES * SAMPLE_BYTES / 100 * 98
}

/// Turns a complete stream into one that goes on: its last block is no longer marked as the last, and an empty stored block
/// (RFC 1951 §3.2.4) brings it to a byte edge.
fn open_end(walker: &mut Walker, stream: &mut Vec<u8>) -> Option<()> {
    let last = walker.last_block(stream)?;
    *stream.get_mut(last.begin_bit / 8)? &= !(1 << (last.begin_bit % 8));
    // Three bits 0 and the rest of their byte: they may need a byte more.
    stream.resize((last.end_bit + 3).div_ceil(8), 0);
    stream.extend([0x00, 0x00, 0xff, 0xff]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Form, compress};
    use crate::stage::blocks::Place;
    use crate::stage::deflate_engine::preset::Preset;

    #[test]
    fn noise_is_stored_and_text_is_not() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(100_000)
        .collect();
        let mut output = Vec::new();
        assert_eq!(compress(Preset::new(6), Place::Inner, &[], &noise, &mut output), Form::Stored);
        let text = b"a line of text, and another one\n".repeat(4000);
        assert_eq!(compress(Preset::new(6), Place::Inner, &[], &text, &mut output), Form::Compressed);
        assert!(output.ends_with(&[0, 0, 0xff, 0xff]));
    }
}
