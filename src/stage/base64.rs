//! `base64`: bytes as text of 64 characters.
//! How lines are made of it is in `encoding`.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::encoding::{Encoder, Wrap};
use data_encoding::BASE64;

/// Encode as base64 text
///
/// The standard alphabet with padding (RFC 4648 §4), in lines of 76 characters that all end with a newline, as the tool of
/// that name writes them. Nothing at all becomes nothing at all.
#[derive(Debug, clap::Parser)]
pub(super) struct Base64 {
    #[command(flatten)]
    wrap: Wrap,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Encoder,
    examples: &[
        Example { chain: "base64", input: b"any bytes\n", output: b"YW55IGJ5dGVzCg==\n" },
        Example { chain: "base64 --wrap 0", input: b"one line", output: b"b25lIGxpbmU=" },
    ],
    ..Entry::of::<Base64>("base64", Role::Filter)
};

impl Base64 {
    fn encoder(&self) -> Encoder {
        Encoder { alphabet: BASE64, wrap: self.wrap }
    }
}

impl Stage for Base64 {
    fn label(&self) -> String {
        self.wrap.to_string()
    }

    fn size_after(&self, input: Option<u64>) -> Option<u64> {
        self.encoder().size(input?)
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(self.encoder().body())
    }
}
