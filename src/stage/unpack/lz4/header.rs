//! The header of an lz4 frame, which says how the rest of it is laid out (LZ4 Frame Format 1.6, "Frame Descriptor").
//! Knows nothing of blocks.

use crate::stage::fault::Fault;
use crate::stage::unpack::Unpacker;
use xxhash_rust::xxh32::xxh32;

/// The version of the format, in the two upper bits of the flags.
pub(in crate::stage) const FLAG_VERSION: u8 = 1 << 6;
/// No block refers to those before it.
pub(in crate::stage) const FLAG_INDEPENDENT: u8 = 1 << 5;
const FLAG_BLOCK_CHECKSUMS: u8 = 1 << 4;
const FLAG_CONTENT_SIZE: u8 = 1 << 3;
/// A checksum of all data ends the frame.
pub(in crate::stage) const FLAG_CONTENT_CHECKSUM: u8 = 1 << 2;
const FLAG_RESERVED: u8 = 1 << 1;
const FLAG_DICTIONARY: u8 = 1;
const VERSION_BITS: u8 = 0b1100_0000;
/// All of the second byte but the size of a block.
const RESERVED_BITS: u8 = 0b1000_1111;

/// How a frame is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Blocks refer to those before them.
    pub(super) is_linked: bool,
    /// A checksum follows each block.
    pub(super) has_block_checksums: bool,
    /// A checksum follows the end mark.
    pub(super) has_content_checksum: bool,
    /// How much comes out, if it is stated.
    pub(super) content_bytes: Option<u64>,
    /// The most that comes out of a block.
    pub(super) block_bytes_max: usize,
}

impl Header {
    /// Reads it, from behind the magic.
    pub(super) fn read(unpacker: &mut Unpacker<'_>) -> anyhow::Result<Header> {
        let [flags, sizes] = unpacker.bytes("in a header")?;
        if flags & VERSION_BITS != FLAG_VERSION {
            let what = format!("unknown version {} of the lz4 format", flags >> 6);
            return Err(unpacker.corrupt(&what).into());
        }
        if flags & FLAG_RESERVED != 0 || sizes & RESERVED_BITS != 0 {
            return Err(unpacker.corrupt("reserved bits are set in a header").into());
        }
        let block_bytes_max = match sizes >> 4 {
            number @ 4..=7 => 1 << (2 * number + 8),
            number => return Err(unpacker.corrupt(&format!("unknown block size {number}")).into()),
        };
        let mut descriptor = vec![flags, sizes];
        let mut content_bytes = None;
        if flags & FLAG_CONTENT_SIZE != 0 {
            let bytes = unpacker.bytes("in a header")?;
            descriptor.extend(bytes);
            content_bytes = Some(u64::from_le_bytes(bytes));
        }
        let mut dictionary = None;
        if flags & FLAG_DICTIONARY != 0 {
            let bytes = unpacker.bytes("in a header")?;
            descriptor.extend(bytes);
            dictionary = Some(u32::from_le_bytes(bytes));
        }
        if unpacker.bytes("in a header")? != [checksum(&descriptor)] {
            return Err(unpacker.corrupt("checksum mismatch in a header").into());
        }
        if let Some(number) = dictionary {
            let message = format!("needs dictionary {number}, at input byte {}", unpacker.offset());
            return Err(Fault::refused(message).help("decompress it with `lz4 -D DICTIONARY`").into());
        }
        Ok(Header {
            is_linked: flags & FLAG_INDEPENDENT == 0,
            has_block_checksums: flags & FLAG_BLOCK_CHECKSUMS != 0,
            has_content_checksum: flags & FLAG_CONTENT_CHECKSUM != 0,
            content_bytes,
            block_bytes_max,
        })
    }
}

/// The byte that ends a header: a part of the checksum of those between it and the magic.
pub(in crate::stage) fn checksum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor, 0) >> 8) as u8
}
