//! `gunzip`: decompression of the gzip format (RFC 1952), all members of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::gzip::{Trailing, unpack};

/// Decompress the gzip format
///
/// All members are unpacked, one after another. Empty, truncated and corrupt input is refused (exit 3), with the place
/// in the input; so is anything behind the last member other than padding with NUL bytes, after all data is through.
#[derive(Debug, clap::Parser)]
pub(super) struct Gunzip {
    /// Ignore what follows the last member
    #[arg(long)]
    allow_trailing: bool,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example {
        chain: "gunzip",
        input: b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b\xe4\x02\0\x07\xa1\xea\xdd\x02\0\0\0",
        output: b"a\n",
    }],
    ..Entry::of::<Gunzip>("gunzip", Role::Filter)
};

impl Stage for Gunzip {
    fn label(&self) -> String {
        if self.allow_trailing { "--allow-trailing".to_owned() } else { String::new() }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let trailing = if self.allow_trailing { Trailing::Ignored } else { Trailing::Refused };
        Ok(Body::filter(move |inlet, outlet, context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| {
                unpack(unpacker, trailing, context)
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Outcome, Trial, assert_gives, cut, run};
    use flate2::{Compression, GzBuilder};
    use std::io::Write;

    /// RFC 1952 §2.3.1: a checksum of the header follows it.
    const FLAG_HEADER_CRC: u8 = 1 << 1;
    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn member(bytes: &[u8]) -> Vec<u8> {
        built(GzBuilder::new(), bytes)
    }

    fn built(header: GzBuilder, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = header.write(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// With a checksum of its own, which no encoder at hand writes.
    fn with_header_crc(bytes: &[u8]) -> Vec<u8> {
        let plain = member(bytes);
        let mut header = plain[..10].to_vec();
        header[3] |= FLAG_HEADER_CRC;
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        [&header, &crc.sum().to_le_bytes()[..2], &plain[10..]].concat()
    }

    fn gunzip(bytes: &[u8]) -> Outcome {
        run("gunzip", &[bytes])
    }

    #[test]
    fn sizes_around_the_edge_of_a_chunk_come_back() {
        for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|index: u64| ((index * index) >> 3) as u8).collect();
            let packed = member(&bytes);
            for chunk_bytes in [1, 7, 4096, 65_536] {
                let outcome = Trial::of("gunzip").chunk_bytes(chunk_bytes).run(&cut(&packed, 509));
                assert_eq!(outcome.failure(), None, "{size} bytes in chunks of {chunk_bytes}");
                assert!(outcome.output == bytes, "{size} bytes in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn every_member_is_unpacked_with_all_that_a_header_may_hold() {
        let named = GzBuilder::new().filename("name").comment("comment").extra(vec![7; 300]).mtime(9);
        let members = [built(named, TEXT), member(b""), with_header_crc(TEXT)];
        assert_gives("gunzip", &members.concat(), &[TEXT, TEXT].concat());
    }

    #[test]
    fn padding_with_nuls_is_accepted() {
        for count in [1, 2, 511, 5000] {
            assert_gives("gunzip", &[member(TEXT), vec![0; count]].concat(), TEXT);
        }
    }

    #[test]
    fn every_cut_is_refused_at_its_place() {
        let packed = [built(GzBuilder::new().filename("name"), TEXT), member(TEXT)].concat();
        let first_length = packed.len() - member(TEXT).len();
        for length in 0..packed.len() {
            let outcome = gunzip(&packed[..length]);
            if length == first_length {
                assert_eq!((outcome.failure(), &outcome.output[..]), (None, TEXT));
                continue;
            }
            let expected = match length {
                0 => "empty input, not gzip data".to_owned(),
                _ if length == first_length + 1 => "1 trailing byte after the end of the stream".to_owned(),
                _ => format!("truncated at input byte {length}, "),
            };
            let refusal = outcome.refusal();
            assert!(refusal.starts_with(&expected), "cut at {length}: {refusal}");
            assert!([TEXT, TEXT].concat().starts_with(&outcome.output));
        }
    }

    #[test]
    fn no_changed_byte_changes_the_output_unseen() {
        let packed = [with_header_crc(TEXT), member(TEXT)].concat();
        let whole = [TEXT, TEXT].concat();
        for index in 0..packed.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[index] ^= change;
                let outcome = gunzip(&changed);
                if outcome.result.is_ok() {
                    // A time, a system: nothing that the data depends on.
                    assert!(outcome.output == whole, "byte {index} changed by {change:#x}");
                } else {
                    outcome.refusal();
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let packed = member(TEXT);
        let end = packed.len();
        let changed = |index: usize, byte: u8| {
            let mut changed = packed.clone();
            changed[index] = byte;
            gunzip(&changed).refusal()
        };
        assert_eq!(gunzip(b"hello, world").refusal(), "not gzip data (starts with `hell`)");
        assert_eq!(gunzip(b"\x1fA").refusal(), "not gzip data (starts with `\\x1fA`)");
        assert_eq!(gunzip(b"\x1f").refusal(), "truncated at input byte 1, in a header");
        assert_eq!(changed(2, 7), "corrupt data at input byte 10: unknown compression method 7");
        assert_eq!(changed(3, 0x80), "corrupt data at input byte 10: reserved flags are set in a header");
        let crc_end = end - 4;
        assert_eq!(
            changed(end - 5, !packed[end - 5]),
            format!("corrupt data at input byte {crc_end}: crc mismatch")
        );
        assert_eq!(changed(end - 1, 9), format!("corrupt data at input byte {end}: length mismatch"));
        assert_eq!(changed(10, 7), "corrupt data at input byte 11: invalid deflate data");
        let mut flagged = with_header_crc(TEXT);
        flagged[4] ^= 1;
        assert_eq!(gunzip(&flagged).refusal(), "corrupt data at input byte 12: crc mismatch in a header");
    }

    #[test]
    fn the_place_counts_from_the_beginning_of_all_members() {
        let first = member(TEXT);
        let mut second = first.clone();
        second[2] = 0;
        let expected =
            format!("corrupt data at input byte {}: unknown compression method 0", first.len() + 10);
        assert_eq!(gunzip(&[first, second].concat()).refusal(), expected);
    }

    #[test]
    fn other_bytes_behind_the_data_are_refused_after_it_is_through() {
        for (trailing, count) in [
            (&b"text"[..], "4 trailing bytes"),
            (b"\x01", "1 trailing byte"),
            (b"\0\0\x1f\x8b", "4 trailing bytes"),
        ] {
            let bytes = [&member(TEXT), trailing].concat();
            for size in [1, 5, bytes.len()] {
                let outcome = run("gunzip", &cut(&bytes, size));
                assert_eq!(outcome.output, TEXT);
                assert_eq!(outcome.refusal(), format!("{count} after the end of the stream"));
            }
            assert_gives("gunzip --allow-trailing", &bytes, TEXT);
        }
    }

    #[test]
    fn data_is_sent_on_as_soon_as_it_can_be() {
        let packed = run("gzip --stream", &[TEXT]).output;
        let open = Trial::of("gunzip").taking(TEXT.len()).ending(Ending::Awaited);
        // Without the end of the stream: all that a flush made certain has to come.
        let outcome = open.run(&[&packed[..packed.len() - 9]]);
        assert_eq!(outcome.output, TEXT);
    }

    #[test]
    fn an_output_over_the_limit_is_refused() {
        let packed = member(&[b'x'; 100_000]);
        let outcome = Trial::of("gunzip --max-output 1000").chunk_bytes(64).run(&[&packed]);
        assert_eq!(outcome.output, [b'x'; 1000]);
        assert!(outcome.refusal().starts_with("unpacks to more than 1000, at input byte "));
        assert_eq!(run("gunzip --max-output 100000", &[&packed]).failure(), None);
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        let outcome = Trial::of("gunzip").ending(Ending::Aborted).run(&[&member(TEXT)]);
        assert!(outcome.result.unwrap_err().downcast_ref::<std::io::Error>().is_some());
    }
}
