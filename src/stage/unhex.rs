//! `unhex`: hexadecimal digits back to bytes.
//! How it is decoded, and what is refused, is in `encoding`.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::encoding::Format;

/// Decode hexadecimal digits
///
/// Small and capital digits (RFC 4648 §8); white space anywhere is ignored. Everything else is refused (exit 3) with its
/// place in the input, counted from 0, and so is an odd number of digits.
#[derive(Debug, clap::Parser)]
pub(super) struct Unhex {}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decoder,
    examples: &[Example { chain: "unhex", input: b"61 6E 79\n0a\n", output: b"any\n" }],
    ..Entry::of::<Unhex>("unhex", Role::Filter)
};

impl Stage for Unhex {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Format::Hex.body())
    }
}
