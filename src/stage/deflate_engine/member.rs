//! A gzip member's header and trailer as they are written, and the hint in the header: RFC 1952 §2.3.
//! Knows nothing of what is between them.

use super::preset::Preset;
use flate2::Crc;

/// SI1 and SI2 of the extra field's subfield that holds the block size, as four bytes, low byte first: after every so many
/// bytes of data the DEFLATE stream has an empty stored block, and nothing behind it refers to what is before it.
const HINT: [u8; 2] = *b"WR";

/// The flag of an extra field.
const FEXTRA: u8 = 4;

/// Block sizes that are worth a worker, and that a file may make us hold in memory.
const HINTED_BYTES: std::ops::RangeInclusive<usize> = 1024..=1024 * 1024;

/// The header: no name, no time, no system, so that the same data always gives the same file. With a hint if the data has
/// several blocks of that many bytes, and they do not refer to each other.
pub(super) fn header(preset: Preset, hint: Option<usize>) -> Vec<u8> {
    let flags = if hint.is_some() { FEXTRA } else { 0 };
    let mut bytes = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, preset.extra_flags(), 255];
    if let Some(block_bytes) = hint {
        let size = u32::try_from(block_bytes).unwrap_or(0).to_le_bytes();
        bytes.extend([8, 0, HINT[0], HINT[1], 4, 0]);
        bytes.extend(size);
    }
    bytes
}

/// The trailer: CRC-32, and the size modulo 2³².
pub(super) fn trailer(crc: &Crc) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&crc.sum().to_le_bytes());
    bytes[4..].copy_from_slice(&crc.amount().to_le_bytes());
    bytes
}

/// The block size that an extra field names, if it is one to work with. A hint and no more: the file may lie.
pub(in crate::stage) fn hint(mut extra: &[u8]) -> Option<usize> {
    while let [first, second, low, high, rest @ ..] = extra {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let data = rest.get(..length)?;
        if [*first, *second] == HINT {
            let size = u32::from_le_bytes(data.try_into().ok()?);
            return usize::try_from(size).ok().filter(|size| HINTED_BYTES.contains(size));
        }
        extra = &rest[length..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{header, hint};
    use crate::stage::deflate_engine::preset::Preset;

    #[test]
    fn the_hint_comes_back() {
        let bytes = header(Preset::new(6), Some(524_288));
        assert_eq!(bytes.len(), 20);
        assert_eq!(hint(&bytes[12..]), Some(524_288));
        assert_eq!(header(Preset::new(9), None), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn no_hint_is_taken_from_what_is_none() {
        assert_eq!(hint(b""), None);
        assert_eq!(hint(b"WR"), None);
        assert_eq!(hint(b"WR\x04\x00\x00\x00"), None);
        assert_eq!(hint(b"WR\x04\x00\x00\x00\x00\x00"), None);
        assert_eq!(hint(b"WR\x04\x00\xff\xff\xff\xff"), None);
        assert_eq!(hint(b"WR\x02\x00\x00\x10"), None);
        assert_eq!(hint(b"xx\x01\x00aWR\x04\x00\x00\x10\x00\x00"), Some(4096));
        assert_eq!(hint(b"xx\xff\xffaWR\x04\x00\x00\x10\x00\x00"), None);
    }
}
