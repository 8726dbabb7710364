//! Every mistake of the language, in words: one function each, with a text that causes it.
//! Finds none of them; the lexer, the parser and `operands` do.

use super::quote::{quote, shell_quote};
use super::tree::{Placeholder, Span};
use crate::diagnostic::{Mistake, printable};

const PLACES: &str =
    "an operand's places are `{}` `{/}` `{//}` `{.}` `{/.}`, `{1}` `{2}` and so on, and `{@}` alone";
const QUOTED_BRACES: &str = "braces that belong to the word are quoted, as in `'{}'`";
const GROUP: &str = "a group's braces stand alone, as in `tee { gzip | write a.gz }`";
const OUTSIDE: &str = "what is meant for the shell stands outside the chain's quotes";

/// `''`, or `# only a comment`
pub(super) fn empty_chain() -> Mistake {
    Mistake::error(0..0, "empty chain")
        .help("type stages joined by `|`, as in `weir 'read a | gzip | write a.gz'`")
        .help("`weir --stages` lists them")
}

/// A text with a zero byte in it: a chain cannot hold one, nor can any file name.
pub(super) fn zero_byte(at: usize) -> Mistake {
    Mistake::error(at..at + 1, format!("a NUL at byte {at} of the chain"))
        .help("a chain is text; if it came from a file, is it the right one?")
}

/// `read a | | write b`
pub(super) fn empty_stage(first: Span, second: Span) -> Mistake {
    Mistake::error(second.clone(), "no stage between two `|`")
        .label("a stage is missing before this")
        .help("type a stage there, or remove one `|`")
        .patch(first.end..second.end, "")
}

/// `read a || write b`
pub(super) fn double_pipe(pipes: Span) -> Mistake {
    Mistake::error(pipes.clone(), "`||` is a shell's `or`, and a chain has none")
        .label("one `|` joins two stages")
        .help("to do something when a chain fails, put `||` outside the chain's quotes")
        .patch(pipes, "|")
}

/// `| gzip`, `tee { | gzip }`
pub(super) fn leading_pipe(pipe: Span, next: usize) -> Mistake {
    Mistake::error(pipe.clone(), "no stage before the first `|`")
        .label("a stage is missing before this")
        .help("remove it: without a source, the chain reads from standard input")
        .patch(pipe.start..next, "")
}

/// `read a |`, `tee { gzip | }`
pub(super) fn trailing_pipe(pipe: Span, previous: usize) -> Mistake {
    Mistake::error(pipe.clone(), "no stage after the last `|`")
        .label("a stage is missing after this")
        .help("remove it: without a sink, the chain writes to standard output")
        .patch(previous..pipe.end, "")
}

/// `read 'my file`, `grep don't`
pub(super) fn open_quote(quote: Span, sign: char, patch: (usize, &'static str)) -> Mistake {
    Mistake::error(quote, format!("a {sign} that is never closed"))
        .label("the quoted piece begins here")
        .help(format!("close it with another {sign}, or type \\{sign} for the sign itself"))
        .patch(patch.0..patch.0, patch.1)
}

/// `read a\` where the text ends
pub(super) fn stray_backslash(at: Span) -> Mistake {
    Mistake::error(at.clone(), "a `\\` with nothing after it")
        .label("it protects nothing")
        .help("remove it, or type `\\\\` for the sign itself")
        .patch(at, "")
}

/// `tee {gzip | write a}`, `tee { tee { write a }}`
pub(super) fn glued_brace(word: Span, raw: &[u8], patch: Vec<u8>) -> Mistake {
    Mistake::error(word.clone(), format!("`{}` is neither a group nor an operand's place", printable(raw)))
        .label("white space is missing beside the brace")
        .help(GROUP)
        .help(format!("a brace that belongs to the word is quoted: {}", String::from_utf8_lossy(&quote(raw))))
        .patch(word, patch)
}

/// `grep [0-9]{1,3}`, `read {a,b}.txt`, `read {name}.txt`
pub(super) fn unknown_place(word: Span, raw: &[u8], patch: Option<Vec<u8>>) -> Mistake {
    let mistake = Mistake::error(word.clone(), format!("`{}` has braces that mean nothing", printable(raw)))
        .label("neither a group nor an operand's place")
        .help(PLACES)
        .help(QUOTED_BRACES);
    match patch {
        Some(patch) => mistake.patch(word, patch),
        None => mistake,
    }
}

/// `read ${HOME}/a`
pub(super) fn braced_variable(word: Span, raw: &[u8]) -> Mistake {
    Mistake::error(word, format!("`{}` is a shell's variable, and a chain has none", printable(raw)))
        .label("not replaced")
        .help("hand the value over as an operand, as in `weir 'read {}' -- \"$NAME\"`")
        .help("if the sign is meant itself, put the word in quotes")
}

/// `read {0}`
pub(super) fn place_zero(place: Span) -> Mistake {
    Mistake::error(place, "operands are counted from 1").label("the first one is `{1}`")
}

/// `{} | gzip`
pub(super) fn place_in_name(name: Span) -> Mistake {
    Mistake::error(name, "the name of a stage cannot come from an operand")
        .label("a stage's name belongs here")
        .help("to read an operand, type `read {}`")
}

/// `read a{@}`
pub(super) fn glued_all(word: Span) -> Mistake {
    Mistake::error(word, "`{@}` is a word of its own")
        .label("glued to other text")
        .help("`{@}` becomes one word for each operand; `{}` can be a part of a word")
}

/// `read {} | write {2}`
pub(super) fn mixed_places(first: (Placeholder, Span), second: (Placeholder, Span)) -> Mistake {
    Mistake::error(second.1, format!("`{}` and `{}` in one chain", first.0, second.0))
        .label("another way to take operands")
        .also(first.1, "one way to take operands")
        .help("`{}` takes operands one at a time, `{1}` and `{2}` two at a time, `{@}` all at once; use one way")
}

/// `tee { gzip | write a`
pub(super) fn open_group(brace: Span, end: usize) -> Mistake {
    Mistake::error(brace, "a group that is never closed")
        .label("it begins here")
        .help("close it with a `}` that stands alone")
        .patch(end..end, " }")
}

/// `gzip } | write a`
pub(super) fn stray_close(brace: Span, previous: usize) -> Mistake {
    Mistake::error(brace.clone(), "a `}` that closes nothing")
        .label("no group is open here")
        .help("remove it, or quote it: `'}'`")
        .patch(previous..brace.end, "")
}

/// `read a | { gzip | write b }`
pub(super) fn group_without_stage(brace: Span) -> Mistake {
    Mistake::error(brace, "a group with no stage in front of it")
        .label("a stage's name is missing before this")
        .help("a group is an argument, as in `tee { gzip | write a.gz }`")
}

/// A text of more than `deepest` groups, each in the one before.
pub(super) fn too_deep(brace: Span, deepest: usize) -> Mistake {
    Mistake::error(brace, format!("groups more than {deepest} deep"))
        .help("join some of the stages into one chain")
}

/// `read a | gzip > b`, `gzip >> b`
pub(super) fn redirected_output(sign: Span, stage: &str, patch: String) -> Mistake {
    Mistake::error(sign.clone(), "a chain has no redirections")
        .label(format!("`{stage}` does this"))
        .help(OUTSIDE)
        .help("quote the word if the sign is meant itself")
        .patch(sign, patch)
}

/// `gzip < a`
pub(super) fn redirected_input(sign: Span) -> Mistake {
    Mistake::error(sign, "a chain has no redirections")
        .label("a `read` in front of the chain does this")
        .help("begin the chain with `read FILE |`")
        .help(OUTSIDE)
        .help("quote the word if the sign is meant itself")
}

/// `exec make 2>&1`, `gzip &>log`
pub(super) fn redirected_descriptor(sign: Span) -> Mistake {
    Mistake::error(sign, "a chain has no redirections").label("for a shell").help(OUTSIDE)
}

/// `read a; gzip`, `read a &`, `read a && gzip`
pub(super) fn shell_list(sign: Span, raw: &str) -> Mistake {
    Mistake::error(sign, format!("`{raw}` is for a shell, and a chain has none"))
        .label("not part of a chain")
        .help("stages are joined by `|`; one `weir` runs one chain")
        .help(format!("{OUTSIDE}; quote the word if the sign is meant itself"))
}

/// The chain `read {}` and no operand.
pub(super) fn no_operand(word: Span, place: Placeholder) -> Mistake {
    Mistake::error(word, format!("no operand for `{place}`"))
        .label("an operand goes here")
        .help("give operands after the chain, as in `weir 'read {} | gzip | write {}.gz' -- FILE...`")
        .help(QUOTED_BRACES)
}

/// The chain `read a | gzip` and the operand `b`.
pub(super) fn no_place(chain: Span, operand: &[u8]) -> Mistake {
    Mistake::error(chain, format!("the operand `{}` has no place in the chain", printable(operand)))
        .label("no `{}` in it")
        .help("type `{}` where it belongs, as in `weir 'read {} | gzip | write {}.gz' -- FILE...`")
}

/// The chain `read a` and a list of operands.
pub(super) fn no_place_for_a_list(chain: Span) -> Mistake {
    Mistake::error(chain, "the operands of the list have no place in the chain")
        .label("no `{}` in it")
        .help("type `{}` where one belongs, as in `weir 'read {} | gzip | write {}.gz' --files0-from LIST`")
}

/// The chain `read` and the operands `f`, `|` and `gzip`: `weir read f '|' gzip`.
pub(super) fn unquoted_chain(name: Span, meant: &[u8]) -> Mistake {
    Mistake::error(name, "the chain is in several arguments; it is one, in quotes")
        .label("what follows was taken for operands")
        .help(format!("type: weir {}", shell_quote(&String::from_utf8_lossy(meant))))
}

/// The chain `read` and the operand `f`: `weir read f`.
pub(super) fn maybe_unquoted_chain(mistake: Mistake, meant: &[u8]) -> Mistake {
    let meant = shell_quote(&String::from_utf8_lossy(meant));
    mistake.help(format!("if it is part of the chain, quote the whole: weir {meant}"))
}

/// The chain `read {1} | write {2}` and three operands.
pub(super) fn uneven_operands(word: Span, taken: usize, given: usize) -> Mistake {
    let (fewer, more) = (given / taken * taken, given.next_multiple_of(taken));
    let enough = if fewer == 0 { format!("{more}") } else { format!("{fewer} or {more}") };
    let is_or_are = if given == 1 { "is" } else { "are" };
    Mistake::error(word, format!("operands are taken {taken} at a time, and there {is_or_are} {given}"))
        .label(format!("`{{{taken}}}` is the last of each {taken}"))
        .help(format!("give {enough} of them"))
}

/// `read ~/a`
pub(super) fn tilde(word: Span) -> Mistake {
    Mistake::warning(word, "`~` is taken as it is")
        .label("a file of this very name")
        .help("a chain has no home directory; let the shell put it in: `weir 'read {}' -- ~/FILE`")
        .help("quote the word to say that it is meant")
}

/// `read $NAME`, `read $(date)`
pub(super) fn variable(word: Span) -> Mistake {
    Mistake::warning(word, "`$` is taken as it is")
        .label("not replaced")
        .help("a chain has no variables; let the shell put it in: `weir 'read {}' -- \"$NAME\"`")
        .help("quote the word to say that it is meant")
}

/// `read *.log`
pub(super) fn wildcard(word: Span) -> Mistake {
    Mistake::warning(word, "`*` is taken as it is")
        .label("a file of this very name")
        .help("a chain has no wildcards; let the shell put the names in: `weir 'read {} | gzip | write {}.gz' -- *.log`")
        .help("quote the word to say that it is meant")
}

/// `read “my file”`, `gzip –9`
pub(super) fn lookalike(word: Span, character: char) -> Mistake {
    let code = u32::from(character);
    Mistake::warning(word, format!("U+{code:04X} is a part of this word"))
        .label("it looks like a quote, a dash or a space, and is none")
        .help("type it anew: ' or \" quotes, - begins an option; or quote the word to say that it is meant")
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Colour, render};
    use crate::lang::{doubts, parse};
    use proptest::prelude::{any, prop_assert, proptest};

    /// A text, what its mistakes are, and the text that mends them where there is one.
    const CAUSES: [(&str, &[&str], Option<&str>); 46] = [
        ("", &["empty chain"], None),
        ("  \n ", &["empty chain"], None),
        ("# only a comment", &["empty chain"], None),
        ("read a | | write b", &["no stage between two `|`"], Some("read a | write b")),
        ("read a || write b", &["`||` is a shell's `or`, and a chain has none"], Some("read a | write b")),
        ("| gzip", &["no stage before the first `|`"], Some("gzip")),
        ("|", &["no stage before the first `|`"], None),
        ("tee { | gzip }", &["no stage before the first `|`"], Some("tee { gzip }")),
        ("read a |", &["no stage after the last `|`"], Some("read a")),
        ("tee { gzip | }", &["no stage after the last `|`"], Some("tee { gzip }")),
        ("read 'my file", &["a ' that is never closed"], Some("read 'my file'")),
        ("read \"my file | gzip", &["a \" that is never closed"], Some("read \"my file\" | gzip")),
        ("grep don't", &["a ' that is never closed"], Some("grep don\\'t")),
        ("grep 'a;", &["a ' that is never closed"], Some("grep 'a;'")),
        ("read a\\", &["a `\\` with nothing after it"], Some("read a")),
        ("read a\0b\0", &["a NUL at byte 6 of the chain"], None),
        (
            "{write a",
            &[
                "`{write` is neither a group nor an operand's place",
                "a group with no stage in front of it",
                "a group that is never closed",
            ],
            None,
        ),
        ("tee {write a }", &["`{write` is neither a group nor an operand's place"], Some("tee { write a }")),
        ("tee { write a}", &["`a}` is neither a group nor an operand's place"], Some("tee { write a }")),
        ("tee {gzip}", &["`{gzip}` is neither a group nor an operand's place"], Some("tee { gzip }")),
        (
            "tee { tee { write a }}",
            &["`}}` is neither a group nor an operand's place"],
            Some("tee { tee { write a } }"),
        ),
        ("read {a,b}.txt", &["`{a,b}.txt` has braces that mean nothing"], Some("read \"{a,b}.txt\"")),
        ("grep [0-9]{1,3}", &["`[0-9]{1,3}` has braces that mean nothing"], Some("grep \"[0-9]{1,3}\"")),
        ("grep {1,3}", &["`{1,3}` has braces that mean nothing"], Some("grep \"{1,3}\"")),
        ("read {@/}", &["`{@/}` has braces that mean nothing"], Some("read \"{@/}\"")),
        (
            "read {99999999999999999999}",
            &["`{99999999999999999999}` has braces that mean nothing"],
            Some("read \"{99999999999999999999}\""),
        ),
        ("read ${HOME}/a", &["`${HOME}/a` is a shell's variable, and a chain has none"], None),
        ("read {0}", &["operands are counted from 1"], None),
        ("{} | gzip", &["the name of a stage cannot come from an operand"], None),
        ("read a{@}", &["`{@}` is a word of its own"], None),
        ("read {} | write {2}", &["`{}` and `{2}` in one chain"], None),
        ("read {@} | write {/}", &["`{@}` and `{/}` in one chain"], None),
        ("tee { gzip | write a # }", &["a group that is never closed"], Some("tee { gzip | write a } # }")),
        ("gzip } | write a", &["a `}` that closes nothing"], Some("gzip | write a")),
        ("read a | { gzip | write b }", &["a group with no stage in front of it"], None),
        ("read a | gzip > b", &["a chain has no redirections"], Some("read a | gzip | write b")),
        ("read a | gzip >>b", &["a chain has no redirections"], Some("read a | gzip | write --append b")),
        ("read a | gzip>b", &["a chain has no redirections"], Some("read a | gzip | write b")),
        ("read a | > b", &["a chain has no redirections"], Some("read a | write b")),
        ("gzip <a", &["a chain has no redirections"], None),
        ("exec make 2>&1", &["a chain has no redirections"], None),
        ("read a; gzip", &["`;` is for a shell, and a chain has none"], None),
        ("read a &", &["`&` is for a shell, and a chain has none"], None),
        (
            "read a && gzip&",
            &["`&&` is for a shell, and a chain has none", "`&` is for a shell, and a chain has none"],
            None,
        ),
        ("gzip;write a", &["`;` is for a shell, and a chain has none"], None),
        (
            "a | | 'b}' c} {@}x",
            &[
                "no stage between two `|`",
                "`c}` is neither a group nor an operand's place",
                "a `}` that closes nothing",
                "`{@}` is a word of its own",
            ],
            None,
        ),
    ];

    #[test]
    fn every_cause_has_its_message_and_its_remedy() {
        for (text, messages, mended) in CAUSES {
            let mistakes = parse(text.as_bytes()).expect_err(text);
            let found: Vec<&str> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
            assert_eq!(found, messages, "{text}");
            let report = render(text.as_bytes(), &mistakes, Colour::Never);
            let typed = report.split_once("\n\ntype:\n  ").map(|(_, typed)| typed.trim_end());
            assert_eq!(typed, mended, "{text}");
            for mistake in &mistakes {
                assert!(!mistake.label.is_empty() || !mistake.helps.is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_said_to_be_right_is_right() {
        for (text, _, mended) in CAUSES {
            if let Some(mended) = mended {
                assert!(parse(mended.as_bytes()).is_ok(), "{text}: {mended}");
            }
        }
    }

    #[test]
    fn groups_have_a_depth_and_no_more() {
        let nested = |depth: usize| format!("{}write a{}", "tee { ".repeat(depth), " }".repeat(depth));
        assert!(parse(nested(64).as_bytes()).is_ok());
        for text in [nested(65), "tee { ".repeat(100_000)] {
            let mistakes = parse(text.as_bytes()).expect_err("too deep");
            assert_eq!(mistakes.len(), 1);
            assert_eq!(mistakes[0].message, "groups more than 64 deep");
        }
    }

    #[test]
    fn a_report_reads_well() {
        let text = b"read a | | gzip {write b}";
        let report = render(text, &parse(text).expect_err("mistakes"), Colour::Never);
        let expected = "\
weir: no stage between two `|`
 |
 | read a | | gzip {write b}
 |          ^ a stage is missing before this
 |
 = help: type a stage there, or remove one `|`

weir: `{write` is neither a group nor an operand's place
 |
 | read a | | gzip {write b}
 |                 ^^^^^^ white space is missing beside the brace
 |
 = help: a group's braces stand alone, as in `tee { gzip | write a.gz }`
 = help: a brace that belongs to the word is quoted: \"{write\"

weir: `b}` is neither a group nor an operand's place
 |
 | read a | | gzip {write b}
 |                        ^^ white space is missing beside the brace
 |
 = help: a brace that belongs to the word is quoted: \"b}\"

type:
  read a | gzip { write b }
";
        assert_eq!(report, expected);
    }
    proptest! {
        #[test]
        fn whatever_is_wrong_can_be_shown(
            text in proptest::collection::vec(any::<u8>(), 0..60),
            likely in "[a2 |{}'\"\\\\#\n\r\t\u{1b}é漢>&;<@/.$~*]{0,60}",
        ) {
            for text in [text.as_slice(), likely.as_bytes()] {
                let mistakes = parse(text).map_or_else(|mistakes| mistakes, |chain| doubts(text, &chain));
                let report = render(text, &mistakes, Colour::Never);
                prop_assert!(report.chars().all(|c| c == '\n' || !c.is_control()));
                prop_assert!(report.is_empty() == mistakes.is_empty());
            }
        }
    }
}
