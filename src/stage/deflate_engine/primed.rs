//! One block of input to one piece of a DEFLATE stream, with zlib-rs: the build without C code.
//! Knows nothing of other blocks but the end of the one before, and nothing of threads.

use super::compress::Form;
use super::preset::Preset;
use crate::stage::blocks::Place;
use flate2::{Compress, Compression, FlushCompress};

/// Whether the pieces can be decoded without each other.
pub(super) const IS_INDEPENDENT: bool = false;

/// How many bytes of the block before it a block is compressed with: the window of RFC 1951.
pub(super) const BEFORE_BYTES: usize = 32 * 1024;

/// Compresses `input` into `output`, whose old content is lost.
pub(super) fn compress(
    preset: Preset,
    place: Place,
    before: &[u8],
    input: &[u8],
    output: &mut Vec<u8>,
) -> Form {
    // One that was used before would not do: what it still holds decides how the end of the block before is taken in
    // (zlib-rs 0.6.8), and the output would depend on which thread had compressed what.
    let mut compress = Compress::new(Compression::new(u32::from(preset.effort())), false);
    let flush = match place {
        Place::Inner => FlushCompress::Sync,
        Place::Last => FlushCompress::Finish,
    };
    output.clear();
    // Level 1 makes 9 bits of a byte at the worst; without room for all of it, it can panic (zlib-rs 0.6.8).
    output.reserve(input.len() + input.len() / 8 + 4096);
    let is_primed = before.is_empty() || compress.set_dictionary(before).is_ok();
    // If anything were amiss, stored is right as well.
    let is_done = is_primed && compress.compress_vec(input, output, flush).is_ok();
    if is_done && compress.total_in() == input.len() as u64 && output.len() < output.capacity() {
        Form::Compressed
    } else {
        Form::Stored
    }
}
