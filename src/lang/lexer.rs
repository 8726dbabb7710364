//! Text to tokens: words in pieces, `|`, and braces that stand alone.
//! Knows no order of tokens; that is the parser's.

use super::errors;
use super::quote::quote;
use super::tree::{Part, Piece, Placeholder, Span, Which, Word};
use crate::diagnostic::Mistake;

/// `{`, as many digits as any number has, `//`, `}`, and some: what is longer is no operand's place.
const PLACE_BYTES_MAX: usize = 24;

/// What the parser sees, in order.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum Kind {
    Word(Word, Ending),
    /// `|`
    Pipe,
    /// `{` alone
    Open,
    /// `}` alone
    Close,
}

/// How the last byte of a word was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Bare,
    /// In quotes, or behind a backslash.
    Protected,
}

/// The tokens of a text that holds no NUL, and the mistakes in them. Goes on after a mistake as if it were mended.
pub(super) fn lex(text: &[u8]) -> (Vec<Token>, Vec<Mistake>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), mistakes: Vec::new() };
    // A mark that some editors put at the beginning of a file.
    if text.starts_with(b"\xef\xbb\xbf") {
        lexer.at = 3;
    }
    lexer.run();
    (lexer.tokens, lexer.mistakes)
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    tokens: Vec<Token>,
    mistakes: Vec<Mistake>,
}

/// A word being read.
struct Draft {
    start: usize,
    pieces: Vec<Piece>,
    /// Where bare braces stand that are no operand's place.
    loose: Vec<usize>,
    ending: Ending,
}

impl Draft {
    fn push(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.pieces.push(Piece::Text(bytes.to_vec())),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn run(&mut self) {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return,
                Some(b'|') => {
                    self.tokens.push(Token { kind: Kind::Pipe, span: self.at..self.at + 1 });
                    self.at += 1;
                }
                Some(_) => self.word(),
            }
        }
    }

    /// White space, comments and continued lines.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                b'\\' if self.continuation() > 0 => self.at += self.continuation(),
                blank if is_blank(blank) => self.at += 1,
                _ => return,
            }
        }
    }

    /// The length of a backslash and the line end after it; 0 when there is none here.
    fn continuation(&self) -> usize {
        match self.text.get(self.at..) {
            Some([b'\\', b'\n', ..]) => 2,
            Some([b'\\', b'\r', b'\n', ..]) => 3,
            _ => 0,
        }
    }

    fn word(&mut self) {
        let mut draft = Draft { start: self.at, pieces: Vec::new(), loose: Vec::new(), ending: Ending::Bare };
        while let Some(byte) = self.peek() {
            if byte == b'|' || is_blank(byte) {
                break;
            }
            let is_protection = matches!(byte, b'\'' | b'"' | b'\\');
            draft.ending = if is_protection { Ending::Protected } else { Ending::Bare };
            match byte {
                b'\'' => self.single_quoted(&mut draft),
                b'"' => self.double_quoted(&mut draft),
                b'\\' => self.escaped(&mut draft),
                b'{' => self.brace(&mut draft),
                bare => {
                    if bare == b'}' {
                        draft.loose.push(self.at);
                    }
                    draft.push(&[bare]);
                    self.at += 1;
                }
            }
        }
        self.finish(draft);
    }

    fn single_quoted(&mut self, draft: &mut Draft) {
        let open = self.at;
        let rest = &self.text[open + 1..];
        match rest.iter().position(|&byte| byte == b'\'') {
            Some(length) => {
                draft.push(&rest[..length]);
                self.at = open + 1 + length + 1;
            }
            None => self.never_closed(draft, open, '\''),
        }
    }

    fn double_quoted(&mut self, draft: &mut Draft) {
        let open = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            let escaped = self.text.get(self.at + 1).copied();
            match (byte, escaped) {
                (b'"', _) => {
                    self.at += 1;
                    return;
                }
                (b'\\', Some(sign @ (b'"' | b'\\'))) => {
                    draft.push(&[sign]);
                    self.at += 2;
                }
                (b'\\', _) if self.continuation() > 0 => self.at += self.continuation(),
                (other, _) => {
                    draft.push(&[other]);
                    self.at += 1;
                }
            }
        }
        self.never_closed(draft, open, '"');
    }

    /// The rest of the text is in the quotes, so nothing after them can be judged.
    fn never_closed(&mut self, draft: &mut Draft, open: usize, sign: char) {
        let rest = &self.text[open + 1..];
        let is_apostrophe = sign == '\'' && open > draft.start && self.text[open - 1].is_ascii_alphanumeric();
        let patch = if is_apostrophe {
            (open, "\\")
        } else {
            let piece = &rest[..rest.iter().position(|&byte| byte == b'|').unwrap_or(rest.len())];
            (open + 1 + piece.trim_ascii_end().len(), if sign == '"' { "\"" } else { "'" })
        };
        self.mistakes.push(errors::open_quote(open..open + 1, sign, patch));
        draft.push(rest);
        self.at = self.text.len();
    }

    fn escaped(&mut self, draft: &mut Draft) {
        match (self.continuation(), self.text.get(self.at + 1)) {
            (0, Some(&sign)) => {
                draft.push(&[sign]);
                self.at += 2;
            }
            (0, None) => {
                self.mistakes.push(errors::stray_backslash(self.at..self.at + 1));
                self.at += 1;
            }
            (length, _) => self.at += length,
        }
    }

    fn brace(&mut self, draft: &mut Draft) {
        let rest = &self.text[self.at + 1..];
        let body = rest.iter().take(PLACE_BYTES_MAX).position(|&byte| byte == b'}').map(|end| &rest[..end]);
        let Some((body, place)) = body.and_then(|body| Some((body, placeholder(body)?))) else {
            draft.loose.push(self.at);
            draft.push(b"{");
            self.at += 1;
            return;
        };
        let span = self.at..self.at + body.len() + 2;
        if place.which == Which::Nth(0) {
            self.mistakes.push(errors::place_zero(span.clone()));
        }
        draft.pieces.push(Piece::Operand(place));
        self.at = span.end;
    }

    fn finish(&mut self, draft: Draft) {
        let span = draft.start..self.at;
        let raw = &self.text[span.clone()];
        match (raw, draft.loose.is_empty()) {
            (b"{", false) => self.tokens.push(Token { kind: Kind::Open, span }),
            (b"}", false) => self.tokens.push(Token { kind: Kind::Close, span }),
            (_, true) => self.push_word(Word { pieces: draft.pieces, span }, draft.ending),
            (_, false) => self.loose_braces(draft),
        }
    }

    fn push_word(&mut self, word: Word, ending: Ending) {
        let span = word.span.clone();
        self.tokens.push(Token { kind: Kind::Word(word, ending), span });
    }

    /// Braces in a word: those at its ends are taken for a group's that lack white space, others for text that lacks quotes.
    fn loose_braces(&mut self, draft: Draft) {
        let span = draft.start..self.at;
        let raw = &self.text[span.clone()];
        let lead = (span.clone()).zip(&draft.loose).take_while(|(at, loose)| at == *loose).count();
        let rest = &draft.loose[lead..];
        let tail = (span.clone()).rev().zip(rest.iter().rev()).take_while(|(at, loose)| at == *loose).count();
        let inner = &raw[lead..raw.len() - tail];
        let is_name = inner.first().is_some_and(u8::is_ascii_alphabetic)
            && inner.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let is_enclosed = lead > 0 && tail > 0;
        if rest.len() > tail || (is_enclosed && !is_name) {
            self.mistakes.push(Self::text_with_braces(&draft, span.clone(), raw));
            return self.push_word(Word { pieces: draft.pieces, span }, draft.ending);
        }
        let mut parts: Vec<&[u8]> = raw[..lead].chunks(1).collect();
        parts.extend((!inner.is_empty()).then_some(inner));
        parts.extend(raw[raw.len() - tail..].chunks(1));
        self.mistakes.push(errors::glued_brace(span.clone(), raw, parts.join(&b' ')));
        for at in span.start..span.start + lead {
            self.push_brace(at);
        }
        if !inner.is_empty() {
            let word = Word { pieces: draft.pieces, span: span.start + lead..span.end - tail };
            self.push_word(word, draft.ending);
        }
        for at in span.end - tail..span.end {
            self.push_brace(at);
        }
    }

    fn push_brace(&mut self, at: usize) {
        let kind = if self.text[at] == b'{' { Kind::Open } else { Kind::Close };
        self.tokens.push(Token { kind, span: at..at + 1 });
    }

    fn text_with_braces(draft: &Draft, span: Span, raw: &[u8]) -> Mistake {
        if raw.windows(2).any(|pair| pair == b"${") {
            return errors::braced_variable(span, raw);
        }
        // Where raw and text differ the quoting is not this simple.
        let is_simple = matches!(draft.pieces.as_slice(), [Piece::Text(text)] if text == raw);
        errors::unknown_place(span, raw, is_simple.then(|| quote(raw)))
    }
}

/// What stands between the braces of an operand's place; `None` when this is no such place. `Nth(0)` is for the caller to refuse.
fn placeholder(body: &[u8]) -> Option<Placeholder> {
    if body == b"@" {
        return Some(Placeholder { which: Which::All, part: Part::Whole });
    }
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let which = match digits {
        0 => Which::Only,
        _ => Which::Nth(str::from_utf8(&body[..digits]).ok()?.parse().ok()?),
    };
    let part = match &body[digits..] {
        b"" => Part::Whole,
        b"/" => Part::Base,
        b"//" => Part::Directory,
        b"." => Part::Stem,
        b"/." => Part::BaseStem,
        _ => return None,
    };
    Some(Placeholder { which, part })
}
