//! `unxz`: decompression of the xz format, all streams of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::xz::{MEMORY_BYTES, unpack};

/// Decompress the xz format
///
/// All streams are unpacked, one after another, with padding between them and behind the last. The integrity check is
/// verified, whether it is CRC32, CRC64 or SHA-256; a stream that was made without one (`xz --check=none`) is unpacked
/// unverified. Empty, truncated and corrupt input is refused (exit 3), with the place in the input; so are filters and
/// checks that are not supported, and anything behind the last stream, after all data is through. The older format of
/// `.lzma` files is refused.
///
/// What `xz -9` packs needs 65 MiB to unpack. More than 256 MiB are refused unless `--memory` allows them.
#[derive(Debug, clap::Parser)]
pub(super) struct Unxz {
    /// Use this much memory if it is needed; 256M if not given
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    memory: Option<Amount>,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example { chain: "unxz", input: EXAMPLE, output: b"a\n" }],
    ..Entry::of::<Unxz>("unxz", Role::Filter)
};

/// What `xz` makes of `a` and a line feed.
const EXAMPLE: &[u8] = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x01a\n\0\0\0\x13G?\xb8\x93\x9dE\xd4\0\x01\x1a\x02\xdc.\xa5~\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

impl Stage for Unxz {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let memory_bytes = self.memory.as_ref().map_or(MEMORY_BYTES, |amount| amount.bytes);
        Ok(Body::filter(move |inlet, outlet, _context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| unpack(unpacker, memory_bytes))
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
    use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn stream(bytes: &[u8], check: Check) -> Vec<u8> {
        packed(bytes, Stream::new_easy_encoder(6, check).unwrap())
    }

    fn packed(bytes: &[u8], mut encoder: Stream) -> Vec<u8> {
        let mut packed = Vec::with_capacity(bytes.len() + 1000);
        let status = encoder.process_vec(bytes, &mut packed, Action::Finish).unwrap();
        assert_eq!(status, Status::StreamEnd);
        packed
    }

    fn unxz(bytes: &[u8]) -> Outcome {
        run("unxz", &[bytes])
    }

    #[test]
    fn every_stream_is_unpacked_whatever_its_check() {
        let streams =
            [Check::Crc64, Check::Crc32, Check::Sha256, Check::None].map(|check| stream(TEXT, check));
        assert_gives("unxz", &streams.concat(), &TEXT.repeat(4));
        let empty = stream(b"", Check::Crc64);
        assert_gives("unxz", &[&streams[0], &empty[..], &streams[1]].concat(), &TEXT.repeat(2));
        assert_gives("unxz", &empty, b"");
    }

    #[test]
    fn filters_in_front_of_the_coder_are_supported() {
        let options = LzmaOptions::new_preset(1).unwrap();
        let mut filters = Filters::new();
        filters.x86().lzma2(&options);
        let encoder = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
        assert_gives("unxz", &packed(TEXT, encoder), TEXT);
    }

    #[test]
    fn padding_is_in_groups_of_four() {
        let one = stream(TEXT, Check::Crc64);
        for count in [4, 8, 512, 4096] {
            assert_gives("unxz", &[&one[..], &vec![0; count]].concat(), TEXT);
            assert_gives("unxz", &[&one[..], &vec![0; count], &one].concat(), &TEXT.repeat(2));
        }
        for count in [1, 2, 3, 5, 4095] {
            let outcome = unxz(&[&one[..], &vec![0; count]].concat());
            assert_eq!(outcome.output, TEXT);
            let place = one.len() + count;
            let expected = format!(
                "corrupt data at input byte {place}: padding of {count} NUL bytes is no multiple of 4"
            );
            assert_eq!(outcome.refusal(), expected);
            let outcome = unxz(&[&one[..], &vec![0; count], &one].concat());
            assert_eq!(outcome.output, TEXT);
            assert!(outcome.refusal().ends_with("trailing bytes after the end of the stream"));
        }
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            let packed = stream(&bytes, Check::Crc64);
            for chunk_bytes in [7, 4096, 65_536] {
                let outcome = Trial::of("unxz").chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        let one = stream(TEXT, Check::Crc64);
        let all = [&one[..], &[0; 4], &one].concat();
        for length in 0..all.len() {
            let outcome = unxz(&all[..length]);
            assert!(TEXT.repeat(2).starts_with(&outcome.output));
            let behind = length.checked_sub(one.len());
            let expected = match behind {
                _ if length == 0 => "empty input, not xz data".to_owned(),
                Some(0 | 4) => {
                    assert_eq!(outcome.failure(), None, "cut at {length}");
                    continue;
                }
                Some(1..4) => format!("corrupt data at input byte {length}: padding of "),
                _ => format!("truncated at input byte {length}, in "),
            };
            let refusal = outcome.refusal();
            assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
        }
    }

    #[test]
    fn every_flip_is_refused_or_harmless_however_the_input_is_cut() {
        let all = [stream(TEXT, Check::Crc64), stream(&[b'x'; 1000], Check::Crc32)].concat();
        let bytes = [TEXT, &[b'x'; 1000]].concat();
        let mut refused = 0;
        for at in 0..all.len() {
            for bit in 0..8 {
                let mut flipped = all.clone();
                flipped[at] ^= 1 << bit;
                let whole = unxz(&flipped);
                if whole.result.is_ok() {
                    assert!(whole.output == bytes, "bit {bit} of byte {at}");
                    continue;
                }
                refused += 1;
                let pieces = Trial::of("unxz").chunk_bytes(31).run(&cut(&flipped, 1));
                assert_eq!(whole.refusal(), pieces.refusal(), "bit {bit} of byte {at}");
                // The coder reads on where a chunk should have ended, as far as there is something to read.
                assert!(whole.output.starts_with(&pieces.output), "bit {bit} of byte {at}");
            }
        }
        assert!(refused > 7 * all.len(), "{refused} of {} flips refused", 8 * all.len());
    }

    #[test]
    fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
        for (trailing, count) in [
            (&b"text"[..], "4 trailing bytes"),
            (b"\x01", "1 trailing byte"),
            (b"\xfd7zXY\0\0\0", "8 trailing bytes"),
            (b"\0\0\0\0text", "8 trailing bytes"),
        ] {
            let bytes = [&stream(TEXT, Check::Crc64), trailing].concat();
            for size in [1, 5, bytes.len()] {
                let outcome = run("unxz", &cut(&bytes, size));
                assert_eq!(outcome.output, TEXT);
                assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
            }
        }
    }

    #[test]
    fn what_is_not_supported_is_told_as_such() {
        assert_eq!(unxz(b"").refusal(), "empty input, not xz data");
        assert_eq!(unxz(b"text and more").refusal(), "not xz data (starts with `text`)");
        let options = LzmaOptions::new_preset(0).unwrap();
        let lzma = packed_without_end(TEXT, Stream::new_lzma_encoder(&options).unwrap());
        assert_eq!(unxz(&lzma).refusal(), "lzma data, the format before xz, is not supported");

        // The checksum of the flags is that of gzip.
        let changed = |kind: u8| {
            let mut changed = stream(TEXT, Check::Crc32);
            changed[7] = kind;
            let mut crc = flate2::Crc::new();
            crc.update(&changed[6..8]);
            changed[8..12].copy_from_slice(&crc.sum().to_le_bytes());
            unxz(&changed).refusal()
        };
        assert_eq!(changed(2), "has an integrity check of kind 2, which is not supported");
        assert_eq!(changed(0x10), "needs a filter or an option that is not supported, at input byte 12");
    }

    fn packed_without_end(bytes: &[u8], mut encoder: Stream) -> Vec<u8> {
        let mut packed = Vec::with_capacity(bytes.len() + 1000);
        encoder.process_vec(bytes, &mut packed, Action::Finish).unwrap();
        packed
    }

    #[test]
    fn memory_is_bounded_and_told_if_it_does_not_do() {
        let encoder = |log: u32| {
            let mut options = LzmaOptions::new_preset(0).unwrap();
            options.dict_size(1 << log);
            let mut filters = Filters::new();
            filters.lzma2(&options);
            Stream::new_stream_encoder(&filters, Check::Crc64).unwrap()
        };
        let small = packed(TEXT, encoder(22));
        assert_gives("unxz", &small, TEXT);
        let refusal = run("unxz --memory 1M", &[&small]).refusal();
        assert!(refusal.starts_with("needs 4."), "{refusal}");
        assert!(refusal.ends_with(" MiB of memory, at input byte 24; 1.00 MiB are allowed"), "{refusal}");
        assert_eq!(run("unxz --memory 5M", &[&small]).failure(), None);
        // In every stream, not in the first alone.
        let outcome = run("unxz --memory 1M", &[&[stream(b"", Check::None), small].concat()]);
        assert!(outcome.refusal().contains(", at input byte 56;"));
    }

    #[test]
    fn data_is_sent_on_as_soon_as_it_can_be() {
        let mut encoder = Stream::new_easy_encoder(6, Check::Crc64).unwrap();
        let mut packed = Vec::with_capacity(1000);
        encoder.process_vec(TEXT, &mut packed, Action::SyncFlush).unwrap();
        let open = Trial::of("unxz").taking(TEXT.len()).ending(Ending::Awaited);
        assert_eq!(open.run(&[&packed]).output, TEXT);
    }

    #[test]
    fn an_output_over_the_limit_is_refused() {
        let packed = stream(&[b'x'; 100_000], Check::Crc64);
        let outcome = Trial::of("unxz --max-output 1000").chunk_bytes(64).run(&[&packed]);
        assert_eq!(outcome.output, [b'x'; 1000]);
        assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
        assert_eq!(run("unxz --max-output 100000", &[&packed]).failure(), None);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        let outcome = Trial::of("unxz").ending(Ending::Aborted).run(&[&stream(TEXT, Check::Crc64)]);
        assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
    }
}
