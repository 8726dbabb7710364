//! A size or a rate as a stage's argument: its value, and the words it was given in.
//! Knows nothing of any stage; what a size looks like is known to `units`.

use crate::units::{parse_rate, parse_size};
use std::fmt;

/// A number of bytes, or of bytes per second, that shows itself as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amount {
    /// Bytes, or bytes per second.
    pub(super) bytes: u64,
    text: String,
}

impl Amount {
    /// A size, for clap.
    pub(super) fn size(text: &str) -> Result<Amount, String> {
        Ok(Amount { bytes: parse_size(text)?, text: text.to_owned() })
    }

    /// A size of at least one byte, for clap.
    pub(super) fn some_size(text: &str) -> Result<Amount, String> {
        match Amount::size(text)? {
            Amount { bytes: 0, .. } => Err("type at least 1".to_owned()),
            amount => Ok(amount),
        }
    }

    /// A rate of at least one byte per second, for clap.
    pub(super) fn rate(text: &str) -> Result<Amount, String> {
        Ok(Amount { bytes: parse_rate(text)?, text: text.to_owned() })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
