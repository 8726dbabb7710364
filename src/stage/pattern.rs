//! A pattern as an argument: a regular expression, or with `-F` a text, looked for line by line.
//! Compiles it and says what is wrong with it; what a match is good for is known to the stages.

use super::arguments::TextArgument;
use crate::diagnostic::printable;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use regex::bytes::{Regex, RegexBuilder};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;

#[derive(Debug, Clone, Args)]
#[group(skip)]
struct Words {
    /// A regular expression: `error|warning`, `^#`, `[0-9]+`, `\bword\b`
    #[arg(value_name = "PATTERN")]
    pattern: TextArgument,

    /// Take small and capital letters for the same
    #[arg(short, long)]
    ignore_case: bool,

    /// Take PATTERN for a text, not for a regular expression: every character stands for itself
    #[arg(short = 'F', long)]
    fixed_strings: bool,
}

/// What is looked for, compiled. `^` and `$` are the ends of a line.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    words: Words,
    stays_in_line: bool,
}

impl Pattern {
    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether no match in a text of several lines goes across the end of one, and every one is what the line alone would
    /// give: then all of the text may be searched at once.
    pub(super) fn stays_in_line(&self) -> bool {
        self.stays_in_line
    }

    /// Whether it is a text, and no regular expression.
    pub(super) fn is_fixed(&self) -> bool {
        self.words.fixed_strings
    }

    fn compile(words: Words) -> Result<Self, String> {
        let bytes = words.pattern.0.as_bytes();
        let (source, stays_in_line) = match (words.fixed_strings, str::from_utf8(bytes)) {
            (true, _) => (literal(bytes), true),
            (false, Ok(text)) => (text.to_owned(), stays_in_line(text)),
            (false, Err(_)) => {
                return Err("not UTF-8\nfor these bytes as they are, add `-F`".to_owned());
            }
        };
        // A newline in a pattern of several lines, `(?x)`, means nothing.
        if bytes.contains(&b'\n') && (words.fixed_strings || !source.contains("(?")) {
            return Err(
                "a newline, which is in no line\nfor one or the other, write `one|other`, without `-F`"
                    .into(),
            );
        }
        let mut builder = RegexBuilder::new(&source);
        match builder.case_insensitive(words.ignore_case).multi_line(true).build() {
            Ok(regex) => Ok(Pattern { regex, words, stays_in_line }),
            Err(error) => Err(in_few_words(&error)),
        }
    }
}

/// As typed.
impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words { pattern, ignore_case, fixed_strings } = &self.words;
        let flags = [(*ignore_case, "-i "), (*fixed_strings, "-F ")];
        flags.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, flag)| formatter.write_str(flag))?;
        formatter.write_str(&printable(pattern.0.as_bytes()))
    }
}

impl Args for Pattern {
    fn augment_args(command: Command) -> Command {
        Words::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Words::augment_args_for_update(command)
    }
}

impl FromArgMatches for Pattern {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let words = Words::from_arg_matches(matches)?;
        let value = words.pattern.0.clone();
        Pattern::compile(words).map_err(|why| refusal("PATTERN", &value, &why))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What clap says of a value that its own parser has refused, for one that is judged together with its neighbours.
/// The first line of `why` goes to the value, those after it are help.
pub(super) fn refusal(name: &'static str, value: &OsStr, why: &str) -> Error {
    let why = why.to_owned();
    let parser = OsStringValueParser::new().try_map(move |_| Err::<Infallible, String>(why.clone()));
    match parser.parse_ref(&Command::new(""), Some(&Arg::new(name)), value) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// A regular expression for just these bytes.
fn literal(bytes: &[u8]) -> String {
    let mut source = String::new();
    for piece in bytes.utf8_chunks() {
        source.push_str(&regex::escape(piece.valid()));
        for byte in piece.invalid() {
            // Writing to a string does not fail.
            let _ = write!(source, r"(?-u:\x{byte:02X})");
        }
    }
    source
}

/// What the expression's parser reports over several lines, with a drawing of its own.
fn in_few_words(error: &regex::Error) -> String {
    match error {
        regex::Error::Syntax(report) => {
            let what = report.lines().filter_map(|line| line.strip_prefix("error: ")).next_back();
            let what = what.unwrap_or("no regular expression");
            format!("{what}\nfor this text as it is, add `-F`")
        }
        regex::Error::CompiledTooBig(limit_bytes) => {
            format!("too large: it would take more than {} MiB", limit_bytes >> 20)
        }
        other => other.to_string(),
    }
}

/// Whether an expression surely finds in many lines at once what it finds in each of them alone.
///
/// Judged by the look of it: what could take a newline for one of its characters (`[^a]`, `\s`, an escape by number), what
/// sets another meaning of `.`, `^` and `$`, and `\A` and `\z`, which mean the ends of all that is searched, are out, and
/// so is everything else that is not known to be harmless.
fn stays_in_line(expression: &str) -> bool {
    let mut rest = expression.as_bytes();
    loop {
        rest = match rest {
            [] => return true,
            [b'\\', b'b' | b'B' | b'd' | b'w' | b'S', behind @ ..] => behind,
            [b'\\', escaped, behind @ ..] if escaped.is_ascii_punctuation() => behind,
            [b'\\', ..] | [b'[', b'^' | b':', ..] | [..=0x1f, ..] => return false,
            [b'(', b'?', behind @ ..] => {
                let harmless: [&[u8]; 5] = [b":", b"<", b"P<", b"i)", b"i:"];
                match harmless.iter().find_map(|start| behind.strip_prefix(*start)) {
                    Some(behind) => behind,
                    None => return false,
                }
            }
            [_, behind @ ..] => behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, TextArgument, Words, literal, stays_in_line};
    use proptest::prelude::{Strategy, prop_oneof, proptest};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn compiled(pattern: &[u8], flags: &str) -> Result<Pattern, String> {
        Pattern::compile(Words {
            pattern: TextArgument(OsString::from_vec(pattern.to_vec())),
            ignore_case: flags.contains('i'),
            fixed_strings: flags.contains('F'),
        })
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line_with_what_to_do() {
        let wrong = |pattern: &[u8]| compiled(pattern, "").expect_err("a mistake");
        assert_eq!(wrong(b"a(b"), "unclosed group\nfor this text as it is, add `-F`");
        assert_eq!(wrong(b"*"), "repetition operator missing expression\nfor this text as it is, add `-F`");
        assert_eq!(wrong(b"\xff"), "not UTF-8\nfor these bytes as they are, add `-F`");
        assert_eq!(wrong(br"\w{5000}"), "too large: it would take more than 10 MiB");
        assert!(wrong(b"a\nb").starts_with("a newline, which is in no line\n"));
        assert!(compiled(b"a\nb", "F").is_err());
        assert!(compiled(b"(?x) a # first\n b", "").is_ok());
    }

    #[test]
    fn a_text_stands_for_itself_whatever_its_bytes() {
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        for text in [&all[..], b".*", b"\xff(", "ß\u{e9}".as_bytes(), b"\xe2\x82"] {
            let pattern = compiled(text, "F").expect("any text");
            let found = pattern.regex().find(text).expect("it is in itself");
            assert_eq!((found.start(), found.end()), (0, text.len()), "{}", literal(text));
        }
        assert!(!compiled(b".", "F").expect("a text").regex().is_match(b"x"));
        let pattern = compiled("É\u{ff}".as_bytes(), "iF").expect("a text");
        assert!(pattern.regex().is_match("\u{e9}\u{178}".as_bytes()));
    }

    #[test]
    fn it_shows_itself_as_it_was_typed() {
        assert_eq!(compiled(b"a|b", "").expect("a pattern").to_string(), "a|b");
        assert_eq!(compiled(b"a\xff", "iF").expect("a pattern").to_string(), r#"-i -F "a\xff""#);
    }

    #[test]
    fn what_may_look_beyond_its_line_is_known() {
        for expression in
            ["", "abc", "^a.*z$", r"(a|b)+?", r"\bword\b", r"\[\^", "[a-z0-9_-]", "(?i)a", "(?:a)"]
        {
            assert!(stays_in_line(expression), "{expression}");
        }
        for expression in
            ["[^a]", r"\s", r"\Aa", r"a\z", "(?s)a.b", "(?-m)^a", r"\x0a", "a\n", r"\D", r"[a[^b]]", "(?R)a$"]
        {
            assert!(!stays_in_line(expression), "{expression}");
        }
    }

    /// Expressions of which many are valid.
    fn expression() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            r"[a-c\]{}*+?|().^$-]",
            r"\\[AzbBsSdDwWntafvrxpPuQ]",
            r"\\[a-z*.\[]",
            r"\[\^?[a-c-]{1,3}\]|\[\[:\^?alpha:\]\]|\[\\t-z\]|\[ -z\]|\[!--\]|\[a-c--b\]|\[a~~b\]|\[a&&a\]",
            r"\(\?[imsRUux]-?[msRx]?[:)]",
            "ab|a.*|b?|é|ß| |\t",
        ];
        proptest::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4000))]
        #[test]
        fn what_stays_in_its_line_finds_in_all_of_them_what_it_finds_in_each(
            expression in expression(),
            text in "([abcABC .-]|é|ß|\n|\r|\t){0,40}",
        ) {
            let Ok(pattern) = compiled(expression.as_bytes(), "") else { return Ok(()) };
            if !pattern.stays_in_line() {
                return Ok(());
            }
            let alone = regex::bytes::Regex::new(&expression).expect("it was valid");
            let mut offset = 0;
            let mut each = Vec::new();
            for line in text.as_bytes().split(|&byte| byte == b'\n') {
                each.extend(alone.find_iter(line).map(|found| (offset + found.start(), offset + found.end())));
                offset += line.len() + 1;
            }
            let found = pattern.regex().find_iter(text.as_bytes());
            let all: Vec<_> = found.map(|found| (found.start(), found.end())).collect();
            assert_eq!(all, each, "{expression:?} in {text:?}");
        }
    }
}
