//! `replace`: another text for every match within a line.
//! What a pattern is, and what a line is, is known to `pattern` and `lines`; what stands in the place of a match, to `template`.

use super::arguments::TextArgument;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::lines::{for_each_block, is_newline};
use super::pattern::{Pattern, refusal};
use super::template::Template;
use crate::diagnostic::printable;
use clap::{ArgMatches, Command, CommandFactory, Error, FromArgMatches, Parser};
use std::os::unix::ffi::OsStrExt;

/// Replace every match of PATTERN by TEXT
///
/// Lines are bytes up to a newline, and a match never goes across it: no line is joined with the next one. They need not be
/// UTF-8. In TEXT, `$1` is what the first group in parentheses matched, `${name}` what `(?<name>…)` matched, `$0` the
/// whole match, and `$$` a dollar sign; with `-F` TEXT is taken as it is. A line longer than 64 MiB is refused (exit 3).
#[derive(Debug, Parser)]
struct Words {
    #[command(flatten)]
    pattern: Pattern,

    /// What stands in the place of a match; may be empty
    text: TextArgument,
}

/// `replace`, its TEXT checked against the groups of its PATTERN.
#[derive(Debug)]
pub(super) struct Replace {
    words: Words,
    template: Template,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Text,
    examples: &[
        Example {
            chain: r#"replace "\bcolor" colour"#,
            input: b"color, colors\n",
            output: b"colour, colours\n",
        },
        Example { chain: r#"replace "(\d+)-(\d+)" "$2/$1""#, input: b"2024-12\n", output: b"12/2024\n" },
        Example { chain: r#"replace -F "$" "EUR ""#, input: b"$5\n", output: b"EUR 5\n" },
    ],
    ..Entry::of::<Replace>("replace", Role::Filter)
};

impl CommandFactory for Replace {
    fn command() -> Command {
        Words::command()
    }

    fn command_for_update() -> Command {
        Words::command_for_update()
    }
}

impl FromArgMatches for Replace {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let words = Words::from_arg_matches(matches)?;
        let text = words.text.0.as_bytes();
        let template = match words.pattern.is_fixed() {
            true => Ok(Template::plain(text)),
            false => Template::parse(text, words.pattern.regex()),
        };
        match template {
            Ok(template) => Ok(Replace { words, template }),
            Err(why) => Err(refusal("TEXT", &words.text.0, &why)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Parser for Replace {}

impl Stage for Replace {
    fn label(&self) -> String {
        format!("{} {}", self.words.pattern, printable(self.words.text.0.as_bytes()))
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let Replace { words: Words { pattern, .. }, template } = *self;
        Ok(Body::filter(move |inlet, outlet, _context| {
            for_each_block(inlet, outlet, |block, outlet| {
                if pattern.stays_in_line() {
                    return template.replace(block, pattern.regex(), outlet);
                }
                let mut lines = block.split_inclusive(is_newline);
                lines.try_for_each(|line| template.replace(line, pattern.regex(), outlet))
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::testing::{Ending, Trial, assert_gives, cut, run, stage};

    #[test]
    fn every_match_within_a_line_is_replaced() {
        assert_gives("replace o 0", b"one two\nfoo\n\nno end: o", b"0ne tw0\nf00\n\nn0 end: 0");
        assert_gives("replace -i [A-C]+ x", b"abcABC d aB\nc", b"x d x\nx");
        assert_gives("replace ^ >", b"a\n\nb\n", b">a\n>\n>b\n");
        assert_gives("replace $ <", b"a\n\nb\r\nc", b"a<\n<\nb\r<\nc<");
        assert_gives("replace x y", b"", b"");
        assert_gives("replace \u{ff} -", b"\xff\xc3\xbf\xff", b"\xff-\xff");
        assert_gives("replace (?-u:\\xff) -", b"\xff\xc3\xbf\xff", b"-\xc3\xbf-");
    }

    #[test]
    fn no_match_goes_across_the_end_of_a_line() {
        assert_gives("replace \\s+ _", b"a \nb\t\r\n \n", b"a_\nb_\n_\n");
        assert_gives("replace [^a] x", b"ab\nba\n", b"ax\nxa\n");
        assert_gives("replace (?s).* x", b"ab\nba\n", b"x\nx\n");
        assert_gives("replace \\Aa x", b"aa\naa", b"xa\nxa");
    }

    #[test]
    fn a_text_is_replaced_by_a_text_with_fixed_strings() {
        assert_gives("replace -F a.b $1", b"a.b axb\n", b"$1 axb\n");
        assert_gives("replace -i -F \u{e4} \u{df}", "\u{c4}\u{e4}\n".as_bytes(), "\u{df}\u{df}\n".as_bytes());
    }

    #[test]
    fn groups_are_put_where_the_text_says() {
        assert_gives("replace (\\w+)@(\\w+) $2.$1", b"a@b, c@dd\ne@f", b"b.a, dd.c\nf.e");
        assert_gives("replace (?<all>\\w+) [${all}|$0|${1}x$all]", b"ab", b"[ab|ab|abxab]");
        assert_gives("replace (a)|(b) <$1$2>", b"ab", b"<a><b>");
        assert_gives("replace a $$1$", b"ab", b"$1$b");
        assert_gives("replace [^a](.) $1", b"xyaz\nbc\n", b"yaz\nc\n");
    }

    #[test]
    fn an_empty_match_is_replaced_once_and_never_within_a_character() {
        assert_gives("replace x* -", b"abxc\n\n", b"-a-b-c-\n-\n");
        assert_gives("replace x* -", "a\u{e9}\u{65e5}\n".as_bytes(), "-a-\u{e9}-\u{65e5}-\n".as_bytes());
        assert_gives("replace () <$1>", b"\xc3\xff\xa9", b"<>\xc3<>\xff<>\xa9<>");
        assert_gives("replace \\s* -", b"a \nb", b"-a-\n-b-");
    }

    #[test]
    fn a_group_that_is_not_there_is_a_mistake() {
        let wrong = |call: &str| {
            let error = stage(call).err().unwrap_or_else(|| panic!("`{call}` is accepted"));
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(
            wrong("replace (a) $1x"),
            "there is no group `1x`: PATTERN has 1 group\nfor group 1 with `x` behind it, write `${1}x`"
        );
        assert_eq!(
            wrong("replace a $5"),
            "there is no group `5`: PATTERN has no group\nfor a dollar sign, write `$$`"
        );
        assert!(wrong("replace (a)(b) ${c}").starts_with("there is no group `c`: PATTERN has 2 groups"));
        assert!(wrong("replace (a) ${1").starts_with("`${` without `}`"));
        assert!(wrong("replace a $99999999999999999999").starts_with("there is no group"));
        assert!(stage("replace -F (a) $9").is_ok());
    }

    #[test]
    fn chunks_of_every_size_change_nothing() {
        let text: String = (0..3000).map(|line| format!("{line}:{}\n", "ab ".repeat(line % 300))).collect();
        let expected = text.replace('a', "<a>");
        for call in ["replace a <a>", "replace (a) <$1>", "replace [^\\x00-`b-\u{10ffff}] <$0>"] {
            for size in [997, 4096, 65_536, text.len()] {
                for chunk_bytes in [4096, 262_144] {
                    let trial = Trial::of(call).chunk_bytes(chunk_bytes);
                    assert!(
                        trial.run(&cut(text.as_bytes(), size)).output == expected.as_bytes(),
                        "{call} {size}"
                    );
                }
            }
            let few = &text[..3000];
            assert!(run(call, &cut(few.as_bytes(), 1)).output == few.replace('a', "<a>").as_bytes());
        }
    }

    #[test]
    fn a_line_is_sent_before_the_next_one_is_waited_for() {
        let outcome = Trial::of("replace a b").taking(2).ending(Ending::Awaited).run(&[b"a\na"]);
        assert_eq!(outcome.output, b"b\n");
    }

    #[test]
    fn a_failure_before_it_is_passed_up() {
        assert!(Trial::of("replace a b").ending(Ending::Aborted).run(&[b"a\n"]).result.is_err());
    }

    #[test]
    fn its_label_is_what_was_typed() {
        assert_eq!(stage("replace -i a|b $0$0").unwrap().label(), "-i a|b $0$0");
    }
}
