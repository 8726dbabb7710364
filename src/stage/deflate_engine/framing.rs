//! What stands around a DEFLATE stream: a gzip member, the zlib format, or nothing.
//! Knows nothing of how the stream is made.

use super::checksum::{Adler, Checksum, Unchecked};
use super::member;
use super::preset::Preset;
use flate2::Crc;

/// A format whose data is one DEFLATE stream.
pub(in crate::stage) trait Framing {
    /// The checksum of the data that its trailer holds.
    type Check: Checksum + Send + 'static;

    /// What stands before the stream. With a hint if the data has several blocks of that many bytes, and they do not refer
    /// to each other; a format that has no place for it leaves it out.
    fn header(preset: Preset, hint: Option<usize>) -> Vec<u8>;

    /// What stands behind the stream.
    fn trailer(check: &Self::Check) -> Vec<u8>;
}

/// One member of the gzip format: RFC 1952.
#[derive(Debug)]
pub(in crate::stage) enum Gzip {}

impl Framing for Gzip {
    type Check = Crc;

    fn header(preset: Preset, hint: Option<usize>) -> Vec<u8> {
        member::header(preset, hint)
    }

    fn trailer(check: &Crc) -> Vec<u8> {
        member::trailer(check).to_vec()
    }
}

/// The zlib format: RFC 1950.
#[derive(Debug)]
pub(in crate::stage) enum Zlib {}

impl Framing for Zlib {
    type Check = Adler;

    fn header(preset: Preset, _hint: Option<usize>) -> Vec<u8> {
        // RFC 1950 §2.2: deflate with a window of 32 KiB; the level, and what makes the two a multiple of 31.
        let method = 0x78;
        let flags = preset.zlib_level() << 6;
        let check = 31 - (u16::from_be_bytes([method, flags]) % 31) as u8;
        vec![method, flags | check]
    }

    fn trailer(check: &Adler) -> Vec<u8> {
        check.sum().to_be_bytes().to_vec()
    }
}

/// The DEFLATE stream and nothing else: RFC 1951.
#[derive(Debug)]
pub(in crate::stage) enum Raw {}

impl Framing for Raw {
    type Check = Unchecked;

    fn header(_preset: Preset, _hint: Option<usize>) -> Vec<u8> {
        Vec::new()
    }

    fn trailer(_check: &Unchecked) -> Vec<u8> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Zlib};
    use crate::stage::deflate_engine::preset::Preset;

    #[test]
    fn a_zlib_header_tells_the_level_as_zlib_does() {
        for (level, second) in [(1, 0x01), (2, 0x5e), (5, 0x5e), (6, 0x9c), (7, 0xda), (9, 0xda)] {
            assert_eq!(Zlib::header(Preset::new(level), Some(4096)), [0x78, second], "level {level}");
        }
    }
}
