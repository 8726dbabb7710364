//! `unzstd`: decompression of the zstd format (RFC 8878), all frames of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::zstd::{MEMORY_BYTES, unpack};

/// Decompress the zstd format
///
/// All frames are unpacked, one after another; frames that are to be skipped are. The checksum of a frame is verified
/// where it has one, as those of `zstd` have. Empty, truncated and corrupt input is refused (exit 3), with the place in
/// the input; so are frames that need a dictionary, and anything behind the last frame, after all data is through.
///
/// A frame says how much of what was unpacked is needed to go on, its window: what `zstd --long` packs may need up to
/// 2 GiB. More than 128 MiB are refused unless `--memory` allows them.
#[derive(Debug, clap::Parser)]
pub(super) struct Unzstd {
    /// Unpack frames with windows up to this size; 128M if not given
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    memory: Option<Amount>,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example { chain: "unzstd", input: b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0a\n", output: b"a\n" }],
    ..Entry::of::<Unzstd>("unzstd", Role::Filter)
};

impl Stage for Unzstd {
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
    use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";
    const CHECKSUM: CParameter = CParameter::ChecksumFlag(true);
    const NO_SIZE: CParameter = CParameter::ContentSizeFlag(false);
    /// A frame's header without anything special, up to its window.
    const PLAIN: [u8; 5] = [0x28, 0xb5, 0x2f, 0xfd, 0];

    fn frame(bytes: &[u8], parameters: &[CParameter]) -> Vec<u8> {
        let mut coder = CCtx::create();
        for parameter in parameters {
            coder.set_parameter(*parameter).unwrap();
        }
        let mut packed = Vec::with_capacity(compress_bound(bytes.len()));
        coder.compress2(&mut packed, bytes).unwrap();
        packed
    }

    fn skippable(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        [&[0x50 + kind, 0x2a, 0x4d, 0x18], &length[..], bytes].concat()
    }

    fn unzstd(bytes: &[u8]) -> Outcome {
        run("unzstd", &[bytes])
    }

    /// Frames of every kind, with several blocks in one of them, and what is in them.
    fn all_kinds() -> (Vec<Vec<u8>>, Vec<u8>) {
        let long = [&[b'x'; 140_000][..], TEXT].concat();
        let frames = vec![
            skippable(0, b""),
            frame(TEXT, &[CHECKSUM]),
            frame(b"", &[]),
            frame(&long, &[CHECKSUM, NO_SIZE]),
            skippable(15, TEXT),
            frame(b"", &[CHECKSUM, NO_SIZE]),
            frame(TEXT, &[CHECKSUM, NO_SIZE]),
            skippable(7, b"\x28\xb5\x2f\xfd"),
        ];
        (frames, [TEXT, &long, TEXT].concat())
    }

    #[test]
    fn every_frame_is_unpacked_and_what_is_to_be_skipped_is() {
        let (frames, bytes) = all_kinds();
        assert_gives("unzstd", &frames.concat(), &bytes);
        assert_gives("unzstd", &[frames.concat(), frames.concat()].concat(), &bytes.repeat(2));
        assert_gives("unzstd", &skippable(3, TEXT), b"");
    }

    #[test]
    fn sizes_around_the_edges_of_blocks_and_chunks_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 131_071, 131_072, 131_073, 300_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            let packed = frame(&bytes, &[CHECKSUM]);
            for chunk_bytes in [7, 4096, 65_536] {
                let outcome = Trial::of("unzstd").chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        let (frames, bytes) = all_kinds();
        let packed = frames.concat();
        let ends: Vec<usize> = (0..=frames.len()).map(|count| frames[..count].concat().len()).collect();
        for length in 0..packed.len() {
            let outcome = unzstd(&packed[..length]);
            assert!(bytes.starts_with(&outcome.output));
            if length > 0 && ends.contains(&length) {
                assert_eq!(outcome.failure(), None, "cut at {length}");
                continue;
            }
            let refusal = outcome.refusal();
            let expected = match length {
                0 => "empty input, not zstd data".to_owned(),
                _ => format!("truncated at input byte {length}, in "),
            };
            assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
        }
    }

    #[test]
    fn every_flip_is_refused_or_harmless_however_the_input_is_cut() {
        let long = [&[b'x'; 140_000][..], TEXT].concat();
        let packed = [frame(TEXT, &[CHECKSUM]), frame(&long, &[CHECKSUM, NO_SIZE])].concat();
        let bytes = [TEXT, &long].concat();
        let mut refused = 0;
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut flipped = packed.clone();
                flipped[at] ^= 1 << bit;
                let whole = unzstd(&flipped);
                if whole.result.is_ok() {
                    assert!(whole.output == bytes, "bit {bit} of byte {at}");
                    continue;
                }
                refused += 1;
                let pieces = Trial::of("unzstd").chunk_bytes(4093).run(&cut(&flipped, 1));
                assert!(whole.output == pieces.output, "bit {bit} of byte {at}: {}", pieces.refusal());
                assert_eq!(whole.refusal(), pieces.refusal(), "bit {bit} of byte {at}");
            }
        }
        assert!(refused > 7 * packed.len(), "{refused} of {} flips refused", 8 * packed.len());
    }

    #[test]
    fn each_kind_of_damage_has_its_message() {
        let packed = frame(TEXT, &[CHECKSUM]);
        let end = packed.len();
        let changed = |at: usize, byte: u8| {
            let mut changed = packed.clone();
            changed[at] = byte;
            unzstd(&changed).refusal()
        };
        assert_eq!(
            changed(end - 1, !packed[end - 1]),
            format!("corrupt data at input byte {end}: checksum mismatch")
        );
        assert_eq!(
            changed(4, packed[4] | 8),
            "corrupt data at input byte 5: a reserved bit is set in a header"
        );
        assert_eq!(changed(6, 0xff), "corrupt data at input byte 9: invalid block header");
        assert_eq!(changed(10, 0xff), format!("corrupt data at input byte {}: invalid block", end - 4));
    }

    #[test]
    fn other_formats_are_refused_by_their_beginning() {
        assert_eq!(unzstd(b"").refusal(), "empty input, not zstd data");
        assert_eq!(unzstd(b"text and more").refusal(), "not zstd data (starts with `text`)");
        assert_eq!(unzstd(b"\x28").refusal(), "truncated at input byte 1, in a header");
        assert_eq!(unzstd(b"\x28a").refusal(), "not zstd data (starts with `(a`)");
        for (first, version) in [(0x1e, 1), (0x22, 2), (0x27, 7)] {
            let expected = format!("zstd data of the format of version 0.{version}, which is not supported");
            assert_eq!(unzstd(&[first, 0xb5, 0x2f, 0xfd, 0]).refusal(), expected);
        }
    }

    #[test]
    fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
        for (trailing, count) in [
            (&b"text"[..], "4 trailing bytes"),
            (b"\0", "1 trailing byte"),
            (b"\0\0\0\0\x28\xb5\x2f\xfd", "8 trailing bytes"),
            (b"\x28\xb5\x2e", "3 trailing bytes"),
        ] {
            let bytes = [&frame(TEXT, &[]), trailing].concat();
            for size in [1, 5, bytes.len()] {
                let outcome = run("unzstd", &cut(&bytes, size));
                assert_eq!(outcome.output, TEXT);
                assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
            }
        }
    }

    #[test]
    fn a_dictionary_is_named() {
        let with_dictionary = [&PLAIN[..4], &[2, 0x58, 0x39, 0x30, 1, 0, 0]].concat();
        assert_eq!(unzstd(&with_dictionary).refusal(), "needs dictionary ID 12345, at input byte 8");
    }

    #[test]
    fn windows_are_bounded_by_what_is_allowed() {
        // An empty last block behind the header.
        let of = |window: u8| [&PLAIN[..], &[window, 1, 0, 0]].concat();
        assert_eq!(unzstd(&of(17 << 3)).failure(), None);
        let refusal = unzstd(&of(17 << 3 | 1)).refusal();
        assert_eq!(refusal, "needs a window of 144 MiB, at input byte 6; 128 MiB are allowed");
        for (memory, window) in [("144M", 17 << 3 | 1), ("2G", 21 << 3)] {
            let call = format!("unzstd --memory {memory}");
            assert_eq!(run(&call, &[&of(window)]).failure(), None, "{memory}");
        }
        let refusal = run("unzstd --memory 1000T", &[&of(22 << 3)]).refusal();
        assert_eq!(refusal, "needs a window of 4.00 GiB, at input byte 6");
        // All of the content is the window.
        let single = [&PLAIN[..4], &[0xe0], &[0xff; 8]].concat();
        assert!(unzstd(&single).refusal().starts_with("needs a window of 16.0 EiB, at input byte 13"));
        assert!(run("unzstd --memory 1K", &[&frame(&[7; 2000], &[])]).result.is_err());
    }

    #[test]
    fn data_is_sent_on_as_soon_as_it_can_be() {
        let packed = frame(&[TEXT, &[b'x'; 200_000]].concat(), &[NO_SIZE]);
        let open = Trial::of("unzstd").taking(131_072).ending(Ending::Awaited);
        // Without the last block: what the first one holds has to come.
        let outcome = open.run(&[&packed[..packed.len() - 3]]);
        assert!(outcome.output.starts_with(TEXT));
    }

    #[test]
    fn an_output_over_the_limit_is_refused() {
        let packed = frame(&[b'x'; 100_000], &[CHECKSUM]);
        let outcome = Trial::of("unzstd --max-output 1000").chunk_bytes(64).run(&[&packed]);
        assert_eq!(outcome.output, [b'x'; 1000]);
        assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
        assert_eq!(run("unzstd --max-output 100000", &[&packed]).failure(), None);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        let outcome = Trial::of("unzstd").ending(Ending::Aborted).run(&[&frame(TEXT, &[])]);
        assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
    }
}
