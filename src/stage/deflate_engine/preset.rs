//! What `-1` to `-9` mean.
//! Knows nothing of how blocks are compressed.

/// A level of compression, as the engine does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) struct Preset {
    /// As the header has it.
    number: u8,
    /// Of the engine.
    effort: u8,
    block_bytes: usize,
}

impl Preset {
    /// The level that is called `-number`; what is beyond 1 and 9 counts as these.
    pub(in crate::stage) fn new(number: u8) -> Self {
        let number = number.clamp(1, 9);
        let (effort, block_bytes) = if cfg!(feature = "libdeflate") {
            // Measured: each step gains size, and none costs more than it is worth. Libdeflate's 9 takes 1.4 times as long
            // as its 8 for a thousandth of the size, and 8 already comes out smaller than zlib's 9. Smaller blocks make
            // larger files, and are no faster.
            (number.min(8), 1024 * 1024)
        } else {
            // Zlib's own: its window spans the blocks, and a larger one gains little.
            (number, 512 * 1024)
        };
        Preset { number, effort, block_bytes }
    }

    /// With blocks of that many bytes.
    #[cfg(test)]
    pub(super) fn with_block_bytes(self, block_bytes: usize) -> Self {
        Preset { block_bytes, ..self }
    }

    pub(super) fn effort(self) -> u8 {
        self.effort
    }

    pub(super) fn block_bytes(self) -> usize {
        self.block_bytes
    }

    /// XFL in a member's header: RFC 1952 §2.3.1.
    pub(super) fn extra_flags(self) -> u8 {
        match self.number {
            1 => 4,
            9 => 2,
            _ => 0,
        }
    }

    /// FLEVEL in a zlib header: RFC 1950 §2.2.
    pub(super) fn zlib_level(self) -> u8 {
        match self.number {
            ..=1 => 0,
            2..=5 => 1,
            6 => 2,
            7.. => 3,
        }
    }
}
