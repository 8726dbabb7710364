//! `unxz`: decompression of the xz format, all streams of it.
//! How it is decoded is in `unpack`.

use super::amount::Amount;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage};
use super::unpack::Unpacker;
use super::unpack::xz::{MEMORY_BYTES, unpack};

/// Decompress the xz format
///
/// All streams are unpacked, one after another, with padding between them and behind the last. The integrity check is
/// verified, whether it is CRC32, CRC64 or SHA-256; a stream that was made without one (`xz --check=none`) is unpacked
/// unverified. Empty, truncated and corrupt input is refused (exit 3), with the place in the input; so are filters and
/// checks that are not supported, and anything behind the last stream, after all data is through. The older format of
/// `.lzma` files is refused.
///
/// What `xz -9` packs needs 65 MiB to unpack. More than 256 MiB are refused unless `--memory` allows them.
#[derive(Debug, clap::Parser)]
pub(super) struct Unxz {
    /// Use this much memory if it is needed; 256M if not given
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    memory: Option<Amount>,

    /// Refuse input that unpacks to more than this
    #[arg(long, value_name = "SIZE", value_parser = Amount::size)]
    max_output: Option<Amount>,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decompressor,
    examples: &[Example { chain: "unxz", input: EXAMPLE, output: b"a\n" }],
    ..Entry::of::<Unxz>("unxz", Role::Filter)
};

/// What `xz` makes of `a` and a line feed.
const EXAMPLE: &[u8] = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x01a\n\0\0\0\x13G?\xb8\x93\x9dE\xd4\0\x01\x1a\x02\xdc.\xa5~\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

impl Stage for Unxz {
    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let memory_bytes = self.memory.as_ref().map_or(MEMORY_BYTES, |amount| amount.bytes);
        Ok(Body::filter(move |inlet, outlet, _context| {
            Unpacker::run(inlet, outlet, self.max_output.as_ref(), |unpacker| unpack(unpacker, memory_bytes))
        }))
    }
}
