//! `grep`: the lines that match, or those that do not.
//! What a pattern is, and what a line is, is known to `pattern` and `lines`.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::lines::{for_each_block, is_newline, without_newline};
use super::pattern::Pattern;
use crate::flow::Outlet;
use std::io::{self, Write};

/// Pass on the lines that match PATTERN
///
/// Lines are bytes up to a newline, which is not part of them; a last line without one comes out without one. `^` and `$`
/// are the ends of a line; a `\r` in front of the newline belongs to it (`(?R)` in front of PATTERN has `$` match there,
/// too). Bytes that are no UTF-8 are no obstacle, but `.` and the like take whole characters; `(?-u)` in front of PATTERN has
/// them take bytes. Look-around and back references are not supported: no pattern takes more than its share of time. That
/// nothing matches is no failure. A line longer than 64 MiB is refused (exit 3).
#[derive(Debug, clap::Parser)]
pub(super) struct Grep {
    #[command(flatten)]
    pattern: Pattern,

    /// Pass on the lines that do not match
    #[arg(short = 'v', long)]
    invert_match: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Text,
    examples: &[
        Example {
            chain: r#"grep " 5[0-9]{2}$""#,
            input: b"GET / 200\nGET /x 503\n",
            output: b"GET /x 503\n",
        },
        Example { chain: r#"grep -v "^#""#, input: b"# a comment\nport 80\n", output: b"port 80\n" },
        Example { chain: "grep -i -F [ERROR]", input: b"[error] a\n[info] b\n", output: b"[error] a\n" },
    ],
    ..Entry::of::<Grep>("grep", Role::Filter)
};

impl Stage for Grep {
    fn label(&self) -> String {
        if self.invert_match { format!("-v {}", self.pattern) } else { self.pattern.to_string() }
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let kept = if self.invert_match { Kept::Others } else { Kept::Matching };
        let pattern = self.pattern;
        Ok(Body::filter(move |inlet, outlet, _context| {
            for_each_block(inlet, outlet, |block, outlet| match pattern.stays_in_line() {
                true => sift_at_once(block, &pattern, kept, outlet),
                false => sift_by_line(block, &pattern, kept, outlet),
            })
        }))
    }
}

/// Which lines are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Matching,
    Others,
}

/// Looks for the next match however many lines it is away: most of them are never looked at one by one.
fn sift_at_once(block: &[u8], pattern: &Pattern, kept: Kept, outlet: &mut Outlet) -> io::Result<()> {
    let mut from = 0;
    while from < block.len() {
        let Some(at) = pattern.regex().shortest_match_at(block, from) else { break };
        // Behind the last newline is no line.
        if at == block.len() && block.ends_with(b"\n") {
            break;
        }
        let start = block[from..at].iter().rposition(is_newline).map_or(from, |last| from + last + 1);
        let end = block[at..].iter().position(is_newline).map_or(block.len(), |next| at + next + 1);
        match kept {
            Kept::Matching => outlet.write_all(&block[start..end])?,
            Kept::Others => outlet.write_all(&block[from..start])?,
        }
        from = end;
    }
    match kept {
        Kept::Matching => Ok(()),
        Kept::Others => outlet.write_all(&block[from..]),
    }
}

fn sift_by_line(block: &[u8], pattern: &Pattern, kept: Kept, outlet: &mut Outlet) -> io::Result<()> {
    for line in block.split_inclusive(is_newline) {
        if pattern.regex().is_match(without_newline(line)) == (kept == Kept::Matching) {
            outlet.write_all(line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};

    const TEXT: &[u8] = b"one\ntwo\r\n\nthree one\n\xff\xfeone\nONE\nno end";

    #[test]
    fn matching_lines_come_out_as_they_are() {
        assert_gives("grep one", TEXT, b"one\nthree one\n\xff\xfeone\n");
        assert_gives("grep -i one", TEXT, b"one\nthree one\n\xff\xfeone\nONE\n");
        assert_gives("grep ^one", TEXT, b"one\n");
        assert_gives("grep e$", TEXT, b"one\nthree one\n\xff\xfeone\n");
        assert_gives("grep ^$", TEXT, b"\n");
        assert_gives("grep end$", TEXT, b"no end");
        assert_gives("grep -F .", TEXT, b"");
        assert_gives("grep o$", TEXT, b"");
        assert_gives("grep (?R)o$", TEXT, b"two\r\n");
        assert_gives("grep two\\r", TEXT, b"two\r\n");
    }

    #[test]
    fn other_lines_come_out_with_invert() {
        assert_gives("grep -v one", TEXT, b"two\r\n\nONE\nno end");
        assert_gives("grep -v [^x]", TEXT, b"\n");
        assert_gives("grep -v no.end", TEXT, &TEXT[..TEXT.len() - 6]);
        assert_gives("grep -v .*", TEXT, b"");
    }

    #[test]
    fn an_empty_match_is_in_every_line_and_in_no_more() {
        for pattern in ["x*", "^", "$", "(?:)", "\\b|\\B", "()"] {
            assert_gives(&format!("grep {pattern}"), TEXT, TEXT);
            assert_gives(&format!("grep {pattern}"), b"a\n\nb\n", b"a\n\nb\n");
            assert_gives(&format!("grep -v {pattern}"), b"a\n\nb\n", b"");
            assert_gives(&format!("grep {pattern}"), b"", b"");
        }
    }

    #[test]
    fn no_match_goes_across_the_end_of_a_line() {
        assert_gives("grep a[^x]*b", b"a\nb\na-b\n", b"a-b\n");
        assert_gives("grep a\\sb", b"a\nb\na b\n", b"a b\n");
        assert_gives("grep (?s)a.*b", b"a\nb\nab\n", b"ab\n");
        assert_gives("grep \\Ab", b"a\nb\nab\n", b"b\n");
        assert_gives("grep a\\z", b"a\nb\nba\nab", b"a\nba\n");
    }

    #[test]
    fn long_lines_and_chunks_of_every_size_change_nothing() {
        let long = "x".repeat(10_000);
        let text: String = (0..300).map(|line| format!("{line} {}\n", &long[..line * 7 % 3001])).collect();
        let expected: String =
            text.lines().filter(|line| line.contains('7')).map(|line| format!("{line}\n")).collect();
        for size in [1, 997, 4096, 65_536, text.len()] {
            for chunk_bytes in [1, 4096, 262_144] {
                let trial = Trial::of("grep 7").chunk_bytes(chunk_bytes);
                assert!(trial.run(&cut(text.as_bytes(), size)).output == expected.as_bytes(), "{size}");
            }
        }
    }

    #[test]
    fn what_matches_is_sent_before_the_next_line_is_waited_for() {
        let outcome =
            Trial::of("grep a").taking(4).ending(Ending::Awaited).run(&[b"a\nb\nba\nnot complete a"]);
        assert_eq!(outcome.output, b"a\nba\n");
    }

    #[test]
    fn a_line_beyond_the_bound_is_refused_with_its_place() {
        let part = vec![b'x'; 1 << 20];
        let mut pieces: Vec<&[u8]> = vec![b"a\n"];
        pieces.extend(std::iter::repeat_n(&part[..], 64));
        assert_eq!(run("grep a", &pieces).failure(), None);
        pieces.push(b"x");
        let outcome = run("grep a", &pieces);
        assert_eq!(outcome.output, b"a\n");
        assert_eq!(outcome.refusal(), "the line that begins at input byte 2 is longer than 64 MiB");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("grep a").ending(Ending::Aborted).run(&[b"a\n"]).result.is_err());
    }

    #[test]
    fn its_label_is_what_was_typed() {
        assert_eq!(stage("grep -v -i a|b").unwrap().label(), "-v -i a|b");
        assert!(stage("grep (").is_err());
        assert!(stage("grep -F (").is_ok());
    }
}
