//! `unzstd`: decompression of the zstd format (RFC 8878), all frames of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::zstd::{MEMORY_BYTES, unpack};

/// Decompress the zstd format
///
/// All frames are unpacked, one after another; frames that are to be skipped are. The checksum of a frame is verified
/// where it has one, as those of `zstd` have. Empty, truncated and corrupt input is refused (exit 3), with the place in
/// the input; so are frames that need a dictionary, and anything behind the last frame, after all data is through.
///
/// A frame says how much of what was unpacked is needed to go on, its window: what `zstd --long` packs may need up to
/// 2 GiB. More than 128 MiB are refused unless `--memory` allows them.
#[derive(Debug, clap::Parser)]
pub(super) struct Unzstd {
    /// Unpack frames with windows up to this size; 128M if not given
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    memory: Option<Amount>,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example {
        chain: "unzstd",
        input: b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0a\n",
        output: b"a\n",
    }],
    ..Entry::of::<Unzstd>("unzstd", Role::Filter)
};

impl Stage for Unzstd {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let memory_bytes = self.memory.as_ref().map_or(MEMORY_BYTES, |amount| amount.bytes);
        Ok(Body::filter(move |inlet, outlet, _context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| unpack(unpacker, memory_bytes))
        }))
    }
}
