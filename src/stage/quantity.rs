//! How much of a stream, as arguments: so many lines, or so many bytes.
//! Knows nothing of which part of the stream it is.

use super::amount::Amount;

/// `-n LINES` or `-c SIZE`, ten lines if neither is given.
#[derive(Debug, clap::Args)]
pub(super) struct Quantity {
    /// How many lines
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 10, conflicts_with = "bytes")]
    lines: u64,

    /// How many bytes, in place of lines
    #[arg(short = 'c', long, value_name = "SIZE", value_parser = Amount::size)]
    bytes: Option<Amount>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Lines(u64),
    Bytes(u64),
}

impl Wanted {
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Wanted::Lines(0) | Wanted::Bytes(0))
    }
}

impl Quantity {
    pub(super) fn wanted(&self) -> Wanted {
        match &self.bytes {
            Some(size) => Wanted::Bytes(size.bytes),
            None => Wanted::Lines(self.lines),
        }
    }

    /// As it was typed.
    pub(super) fn label(&self) -> String {
        match &self.bytes {
            Some(size) => format!("-c {size}"),
            None => format!("-n {}", self.lines),
        }
    }

    /// How much there is of an input of `input` bytes; only of bytes that can be known.
    pub(super) fn of(&self, input: Option<u64>) -> Option<u64> {
        let limit_bytes = self.bytes.as_ref()?.bytes;
        Some(input?.min(limit_bytes))
    }
}
