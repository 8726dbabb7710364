//! `inflate`: decompression of the zlib format (RFC 1950), or of a bare DEFLATE stream (RFC 1951).
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, NO_INTEGRITY_CHECK, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::zlib::{unpack, unpack_raw};

/// Decompress the zlib format
///
/// Empty, truncated and corrupt input is refused (exit 3), with the place in the input; so is anything behind the end of
/// the stream, after all data is through.
///
/// With `--raw` the input is DEFLATE data alone, without header and checksum: there is no integrity check in this format.
/// Damage that leaves it readable changes the data, and nothing tells.
#[derive(Debug, clap::Parser)]
pub(super) struct Inflate {
    /// Without header and checksum (RFC 1951)
    #[arg(long)]
    raw: bool,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[
        Example { chain: "inflate", input: b"\x78\x9c\x4b\xe4\x02\0\0\xce\0\x6c", output: b"a\n" },
        Example { chain: "inflate --raw", input: b"\x4b\xe4\x02\0", output: b"a\n" },
    ],
    ..Entry::of::<Inflate>("inflate", Role::Filter)
};

impl Stage for Inflate {
    fn label(&self) -> String {
        if self.raw { "--raw".to_owned() } else { String::new() }
    }

    fn caveat(&self) -> Option<&'static str> {
        self.raw.then_some(NO_INTEGRITY_CHECK)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let unpack = if self.raw { unpack_raw } else { unpack };
        Ok(Body::filter(move |inlet, outlet, _context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), unpack)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Trial, assert_gives, cut, run, stage};
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    use std::io::Write;

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The codes of a block, as digits, most significant bit first as Huffman codes are sent.
    fn stream(codes: &[&str]) -> Vec<u8> {
        let bits: Vec<u8> = codes.concat().bytes().map(|digit| digit - b'0').collect();
        let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
        bits.chunks(8).map(byte).collect()
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            for (call, packed) in [("inflate", zlib(&bytes, 6)), ("inflate --raw", raw(&bytes, 6))] {
                for chunk_bytes in [1, 7, 4096, 65_536] {
                    let outcome = Trial::of(call).chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                    assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                    assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
                }
            }
        }
        for level in 0..=9 {
            assert_gives("inflate", &zlib(TEXT, level), TEXT);
            assert_gives("inflate --raw", &raw(TEXT, level), TEXT);
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        let packed = zlib(TEXT, 6);
        for length in 0..packed.len() {
            let expected = match length {
                0 => "empty input, not zlib data".to_owned(),
                1 => "truncated at input byte 1, in the header".to_owned(),
                _ if length < packed.len() - 4 => {
                    format!("truncated at input byte {length}, in compressed data")
                }
                _ => format!("truncated at input byte {length}, in the checksum"),
            };
            for size in [1, 1000] {
                assert_eq!(run("inflate", &cut(&packed[..length], size)).refusal(), expected);
            }
        }
        let packed = raw(TEXT, 6);
        for length in 0..packed.len() {
            let expected = format!("truncated at input byte {length}, in compressed data");
            assert_eq!(run("inflate --raw", &[&packed[..length]]).refusal(), expected);
        }
    }

    #[test]
    fn no_flipped_bit_gives_other_bytes() {
        let packed = zlib(TEXT, 6);
        for at in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let outcome = run("inflate", &[&flipped]);
            assert!(outcome.result.is_err() || outcome.output == TEXT, "bit {at}");
        }
    }

    #[test]
    fn raw_data_may_be_flipped_into_anything_that_fits() {
        let packed = raw(TEXT, 6);
        for at in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let outcome = run("inflate --raw --max-output 100K", &cut(&flipped, 5));
            assert!(outcome.output.len() <= 100 * 1024, "bit {at}");
            if outcome.result.is_err() {
                outcome.refusal();
            }
        }
    }

    #[test]
    fn what_follows_the_stream_is_refused_once_all_data_is_through() {
        for (call, packed) in [("inflate", zlib(TEXT, 6)), ("inflate --raw", raw(TEXT, 6))] {
            for behind in [&b"\0"[..], b"x", &[0; 5000], &packed] {
                let input = [&packed, behind].concat();
                for size in [1, 100_000] {
                    let outcome = run(call, &cut(&input, size));
                    assert_eq!(outcome.output, TEXT);
                    let unit = if behind.len() == 1 { "byte" } else { "bytes" };
                    let expected = format!("{} trailing {unit} after the end of the stream", behind.len());
                    assert_eq!(outcome.refusal(), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_no_zlib_data_is_told() {
        for (input, expected) in [
            (&b"a text"[..], "not zlib data (starts with `a te`)"),
            (b"a", "not zlib data (starts with `a`)"),
            (b"\x1f\x8b\x08\0", "not zlib data (starts with `\\x1f\\x8b\\x08\\x00`)"),
            (b"\x78\x9d", "not zlib data (starts with `x\\x9d`)"),
            // A window of 64 KiB, with the right check.
            (b"\x88\x1c\x03", "not zlib data (starts with `\\x88\\x1c\\x03`)"),
            (b"\x78\xbb\x12\x34\x56\x78", "needs a preset dictionary (adler-32 12345678)"),
            (b"\x78\xbb\x12", "truncated at input byte 3, in the header"),
            (b"\x78\x9c\x07", "corrupt data at input byte 3: invalid deflate data"),
            (b"\x78\x9c\x4b\xe4\x02\0\0\xce\0\x6d", "corrupt data at input byte 10: adler-32 mismatch"),
        ] {
            assert_eq!(run("inflate", &[input]).refusal(), expected);
            assert_eq!(run("inflate", &cut(input, 1)).refusal(), expected);
        }
    }

    #[test]
    fn a_reference_to_before_the_beginning_is_refused() {
        let (fixed, a, end) = ("110", "10010001", "0000000");
        let (three_bytes, from_one_back, from_two_back) = ("0000001", "00000", "00001");
        let good = stream(&[fixed, a, three_bytes, from_one_back, end]);
        assert_gives("inflate --raw", &good, b"aaaa");
        // 32 768 bytes back: code 29, all of its 13 bits set.
        let from_far_back = "111011111111111111";
        for (before, distance) in
            [("", from_one_back), (a, from_two_back), ("", from_far_back), (a, from_far_back)]
        {
            let wrong = stream(&[fixed, before, three_bytes, distance, end]);
            for size in [1, 100] {
                let said = run("inflate --raw", &cut(&wrong, size)).refusal();
                assert!(said.ends_with("invalid deflate data"), "{said}");
            }
        }
    }

    #[test]
    fn a_limit_is_kept_to_the_byte() {
        let packed = zlib(&[7; 1_000_000], 9);
        let outcome = run("inflate --max-output 70001", &[&packed]);
        assert_eq!(outcome.output, [7; 70_001]);
        assert!(outcome.refusal().starts_with("unpacks to more than 70001, at input byte "));
        assert_eq!(run("inflate --max-output 1000000", &[&packed]).failure(), None);
    }

    #[test]
    fn it_is_said_where_nothing_is_checked() {
        assert!(stage("inflate").unwrap().caveat().is_none());
        assert!(stage("inflate --raw").unwrap().caveat().is_some());
    }
}
