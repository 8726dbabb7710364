//! The parsed chain: calls, words, groups, each with its place in the text.
//! Knows no stage name and holds no operand; `operands` puts those in.

use std::borrow::Cow;
use std::fmt;

pub use crate::diagnostic::Span;

/// A whole pipeline: `call { "|" call }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The calls from source to sink; empty only for an empty group.
    pub calls: Vec<Call>,
    /// From the first byte of the first call to the last byte of the last.
    pub span: Span,
}

/// One stage as written: a name and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The first word.
    pub name: Word,
    /// What follows it, in order.
    pub arguments: Vec<Argument>,
    /// From the name to the end of the last argument.
    pub span: Span,
}

/// What may follow a stage's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// An option, a path, a pattern.
    Word(Word),
    /// `{ CHAIN }`.
    Group(Group),
}

/// A chain in braces, given to a stage as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What stands between the braces.
    pub chain: Chain,
    /// Braces included.
    pub span: Span,
}

/// One word, in pieces: the parser keeps what was literal and where an operand goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Joined without anything between them; empty for `''`.
    pub pieces: Vec<Piece>,
    /// Quotes included.
    pub span: Span,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes as they are, quotes and escapes already resolved.
    Text(Vec<u8>),
    /// An operand's bytes, put in where a placeholder stood: data, whatever they look like.
    Data(Vec<u8>),
    /// `{}`, `{/}`, `{2}` …: replaced by a part of an operand.
    Operand(Placeholder),
}

/// Where an operand goes, and which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder {
    /// Which operand.
    pub which: Which,
    /// Which part of it.
    pub part: Part,
}

/// Which operand a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// `{}`: the one operand of this run.
    Only,
    /// `{1}`, `{2}` …: the n-th of the operands taken together, counted from 1.
    Nth(usize),
    /// `{@}`: all operands, one word each, in one run.
    All,
}

/// Which part of an operand a placeholder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `{}`: the whole.
    Whole,
    /// `{/}`: without its directory.
    Base,
    /// `{//}`: the directory, `.` when there is none.
    Directory,
    /// `{.}`: without its extension.
    Stem,
    /// `{/.}`: without directory and extension.
    BaseStem,
}

impl Chain {
    /// Every word of the chain and of its groups, names included, in the order of the text.
    pub fn words(&self) -> Vec<&Word> {
        let mut words = Vec::new();
        for call in &self.calls {
            words.push(&call.name);
            for argument in &call.arguments {
                match argument {
                    Argument::Word(word) => words.push(word),
                    Argument::Group(group) => words.extend(group.chain.words()),
                }
            }
        }
        words
    }
}

impl Argument {
    /// Where it stands in the text.
    pub fn span(&self) -> &Span {
        match self {
            Argument::Word(word) => &word.span,
            Argument::Group(group) => &group.span,
        }
    }
}

impl Piece {
    /// Its bytes; a place that no operand has filled is as it was typed.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Piece::Text(bytes) | Piece::Data(bytes) => Cow::Borrowed(bytes),
            Piece::Operand(place) => Cow::Owned(place.to_string().into_bytes()),
        }
    }
}

impl Word {
    /// The bytes of the word; a place that no operand has filled is as it was typed.
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes().into_owned()).collect()
    }

    /// Whether the word begins with an operand, and so is never an option or `-`, whatever its bytes, even none.
    pub fn begins_with_data(&self) -> bool {
        matches!(self.pieces.first(), Some(Piece::Data(_) | Piece::Operand(_)))
    }
}

impl fmt::Display for Placeholder {
    /// As it is typed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Whole => "",
            Part::Base => "/",
            Part::Directory => "//",
            Part::Stem => ".",
            Part::BaseStem => "/.",
        };
        match self.which {
            Which::Only => write!(formatter, "{{{part}}}"),
            Which::Nth(number) => write!(formatter, "{{{number}{part}}}"),
            Which::All => write!(formatter, "{{@}}"),
        }
    }
}
