//! `unbase64`: text of 64 characters back to bytes.
//! How it is decoded, and what is refused, is in `encoding`.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::encoding::Format;

/// Decode base64 text
///
/// The standard alphabet with padding (RFC 4648 §4); white space anywhere is ignored. Everything else is refused (exit 3)
/// with its place in the input, counted from 0: other characters, missing padding, data behind the padding, and bits
/// at the end that belong to no byte. Nothing at all becomes nothing at all.
#[derive(Debug, clap::Parser)]
pub(super) struct Unbase64 {}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decoder,
    examples: &[Example { chain: "unbase64", input: b"YW55IGJ5\ndGVzCg==\n", output: b"any bytes\n" }],
    ..Entry::of::<Unbase64>("unbase64", Role::Filter)
};

impl Stage for Unbase64 {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Format::Base64.body())
    }
}
