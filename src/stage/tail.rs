//! `tail`: the last lines, or the last bytes, once the input has ended.
//! Knows nothing of what a line holds.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Opening, Role, Stage};
use super::fault::Fault;
use super::quantity::Wanted;
use crate::flow::{Inlet, Outlet};
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;

/// What is held at the most: until the input ends, any of it may belong to the last lines.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Pass on the last lines or bytes
///
/// What they are is known when the input has ended; nothing comes out before. A line ends with a newline; a last line
/// without one counts. At most 64 MiB are held: lines or bytes beyond that are refused (exit 3).
///
/// With `+`, as in `-n +2`, everything from that line or byte on, as it comes: the first has the number 1.
#[derive(Debug, clap::Parser)]
pub(super) struct Tail {
    /// How many lines, or from which on
    #[arg(short = 'n', long, value_name = "[+]LINES", default_value = "10", value_parser = Part::of_lines)]
    #[arg(conflicts_with = "bytes")]
    lines: Part<u64>,

    /// How many bytes, or from which on, in place of lines
    #[arg(short = 'c', long, value_name = "[+]SIZE", value_parser = Part::of_bytes)]
    bytes: Option<Part<Amount>>,
}

/// Which part of a stream.
#[derive(Debug, Clone)]
enum Part<T> {
    /// So much at its end.
    Last(T),
    /// What comes from there on.
    From(T),
}

impl<T> Part<T> {
    fn parsed<E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Part<T>, E> {
        match text.strip_prefix('+') {
            Some(text) => parse(text).map(Part::From),
            None => parse(text).map(Part::Last),
        }
    }
}

impl Part<u64> {
    fn of_lines(text: &str) -> Result<Part<u64>, String> {
        Part::parsed(text, |digits| match digits.parse() {
            Ok(number) if !digits.starts_with('+') => Ok(number),
            _ => {
                Err("expected a number of lines, such as `20`, or `+2` for all from the second on".to_owned())
            }
        })
    }
}

impl Part<Amount> {
    fn of_bytes(text: &str) -> Result<Part<Amount>, String> {
        Part::parsed(text, Amount::size)
    }
}

impl<T: fmt::Display> fmt::Display for Part<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Last(much) => write!(formatter, "{much}"),
            Part::From(place) => write!(formatter, "+{place}"),
        }
    }
}

impl Tail {
    fn part(&self) -> Part<Wanted> {
        match (&self.bytes, &self.lines) {
            (Some(Part::Last(size)), _) => Part::Last(Wanted::Bytes(size.bytes)),
            (Some(Part::From(place)), _) => Part::From(Wanted::Bytes(place.bytes)),
            (None, Part::Last(count)) => Part::Last(Wanted::Lines(*count)),
            (None, Part::From(number)) => Part::From(Wanted::Lines(*number)),
        }
    }
}

pub(super) const ENTRY: Entry = Entry {
    examples: &[
        Example { chain: "tail -n 2", input: b"one\ntwo\nthree\n", output: b"two\nthree\n" },
        Example { chain: "tail -c 4", input: b"one\ntwo\n", output: b"two\n" },
        Example { chain: "tail -n +2", input: b"name\none\ntwo\n", output: b"one\ntwo\n" },
    ],
    ..Entry::of::<Tail>("tail", Role::Filter)
};

impl Stage for Tail {
    fn label(&self) -> String {
        match &self.bytes {
            Some(bytes) => format!("-c {bytes}"),
            None => format!("-n {}", self.lines),
        }
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        match self.part() {
            Part::Last(Wanted::Bytes(count)) => Some(input?.min(count)),
            Part::From(Wanted::Bytes(place)) => Some(input?.saturating_sub(place.saturating_sub(1))),
            Part::Last(Wanted::Lines(_)) | Part::From(Wanted::Lines(_)) => None,
        }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let part = self.part();
        Ok(Body::filter(move |inlet, outlet, _context| {
            let wanted = match part {
                Part::From(place) => return pass_from(place, inlet, outlet),
                Part::Last(wanted) => wanted,
            };
            let held = hold(inlet, wanted)?;
            let (front, back) = held.bytes.as_slices();
            outlet.write_all(front)?;
            Ok(outlet.write_all(back)?)
        }))
    }
}

/// Passes on what comes, from the line or byte at `place` on.
fn pass_from(place: Wanted, inlet: &mut Inlet, outlet: &mut Outlet) -> anyhow::Result<()> {
    let (Wanted::Lines(number) | Wanted::Bytes(number)) = place;
    let mut left = number.saturating_sub(1);
    while let Some(mut chunk) = inlet.next_chunk()? {
        if left > 0 {
            let skipped = match place {
                Wanted::Bytes(_) => usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len()),
                Wanted::Lines(_) => match end_of_line(&chunk, left) {
                    Ok(length) => length,
                    Err(_) => chunk.len(),
                },
            };
            left = match place {
                Wanted::Bytes(_) => left - skipped as u64,
                Wanted::Lines(_) => left - newlines(&chunk[..skipped]),
            };
            chunk.advance(skipped);
        }
        outlet.send(chunk)?;
    }
    Ok(())
}

/// The end of the input. Of nothing at all the end need not be waited for.
fn hold(inlet: &mut Inlet, wanted: Wanted) -> anyhow::Result<Held> {
    let mut held = Held::default();
    while !wanted.is_nothing() {
        let Some(chunk) = inlet.next_chunk()? else { break };
        match wanted {
            Wanted::Bytes(count) => held.push_bytes(&chunk, count)?,
            Wanted::Lines(count) => held.push_lines(&chunk, count)?,
        }
    }
    Ok(held)
}

/// The last bytes that have come, at most [`HELD_BYTES_MAX`].
#[derive(Debug, Default)]
struct Held {
    bytes: VecDeque<u8>,
    newlines: u64,
}

impl Held {
    /// Takes `bytes` and drops what is no longer among the last `count` bytes.
    fn push_bytes(&mut self, bytes: &[u8], count: u64) -> Result<(), Fault> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let last = &bytes[bytes.len().saturating_sub(count)..];
        let excess = (self.bytes.len() + last.len()).saturating_sub(count);
        self.bytes.drain(..excess);
        self.append(last, "bytes")
    }

    /// Takes `bytes` and drops what is no longer among the last `count` lines.
    ///
    /// Whether the bound is kept is asked after every line, so that the answer does not depend on how the input was cut;
    /// while all that comes fits, once is enough.
    fn push_lines(&mut self, bytes: &[u8], count: u64) -> Result<(), Fault> {
        if self.bytes.len() + bytes.len() > HELD_BYTES_MAX {
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                // What is over when this line has begun makes room for it.
                if self.ends_a_line() {
                    self.drop_lines((self.newlines + 1).saturating_sub(count));
                }
                self.append(line, "lines")?;
                self.newlines += newlines(line);
            }
            return Ok(());
        }
        self.append(bytes, "lines")?;
        self.newlines += newlines(bytes);
        let lines = self.newlines + u64::from(!self.ends_a_line());
        self.drop_lines(lines.saturating_sub(count));
        Ok(())
    }

    fn ends_a_line(&self) -> bool {
        self.bytes.back().is_none_or(|&byte| byte == b'\n')
    }

    fn append(&mut self, bytes: &[u8], wanted: &str) -> Result<(), Fault> {
        let length = self.bytes.len() + bytes.len();
        if length > HELD_BYTES_MAX {
            return Err(Fault::refused(format!(
                "the last {wanted} asked for are more than 64 MiB, which is all that `tail` holds"
            ))
            .help("ask for fewer"));
        }
        if length > self.bytes.capacity() {
            // As usual twice as much, but never beyond the bound.
            let room = (2 * length).min(HELD_BYTES_MAX);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    fn drop_lines(&mut self, count: u64) {
        if count > 0 {
            let (front, back) = self.bytes.as_slices();
            let length = match end_of_line(front, count) {
                Ok(length) => length,
                Err(left) => front.len() + end_of_line(back, left).unwrap_or(back.len()),
            };
            self.bytes.drain(..length);
            self.newlines -= count;
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// How long the first `count` lines of `bytes` are, at least one; or how many of them are not there.
fn end_of_line(bytes: &[u8], count: u64) -> Result<usize, u64> {
    /// Counted in one go, many times faster than a newline is looked for.
    const BLOCK_BYTES: usize = 1024;
    let mut left = count;
    for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let found = newlines(block);
        if found < left {
            left -= found;
            continue;
        }
        let last = block.iter().position(|&byte| {
            left -= u64::from(byte == b'\n');
            left == 0
        });
        return last.map(|last| index * BLOCK_BYTES + last + 1).ok_or(left);
    }
    Err(left)
}

#[cfg(test)]
mod tests {
    use super::HELD_BYTES_MAX;
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};

    const TEXT: &[u8] = b"one\ntwo\n\nfour\nfive without end";

    #[test]
    fn lines_are_counted_from_the_end_to_the_byte() {
        for (count, start) in [(1, 14), (2, 9), (3, 8), (4, 4), (5, 0), (6, 0), (u64::MAX, 0)] {
            assert_gives(&format!("tail -n {count}"), TEXT, &TEXT[start..]);
        }
        let ended = &TEXT[..14];
        for (count, start) in [(1, 9), (2, 8), (3, 4), (4, 0), (5, 0)] {
            assert_gives(&format!("tail -n {count}"), ended, &ended[start..]);
        }
        assert_gives("tail", &b"\n".repeat(12), &b"\n".repeat(10));
        assert_gives("tail", b"", b"");
    }

    #[test]
    fn bytes_are_counted_from_the_end_to_the_byte() {
        for count in 1..=TEXT.len() + 1 {
            let start = TEXT.len().saturating_sub(count);
            assert_gives(&format!("tail -c {count}"), TEXT, &TEXT[start..]);
        }
    }

    #[test]
    fn from_a_line_or_a_byte_on_everything_is_passed_however_it_comes() {
        for (number, start) in
            [(0, 0), (1, 0), (2, 4), (3, 8), (4, 9), (5, 14), (6, TEXT.len()), (u64::MAX, TEXT.len())]
        {
            assert_gives(&format!("tail -n +{number}"), TEXT, &TEXT[start..]);
        }
        for number in 0..=TEXT.len() + 2 {
            let start = number.saturating_sub(1).min(TEXT.len());
            assert_gives(&format!("tail -c +{number}"), TEXT, &TEXT[start..]);
        }
        assert_eq!(stage("tail -n +2").unwrap().label(), "-n +2");
        assert_eq!(stage("tail -c +1K").unwrap().size_after(Some(2000)), Some(977));
        for call in ["tail -n ++2", "tail -n +", "tail -n -2", "tail -c ++2", "tail -n x"] {
            assert!(stage(call).is_err(), "{call}");
        }
    }

    #[test]
    fn many_lines_are_the_last_ones_however_they_come() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|line| format!("{line}\n").into_bytes()).collect();
        for count in [1, 200, 20_000, 39_999, 40_001] {
            let expected: String =
                (40_000_u32.saturating_sub(count)..40_000).map(|line| format!("{line}\n")).collect();
            for size in [997, 4096, 65_536, text.len()] {
                let outcome = run(&format!("tail -n {count}"), &cut(&text, size));
                assert!(outcome.output == expected.as_bytes(), "{count} lines, pieces of {size}");
            }
        }
    }

    #[test]
    fn nothing_is_not_waited_for() {
        for call in ["tail -n 0", "tail -c 0"] {
            let outcome = Trial::of(call).ending(Ending::Open).run(&[b"one\n"]);
            assert_eq!((outcome.failure(), outcome.output.len()), (None, 0), "{call}");
        }
    }

    #[test]
    fn a_failure_before_it_lets_nothing_out() {
        let outcome = Trial::of("tail").ending(Ending::Aborted).run(&[b"one\n"]);
        assert!(outcome.result.is_err() && outcome.output.is_empty());
    }

    #[test]
    fn what_it_holds_is_bounded_to_the_byte_however_it_comes() {
        // The last two lines are the bound to the byte; the line in front of them must make room before they are whole.
        let mut text = vec![b'x'; HELD_BYTES_MAX + 2];
        text[1] = b'\n';
        text[1000] = b'\n';
        for size in [1 << 20, 1_000_003, text.len()] {
            let outcome = run("tail -n 2", &cut(&text, size));
            assert_eq!(outcome.failure(), None, "pieces of {size}");
            assert!(outcome.output == text[2..], "pieces of {size}");
            let refusal = run("tail -n 2", &cut(&[&text[..], b"x"].concat(), size)).refusal();
            assert_eq!(
                refusal,
                "the last lines asked for are more than 64 MiB, which is all that `tail` holds"
            );
            let back = [&text[..], b"x\nx\nx\n"].concat();
            run("tail -n 2", &cut(&back, size)).refusal();
        }
    }

    #[test]
    fn more_bytes_than_it_holds_are_refused_when_they_come() {
        let bytes = vec![0; HELD_BYTES_MAX + 1];
        assert!(run("tail -c 1G", &cut(&bytes[1..], 1 << 20)).output == bytes[1..]);
        assert!(run("tail -c 64M", &cut(&bytes, 1 << 20)).output == bytes[1..]);
        for size in [1 << 20, bytes.len()] {
            let refusal = run("tail -c 1G", &cut(&bytes, size)).refusal();
            assert!(refusal.starts_with("the last bytes asked for are more than 64 MiB"), "{refusal}");
        }
    }

    #[test]
    fn the_size_is_known_for_bytes_only() {
        let size_after = |call, input| stage(call).unwrap().size_after(input);
        assert_eq!(size_after("tail -c 5", Some(9)), Some(5));
        assert_eq!(size_after("tail -c 5", Some(3)), Some(3));
        assert_eq!(size_after("tail -c 5", None), None);
        assert_eq!(size_after("tail", Some(9)), None);
    }
}
