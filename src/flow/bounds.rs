//! How much a link holds, and when those at its ends wait and go on.
//! Numbers only: knows nothing of locks and threads.

/// How much a link holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At this many bytes a writer is stalled. A threshold: the chunk that reaches it is taken whole.
    pub high_bytes: usize,
    /// Down to this many bytes the link must fall before a stalled writer goes on.
    pub low_bytes: usize,
    /// At this many chunks, too, a writer is stalled; it goes on at half of them.
    pub slots: usize,
    /// A reader that found the link empty is held until it holds this many bytes, or can hold no more.
    pub start_bytes: usize,
}

impl Bounds {
    /// Smaller chunks than this part of a chunk are copied to the end of the one before them, if it has room.
    pub(super) const JOIN_PART: usize = 8;

    /// A high mark of `high_bytes`, a low mark of half of it, and slots for twice as many chunks as that makes.
    pub fn new(high_bytes: usize, chunk_bytes: usize) -> Self {
        let high_bytes = high_bytes.max(1);
        let slots = (2 * high_bytes.div_ceil(chunk_bytes.max(1))).max(2);
        Bounds { high_bytes, low_bytes: high_bytes / 2, slots, start_bytes: 0 }
    }

    /// The same for another high mark: the low mark is half of it, and there are slots in proportion.
    #[must_use]
    pub fn resized(self, high_bytes: usize) -> Self {
        let high_bytes = high_bytes.max(1);
        let slots = (self.slots as u128 * high_bytes as u128).div_ceil(self.high_bytes.max(1) as u128);
        Bounds {
            high_bytes,
            low_bytes: high_bytes / 2,
            slots: usize::try_from(slots).unwrap_or(usize::MAX).max(2),
            start_bytes: self.start_bytes.min(high_bytes),
        }
    }
}
