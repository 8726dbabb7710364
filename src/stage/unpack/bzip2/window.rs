//! The part of the input that is in view, as bits, and where in it a block or the end of a stream seems to begin.
//! Decodes nothing.

/// What every block begins with.
pub(super) const BLOCK_MARK: u64 = 0x3141_5926_5359;
/// What stands behind the last block of a stream.
pub(super) const END_MARK: u64 = 0x1772_4538_5090;
/// The length of both.
pub(super) const MARK_BITS: u64 = 48;

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A block begins.
    Block,
    /// The stream ends.
    End,
}

impl Mark {
    fn of(bits: u64) -> Option<Mark> {
        match bits {
            BLOCK_MARK => Some(Mark::Block),
            END_MARK => Some(Mark::End),
            _ => None,
        }
    }
}

/// Bytes of the input, from some place on. Places are bits, counted from the beginning of the input.
#[derive(Debug)]
pub(super) struct Window {
    /// Bytes of the input; what was read is put behind them.
    pub(super) bytes: Vec<u8>,
    /// Where in the input the first of them stands.
    offset: u64,
}

impl Window {
    /// Nothing yet, from the byte `offset` on.
    pub(super) fn new(offset: u64) -> Self {
        Window { bytes: Vec::new(), offset }
    }

    /// Where what was read ends.
    pub(super) fn end_bit(&self) -> u64 {
        (self.offset + self.bytes.len() as u64) * 8
    }

    /// The bytes from the one on that holds the bit `at`.
    pub(super) fn from(&self, at: u64) -> &[u8] {
        // What is in view is in memory.
        let begin = usize::try_from((at / 8).saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.bytes.get(begin..).unwrap_or_default()
    }

    /// The next `count` bits, at most 56; `None` if that many were not read yet.
    pub(super) fn bits(&self, at: u64, count: u64) -> Option<u64> {
        if at + count > self.end_bit() {
            return None;
        }
        let mut word = [0; 8];
        let bytes = self.from(at);
        let length = bytes.len().min(8);
        word[..length].copy_from_slice(&bytes[..length]);
        Some((u64::from_be_bytes(word) << (at % 8)) >> (64 - count))
    }

    /// Whether there is a mark, and which; `None` if not enough was read yet.
    pub(super) fn mark(&self, at: u64) -> Option<Option<Mark>> {
        self.bits(at, MARK_BITS).map(Mark::of)
    }

    /// Where the first mark begins, at `from` or behind it, at any bit; or else from where to search when more was read.
    pub(super) fn find(&self, from: u64) -> Result<u64, u64> {
        let begin = from / 8 * 8;
        let mut word = 0_u64;
        for (number, &byte) in self.from(from).iter().enumerate() {
            word = word << 8 | u64::from(byte);
            if !IS_WITHIN_A_MARK[usize::from((word >> 16) as u8)] {
                continue;
            }
            let end = begin + (number as u64 + 1) * 8;
            for past in (0..8).rev() {
                let is_mark = Mark::of((word >> past) & ((1 << MARK_BITS) - 1)).is_some();
                if is_mark && end - past >= from + MARK_BITS {
                    return Ok(end - past - MARK_BITS);
                }
            }
        }
        Err(from.max(self.end_bit().saturating_sub(MARK_BITS - 1)))
    }

    /// Forgets what stands before the bit `at`.
    pub(super) fn forget(&mut self, at: u64) {
        let count = self.bytes.len() - self.from(at).len();
        // Not each time: what is kept has to be moved.
        if count > self.bytes.len() / 2 {
            self.bytes.drain(..count);
            self.offset += count as u64;
        }
    }
}

/// Whether a byte can be the one that ends 16 bits before the byte in which a mark ends.
const IS_WITHIN_A_MARK: [bool; 256] = {
    let mut table = [false; 256];
    let mut past = 0;
    while past < 8 {
        table[(BLOCK_MARK >> (16 - past)) as u8 as usize] = true;
        table[(END_MARK >> (16 - past)) as u8 as usize] = true;
        past += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{BLOCK_MARK, END_MARK, Mark, Window};

    /// A window of `zeros` zero bits, a mark, and as many zeros again.
    fn window(zeros: usize, mark: u64) -> Window {
        let mut window = Window::new(100);
        window.bytes = vec![0; 2 * zeros / 8 + 8];
        for bit in 0..48 {
            if mark >> (47 - bit) & 1 == 1 {
                window.bytes[(zeros + bit) / 8] |= 0x80 >> ((zeros + bit) % 8);
            }
        }
        window
    }

    #[test]
    fn a_mark_is_found_at_every_bit() {
        for zeros in 0..200 {
            for (bits, mark) in [(BLOCK_MARK, Mark::Block), (END_MARK, Mark::End)] {
                let window = window(zeros, bits);
                let at = 800 + zeros as u64;
                assert_eq!(window.find(800), Ok(at));
                assert_eq!(window.find(at), Ok(at));
                assert_eq!(window.find(at + 1), Err((at + 1).max(window.end_bit() - 47)));
                assert_eq!(window.mark(at), Some(Some(mark)));
                assert_eq!(window.mark(at + 1), if at + 49 > window.end_bit() { None } else { Some(None) });
            }
        }
    }

    #[test]
    fn a_mark_is_found_however_it_comes() {
        let whole = window(77, BLOCK_MARK);
        let mut window = Window::new(100);
        let mut from = 800;
        for &byte in &whole.bytes {
            window.bytes.push(byte);
            match window.find(from) {
                Ok(at) => return assert_eq!(at, 877),
                Err(go_on) => from = go_on,
            }
        }
        panic!("it was not found");
    }

    #[test]
    fn what_is_forgotten_moves_nothing_else() {
        let mut window = window(80, END_MARK);
        window.forget(800 + 80);
        assert_eq!(window.mark(880), Some(Some(Mark::End)));
        assert_eq!(window.bits(880, 8), Some(0x17));
    }
}
