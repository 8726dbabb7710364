//! `unbrotli`: decompression of the brotli format (RFC 7932).
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, NO_INTEGRITY_CHECK, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::brotli::unpack;

/// Decompress the brotli format
///
/// Empty, truncated and corrupt input is refused (exit 3), with the place in the input; so is anything behind the end of
/// the stream, after all data is through. Windows are those of RFC 7932, 16 MiB at most: a large-window stream is refused.
///
/// There is no integrity check in this format. Damage that leaves it readable changes the data, and nothing tells.
#[derive(Debug, clap::Parser)]
pub(super) struct Unbrotli {
    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example { chain: "unbrotli", input: b"\x8f\0\x80a\n\x03", output: b"a\n" }],
    ..Entry::of::<Unbrotli>("unbrotli", Role::Filter)
};

impl Stage for Unbrotli {
    fn caveat(&self) -> Option<&'static str> {
        Some(NO_INTEGRITY_CHECK)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, _context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), unpack)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Trial, assert_gives, cut, run, stage};

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn packed(level: u8, bytes: &[u8]) -> Vec<u8> {
        run(&format!("brotli -l {level}"), &[bytes]).output
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            let packed = packed(5, &bytes);
            for chunk_bytes in [1, 7, 4096, 65_536] {
                let outcome = Trial::of("unbrotli").chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
        for level in 0..=11 {
            assert_gives("unbrotli", &packed(level, TEXT), TEXT);
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        assert_eq!(run("unbrotli", &[]).refusal(), "empty input, not brotli data");
        for level in [0, 5, 11] {
            let packed = packed(level, TEXT);
            for length in 1..packed.len() {
                for size in [1, 1000] {
                    let outcome = run("unbrotli", &cut(&packed[..length], size));
                    assert!(TEXT.starts_with(&outcome.output));
                    let expected = format!("truncated at input byte {length}, in compressed data");
                    assert_eq!(outcome.refusal(), expected);
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_gives_anything_that_fits() {
        for level in [0, 5, 11] {
            let packed = packed(level, TEXT);
            for at in 0..packed.len() * 8 {
                let mut flipped = packed.clone();
                flipped[at / 8] ^= 1 << (at % 8);
                let outcome = run("unbrotli --max-output 100K", &cut(&flipped, 5));
                assert!(outcome.output.len() <= 100 * 1024, "bit {at}");
                if outcome.result.is_err() {
                    outcome.refusal();
                }
            }
        }
    }

    #[test]
    fn what_follows_the_stream_is_refused_once_all_data_is_through() {
        for level in [0, 5, 11] {
            let packed = packed(level, TEXT);
            for behind in [&b"\0"[..], b"x", &[0; 5000], &packed] {
                let input = [&packed, behind].concat();
                for size in [1, 2, 3, 100_000] {
                    let outcome = run("unbrotli", &cut(&input, size));
                    assert_eq!(outcome.output, TEXT);
                    let unit = if behind.len() == 1 { "byte" } else { "bytes" };
                    let expected = format!("{} trailing {unit} after the end of the stream", behind.len());
                    assert_eq!(outcome.refusal(), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_no_brotli_data_is_refused() {
        let said = run("unbrotli", &[b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]).refusal();
        assert!(said.ends_with("invalid brotli data"), "{said}");
        // A window of 2³⁰ bytes.
        let said = run("unbrotli", &[b"\x11\x1e\x03"]).refusal();
        assert_eq!(said, "a large-window stream, which is no brotli as standardized (RFC 7932)");
    }

    #[test]
    fn a_limit_is_kept_to_the_byte() {
        let packed = packed(5, &[7; 1_000_000]);
        let outcome = run("unbrotli --max-output 70001", &[&packed]);
        assert_eq!(outcome.output, [7; 70_001]);
        assert!(outcome.refusal().starts_with("unpacks to more than 70001, at input byte "));
        assert_eq!(run("unbrotli --max-output 1000000", &[&packed]).failure(), None);
    }

    #[test]
    fn it_is_said_that_nothing_is_checked() {
        assert!(stage("unbrotli").unwrap().caveat().is_some());
    }
}
