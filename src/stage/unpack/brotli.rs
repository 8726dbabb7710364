//! The brotli format (RFC 7932): the single stream of an input.
//! The decoder is the brotli crate's, in steps; it is given no window beyond those of the RFC.

use super::{Coder, Outcome, Step, Unpacker, Wrong};
use crate::stage::fault::Fault;
use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

/// The first seven bits of a stream with windows of up to 1 GiB, which RFC 7932 §9.1 does not have.
const LARGE_WINDOW: u8 = 0b001_0001;

/// Unpacks the stream.
///
/// # Errors
/// A [`Fault`] for what is refused; those of the links.
pub(in crate::stage) fn unpack(unpacker: &mut Unpacker<'_>) -> anyhow::Result<()> {
    let start = unpacker.peek(1)?;
    let Some(&first) = start.first() else { return Err(Unpacker::empty("brotli").into()) };
    if first & 0x7f == LARGE_WINDOW {
        let message = "a large-window stream, which is no brotli as standardized (RFC 7932)";
        let help =
            "it was written with `brotli --large_window`, and may need 1 GiB of memory: use `brotli -d`";
        return Err(Fault::refused(message).help(help).into());
    }
    unpacker.decode(&mut Decoder::new())?;
    unpacker.refuse_bytes_behind(unpacker.offset())
}

struct Decoder {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total_bytes: usize,
}

impl Decoder {
    fn new() -> Self {
        let allocator = StandardAlloc::default;
        let state = BrotliState::new_strict(allocator(), allocator(), allocator());
        Decoder { state, total_bytes: 0 }
    }
}

impl Coder for Decoder {
    fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Step {
        let (mut left, mut taken) = (packed.len(), 0);
        let (mut space, mut given) = (room.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            packed,
            &mut space,
            &mut given,
            room,
            &mut self.total_bytes,
            &mut self.state,
        );
        let outcome = match result {
            BrotliResult::ResultSuccess => Outcome::End,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Outcome::More,
            BrotliResult::ResultFailure => Outcome::Wrong(Wrong::corrupt("invalid brotli data")),
        };
        Step { taken, given, outcome }
    }
}
