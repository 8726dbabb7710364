//! `hex`: bytes as hexadecimal digits.
//! How lines are made of it is in `encoding`.

use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::encoding::{Encoder, Wrap};
use data_encoding::HEXLOWER;

/// Encode as hexadecimal digits
///
/// Two small digits for each byte (RFC 4648 §8), in lines of 76 characters that all end with a newline. Nothing at all
/// becomes nothing at all.
#[derive(Debug, clap::Parser)]
pub(super) struct Hex {
    #[command(flatten)]
    wrap: Wrap,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Encoder,
    examples: &[
        Example { chain: "hex", input: b"any\xff", output: b"616e79ff\n" },
        Example { chain: "hex --wrap 0", input: b"\0\0", output: b"0000" },
    ],
    ..Entry::of::<Hex>("hex", Role::Filter)
};

impl Hex {
    fn encoder(&self) -> Encoder {
        Encoder { alphabet: HEXLOWER, wrap: self.wrap }
    }
}

impl Stage for Hex {
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
