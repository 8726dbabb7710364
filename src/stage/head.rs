//! `head`: the first lines, or the first bytes, and then a hang-up.
//! Knows nothing of what a line holds.

use super::contract::{Body, Entry, Example, Opening, Role, Stage};
use super::quantity::{Quantity, Wanted};
use crate::flow::Chunk;

/// Pass on the first lines or bytes, then take no more
///
/// As soon as it has enough it hangs up: the stages before it stop quietly, and what was passed on is kept as a whole.
/// A line ends with a newline; a last line without one counts.
#[derive(Debug, clap::Parser)]
pub(super) struct Head {
    #[command(flatten)]
    quantity: Quantity,
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "head -n 2", input: b"one\ntwo\nthree\n", output: b"one\ntwo\n" },
        Example { chain: "head -c 5", input: b"one\ntwo\n", output: b"one\nt" },
    ],
    ..Entry::of::<Head>("head", Role::Filter)
};

impl Stage for Head {
    fn label(&self) -> String {
        self.quantity.label()
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        self.quantity.of(input)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let mut wanted = self.quantity.wanted();
        Ok(Body::filter(move |inlet, outlet, _context| {
            while !wanted.is_nothing() {
                let Some(mut chunk) = inlet.next_chunk()? else { break };
                chunk.truncate(take(&mut wanted, &chunk));
                outlet.send(chunk)?;
            }
            Ok(())
        }))
    }
}

/// How many bytes of `chunk` belong to what is still wanted; they are taken off.
fn take(wanted: &mut Wanted, chunk: &Chunk) -> usize {
    match wanted {
        Wanted::Bytes(bytes) => {
            let count = usize::try_from(*bytes).unwrap_or(usize::MAX).min(chunk.len());
            *bytes -= count as u64;
            count
        }
        Wanted::Lines(lines) => {
            // Counting first is many times faster than looking for each newline, and most chunks go whole.
            let newlines = chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if newlines < *lines {
                *lines -= newlines;
                return chunk.len();
            }
            let mut left = std::mem::take(lines);
            let last = chunk.iter().position(|&byte| {
                left -= u64::from(byte == b'\n');
                left == 0
            });
            last.map_or(chunk.len(), |index| index + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, assert_gives, stage};

    const TEXT: &[u8] = b"one\ntwo\n\nfour\nfive without end";

    #[test]
    fn lines_are_counted_to_the_byte() {
        for (count, length) in [(0, 0), (1, 4), (2, 8), (3, 9), (4, 14), (5, 31), (6, 31)] {
            let length = length.min(TEXT.len());
            assert_gives(&format!("head -n {count}"), TEXT, &TEXT[..length]);
        }
        assert_gives("head", &b"\n".repeat(12), &b"\n".repeat(10));
    }

    #[test]
    fn bytes_are_counted_to_the_byte() {
        for count in 0..=TEXT.len() + 1 {
            assert_gives(&format!("head -c {count}"), TEXT, &TEXT[..count.min(TEXT.len())]);
        }
    }

    #[test]
    fn it_does_not_wait_for_more_than_it_needs() {
        for (call, output) in
            [("head -n 0", ""), ("head -c 0", ""), ("head -n 1", "one\n"), ("head -c 4", "one\n")]
        {
            let outcome = Trial::of(call).ending(Ending::Open).run(&[b"one\n"]);
            assert_eq!((outcome.failure(), outcome.output), (None, output.as_bytes().to_vec()), "{call}");
        }
    }

    #[test]
    fn a_failure_before_it_has_enough_is_passed_up() {
        assert!(Trial::of("head").ending(Ending::Aborted).run(&[b"one\n"]).result.is_err());
    }

    #[test]
    fn lines_and_bytes_exclude_each_other() {
        assert!(stage("head -n 1 -c 1").is_err());
        assert!(stage("head -n -1").is_err());
    }

    #[test]
    fn the_size_is_known_for_bytes_only() {
        let size_after = |call, input| stage(call).unwrap().size_after(input);
        assert_eq!(size_after("head -c 5", Some(9)), Some(5));
        assert_eq!(size_after("head -c 5", Some(3)), Some(3));
        assert_eq!(size_after("head -c 5", None), None);
        assert_eq!(size_after("head", Some(9)), None);
    }
}
