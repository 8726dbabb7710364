//! Tokens to a chain: stages, groups, and what may stand where.
//! Knows no stage name; which words a stage takes is the plan's to judge.

use super::errors;
use super::lexer::{Ending, Kind, Token, lex};
use super::operands;
use super::tree::{Argument, Call, Chain, Group, Piece, Placeholder, Span, Which, Word};
use crate::diagnostic::Mistake;

/// Deep enough for any chain that a person reads, shallow enough for any stack.
const GROUPS_DEEP_MAX: usize = 64;

/// Reads the text of a chain.
///
/// # Errors
/// All mistakes of the text, in its order; never an empty list.
pub fn parse(text: &[u8]) -> Result<Chain, Vec<Mistake>> {
    match read(text) {
        (chain, mistakes) if mistakes.is_empty() => Ok(chain),
        (_, mistakes) => Err(mistakes),
    }
}

/// What can be made of a text whatever is wrong with it: only for finding more mistakes.
pub fn parse_anyway(text: &[u8]) -> Chain {
    read(text).0
}

/// A chain, as far as it goes, and all that is wrong with its text.
fn read(text: &[u8]) -> (Chain, Vec<Mistake>) {
    if let Some(at) = text.iter().position(|&byte| byte == 0) {
        return (Chain { calls: Vec::new(), span: 0..0 }, vec![errors::zero_byte(at)]);
    }
    let (tokens, mistakes) = lex(text);
    let mut parser = Parser {
        text,
        tokens: tokens.into_iter().peekable(),
        previous_end: 0,
        depth: 0,
        gave_up: false,
        mistakes,
    };
    let chain = parser.chain();
    let mut mistakes = parser.mistakes;
    mistakes.extend(operands::mixed(&chain));
    if chain.calls.is_empty() && mistakes.is_empty() {
        mistakes.push(errors::empty_chain());
    }
    mistakes.sort_by_key(|mistake| mistake.span.start);
    (chain, mistakes)
}

struct Parser<'t> {
    text: &'t [u8],
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Where the last token taken ends.
    previous_end: usize,
    /// Groups open here.
    depth: usize,
    /// The rest was thrown away; what is missing at its end is no mistake of the text.
    gave_up: bool,
    mistakes: Vec<Mistake>,
}

impl Parser<'_> {
    fn advance(&mut self) -> Option<Token> {
        let token = self.tokens.next()?;
        self.previous_end = token.span.end;
        Some(token)
    }

    /// Where the next token begins, or the text ends.
    fn next_start(&mut self) -> usize {
        self.tokens.peek().map_or(self.text.len(), |token| token.span.start)
    }

    /// Up to the end of the text, or to the brace that closes the group.
    fn chain(&mut self) -> Chain {
        let mut calls: Vec<Call> = Vec::new();
        // The `|` that waits for its stage.
        let mut open_pipe: Option<Span> = None;
        let mut before_pipe = self.previous_end;
        while let Some(token) = self.tokens.peek() {
            match token.kind {
                Kind::Pipe => {
                    let pipe = token.span.clone();
                    let follows_stage = open_pipe.is_none() && !calls.is_empty();
                    if follows_stage {
                        before_pipe = self.previous_end;
                    }
                    self.advance();
                    if !follows_stage {
                        self.empty_stage(open_pipe.take(), pipe.clone());
                    }
                    open_pipe = Some(pipe);
                }
                Kind::Close if self.depth > 0 => break,
                Kind::Close => self.stray_close(),
                Kind::Word(..) | Kind::Open => {
                    calls.extend(self.call());
                    open_pipe = None;
                }
            }
        }
        if let Some(pipe) = open_pipe
            && !calls.is_empty()
            && !self.gave_up
        {
            self.mistakes.push(errors::trailing_pipe(pipe, before_pipe));
        }
        let span = match (calls.first(), calls.last()) {
            (Some(first), Some(last)) => first.span.start..last.span.end,
            _ => self.previous_end..self.previous_end,
        };
        Chain { calls, span }
    }

    fn empty_stage(&mut self, before: Option<Span>, pipe: Span) {
        let mistake = match before {
            Some(before) if before.end == pipe.start => errors::double_pipe(before.start..pipe.end),
            Some(before) => errors::empty_stage(before, pipe),
            None => {
                let next = self.next_start();
                errors::leading_pipe(pipe, next)
            }
        };
        self.mistakes.push(mistake);
    }

    fn stray_close(&mut self) {
        let previous_end = self.previous_end;
        if let Some(brace) = self.advance() {
            self.mistakes.push(errors::stray_close(brace.span, previous_end));
        }
    }

    /// A name and its arguments; `None` for what has no name, which is said.
    fn call(&mut self) -> Option<Call> {
        let first = self.advance()?;
        let name = match first.kind {
            Kind::Word(word, ending) => {
                self.check_name(&word, ending);
                Some(word)
            }
            _ => {
                self.mistakes.push(errors::group_without_stage(first.span.clone()));
                self.group(first.span);
                None
            }
        };
        let mut arguments = Vec::new();
        while let Some(token) = self.tokens.peek() {
            match token.kind {
                Kind::Pipe => break,
                Kind::Close if self.depth > 0 => break,
                Kind::Close => self.stray_close(),
                Kind::Word(..) | Kind::Open => arguments.extend(self.argument()),
            }
        }
        let name = name?;
        let end = arguments.last().map_or(name.span.end, |argument| argument.span().end);
        let span = name.span.start..end;
        Some(Call { name, arguments, span })
    }

    fn argument(&mut self) -> Option<Argument> {
        let token = self.advance()?;
        match token.kind {
            Kind::Word(word, ending) => {
                self.check_argument(&word, ending);
                Some(Argument::Word(word))
            }
            _ => Some(Argument::Group(self.group(token.span))),
        }
    }

    /// What follows an opening brace, to the closing one.
    fn group(&mut self, open: Span) -> Group {
        if self.depth == GROUPS_DEEP_MAX {
            self.mistakes.push(errors::too_deep(open.clone(), GROUPS_DEEP_MAX));
            self.gave_up = true;
            while self.advance().is_some() {}
        }
        self.depth += 1;
        let chain = self.chain();
        self.depth -= 1;
        if self.advance().is_none() && !self.gave_up {
            self.mistakes.push(errors::open_group(open.clone(), self.previous_end));
        }
        Group { chain, span: open.start..self.previous_end.max(open.end) }
    }

    fn check_name(&mut self, name: &Word, ending: Ending) {
        if name.pieces.iter().any(|piece| matches!(piece, Piece::Operand(_))) {
            self.mistakes.push(errors::place_in_name(name.span.clone()));
        }
        let raw = &self.text[name.span.clone()];
        let is_bare = !raw.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'\\'));
        match raw.iter().position(|byte| is_bare && b"<>&;".contains(byte)) {
            Some(0) | None => self.check_operator(&name.span, ending, Before::NoStage),
            Some(at) => {
                self.check_operator(&(name.span.start + at..name.span.end), ending, Before::GluedStage);
            }
        }
    }

    fn check_argument(&mut self, word: &Word, ending: Ending) {
        let is_all = |piece: &Piece| matches!(piece, Piece::Operand(Placeholder { which: Which::All, .. }));
        if word.pieces.len() > 1 && word.pieces.iter().any(is_all) {
            self.mistakes.push(errors::glued_all(word.span.clone()));
        }
        self.check_operator(&word.span, ending, Before::Stage);
    }

    /// Finds what a shell would obey: in front of a word, or a `;` or `&` behind it. Inside a word these are text, as in a URL.
    fn check_operator(&mut self, word: &Span, ending: Ending, before: Before) {
        let start = word.start;
        let raw = &self.text[word.clone()];
        let digits = raw.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let sign = |length: usize| start..start + length;
        let mistake = match raw {
            [b'>', b'>', rest @ ..] => before.redirected(sign(2), "write --append", rest),
            [b'>', rest @ ..] => before.redirected(sign(1), "write", rest),
            [b'<', ..] => errors::redirected_input(sign(1)),
            [b'&', b'>', ..] => errors::redirected_descriptor(word.clone()),
            _ if digits > 0 && raw.get(digits) == Some(&b'>') => errors::redirected_descriptor(word.clone()),
            [b'&', b'&', ..] => errors::shell_list(sign(2), "&&"),
            [b'&', ..] => errors::shell_list(sign(1), "&"),
            [b';', ..] => errors::shell_list(sign(1), ";"),
            _ if ending == Ending::Protected => return,
            [.., b'&', b'&'] => errors::shell_list(word.end - 2..word.end, "&&"),
            [.., b'&'] => errors::shell_list(word.end - 1..word.end, "&"),
            [.., b';'] => errors::shell_list(word.end - 1..word.end, ";"),
            _ => return,
        };
        self.mistakes.push(mistake);
    }
}

/// What stands in front of an operator, which decides how it is mended.
#[derive(Clone, Copy)]
enum Before {
    NoStage,
    Stage,
    GluedStage,
}

impl Before {
    fn redirected(self, sign: Span, stage: &str, rest: &[u8]) -> Mistake {
        let joint = match self {
            Before::NoStage => "",
            Before::Stage => "| ",
            Before::GluedStage => " | ",
        };
        let gap = if rest.is_empty() { "" } else { " " };
        errors::redirected_output(sign, stage, format!("{joint}{stage}{gap}"))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::lang::{Argument, Chain, Part, Piece, Placeholder, Which};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn chain(text: &str) -> Chain {
        parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
    }

    /// The calls, and their words as bytes; a group as the words between its braces.
    fn calls(text: &str) -> Vec<Vec<String>> {
        let word = |argument: &Argument| match argument {
            Argument::Word(word) => String::from_utf8(word.bytes()).expect("UTF-8"),
            Argument::Group(group) => text[group.span.clone()].to_string(),
        };
        let call = |call: &crate::lang::Call| {
            let name = String::from_utf8(call.name.bytes()).expect("UTF-8");
            std::iter::once(name).chain(call.arguments.iter().map(word)).collect()
        };
        chain(text).calls.iter().map(call).collect()
    }

    #[test]
    fn words_are_split_and_joined_as_in_a_shell() {
        let cases: [(&str, &[&[&str]]); 16] = [
            ("read a | gzip -9|write b", &[&["read", "a"], &["gzip", "-9"], &["write", "b"]]),
            ("\u{feff}read\ta\r\n| gzip", &[&["read", "a"], &["gzip"]]),
            ("read 'a b'", &[&["read", "a b"]]),
            ("read 'a|#{}'", &[&["read", "a|#{}"]]),
            (r#"read "a \"b\" \\ \n $x""#, &[&["read", r#"a "b" \ \n $x"#]]),
            (r"read a\ b\|\{\}\#\'", &[&["read", "a b|{}#'"]]),
            ("read a'b'\"c\"d", &[&["read", "abcd"]]),
            ("read '' \"\"", &[&["read", "", ""]]),
            ("read a # comment | x\n| gzip", &[&["read", "a"], &["gzip"]]),
            ("#!/usr/bin/env -S weir -f\nread a#b", &[&["read", "a#b"]]),
            ("read a\\\nb \\\r\n # c", &[&["read", "ab"]]),
            ("read \"a\\\nb\"", &[&["read", "ab"]]),
            ("get http://h:80/?a=1&b=2;c<d>e~f", &[&["get", "http://h:80/?a=1&b=2;c<d>e~f"]]),
            ("grep ';' '&' a\\; \"x&\" '>' \\<a", &[&["grep", ";", "&", "a;", "x&", ">", "<a"]]),
            (
                "grep \"5[0-9]{2}\" $HOME *.c `x` (y) !",
                &[&["grep", "5[0-9]{2}", "$HOME", "*.c", "`x`", "(y)", "!"]],
            ),
            ("tee { gzip | write a } {\n} '{' | x", &[&["tee", "{ gzip | write a }", "{\n}", "{"], &["x"]]),
        ];
        for (text, expected) in cases {
            assert_eq!(calls(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let chain = parse(b"read \xff\xfe'\xc3'").expect("any bytes but NUL");
        assert_eq!(chain.words()[1].bytes(), b"\xff\xfe\xc3");
    }

    #[test]
    fn spans_cover_what_was_written() {
        let text = " tee 'a b' { gzip  | write c } | write \"d\" # end";
        let chain = chain(text);
        let Argument::Group(group) = &chain.calls[0].arguments[1] else { panic!("a group") };
        assert_eq!(&text[chain.span.clone()], "tee 'a b' { gzip  | write c } | write \"d\"");
        assert_eq!(&text[chain.calls[0].span.clone()], "tee 'a b' { gzip  | write c }");
        assert_eq!(&text[chain.calls[0].arguments[0].span().clone()], "'a b'");
        assert_eq!(&text[group.chain.span.clone()], "gzip  | write c");
        assert_eq!(&text[chain.calls[1].span.clone()], "write \"d\"");
    }

    #[test]
    fn places_are_found_in_bare_words_only() {
        let cases = [
            ("{}", Which::Only, Part::Whole),
            ("{/}", Which::Only, Part::Base),
            ("{//}", Which::Only, Part::Directory),
            ("{.}", Which::Only, Part::Stem),
            ("{/.}", Which::Only, Part::BaseStem),
            ("{1}", Which::Nth(1), Part::Whole),
            ("{12//}", Which::Nth(12), Part::Directory),
            ("{2/.}", Which::Nth(2), Part::BaseStem),
            ("{@}", Which::All, Part::Whole),
        ];
        for (place, which, part) in cases {
            let bare = chain(&format!("read {place}"));
            let placeholder = Placeholder { which, part };
            assert_eq!(bare.words()[1].pieces, [Piece::Operand(placeholder)], "{place}");
            assert_eq!(placeholder.to_string(), place);
            for quoted in [format!("read '{place}'"), format!("read \"{place}\""), format!("read \\{place}")]
            {
                // An escaped brace leaves the other one bare, which is a mistake of its own.
                if let Ok(chain) = parse(quoted.as_bytes()) {
                    assert_eq!(chain.words()[1].pieces, [Piece::Text(place.as_bytes().to_vec())], "{quoted}");
                }
            }
        }
        let pieces = &chain("write out/{/.}.'{}'gz").words()[1].pieces.clone();
        let place = Piece::Operand(Placeholder { which: Which::Only, part: Part::BaseStem });
        assert_eq!(pieces, &[Piece::Text(b"out/".to_vec()), place, Piece::Text(b".{}gz".to_vec())]);
    }

    proptest! {
        #[test]
        fn no_text_is_beyond_the_parser(
            text in proptest::collection::vec(any::<u8>(), 0..80),
            likely in "[a2 |{}'\"\\\\#\n\r>&;<@/.$0]{0,60}",
        ) {
            for text in [text.as_slice(), likely.as_bytes()] {
                match parse(text) {
                    Ok(chain) => {
                        prop_assert!(!chain.calls.is_empty());
                        for word in chain.words() {
                            prop_assert!(word.span.start < word.span.end && word.span.end <= text.len());
                        }
                    }
                    Err(mistakes) => {
                        prop_assert!(!mistakes.is_empty());
                        for mistake in mistakes {
                            let patch = mistake.patch.into_iter().map(|patch| patch.span);
                            let others = mistake.others.into_iter().map(|(span, _)| span);
                            for span in patch.chain(others).chain([mistake.span]) {
                                prop_assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn white_space_and_comments_change_nothing(words in proptest::collection::vec("[a-z]{1,4}", 1..6)) {
            let plain = chain(&words.join(" ")).words().iter().map(|word| word.bytes()).collect::<Vec<_>>();
            let spread = chain(&format!("#!x\n{}\n# y", words.join(" \\\n# it's\n\t")));
            prop_assert_eq!(spread.words().iter().map(|word| word.bytes()).collect::<Vec<_>>(), plain);
        }
    }
}
