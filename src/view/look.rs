//! Characters and colours of a picture, and how wide a text is.
//! Knows nothing of what is shown.

use crate::diagnostic::{Colour, visible};
use std::env;
use std::ffi::OsString;
use unicode_width::UnicodeWidthChar;

/// Which characters a picture may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Bars of eighths, arrows.
    Unicode,
    /// Nothing beyond ASCII, names included.
    Ascii,
}

/// How a picture looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its characters.
    pub charset: Charset,
    /// Whether it has colours; they are never the only signal.
    pub colour: Colour,
}

impl Look {
    /// ASCII without colour.
    pub const PLAIN: Look = Look { charset: Charset::Ascii, colour: Colour::Never };

    /// For a terminal, from the environment: `LC_ALL`, `LC_CTYPE`, `LANG`, `NO_COLOR`.
    pub fn of_environment() -> Look {
        Look::of(|name| env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Look {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(filled).unwrap_or_default();
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        let is_unicode = locale.contains("utf-8") || locale.contains("utf8");
        Look {
            charset: if is_unicode { Charset::Unicode } else { Charset::Ascii },
            colour: if filled("NO_COLOR").is_some() { Colour::Never } else { Colour::Always },
        }
    }

    /// The characters of the set.
    pub(super) fn glyphs(self) -> &'static Glyphs {
        match self.charset {
            Charset::Unicode => &UNICODE,
            Charset::Ascii => &ASCII,
        }
    }
}

/// The characters that differ between the sets. Each is one column wide unless it says so.
#[derive(Debug)]
pub(super) struct Glyphs {
    /// A cell of a fill bar, from an eighth to the whole; all the same where there are no eighths.
    pub(super) eighths: [char; 8],
    /// What surrounds a fill bar; may be empty.
    pub(super) bar_ends: [&'static str; 2],
    /// Progress: done, its head, to do.
    pub(super) progress: [char; 3],
    /// Between what came in and what went out.
    pub(super) arrow: &'static str,
    pub(super) times: &'static str,
    /// In front of what limits the run.
    pub(super) mark: &'static str,
    pub(super) ellipsis: &'static str,
    /// How full something was, from nothing to all of it.
    pub(super) levels: [char; 9],
    /// In front of a row that is selected; two columns.
    pub(super) selected: &'static str,
    /// In front of a number of lines left out.
    pub(super) gap: &'static str,
}

static UNICODE: Glyphs = Glyphs {
    eighths: ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
    bar_ends: ["", ""],
    progress: ['━', '╸', '─'],
    arrow: "→",
    times: "×",
    mark: "◀",
    ellipsis: "…",
    levels: [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    selected: "▸ ",
    gap: "⋮",
};

static ASCII: Glyphs = Glyphs {
    eighths: ['.', '.', '.', '-', '-', '-', '=', '#'],
    bar_ends: ["[", "]"],
    progress: ['=', '>', '-'],
    arrow: "->",
    times: "x",
    mark: "<-",
    ellipsis: "~",
    levels: [' ', '.', '.', ':', ':', '=', '=', '#', '#'],
    selected: "> ",
    gap: ":",
};

/// What a piece of a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// A name.
    Strong,
    /// What matters less.
    Faint,
    /// A bar.
    Bar,
    /// What limits the run.
    Alarm,
}

/// A part of a line, in one style. Holds no control characters.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Piece {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Piece {
        Piece { text: text.into(), style }
    }

    pub(super) fn plain(text: impl Into<String>) -> Piece {
        Piece::new(text, Style::Plain)
    }
}

/// A line of at most `columns`; what does not fit is cut off. Spaces at its end are left out.
pub(super) fn line(pieces: &[Piece], columns: usize, look: Look) -> String {
    let mut left = columns;
    let mut cuts: Vec<(&str, Style)> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let cut = cut(&piece.text, left);
        cuts.push((cut, piece.style));
        if cut.len() < piece.text.len() {
            break;
        }
        left -= width(cut);
    }
    while let Some((text, _)) = cuts.last_mut() {
        *text = text.trim_end();
        if !text.is_empty() {
            break;
        }
        cuts.pop();
    }
    let mut line = String::new();
    for (text, style) in cuts {
        match code(style) {
            Some(code) if look.colour == Colour::Always && !text.trim().is_empty() => {
                line.push_str(&format!("\x1b[{code}m{text}\x1b[0m"));
            }
            _ => line.push_str(text),
        }
    }
    line
}

fn code(style: Style) -> Option<&'static str> {
    match style {
        Style::Plain => None,
        Style::Strong => Some("1"),
        Style::Faint => Some("2"),
        Style::Bar => Some("36"),
        Style::Alarm => Some("1;33"),
    }
}

/// How many columns a text takes: the sum over its characters, which is never less than what a terminal makes of them.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// The start of a text, as far as it fits.
fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// A text in at most `columns`, with its middle left out when it is longer: the ends of a file name tell the most.
pub(super) fn shortened(text: &str, columns: usize, look: Look) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let head = cut(text, room / 2);
    let mut tail = text.len();
    let mut used = width(head);
    for (at, character) in text.char_indices().rev() {
        used += character.width().unwrap_or(0);
        if used > room {
            break;
        }
        tail = at;
    }
    format!("{head}{}{}", look.glyphs().ellipsis, &text[tail..])
}

/// Foreign text made fit for a line: nothing that a terminal would obey, and nothing beyond the character set.
pub(super) fn clean(text: &str, look: Look) -> String {
    let text = visible(text).replace('\n', "\\n");
    match look.charset {
        Charset::Unicode => text,
        Charset::Ascii => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Charset, Colour, Look, Piece, Style, clean, line, shortened};
    use std::ffi::OsString;

    const UNICODE: Look = Look { charset: Charset::Unicode, colour: Colour::Never };

    fn look(variables: &[(&str, &str)]) -> Look {
        Look::of(|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_first_filled_locale_variable_decides() {
        assert_eq!(look(&[]).charset, Charset::Ascii);
        assert_eq!(look(&[("LANG", "de_DE.UTF-8")]).charset, Charset::Unicode);
        assert_eq!(look(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]).charset, Charset::Ascii);
        assert_eq!(look(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]).charset, Charset::Unicode);
    }

    #[test]
    fn colour_is_off_when_no_color_says_anything() {
        assert_eq!(look(&[]).colour, Colour::Always);
        assert_eq!(look(&[("NO_COLOR", "")]).colour, Colour::Always);
        assert_eq!(look(&[("NO_COLOR", "0")]).colour, Colour::Never);
    }

    #[test]
    fn a_name_is_shortened_in_its_middle() {
        assert_eq!(shortened("access.log.gz", 13, UNICODE), "access.log.gz");
        assert_eq!(shortened("access.log.gz", 9, UNICODE), "acce…g.gz");
        assert_eq!(shortened("漢字漢字漢字", 6, UNICODE), "漢…字");
        assert_eq!(shortened("abc", 1, UNICODE), "…");
        assert_eq!(shortened("abc", 0, UNICODE), "");
    }

    #[test]
    fn foreign_text_is_made_harmless() {
        assert_eq!(clean("a\u{1b}[m\n漢", UNICODE), "a\\x1b[m\\n漢");
        assert_eq!(clean("漢é", Look::PLAIN), "??");
    }

    #[test]
    fn a_line_is_cut_and_coloured() {
        let colour = Look { colour: Colour::Always, ..UNICODE };
        let pieces = [Piece::new("gzip", Style::Strong), Piece::plain("  -6   ")];
        assert_eq!(line(&pieces, 80, UNICODE), "gzip  -6");
        assert_eq!(line(&pieces, 5, UNICODE), "gzip");
        assert_eq!(line(&pieces, 2, colour), "\u{1b}[1mgz\u{1b}[0m");
        assert_eq!(line(&pieces, 0, colour), "");
    }
}
