//! `generate`: bytes for trials and demonstrations, the same for the same seed everywhere and for ever.
//! Knows nothing of where they go; how they are made is in `prose` and `randomness`.

use super::amount::Amount;
use super::contract::{Body, Context, Entry, Example, Opening, Role, Stage};
use super::prose::Prose;
use super::randomness::Randomness;
use crate::flow::Outlet;
use std::io;

/// Make up SIZE bytes
///
/// For trials and demonstrations: the same KIND, SIZE and seed give the same bytes on every machine, and a larger SIZE
/// begins with the bytes of a smaller one. They are quick to make, but not random enough for keys or passwords.
#[derive(Debug, clap::Parser)]
pub(super) struct Generate {
    /// What kind of bytes
    #[arg(value_enum)]
    kind: Kind,

    /// How many
    #[arg(value_parser = Amount::size)]
    size: Amount,

    /// Another number gives other bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Nothing but NULs
    Zeros,
    /// Bytes that no compressor makes smaller
    Random,
    /// Lines to read, which compress about as well as prose and source code do
    Text,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "generate zeros 3 | upper", input: b"", output: b"\0\0\0" },
        Example {
            chain: "generate text 1M --seed 1 | head -n 1",
            input: b"",
            output: b"The careful stranger followed the old newspaper toward the bridge.\n",
        },
    ],
    ..Entry::of::<Generate>("generate", Role::Source)
};

impl Stage for Generate {
    fn label(&self) -> String {
        let kind = match self.kind {
            Kind::Zeros => "zeros",
            Kind::Random => "random",
            Kind::Text => "text",
        };
        format!("{kind} {}", self.size)
    }

    fn size_after(&self, _input: Option<u64>) -> Option<u64> {
        Some(self.size.bytes)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let size_bytes = self.size.bytes;
        Ok(Body::source(move |outlet, context| {
            match self.kind {
                Kind::Zeros => give(outlet, context, size_bytes, |bytes| bytes.fill(0)),
                Kind::Random => {
                    let mut randomness = Randomness::new(self.seed);
                    give(outlet, context, size_bytes, |bytes| randomness.fill(bytes))
                }
                Kind::Text => {
                    let mut prose = Prose::new(self.seed);
                    give(outlet, context, size_bytes, |bytes| prose.fill(bytes))
                }
            }?;
            Ok(())
        }))
    }
}

/// Sends `size_bytes` bytes in chunks that `fill` fills.
fn give(
    outlet: &mut Outlet,
    context: &Context,
    size_bytes: u64,
    mut fill: impl FnMut(&mut [u8]),
) -> io::Result<()> {
    let mut left_bytes = size_bytes;
    while left_bytes > 0 {
        let mut chunk = outlet.chunk();
        let spare = chunk.spare();
        let count = usize::try_from(left_bytes).unwrap_or(usize::MAX).min(spare.len());
        fill(&mut spare[..count]);
        chunk.fill(count);
        left_bytes -= count as u64;
        context.gauge().read(count as u64);
        outlet.send(chunk)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Trial, run, stage};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn generated(call: &str) -> Vec<u8> {
        let outcome = run(call, &[]);
        assert_eq!(outcome.failure(), None, "{call}");
        outcome.output
    }

    fn ratio(bytes: &[u8]) -> f64 {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes).unwrap();
        bytes.len() as f64 / encoder.finish().unwrap().len() as f64
    }

    #[test]
    fn the_size_is_what_was_asked_for() {
        for kind in ["zeros", "random", "text"] {
            for size in [0, 1, 63, 64, 65, 262_143, 262_144, 262_145] {
                assert_eq!(generated(&format!("generate {kind} {size}")).len(), size);
            }
            assert_eq!(stage(&format!("generate {kind} 1M")).unwrap().size_after(None), Some(1 << 20));
        }
    }

    #[test]
    fn a_chunk_that_was_used_before_is_zeroed() {
        let outcome = Trial::of("generate zeros 100000").chunk_bytes(64).run(&[]);
        assert!(outcome.output == vec![0; 100_000]);
    }

    #[test]
    fn the_bytes_depend_on_the_seed_and_on_nothing_else() {
        for kind in ["random", "text"] {
            let whole = generated(&format!("generate {kind} 100000"));
            assert!(whole == generated(&format!("generate {kind} 100000 --seed 0")));
            assert!(whole != generated(&format!("generate {kind} 100000 --seed 1")));
            assert!(whole.starts_with(&generated(&format!("generate {kind} 12345"))));
            for chunk_bytes in [1, 13, 64, 4096] {
                let call = format!("generate {kind} 5000");
                let outcome = Trial::of(&call).chunk_bytes(chunk_bytes).run(&[]);
                assert!(whole.starts_with(&outcome.output), "{kind} in chunks of {chunk_bytes}");
            }
        }
    }

    #[test]
    fn the_bytes_stay_what_they_are() {
        for (call, expected) in
            [("generate random 1M --seed 1", 797_484_779), ("generate text 1M --seed 1", 3_457_516_575)]
        {
            let mut crc = flate2::Crc::new();
            crc.update(&generated(call));
            assert_eq!(crc.sum(), expected, "{call}");
        }
    }

    #[test]
    fn random_bytes_do_not_compress_and_text_does_as_text() {
        assert!(ratio(&generated("generate random 1M")) < 1.001);
        let ratio = ratio(&generated("generate text 4M"));
        assert!((3.0..5.5).contains(&ratio), "text is compressed {ratio} times");
    }

    #[test]
    fn the_next_stage_may_have_enough() {
        let outcome = Trial::of("generate zeros 1T").taking(1_000_000).run(&[]);
        assert!(outcome.result.is_err());
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        assert!(stage("generate noise 1K").is_err());
        assert!(stage("generate zeros").is_err());
    }
}
