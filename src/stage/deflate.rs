//! `deflate`: compression to the zlib format (RFC 1950), or to a bare DEFLATE stream (RFC 1951).
//! How blocks are compressed is the engine's.

use super::contract::{Body, Context, Entry, Example, NO_INTEGRITY_CHECK, Nature, Opening, Role, Stage};
use super::deflate_engine::{Framing, Preset, Raw, Zlib, compress, compress_flushed};
use super::level::Level;
use crate::flow::{Inlet, Outlet};

/// Compress to the zlib format
///
/// The output is one stream that every zlib reads: the same for the same input, whatever the number of threads. With
/// `--raw` it is the DEFLATE data alone, without header and checksum: nothing in it tells a reader that it was damaged.
///
/// With `--stream` what has come is flushed whenever the input pauses, so that the other side sees it at once; that costs
/// some size, and the output then depends on the pauses.
#[derive(Debug, clap::Parser)]
pub(super) struct Deflate {
    #[command(flatten)]
    level: Level<1, 9, 6>,

    /// Without header and checksum (RFC 1951)
    #[arg(long)]
    raw: bool,

    /// Flush whenever the input pauses
    #[arg(long)]
    stream: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    examples: &[
        Example { chain: "deflate -9 | inflate", input: b"there and back\n", output: b"there and back\n" },
        Example { chain: "deflate --raw | inflate --raw", input: b"bare\n", output: b"bare\n" },
    ],
    ..Entry::of::<Deflate>("deflate", Role::Filter)
};

impl Stage for Deflate {
    fn label(&self) -> String {
        let mut label = format!("-{}", self.level.number);
        for (is_given, option) in [(self.raw, " --raw"), (self.stream, " --stream")] {
            if is_given {
                label.push_str(option);
            }
        }
        label
    }

    fn caveat(&self) -> Option<&'static str> {
        self.raw.then_some(NO_INTEGRITY_CHECK)
    }

    fn advice(&self) -> Vec<&'static str> {
        if self.level.number == 1 { Vec::new() } else { vec!["deflate -1"] }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            if self.raw {
                self.framed::<Raw>(inlet, outlet, context)
            } else {
                self.framed::<Zlib>(inlet, outlet, context)
            }
        }))
    }
}

impl Deflate {
    fn framed<F: Framing>(
        &self,
        inlet: &mut Inlet,
        outlet: &mut Outlet,
        context: &Context,
    ) -> anyhow::Result<()> {
        if self.stream {
            return compress_flushed::<F>(self.level.number, inlet, outlet);
        }
        Ok(compress::<F>(Preset::new(self.level.number), inlet, outlet, context)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use flate2::bufread::{DeflateDecoder, ZlibDecoder};
    use std::io::Read;

    /// Text with a stretch that does not compress, longer than two blocks.
    fn bytes(count: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut bytes = Vec::with_capacity(count + 32);
        while bytes.len() < count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match bytes.len() {
                600_000..1_200_000 => bytes.extend_from_slice(&state.to_be_bytes()[..3]),
                _ => bytes.extend_from_slice(format!("word{} ", state >> 22).as_bytes()),
            }
        }
        bytes.truncate(count);
        bytes
    }

    fn unpacked(call: &str, packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let left = if call.contains("--raw") {
            let mut decoder = DeflateDecoder::new(packed);
            decoder.read_to_end(&mut bytes).expect("good deflate data");
            decoder.into_inner()
        } else {
            let mut decoder = ZlibDecoder::new(packed);
            decoder.read_to_end(&mut bytes).expect("good zlib data");
            decoder.into_inner()
        };
        assert!(left.is_empty(), "there is something behind the stream");
        bytes
    }

    #[test]
    fn every_size_comes_back_and_the_cut_of_the_input_changes_nothing() {
        for call in ["deflate", "deflate -1 --raw", "deflate -9", "deflate --raw"] {
            for size in [0, 1, 2, 4097, 65_535, 65_536, 524_287, 524_288, 524_289, 1_800_000] {
                let bytes = bytes(size);
                let whole = run(call, &[&bytes]).output;
                assert!(unpacked(call, &whole) == bytes, "`{call}`, {size} bytes");
                let piece_bytes = if size < 5000 { 1 } else { 65_521 };
                let small = Trial::of(call).chunk_bytes(4096).run(&cut(&bytes, piece_bytes)).output;
                assert!(small == whole, "`{call}`, {size} bytes");
            }
        }
    }

    #[test]
    fn a_stream_is_flushed_when_the_input_pauses() {
        let bytes = bytes(10_000);
        for call in ["deflate --stream", "deflate --raw --stream -1"] {
            // The input goes on when enough came out: without a flush that would be never.
            let flushed = Trial::of(call).taking(100).ending(Ending::Awaited).run(&[&bytes[..1000]]);
            assert!(flushed.output.ends_with(&[0, 0, 0xff, 0xff]), "`{call}`");
            assert!(unpacked(call, &run(call, &cut(&bytes, 100)).output) == bytes, "`{call}`");
        }
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("deflate").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_what_was_asked_for() {
        assert_eq!(stage("deflate").unwrap().label(), "-6");
        assert_eq!(stage("deflate -l 9 --stream --raw").unwrap().label(), "-9 --raw --stream");
    }
}
