//! `unlz4`: decompression of the lz4 format, all frames of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::lz4::unpack;

/// Decompress the lz4 format
///
/// All frames are unpacked, one after another; frames to be skipped are skipped. Checksums and sizes are verified where a
/// frame has them. Empty, truncated and corrupt input is refused (exit 3), with the place in the input; so is anything
/// behind the last frame, after all data is through, and a frame that needs a dictionary.
///
/// Frames of the old format (`lz4 -l`) have neither checksum nor end: there a cut between blocks cannot be noticed.
#[derive(Debug, clap::Parser)]
pub(super) struct Unlz4 {
    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example {
        chain: "unlz4",
        input: b"\x04\x22\x4d\x18\x60\x40\x82\x02\0\0\x80a\n\0\0\0\0",
        output: b"a\n",
    }],
    ..Entry::of::<Unlz4>("unlz4", Role::Filter)
};

impl Stage for Unlz4 {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| unpack(unpacker, context))
        }))
    }
}
