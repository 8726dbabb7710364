//! The checksums that stand behind a DEFLATE stream: what is to be done with any of them.
//! Knows nothing of how they are written.

use flate2::Crc;
use zlib_rs::adler32::{adler32, adler32_combine};

/// A checksum of bytes, taken in parts.
pub(in crate::stage) trait Checksum: Default {
    /// Takes the next bytes into account.
    fn update(&mut self, bytes: &[u8]);

    /// Takes into account the bytes that `next` is of, as those that follow.
    fn append(&mut self, next: &Self);
}

/// CRC-32: RFC 1952 §8.
impl Checksum for Crc {
    fn update(&mut self, bytes: &[u8]) {
        Crc::update(self, bytes);
    }

    fn append(&mut self, next: &Self) {
        self.combine(next);
    }
}

/// Adler-32: RFC 1950 §8.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) struct Adler {
    sum: u32,
    bytes: u64,
}

impl Default for Adler {
    fn default() -> Self {
        Adler { sum: 1, bytes: 0 }
    }
}

impl Adler {
    /// Of all bytes so far.
    pub(in crate::stage) fn sum(self) -> u32 {
        self.sum
    }
}

impl Checksum for Adler {
    fn update(&mut self, bytes: &[u8]) {
        self.sum = adler32(self.sum, bytes);
        self.bytes += bytes.len() as u64;
    }

    fn append(&mut self, next: &Self) {
        self.sum = adler32_combine(self.sum, next.sum, next.bytes);
        self.bytes += next.bytes;
    }
}

/// None at all, where the format has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::stage) struct Unchecked;

impl Checksum for Unchecked {
    fn update(&mut self, _bytes: &[u8]) {}

    fn append(&mut self, _next: &Self) {}
}

#[cfg(test)]
mod tests {
    use super::{Adler, Checksum};

    /// As RFC 1950 §8.2 defines it.
    fn defined(bytes: &[u8]) -> u32 {
        let (low, high) = bytes.iter().fold((1, 0), |(low, high), &byte| {
            let low = (low + u32::from(byte)) % 65521;
            (low, (high + low) % 65521)
        });
        high << 16 | low
    }

    #[test]
    fn parts_one_after_the_other_are_the_whole() {
        let bytes: Vec<u8> = (0..200_000_u64).map(|index| ((index * index) >> 5) as u8 | 0x80).collect();
        for part_bytes in [1, 2, 5551, 5552, 65_520, 65_521, 65_522, 131_042, 200_000] {
            let (mut serial, mut combined) = (Adler::default(), Adler::default());
            for part in bytes.chunks(part_bytes) {
                serial.update(part);
                let mut of_part = Adler::default();
                of_part.update(part);
                combined.append(&of_part);
            }
            assert_eq!((serial.sum(), combined), (defined(&bytes), serial), "parts of {part_bytes}");
        }
        let mut nothing = Adler::default();
        nothing.append(&Adler::default());
        assert_eq!(nothing.sum(), 1);
    }
}
