//! `bunzip2`: decompression of the bzip2 format, all streams of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::bzip2::unpack;

/// Decompress the bzip2 format
///
/// All streams are unpacked, one after another, and the blocks of each side by side on all cores, whoever wrote them. Empty,
/// truncated and corrupt input is refused (exit 3), with the place in the input; so is anything behind the last stream,
/// after all data is through.
#[derive(Debug, clap::Parser)]
pub(super) struct Bunzip2 {
    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example {
        chain: "bunzip2",
        input: b"BZh91AY&SY\x63\x3e\xd6\xe2\0\0\0\xc1\0\0\x10\x20\0\x20\0\x21\0\x82\xb1\x77\x24\x53\x85\x09\x06\x33\xed\x6e\x20",
        output: b"a\n",
    }],
    ..Entry::of::<Bunzip2>("bunzip2", Role::Filter)
};

impl Stage for Bunzip2 {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        Ok(Body::filter(move |inlet, outlet, context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| unpack(unpacker, context))
        }))
    }
}
