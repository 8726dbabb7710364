//! The words of one call through clap: to a stage, to the stage's help, or to a mistake at the word that caused it.
//! Knows no position and no neighbour.

use crate::diagnostic::{Mistake, printable};
use crate::lang::{Call, Piece, Span, Word};
use crate::stage::{DATA_MARK, Entry, Groups, Stage};
use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What a call's words come to.
pub(super) enum Parsed {
    Stage(Box<dyn Stage>),
    Help(String),
}

/// The words of a call, and where each stands.
pub(super) struct Written {
    /// Where the stage is named.
    name: Span,
    words: Vec<Argument>,
}

struct Argument {
    /// As clap gets it: data that begins with `-` is marked.
    bytes: Vec<u8>,
    span: Span,
}

impl Written {
    /// No words: an end that goes without saying.
    pub(super) fn implied() -> Written {
        Written { name: 0..0, words: Vec::new() }
    }

    pub(super) fn of(entry: &Entry, call: &Call, words: &[&Word]) -> Written {
        let bytes = entry.spelt_out(words.iter().map(|word| marked(word)).collect());
        let words = bytes.into_iter().zip(words);
        let words = words.map(|(bytes, word)| Argument { bytes, span: word.span.clone() });
        Written { name: call.name.span.clone(), words: words.collect() }
    }

    /// Words that one word of the chain stands for.
    pub(super) fn argument(entry: &Entry, words: &[Vec<u8>], span: &Span) -> Written {
        let words = entry.spelt_out(words.to_vec()).into_iter();
        let words = words.map(|bytes| Argument { bytes, span: span.clone() });
        Written { name: span.clone(), words: words.collect() }
    }
}

/// The bytes of a word, with the mark before an operand that begins with `-` where the word, or the value that is glued to an
/// option, begins with it.
fn marked(word: &Word) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in &word.pieces {
        let begins_a_value = match &bytes[..] {
            [] | [b'-', _] => true,
            [b'-', b'-', name @ .., b'='] => !name.contains(&b'='),
            _ => false,
        };
        if let Piece::Data(data) = piece
            && data.starts_with(b"-")
            && begins_a_value
            && bytes != b"--"
        {
            bytes.push(DATA_MARK);
        }
        bytes.extend_from_slice(&piece.bytes());
    }
    bytes
}

impl Argument {
    /// The word as it was typed, as far as it is UTF-8.
    fn text(&self) -> String {
        shown(&String::from_utf8_lossy(&self.bytes))
    }

    /// What a flag's word says after the flag: `12` of `--level=12`, `-l=12` and `-l12`.
    fn value(&self) -> Option<String> {
        let text = self.text();
        if text.starts_with("--") {
            return text.split_once('=').map(|(_, value)| value.to_string());
        }
        let rest = text.strip_prefix('-').and_then(|rest| rest.get(rest.chars().next()?.len_utf8()..))?;
        (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest).to_string())
    }
}

/// The stage that `written` asks for.
pub(super) fn parse(entry: &Entry, written: &Written) -> Result<Parsed, Box<Mistake>> {
    let words = written.words.iter().map(|word| OsString::from_vec(word.bytes.clone()));
    let mut command = entry.command();
    let parsed = command.try_get_matches_from_mut(words).and_then(|matches| entry.parse(&matches));
    match parsed {
        Ok(stage) => Ok(Parsed::Stage(stage)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(help(entry))),
        Err(error) => Err(Box::new(Blame { entry, command, written, error }.mistake())),
    }
}

/// How a stage is called, groups included: `tee [OPTIONS] [PATH]... [{ CHAIN }]...`.
pub fn usage(entry: &Entry) -> String {
    let usage = entry.command().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    match entry.groups {
        Groups::Branches if !usage.contains('{') => format!("{usage} [{{ CHAIN }}]..."),
        Groups::Branches | Groups::None => usage.to_string(),
    }
}

/// The help of a stage, with its examples.
pub fn help(entry: &Entry) -> String {
    let examples = entry.chains().map(example).collect::<String>();
    let mut command = entry.command().term_width(100).override_usage(usage(entry));
    if !examples.is_empty() {
        command = command.after_long_help(format!("Examples:\n{}", examples.trim_end()));
    }
    command.render_long_help().to_string()
}

fn example(chain: &str) -> String {
    format!("  weir '{}'\n", chain.replace('\'', r"'\''"))
}

/// What clap found, and all that is needed to say where.
struct Blame<'a> {
    entry: &'a Entry,
    command: Command,
    written: &'a Written,
    error: Error,
}

impl Blame<'_> {
    fn mistake(self) -> Mistake {
        let usage = usage(self.entry);
        let name = self.entry.name;
        match self.error.kind() {
            ErrorKind::UnknownArgument => self.unknown(&usage),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => self.value(&usage),
            ErrorKind::ArgumentConflict => self.conflict(),
            ErrorKind::MissingRequiredArgument => {
                let missing: Vec<String> =
                    self.strings(ContextKind::InvalidArg).iter().map(|argument| bare(argument)).collect();
                Mistake::error(self.written.name.clone(), format!("`{name}` needs {}", missing.join(" and ")))
                    .label("something is missing after this")
                    .help(format!("usage: {usage}"))
            }
            ErrorKind::InvalidUtf8 => {
                let word = self.written.words.iter().find(|word| str::from_utf8(&word.bytes).is_err());
                let span = word.map_or(&self.written.name, |word| &word.span).clone();
                Mistake::error(span, format!("an argument of `{name}` is no UTF-8"))
                    .label("only a file's name may be")
                    .help(format!("usage: {usage}"))
            }
            _ => {
                let flag = self.string(ContextKind::InvalidArg).unwrap_or_default();
                let span = self.flag(&flag, 0).map_or(&self.written.name, |at| &self.written.words[at].span);
                Mistake::error(span.clone(), format!("`{name}`: {}", self.sentence()))
                    .help(format!("usage: {usage}"))
            }
        }
    }

    /// An option that does not exist, or a word too many.
    fn unknown(&self, usage: &str) -> Mistake {
        let name = self.entry.name;
        let argument = self.string(ContextKind::InvalidArg).unwrap_or_default();
        // After `--` nothing is an option.
        let end = self.written.words.iter().position(|word| word.bytes == b"--");
        let rest = end.and_then(|end| self.equal(&argument, end + 1));
        let at = rest.or_else(|| self.flag(&argument, 0)).or_else(|| self.equal(&argument, 0));
        let span = at.map_or(&self.written.name, |at| &self.written.words[at].span).clone();
        let argument = shown(&argument);
        let word = at.map_or_else(|| argument.clone(), |at| self.written.words[at].text());
        if rest.is_none() && is_negative_number(&word) && !self.has_numeric_flags() {
            return Mistake::error(span, format!("`{}` is less than nothing", printable(&word)))
                .label("a number without a sign is expected")
                .help(format!("usage: {usage}"));
        }
        let mistake = if rest.is_none() && argument.starts_with('-') && argument != "-" {
            Mistake::error(span.clone(), format!("`{name}` has no option `{}`", printable(&argument)))
                .label("unknown option")
        } else {
            Mistake::error(span.clone(), format!("`{}` is too much for `{name}`", printable(&argument)))
                .label("one argument too many")
        };
        let Some(meant) = self.string(ContextKind::SuggestedArg) else {
            let mistake = if self.error.get(ContextKind::Suggested).is_some() {
                mistake.help(format!("if it is no option, put `--` in front of it: `{name} -- {word}`"))
            } else {
                mistake
            };
            return mistake.help(format!("usage: {usage}")).help(format!("`{name} --help` says more"));
        };
        let mistake = mistake.help(format!("did you mean `{meant}`?"));
        // A value that is glued to the option stays where it is.
        if span.len() < argument.len() {
            mistake
        } else {
            mistake.patch(span.start..span.start + argument.len(), meant)
        }
    }

    /// A value that is missing, out of range or no number.
    fn value(&self, usage: &str) -> Mistake {
        let argument = self.string(ContextKind::InvalidArg).unwrap_or_default();
        let Some(value) = self.string(ContextKind::InvalidValue) else {
            // The argument's own words: they name it, and clap adds nothing.
            let words = &self.written.words;
            let empty = words.iter().position(|word| matches!(word.bytes.as_slice(), [] | [DATA_MARK]));
            let at = empty.or_else(|| self.flag(&argument, 0));
            let span = at.map_or(&self.written.name, |at| &words[at].span).clone();
            return Mistake::error(span, self.sentence()).help(format!("usage: {usage}"));
        };
        let flag = self.flag(&argument, 0);
        let has_word = self.equal(&value, flag.unwrap_or(0));
        // A value may be one of several with commas between them.
        let holds = |text: &str| text == shown(&value) || text.split(',').any(|item| item == shown(&value));
        let glued = flag.filter(|&at| self.written.words[at].value().as_deref().is_some_and(holds));
        let next = flag.map(|at| at + 1);
        let next = next.filter(|&at| self.written.words.get(at).is_some_and(|word| holds(&word.text())));
        let place = glued.or(next).or(has_word).or(flag).or_else(|| self.listed(&value));
        let span = place.map_or(&self.written.name, |at| &self.written.words[at].span).clone();
        if value.is_empty() && glued.is_none() && has_word.is_none() {
            return Mistake::error(span, format!("`{argument}` needs a value"))
                .label("nothing comes after this")
                .help(format!("usage: {usage}"));
        }
        let message = format!("`{}` is no value for `{}`", printable(shown(&value)), bare(&argument));
        let valid = self.strings(ContextKind::ValidValue);
        let label = match (&valid[..], std::error::Error::source(&self.error)) {
            ([], Some(source)) => plainly(&source.to_string()),
            ([], None) => String::new(),
            (valid, _) => format!("expected one of: {}", valid.join(", ")),
        };
        let mut lines = label.lines();
        let mut mistake = Mistake::error(span.clone(), message).label(lines.next().unwrap_or_default());
        for line in lines {
            mistake = mistake.help(line);
        }
        match self.string(ContextKind::SuggestedValue) {
            Some(meant) if has_word == place => {
                mistake.help(format!("did you mean `{meant}`?")).patch(span, meant)
            }
            Some(meant) => mistake.help(format!("did you mean `{meant}`?")),
            None => mistake,
        }
    }

    /// Two arguments that exclude each other, or one that is given twice.
    fn conflict(&self) -> Mistake {
        let argument = self.string(ContextKind::InvalidArg).unwrap_or_default();
        let prior = self.strings(ContextKind::PriorArg);
        let first = self.flag(&argument, 0);
        let of = |at: Option<usize>| at.map_or(&self.written.name, |at| &self.written.words[at].span).clone();
        if prior.is_empty() || prior == [argument.clone()] {
            let second = first.and_then(|at| self.flag(&argument, at + 1));
            let mistake = Mistake::error(of(second.or(first)), format!("`{argument}` is given twice"));
            return if second.is_some() {
                mistake.label("again here").also(of(first), "first here")
            } else {
                mistake
            };
        }
        let mut mistake =
            Mistake::error(of(first), format!("`{argument}` cannot be used with `{}`", prior.join("`, `")))
                .label("only one of them");
        for other in &prior {
            if let Some(at) = self.flag(other, 0) {
                mistake = mistake.also(of(Some(at)), "the other");
            }
        }
        mistake
    }

    /// The first word from number `from` on that gives the argument which clap calls `shown`: `--level <LEVEL>`, `-9`.
    fn flag(&self, shown: &str, from: usize) -> Option<usize> {
        let argument = self.command.get_arguments().find(|argument| argument.to_string() == shown);
        let typed = shown.split([' ', '=']).next().unwrap_or_default();
        let mut longs: Vec<String> = Vec::new();
        let mut shorts: Vec<char> = Vec::new();
        if let Some(argument) = argument {
            longs.extend(
                argument.get_long_and_visible_aliases().unwrap_or_default().iter().map(ToString::to_string),
            );
            longs.extend(argument.get_all_aliases().unwrap_or_default().iter().map(ToString::to_string));
            shorts.extend(argument.get_short_and_visible_aliases().unwrap_or_default());
        } else if let Some(long) = typed.strip_prefix("--") {
            longs.push(long.to_string());
        } else if let Some(short) = typed.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            shorts.push(short);
        }
        let is_it = |word: &Argument| {
            let text = String::from_utf8_lossy(&word.bytes);
            match text.strip_prefix("--") {
                Some(long) => longs.iter().any(|name| long.split('=').next() == Some(name)),
                None => text.strip_prefix('-').is_some_and(|cluster| cluster.contains(&shorts[..])),
            }
        };
        let words = self.written.words.iter().enumerate().skip(from);
        words.filter(|(_, word)| is_it(word)).map(|(at, _)| at).next()
    }

    /// Whether `-1` and its like are options.
    fn has_numeric_flags(&self) -> bool {
        let is_option = self.entry.number_option.is_some();
        is_option
            || self
                .command
                .get_arguments()
                .any(|argument| argument.get_short().is_some_and(|s| s.is_ascii_digit()))
    }

    /// The first word from number `from` on that is `value`.
    fn equal(&self, value: &str, from: usize) -> Option<usize> {
        let at = self.written.words.iter().skip(from).position(|word| word.text() == shown(value));
        at.map(|at| at + from)
    }

    /// The first word that is a list, with commas between, and `value` in it.
    fn listed(&self, value: &str) -> Option<usize> {
        let is_it = |word: &Argument| word.text().split(',').any(|item| item == shown(value));
        self.written.words.iter().position(is_it)
    }

    fn string(&self, kind: ContextKind) -> Option<String> {
        match self.error.get(kind)? {
            ContextValue::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn strings(&self, kind: ContextKind) -> Vec<String> {
        match self.error.get(kind) {
            Some(ContextValue::Strings(texts)) => texts.clone(),
            Some(ContextValue::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }

    /// The first line of clap's own message.
    fn sentence(&self) -> String {
        let message = self.error.to_string();
        let line = message.lines().next().unwrap_or_default();
        let line = shown(line.strip_prefix("error: ").unwrap_or(line));
        // A stage's own argument types begin with the argument's name, as clap writes it.
        match line.split_once(' ') {
            Some((argument, rest)) if argument.starts_with('<') => format!("`{}` {rest}", bare(argument)),
            _ => line,
        }
    }
}

/// What the standard library says of a number that is none, for people.
fn plainly(cause: &str) -> String {
    match cause {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "a whole number is expected".to_string()
        }
        "invalid float literal" | "cannot parse float from empty string" => {
            "a number is expected".to_string()
        }
        "number too large to fit in target type" => "too large".to_string(),
        other => match other.split_once(" is not in ").and_then(|(_, range)| range.split_once("..=")) {
            Some((least, most)) => format!("a number from {least} to {most} is expected"),
            None => other.to_string(),
        },
    }
}

/// `-5`, `-5M`, `-.5`
fn is_negative_number(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| rest.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit()))
}

/// An argument's name without clap's brackets: `PATH` for `<PATH>...`; an option stays as it is.
fn bare(argument: &str) -> String {
    if argument.starts_with('-') {
        return argument.to_string();
    }
    argument.trim_end_matches("...").trim_matches(['<', '>', '[', ']']).to_string()
}

/// Without the marks of data.
fn shown(text: &str) -> String {
    text.replace(char::from(DATA_MARK), "")
}

#[cfg(test)]
mod tests {
    use crate::lang::{Batch, parse};
    use crate::plan::trial::{TABLE, report};
    use crate::plan::{Plan, Refusal, Settings};
    use crate::stage::Touch;

    /// The message, what stands under the chain, and the helps.
    fn blame(text: &str) -> String {
        let report = report(text);
        let lines: Vec<&str> = report.lines().collect();
        let carets = lines.iter().find(|line| line.contains('^')).copied().unwrap_or_default();
        let helps = lines.iter().filter_map(|line| line.trim_start().strip_prefix("= help: "));
        let helps: Vec<&str> = helps.collect();
        let message = lines[0].strip_prefix("weir: ").expect("a message");
        format!("{message}|{}|{}", carets.trim_start_matches([' ', '|']), helps.join("|"))
    }

    #[test]
    fn an_option_that_does_not_exist_is_at_its_word() {
        assert_eq!(
            blame("gzip --levl 3"),
            "`gzip` has no option `--levl`|^^^^^^ unknown option|did you mean `--level`?"
        );
        assert!(report("gzip --levl=3 | upper").ends_with("type:\n  gzip --level=3 | upper\n"));
        assert_eq!(
            blame("buffer -5M"),
            "`-5M` is less than nothing|^^^ a number without a sign is expected|usage: buffer [OPTIONS] <SIZE>"
        );
    }

    #[test]
    fn a_value_out_of_range_is_at_its_word() {
        let ranged = "`12` is no value for `--level <LEVEL>`|^^ a number from 0 to 9 is expected|";
        assert_eq!(blame("gzip -l 12"), ranged);
        assert_eq!(blame("gzip -l12"), ranged.replace("|^^", "|^^^^"));
        assert_eq!(blame("gzip --level=12"), ranged.replace("|^^", "|^^^^^^^^^^"));
        assert_eq!(blame("gzip -l x"), "`x` is no value for `--level <LEVEL>`|^ a whole number is expected|");
        assert_eq!(
            blame("gzip -l"),
            "`--level <LEVEL>` needs a value|^^ nothing comes after this|usage: gzip [OPTIONS]"
        );
        assert!(blame("buffer 1KB").starts_with("`1KB` is no value for `SIZE`|^^^ `KB` is 1000"));
        assert!(blame("buffer 99999999999999999999G").starts_with("`99999999999999999999G` is no value"));
    }

    #[test]
    fn arguments_that_exclude_each_other_are_both_shown() {
        assert_eq!(blame("gzip -l 1 -l 2"), "`--level <LEVEL>` is given twice|--   ^^ again here|");
        assert_eq!(blame("gzip -1 -l 3"), "`--fast` cannot be used with `--level <LEVEL>`|^^ -- the other|");
    }

    #[test]
    fn words_too_many_and_too_few_are_told() {
        assert!(
            blame("gzip foo").starts_with("`foo` is too much for `gzip`|^^^ one argument too many|usage")
        );
        assert!(blame("gzip -l 1 -- -l").starts_with("`-l` is too much for `gzip`|"));
        assert!(blame("buffer | upper").starts_with("`buffer` needs SIZE|^^^^^^ something is missing"));
        assert_eq!(blame("read ''"), "`PATH` is empty|^^|usage: read [OPTIONS] <PATH>...");
    }

    #[test]
    fn an_operand_is_never_an_option() {
        let operands = |operand: &str| vec![std::ffi::OsString::from(operand)];
        for operand in ["-l", "--", "-", "--help", "-5"] {
            let chain = parse(b"read {} | write {}").expect("a chain");
            let batch = Batch::new(chain, operands(operand)).expect("a batch");
            let plan = Plan::new(&batch.chain(0), TABLE, Settings::default()).expect("a plan");
            assert_eq!(plan.stages[0].stage.touches(), [Touch::Read(operand.into())]);
            assert_eq!(plan.stages[1].label, operand);
        }
        let chain = parse(b"buffer {}").expect("a chain");
        let batch = Batch::new(chain, operands("-5")).expect("a batch");
        let Err(Refusal::Mistakes(mistakes)) = Plan::new(&batch.chain(0), TABLE, Settings::default()) else {
            panic!("a size of -5")
        };
        assert_eq!(mistakes[0].message, "`-5` is no value for `SIZE`");
    }

    #[test]
    fn an_operand_glued_to_an_option_is_data_too() {
        let chain = parse(b"x --file={} -o{} {} -- a{} --{} --a=b={}").expect("a chain");
        let batch = Batch::new(chain, vec!["-".into()]).expect("a batch").chain(0);
        let words: Vec<_> = batch.words()[1..].iter().map(|word| super::marked(word)).collect();
        let expected = ["--file=\0-", "-o\0-", "\0-", "--", "a-", "---", "--a=b=-"];
        assert_eq!(words, expected.map(|word| word.as_bytes().to_vec()));
    }
}
