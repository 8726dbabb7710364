//! Bytes made fit for a terminal: a chain's text with its places, a name, the words a failure points at.
//! Prints nothing; what comes out holds no control character but the line feeds between lines.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Span;

const TAB: &str = "    ";
/// Columns of the chain that a failure shows: 80 less the indent and a little air.
const WINDOW_COLUMNS_MAX: usize = 74;
const CUT: &str = "...";

/// A text as it is shown, and where each of its bytes went.
pub(super) struct Displayed {
    /// Valid and harmless; line feeds are those of the text.
    pub(super) text: String,
    /// For each byte of the text, and one past its end, the offset in `text`. Never falls.
    places: Vec<usize>,
}

impl Displayed {
    pub(super) fn new(bytes: &[u8]) -> Displayed {
        let mut shown = Displayed { text: String::with_capacity(bytes.len()), places: Vec::new() };
        for chunk in bytes.utf8_chunks() {
            let mut characters = chunk.valid().chars().peekable();
            while let Some(character) = characters.next() {
                shown.mark(character.len_utf8());
                match character {
                    '\n' => shown.text.push('\n'),
                    '\t' => shown.text.push_str(TAB),
                    '\r' if characters.peek() == Some(&'\n') => {}
                    other => push_visible(&mut shown.text, other),
                }
            }
            for byte in chunk.invalid() {
                shown.mark(1);
                push_byte(&mut shown.text, *byte);
            }
        }
        shown.mark(1);
        shown
    }

    /// Notes that the next `bytes` bytes of the source go to the present end.
    fn mark(&mut self, bytes: usize) {
        self.places.resize(self.places.len() + bytes, self.text.len());
    }

    /// Where a range of the source stands; what lies beyond its end is taken for the end.
    pub(super) fn span(&self, span: &Span) -> Span {
        let last = self.places.len() - 1;
        let start = span.start.min(last);
        let end = span.end.clamp(start, last);
        // A range that ends inside a character covers the whole of it.
        let whole = (end..last).find(|&at| at == start || self.places[at] != self.places[at - 1]);
        self.places[start]..self.places[whole.unwrap_or(if end == start { start } else { last })]
    }
}

/// Whether a character must not reach a terminal as it is: it moves the cursor, reorders the text, or cannot be seen.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn push_visible(text: &mut String, character: char) {
    match character {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        hidden if is_hidden(hidden) && hidden.is_ascii() => push_byte(text, hidden as u8),
        hidden if is_hidden(hidden) => {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{{{:x}}}", u32::from(hidden));
        }
        plain => text.push(plain),
    }
}

fn push_byte(text: &mut String, byte: u8) {
    let _ = write!(text, "\\x{byte:02x}");
}

/// A message with everything a terminal would obey turned into escapes; line feeds stay.
pub fn visible(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        match character {
            '\n' => text.push('\n'),
            other => push_visible(&mut text, other),
        }
    }
    text
}

/// Lines of somebody else, with everything a terminal would obey, and every byte that is no text, turned into escapes. Line
/// feeds and tabs stay; a carriage return before a line feed goes.
pub fn legible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\n' | '\t' => text.push(character),
                '\r' if characters.peek() == Some(&'\n') => {}
                other => push_visible(&mut text, other),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_byte(&mut text, byte));
    }
    text
}

/// A file name for a message: as it is where that is clear, else in double quotes, with what cannot be shown as `\n`, `\x1b`,
/// `\xff` (no UTF-8) or `\u{202e}`.
///
/// Quoted are the empty name, and names with white space, quotes, a backslash, or something to escape.
pub fn printable(name: impl AsRef<[u8]>) -> String {
    let name = name.as_ref();
    let is_plain = |c: char| !c.is_whitespace() && !is_hidden(c) && !matches!(c, '"' | '\'' | '`' | '\\');
    if let Ok(text) = str::from_utf8(name)
        && !text.is_empty()
        && text.chars().all(is_plain)
    {
        return text.to_string();
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            push_visible(&mut quoted, character);
        }
        for byte in chunk.invalid() {
            push_byte(&mut quoted, *byte);
        }
    }
    quoted.push('"');
    quoted
}

/// The chain indented by two, and `^^^^` under `span`: what follows the first line of a failure. No line feed at the end.
///
/// Of a long line the part around the place is shown; of several lines the one where the place begins, which is underlined
/// to its end when the place goes on.
pub fn underline(text: &[u8], span: Span) -> String {
    let shown = Displayed::new(text);
    let span = shown.span(&span);
    let line_start = shown.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = shown.text[span.start..].find('\n').map_or(shown.text.len(), |at| span.start + at);
    let line = &shown.text[line_start..line_end];
    let from = span.start - line_start;
    let to = span.end.min(line_end) - line_start;
    let window = window(line, from..to);
    let before = if window.start > 0 { CUT } else { "" };
    let after = if window.end < line.len() { CUT } else { "" };
    let to = to.min(window.end);
    let margin = before.width() + line[window.start..from].width();
    let carets = line[from..to].width().max(1);
    format!("  {before}{}{after}\n  {}{}", &line[window.clone()], " ".repeat(margin), "^".repeat(carets))
}

/// The part of a line to show, on character boundaries: all of it, or what fits around `place`, whose start is always in.
fn window(line: &str, place: Span) -> Span {
    if line.width() <= WINDOW_COLUMNS_MAX {
        return 0..line.len();
    }
    let room = WINDOW_COLUMNS_MAX - 2 * CUT.len();
    let place_columns = line[place.clone()].width().min(room);
    let lead_columns = (room - place_columns) / 2;
    let start = backward(line, place.start, lead_columns);
    let end = forward(line, start, room);
    // What is not used on the right is given to the left.
    let unused = room - line[start..end].width();
    (backward(line, start, unused))..end
}

fn backward(line: &str, from: usize, columns: usize) -> usize {
    let widths = line[..from].char_indices().rev().map(|(at, c)| (at, c.width().unwrap_or(0)));
    furthest(widths, from, columns)
}

fn forward(line: &str, from: usize, columns: usize) -> usize {
    let widths = line[from..].char_indices();
    furthest(widths.map(|(at, c)| (from + at + c.len_utf8(), c.width().unwrap_or(0))), from, columns)
}

fn furthest(widths: impl Iterator<Item = (usize, usize)>, from: usize, columns: usize) -> usize {
    let mut used = 0;
    let mut reached = from;
    for (at, width) in widths {
        used += width;
        if used > columns {
            break;
        }
        reached = at;
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::{Displayed, WINDOW_COLUMNS_MAX, legible, printable, underline};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn what_somebody_else_says_keeps_its_lines_and_loses_its_orders() {
        assert_eq!(legible(b"a\tb\r\n\x1b[2J\xff\rc\n"), "a\tb\n\\x1b[2J\\xff\\rc\n");
    }

    #[test]
    fn a_failure_points_at_its_call() {
        let expected = "  read data.gz | gunzip | write data\n                 ^^^^^^";
        assert_eq!(underline(b"read data.gz | gunzip | write data", 15..21), expected);
    }

    #[test]
    fn a_long_chain_is_shown_around_the_call() {
        let text = format!("read {} | gunzip | write {}", "a".repeat(200), "b".repeat(200));
        let lines = underline(text.as_bytes(), 208..214);
        let (chain, carets) = lines.split_once('\n').expect("two lines");
        assert!(chain.width() <= WINDOW_COLUMNS_MAX + 2, "{chain}");
        let at = chain.find("gunzip").expect("in the window");
        assert_eq!(carets, format!("{}^^^^^^", " ".repeat(at)));
        assert!(chain.starts_with("  ...aa") && chain.ends_with("bb..."), "{chain}");
    }

    #[test]
    fn the_ends_of_a_long_chain_use_the_whole_window() {
        let text = format!("read {} | gunzip", "a".repeat(200));
        let lines = underline(text.as_bytes(), 208..214);
        let chain = lines.lines().next().expect("a line");
        assert!(chain.ends_with("| gunzip") && chain.width() > WINDOW_COLUMNS_MAX - 4, "{chain}");
    }

    #[test]
    fn of_several_lines_the_one_concerned_is_shown() {
        assert_eq!(underline(b"read a\r\n\t| gzip\n| write b", 11..15), "      | gzip\n        ^^^^");
        assert_eq!(underline(b"tee {\n gzip }", 0..13), "  tee {\n  ^^^^^");
    }

    #[test]
    fn wide_and_broken_characters_keep_the_carets_in_place() {
        assert_eq!(
            underline("read 漢字 | gunzip".as_bytes(), 14..20),
            "  read 漢字 | gunzip\n              ^^^^^^"
        );
        assert_eq!(underline(b"read \xff | gunzip", 9..15), "  read \\xff | gunzip\n              ^^^^^^");
    }

    #[test]
    fn a_range_that_ends_inside_a_character_covers_it() {
        let shown = Displayed::new("aéb".as_bytes());
        assert_eq!(shown.span(&(0..2)), 0..3);
        assert_eq!(shown.span(&(2..3)), 1..3);
        assert_eq!(shown.span(&(1..1)), 1..1);
        assert_eq!(shown.span(&(9..12)), 4..4);
    }

    #[test]
    fn names_are_shown_as_they_are_or_in_quotes() {
        let cases: [(&[u8], &str); 10] = [
            (b"access.log", "access.log"),
            ("Übung-漢.gz".as_bytes(), "Übung-漢.gz"),
            (b"", r#""""#),
            (b"my file", r#""my file""#),
            (b"don't", r#""don't""#),
            (b"a\nb", r#""a\nb""#),
            (b"\x1b[2J", r#""\x1b[2J""#),
            (b"a\xffb", r#""a\xffb""#),
            ("a\u{202e}b".as_bytes(), r#""a\u{202e}b""#),
            (br#"a\"b"#, r#""a\\\"b""#),
        ];
        for (name, text) in cases {
            assert_eq!(printable(name), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_underline_has_two_harmless_lines(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            odd in "[\\PC\\t\\r\\n]{0,100}",
            from in 0_usize..220,
            length in 0_usize..220,
        ) {
            for text in [text.as_slice(), odd.as_bytes()] {
                let lines = underline(text, from..from + length);
                prop_assert_eq!(lines.lines().count(), 2);
                prop_assert!(lines.chars().all(|c| c == '\n' || !c.is_control()));
            }
        }

        #[test]
        fn different_names_look_different(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assert_eq!(a == b, printable(&a) == printable(&b));
        }
    }
}
