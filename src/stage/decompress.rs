//! `decompress`: decompression of whatever format the first bytes tell.
//! How each is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::fault::Fault;
use super::unpack::{Format, Means, Unpacker};

/// Decompress what the first bytes tell: bzip2, gzip, lz4, xz, zlib, zstd
///
/// Only the outermost format is unpacked, as its own stage would: all of its members or frames, whatever is wrong refused
/// (exit 3). What is in no known format is refused, and so is empty input. Brotli and raw deflate data cannot be told by
/// their first bytes: for these there are `unbrotli` and `inflate --raw`.
#[derive(Debug, clap::Parser)]
pub(super) struct Decompress {
    /// Let through unchanged what is in no known format
    #[arg(long)]
    or_pass: bool,

    /// Refuse input that gives more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,

    /// How much memory unpacking may take, where a file asks for more than is usual
    #[arg(long, value_name = "SIZE", value_parser = Amount::some_size)]
    memory: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[
        Example { chain: "gzip | decompress", input: b"there and back\n", output: b"there and back\n" },
        Example { chain: "decompress --or-pass", input: b"as it is\n", output: b"as it is\n" },
    ],
    ..Entry::of::<Decompress>("decompress", Role::Filter)
};

impl Stage for Decompress {
    fn label(&self) -> String {
        if self.or_pass { "--or-pass".to_owned() } else { String::new() }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            let means = Means { context, memory: self.memory.as_ref() };
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| self.unpack(unpacker, &means))
        }))
    }
}

impl Decompress {
    fn unpack(&self, unpacker: &mut Unpacker<'_>, means: &Means<'_>) -> anyhow::Result<()> {
        match Format::of(unpacker)? {
            Some(format) => format.unpack(unpacker, means),
            None if self.or_pass => unpacker.pass_on(),
            None => Err(unknown(unpacker)?.into()),
        }
    }
}

fn unknown(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Fault> {
    let start = unpacker.peek(4)?;
    if start.is_empty() {
        return Ok(Unpacker::empty("compressed"));
    }
    let message = format!("in no known compressed format (starts with `{}`)", start.escape_ascii());
    let help = format!(
        "known are {}; `decompress --or-pass` lets other data through unchanged; for brotli there is `unbrotli`",
        Format::names()
    );
    Ok(Fault::refused(message).help(help))
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};

    const TEXT: &[u8] = b"A text that is a text that is a text, and then something else to end it.\n";

    fn packed(call: &str, bytes: &[u8]) -> Vec<u8> {
        run(call, &[bytes]).output
    }

    #[test]
    fn the_outermost_format_is_unpacked_and_no_other() {
        for call in ["gzip", "gzip -1", "deflate", "deflate -9"] {
            for option in ["", " --or-pass"] {
                let decompress = format!("decompress{option}");
                for bytes in [TEXT, b"", &TEXT.repeat(3000)] {
                    assert_gives(&decompress, &packed(call, bytes), bytes);
                }
                let once = packed(call, TEXT);
                assert_gives(&decompress, &packed("gzip", &once), &once);
                assert_gives(&decompress, &packed("deflate", &once), &once);
            }
        }
        assert_gives("decompress", &[packed("gzip", TEXT), packed("gzip", TEXT)].concat(), &TEXT.repeat(2));
    }

    #[test]
    fn other_data_is_refused_or_let_through_unchanged() {
        for (input, start) in [
            (&b"a"[..], "a"),
            (b"\x1f", "\\x1f"),
            (TEXT, "A te"),
            (b"x = 5\n", "x = "),
            (b"\0\0\0\0\0", "\\x00\\x00\\x00\\x00"),
        ] {
            let expected = format!("in no known compressed format (starts with `{start}`)");
            assert_eq!(run("decompress", &cut(input, 1)).refusal(), expected);
            assert_eq!(run("decompress", &[input]).refusal(), expected);
            assert_gives("decompress --or-pass", input, input);
        }
        assert_eq!(run("decompress", &[]).refusal(), "empty input, not compressed data");
        assert_gives("decompress --or-pass", b"", b"");
        let long: Vec<u8> = (0..200_000_u32).map(|index| index.wrapping_mul(index) as u8).collect();
        assert_gives("decompress --or-pass", &long, &long);
    }

    #[test]
    fn every_cut_is_refused() {
        for call in ["gzip", "deflate"] {
            let packed = packed(call, TEXT);
            for length in 0..packed.len() {
                run("decompress", &[&packed[..length]]).refusal();
            }
            // From here on it is known for what it is, and cannot pass for something else.
            for length in 20..packed.len() {
                let expected = format!("truncated at input byte {length}, ");
                let said = run("decompress --or-pass", &cut(&packed[..length], 7)).refusal();
                assert!(said.starts_with(&expected), "{said}");
            }
        }
    }

    #[test]
    fn what_follows_is_refused_as_by_the_stage_of_the_format() {
        let outcome = run("decompress --or-pass", &[&packed("deflate", TEXT), b"x"]);
        assert_eq!(outcome.output, TEXT);
        assert_eq!(outcome.refusal(), "1 trailing byte after the end of the stream");
    }

    #[test]
    fn what_can_be_told_is_not_held_back() {
        // The input goes on when that much came out: if it was held back, that would be never.
        let outcome =
            Trial::of("decompress --or-pass").taking(5).ending(Ending::Awaited).run(&[b"a", b"bcde"]);
        assert_eq!(outcome.output, b"abcde");
        let mut flushed = Vec::with_capacity(1000);
        let mut compress = flate2::Compress::new(flate2::Compression::new(6), true);
        compress.compress_vec(b"a line\n", &mut flushed, flate2::FlushCompress::Sync).unwrap();
        let outcome = Trial::of("decompress").taking(7).ending(Ending::Awaited).run(&[&flushed]);
        assert_eq!(outcome.output, b"a line\n");
    }

    #[test]
    fn a_limit_is_kept_to_the_byte() {
        let zeros = vec![0; 200_000];
        for input in [&packed("gzip", &zeros), &packed("deflate", &zeros), &zeros] {
            let outcome = run("decompress --or-pass --max-output 70001", &cut(input, 9999));
            assert_eq!(outcome.output, zeros[..70_001]);
            let said = outcome.refusal();
            assert!(said.starts_with("unpacks to more than 70001, at input byte "), "{said}");
        }
        let outcome = run("decompress --or-pass --max-output 200000", &[&zeros]);
        assert_eq!((outcome.failure(), outcome.output.len()), (None, 200_000));
    }

    #[test]
    fn its_label_is_what_was_asked_for() {
        assert_eq!(stage("decompress").unwrap().label(), "");
        assert_eq!(stage("decompress --or-pass --memory 1G").unwrap().label(), "--or-pass");
    }
}
