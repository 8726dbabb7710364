//! Argument types that stages share: a path, a text, both of any bytes and safe from being misread.
//! Knows nothing of any stage.
//!
//! An operand is data whatever it looks like. The plan puts [`DATA_MARK`] before an operand that could be taken for an
//! option; these types take it off again. No word of a chain can hold the mark itself.

use crate::diagnostic::printable;
use clap::builder::{TypedValueParser, ValueParserFactory};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Stands before an operand that begins with `-`: a byte that no argument of a process can hold.
pub const DATA_MARK: u8 = 0;

/// A file's name; `-` is a standard stream, unless it came as an operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathArgument {
    /// The name.
    pub path: PathBuf,
    is_data: bool,
}

impl PathArgument {
    /// Whether it is `-`, written in the chain.
    pub fn is_standard_stream(&self) -> bool {
        !self.is_data && self.path.as_os_str() == "-"
    }
}

impl fmt::Display for PathArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&printable(self.path.as_os_str().as_bytes()))
    }
}

/// Any text, as bytes: a pattern, a message, a program's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextArgument(pub OsString);

/// What clap calls for both.
#[derive(Debug, Clone)]
pub struct Parser<T>(fn(OsString, bool) -> Option<T>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Parser<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let (bytes, is_data) = match value.as_bytes() {
            [DATA_MARK, rest @ ..] => (rest, true),
            bytes => (bytes, false),
        };
        (self.0)(OsString::from_vec(bytes.to_vec()), is_data).ok_or_else(|| {
            let name = argument.map(ToString::to_string).unwrap_or_default();
            clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{name} is empty"))
                .with_cmd(command)
        })
    }
}

impl ValueParserFactory for PathArgument {
    type Parser = Parser<PathArgument>;

    fn value_parser() -> Self::Parser {
        Parser(|name, is_data| (!name.is_empty()).then(|| PathArgument { path: name.into(), is_data }))
    }
}

impl ValueParserFactory for TextArgument {
    type Parser = Parser<TextArgument>;

    fn value_parser() -> Self::Parser {
        Parser(|text, _| Some(TextArgument(text)))
    }
}
