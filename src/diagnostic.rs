//! Mistakes in a chain, as data and as the text people see; and names made safe to print.
//! Knows no chain types: a place is a range of bytes in the chain's text.

mod display;
mod suggest;

use std::collections::HashSet;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

pub use display::{legible, printable, underline, visible};
pub use suggest::suggest;

use display::Displayed;

/// A half-open range of byte offsets into the text of the chain.
pub type Span = Range<usize>;

/// A report of a text that is no chain at all would be endless; what is above this number is counted only.
const MISTAKES_SHOWN_MAX: usize = 20;

/// Whether the chain can run all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot: nothing is opened.
    Error,
    /// It can, and is surely not meant.
    Warning,
}

/// Whether a report may use escape sequences for colour; never the only signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// Escape sequences.
    Always,
}

/// A change to the chain's text that mends a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What is replaced; empty for an insertion.
    pub span: Span,
    /// What comes in its place.
    pub text: Vec<u8>,
}

/// Something wrong with a chain: what, where, and what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Whether it stops the run.
    pub severity: Severity,
    /// The words at fault. Never beyond the text; empty at a place where something is missing.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What stands under the words at fault; may be empty.
    pub label: String,
    /// Other places that matter, each with its label.
    pub others: Vec<(Span, String)>,
    /// What to do, one sentence each.
    pub helps: Vec<String>,
    /// The correction, where there is one.
    pub patch: Option<Patch>,
}

impl Mistake {
    /// A mistake that stops the run. Foreign bytes in `message` go through [`printable`] first.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Mistake {
        Mistake {
            severity: Severity::Error,
            span,
            message: message.into(),
            label: String::new(),
            others: Vec::new(),
            helps: Vec::new(),
            patch: None,
        }
    }

    /// A doubt about a chain that runs.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Mistake {
        Mistake { severity: Severity::Warning, ..Mistake::error(span, message) }
    }

    /// Says what stands under the words at fault.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Mistake {
        self.label = label.into();
        self
    }

    /// Points at one more place.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Mistake {
        self.others.push((span, label.into()));
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Mistake {
        self.helps.push(help.into());
        self
    }

    /// Says how the text would be right.
    #[must_use]
    pub fn patch(mut self, span: Span, text: impl Into<Vec<u8>>) -> Mistake {
        self.patch = Some(Patch { span, text: text.into() });
        self
    }
}

/// All mistakes of a chain as one report: for each the chain with the words at fault underlined, what was expected and what to
/// do; at the end the corrected chain, when every error has a correction. Ends with a line feed unless there is no mistake.
///
/// Any bytes may be in `text`: what a terminal would obey is shown as an escape.
pub fn render(text: &[u8], mistakes: &[Mistake], colour: Colour) -> String {
    render_from(None, text, mistakes, colour)
}

/// As [`render`], for a text that is in a file: its name, safe to print, stands beside the line's number.
pub fn render_from(file: Option<&str>, text: &[u8], mistakes: &[Mistake], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let shown = Displayed::new(text);
    let mut parts = Vec::new();
    let mut helps_given: HashSet<&str> = HashSet::new();
    for mistake in mistakes.iter().take(MISTAKES_SHOWN_MAX) {
        // One advice for several mistakes is given once.
        let helps = mistake.helps.iter().map(String::as_str).filter(|help| helps_given.insert(help));
        let helps: Vec<_> = helps.map(|help| Level::HELP.message(visible(help))).collect();
        parts.push(renderer.render(&[group(&shown, file, mistake).elements(helps)]));
    }
    if mistakes.len() > MISTAKES_SHOWN_MAX {
        parts.push(format!("weir: and {} more", mistakes.len() - MISTAKES_SHOWN_MAX));
    }
    if let Some(corrected) = corrected(text, mistakes) {
        let corrected = Displayed::new(&corrected);
        let lines = corrected.text.trim_end().split('\n').map(|line| format!("\n  {line}"));
        parts.push(format!("type:{}", lines.collect::<String>()));
    }
    let mut report = parts.join("\n\n");
    if !report.is_empty() {
        report.push('\n');
    }
    report
}

/// What is wrong and where; without a text there is no where.
fn group<'a>(shown: &'a Displayed, file: Option<&'a str>, mistake: &'a Mistake) -> Group<'a> {
    let level = match mistake.severity {
        Severity::Error => Level::ERROR.with_name("weir"),
        Severity::Warning => Level::WARNING.with_name("weir: warning"),
    };
    let title = level.primary_title(visible(&mistake.message));
    if shown.text.trim().is_empty() {
        return Group::with_title(title);
    }
    let note = |kind: AnnotationKind, span: &Span, label: &str| {
        let label = (!label.is_empty()).then(|| visible(label));
        kind.span(shown.span(span)).label(label)
    };
    let snippet = Snippet::source(shown.text.as_str())
        .line_numbering(file.is_some() || shown.text.trim_end().contains('\n'))
        .path(file)
        .annotation(note(AnnotationKind::Primary, &mistake.span, &mistake.label))
        .annotations(mistake.others.iter().map(|(span, label)| note(AnnotationKind::Context, span, label)));
    title.element(snippet)
}

/// The text with every patch in place; `None` when an error has none, or nothing would be left to type.
fn corrected(text: &[u8], mistakes: &[Mistake]) -> Option<Vec<u8>> {
    if mistakes.iter().any(|mistake| mistake.severity == Severity::Error && mistake.patch.is_none()) {
        return None;
    }
    let mut patches: Vec<&Patch> = mistakes.iter().filter_map(|mistake| mistake.patch.as_ref()).collect();
    if patches.is_empty() {
        return None;
    }
    patches.sort_by_key(|patch| (patch.span.start, patch.span.end));
    let mut corrected = Vec::with_capacity(text.len());
    let mut at = 0;
    for patch in patches {
        // Of two that overlap the first is made: both would leave a text that nobody wrote.
        let Some(kept) = text.get(at..patch.span.start) else { continue };
        corrected.extend_from_slice(kept);
        corrected.extend_from_slice(&patch.text);
        at = patch.span.end.clamp(at, text.len());
    }
    corrected.extend_from_slice(&text[at..]);
    (!corrected.trim_ascii().is_empty()).then_some(corrected)
}

#[cfg(test)]
mod tests {
    use super::{Colour, Mistake, render};
    use proptest::prelude::{any, prop_assert, proptest};

    fn two_mistakes() -> [Mistake; 2] {
        [
            Mistake::error(9..13, "unknown stage `gzpi`")
                .label("no such stage")
                .help("did you mean `gzip`?")
                .patch(9..13, "gzip"),
            Mistake::error(19..20, "nothing between two `|`").label("no stage before this").patch(19..21, ""),
        ]
    }

    #[test]
    fn a_report_shows_every_mistake_and_then_what_to_type() {
        let report = render(b"read a | gzpi -9 | | write b", &two_mistakes(), Colour::Never);
        let expected = "\
weir: unknown stage `gzpi`
 |
 | read a | gzpi -9 | | write b
 |          ^^^^ no such stage
 |
 = help: did you mean `gzip`?

weir: nothing between two `|`
 |
 | read a | gzpi -9 | | write b
 |                    ^ no stage before this

type:
  read a | gzip -9 | write b
";
        assert_eq!(report, expected);
    }

    #[test]
    fn a_chain_of_several_lines_has_line_numbers() {
        let mistakes = [Mistake::error(9..13, "unknown stage `gzpi`").also(0..4, "from here")];
        let report = render(b"read a\n| gzpi\n| write b\n", &mistakes, Colour::Never);
        let expected = "\
weir: unknown stage `gzpi`
  |
1 | read a
  | ---- from here
2 | | gzpi
  |   ^^^^
";
        assert_eq!(report, expected);
    }

    #[test]
    fn a_mistake_without_a_correction_promises_none() {
        let mut mistakes = two_mistakes();
        mistakes[0].patch = None;
        assert!(!render(b"read a | gzpi -9 | | write b", &mistakes, Colour::Never).contains("type:"));
    }

    #[test]
    fn nothing_the_terminal_obeys_gets_through() {
        let mistakes = [Mistake::warning(5..9, "odd \u{1b}[2J name").label("\u{7}").help("\u{9b}")];
        let report = render(b"read \x1b[2J\xff\r\n| gzip", &mistakes, Colour::Never);
        assert!(report.starts_with("weir: warning: odd \\x1b[2J name\n"), "{report}");
        assert!(report.contains("read \\x1b[2J\\xff\n"), "{report}");
        assert!(report.chars().all(|c| c == '\n' || !c.is_control()), "{report}");
    }

    #[test]
    fn an_empty_text_and_a_place_at_the_end_can_be_shown() {
        let empty = render(b"", &[Mistake::error(0..0, "empty chain")], Colour::Never);
        assert_eq!(empty, "weir: empty chain\n");
        let end = render(b"tee {", &[Mistake::error(5..5, "no `}`").label("here")], Colour::Never);
        assert!(end.contains(" | tee {\n |      ^ here"), "{end}");
        assert_eq!(render(b"read a", &[], Colour::Never), "");
    }

    #[test]
    fn colour_is_only_an_addition() {
        let report = render(b"read a | gzpi", &two_mistakes()[..1], Colour::Always);
        assert!(report.contains("\u{1b}[") && report.contains("no such stage"), "{report}");
    }

    #[test]
    fn an_endless_list_of_mistakes_is_cut() {
        let many: Vec<Mistake> = (0..1000).map(|at| Mistake::error(at..at + 1, format!("no {at}"))).collect();
        let report = render(&[b'x'; 1000], &many, Colour::Never);
        assert!(report.contains("no 19") && !report.contains("no 20"));
        assert!(report.ends_with("weir: and 980 more\n"));
    }

    proptest! {
        #[test]
        fn any_text_with_any_place_can_be_shown(
            text in proptest::collection::vec(any::<u8>(), 0..60),
            odd in "[\\PC\\t\\n{|}]{0,30}",
            from in 0_usize..80,
            length in 0_usize..80,
        ) {
            for text in [text.as_slice(), odd.as_bytes()] {
                let place = from..from + length;
                let mistake = Mistake::error(place.clone(), "m").label("l").also(0..from, "o").patch(place, "p");
                let report = render(text, &[mistake], Colour::Never);
                prop_assert!(report.chars().all(|c| c == '\n' || !c.is_control()));
            }
        }
    }
}
