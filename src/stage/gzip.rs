//! `gzip`: compression to the gzip format (RFC 1952), one member: in blocks on the worker pool, or as it comes.
//! How blocks are compressed is the engine's.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::deflate_engine::{Gzip as Framing, Preset, compress, compress_flushed};
use super::level::Level;

/// Compress to the gzip format
///
/// The output is one member that every gzip reads. It holds no name and no time: the same input gives the same output,
/// whatever the number of threads. It is packed in blocks that do not depend on each other, and the header names their
/// size, so that `gunzip` can unpack it on all cores.
///
/// With `--stream` what has come is flushed whenever the input pauses, so that the other side sees it at once; that costs
/// some size, and the output then depends on the pauses.
#[derive(Debug, clap::Parser)]
pub(super) struct Gzip {
    #[command(flatten)]
    level: Level<1, 9, 6>,

    /// Flush whenever the input pauses
    #[arg(long)]
    stream: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Compressor,
    examples: &[
        Example { chain: "gzip -9 | gunzip", input: b"there and back\n", output: b"there and back\n" },
        Example { chain: "gzip --stream | gunzip", input: b"at once\n", output: b"at once\n" },
    ],
    ..Entry::of::<Gzip>("gzip", Role::Filter)
};

impl Stage for Gzip {
    fn label(&self) -> String {
        let level = self.level.number;
        if self.stream { format!("-{level} --stream") } else { format!("-{level}") }
    }

    fn advice(&self) -> Vec<&'static str> {
        if self.level.number == 1 { Vec::new() } else { vec!["gzip -1"] }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let level = self.level.number;
        Ok(Body::filter(move |inlet, outlet, context| {
            if self.stream {
                return compress_flushed::<Framing>(level, inlet, outlet);
            }
            Ok(compress::<Framing>(Preset::new(level), inlet, outlet, context)?)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, cut, run, stage};
    use flate2::bufread::GzDecoder;
    use std::io::Read;

    /// Neither trivial nor incompressible.
    fn bytes(count: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let words: Vec<Vec<u8>> = (0..200).map(|_| (0..2 + byte() % 9).map(|_| byte()).collect()).collect();
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend_from_slice(&words[usize::from(byte()) % words.len()]);
        }
        bytes.truncate(count);
        bytes
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let (mut bytes, mut decoder) = (Vec::new(), GzDecoder::new(packed));
        decoder.read_to_end(&mut bytes).expect("one good member");
        assert!(decoder.into_inner().is_empty(), "there is something behind the member");
        bytes
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 2, 4095, 4096, 4097, 8192, 40_000] {
            let bytes = bytes(size);
            for chunk_bytes in [1, 7, 4096] {
                let packed = Trial::of("gzip").chunk_bytes(chunk_bytes).run(&cut(&bytes, 4096));
                assert_eq!(packed.failure(), None);
                assert!(unpacked(&packed.output) == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn the_output_does_not_depend_on_how_the_input_is_cut() {
        let bytes = bytes(400_000);
        for level in 1..=9 {
            let call = format!("gzip -{level}");
            let whole = run(&call, &[&bytes]).output;
            assert!(unpacked(&whole) == bytes);
            for size in [251, 4093, 65_536, 262_144] {
                assert!(run(&call, &cut(&bytes, size)).output == whole, "level {level}, pieces of {size}");
            }
            for chunk_bytes in [4096, 65_536] {
                let output = Trial::of(&call).chunk_bytes(chunk_bytes).run(&[&bytes]).output;
                assert!(output == whole, "level {level}, into chunks of {chunk_bytes}");
            }
        }
        let few = &bytes[..3000];
        assert!(run("gzip", &cut(few, 1)).output == run("gzip", &[few]).output);
    }

    #[test]
    fn the_header_tells_neither_time_nor_name() {
        assert_eq!(run("gzip", &[b"a"]).output[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(run("gzip -9", &[b"a"]).output[8], 2);
        assert_eq!(run("gzip -1", &[b"a"]).output[8], 4);
    }

    #[test]
    fn a_stream_is_flushed_when_the_input_pauses() {
        let bytes = bytes(10_000);
        // The input goes on when enough came out: without a flush that would be never.
        let flushed = Trial::of("gzip --stream").taking(100).ending(Ending::Awaited).run(&[&bytes[..1000]]);
        let mut got = Vec::new();
        let _ = GzDecoder::new(&flushed.output[..]).read_to_end(&mut got);
        assert!(got == bytes[..1000], "{} bytes came through", got.len());

        let outcome = run("gzip --stream", &cut(&bytes, 100));
        assert!(unpacked(&outcome.output) == bytes);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("gzip").ending(Ending::Aborted).run(&[b"a"]).result.is_err());
    }

    #[test]
    fn its_label_is_its_level() {
        assert_eq!(stage("gzip").unwrap().label(), "-6");
        assert_eq!(stage("gzip -l 9 --stream").unwrap().label(), "-9 --stream");
    }
}
