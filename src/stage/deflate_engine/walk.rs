//! Walks a DEFLATE stream (RFC 1951) from block to block without decoding it: where they begin and end, to the bit.
//! Knows nothing of gzip, and trusts nothing: whatever the bytes, the walk ends.

use super::table::{INDEX_BITS, SPECIAL, Special, Table};

/// A block of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Where its header begins, in bits from the beginning of the stream: that bit is set in the last block.
    pub(super) begin_bit: usize,
    /// Behind its last bit.
    pub(super) end_bit: usize,
    /// Whether it is the last.
    pub(super) is_last: bool,
    /// Whether it is a stored block of no bytes: what a flush leaves, to end on a byte.
    pub(super) is_flush: bool,
}

/// The order in which the lengths of the codes of code lengths are sent: RFC 1951 §3.2.7.
const CODE_LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A walk over a stream. Its tables are used again by [`Walk::over`].
#[derive(Debug)]
pub(super) struct Walker {
    table: Table,
    /// The table is filled with the fixed codes.
    is_fixed: bool,
}

impl Walker {
    pub(super) fn new() -> Self {
        Walker { table: Table::new(), is_fixed: false }
    }

    /// The blocks of `stream`, up to and with the last one. Ends early where the stream is none, or too short.
    pub(super) fn over<'a>(&'a mut self, stream: &'a [u8]) -> Walk<'a> {
        Walk { walker: self, bits: Bits { stream, byte: 0, buffer: 0, count: 0 }, is_over: false }
    }

    /// The last block of `stream`, which ends with it: but for the rest of a byte, nothing stands behind the block.
    pub(super) fn last_block(&mut self, stream: &[u8]) -> Option<Block> {
        let mut walk = self.over(stream);
        loop {
            let begun = walk.begin()?;
            let is_last = begun.is_last;
            let known_end = if is_last { walk.end_of_stream(&begun) } else { None };
            let block = match known_end {
                Some(end_bit) => begun.ending(end_bit),
                None => walk.pass(begun)?,
            };
            if is_last {
                return Some(block);
            }
        }
    }
}

/// See [`Walker::over`].
#[derive(Debug)]
pub(super) struct Walk<'a> {
    walker: &'a mut Walker,
    bits: Bits<'a>,
    is_over: bool,
}

impl Iterator for Walk<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.is_over {
            return None;
        }
        let block = self.block();
        self.is_over = block.is_none_or(|block| block.is_last);
        block
    }
}

/// A block whose header was read: the codes, if it has any, are in the table.
#[derive(Debug, Clone, Copy)]
struct Begun {
    begin_bit: usize,
    is_last: bool,
    form: Form,
}

/// RFC 1951 §3.2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Stored,
    Fixed,
    Dynamic,
}

impl Begun {
    fn ending(self, end_bit: usize) -> Block {
        Block { begin_bit: self.begin_bit, end_bit, is_last: self.is_last, is_flush: false }
    }
}

impl Walk<'_> {
    fn block(&mut self) -> Option<Block> {
        let begun = self.begin()?;
        self.pass(begun)
    }

    /// Reads the header of the next block.
    fn begin(&mut self) -> Option<Begun> {
        let begin_bit = self.bits.position();
        self.bits.refill();
        let is_last = self.bits.take(1) == 1;
        let form = match self.bits.take(2) {
            0 => Form::Stored,
            1 => {
                self.walker.fixed()?;
                Form::Fixed
            }
            2 => {
                self.walker.dynamic(&mut self.bits)?;
                Form::Dynamic
            }
            _ => return None,
        };
        Some(Begun { begin_bit, is_last, form })
    }

    /// Passes what is in the block.
    fn pass(&mut self, begun: Begun) -> Option<Block> {
        let mut is_flush = false;
        match begun.form {
            Form::Stored => is_flush = self.bits.pass_stored()? == 0,
            Form::Fixed => self.walker.pass_coded(&mut self.bits)?,
            Form::Dynamic => {
                self.walker.table.fill();
                self.walker.pass_coded(&mut self.bits)?;
            }
        }
        let end_bit = self.bits.position();
        (end_bit <= self.bits.stream.len() * 8).then_some(Block { is_flush, ..begun.ending(end_bit) })
    }

    /// Where the last block of the stream ends, without a walk through it: its end code is the last thing in the stream, and
    /// what stands behind it are the zeros that fill a byte. So the last bit that is 1 is the last one of the end code that
    /// is 1. `None` where that is not to be seen: the code is all zeros, or this is not how the stream ends.
    fn end_of_stream(&self, begun: &Begun) -> Option<usize> {
        if begun.form != Form::Dynamic {
            return None;
        }
        let (code, code_bits) = self.walker.table.end_code()?;
        let stream = self.bits.stream;
        let last_byte = stream.iter().rposition(|&byte| byte != 0)?;
        let last_one_bit = 8 * last_byte + 7 - stream[last_byte].leading_zeros() as usize;
        let end_bit = last_one_bit + 1 + code.trailing_zeros() as usize;
        let is_padding = (end_bit..end_bit + 8).contains(&(8 * stream.len()));
        // The code's high bit comes first.
        let bit = |at: usize| u32::from(stream[at / 8] >> (at % 8) & 1);
        let begin_bit = end_bit.checked_sub(code_bits)?;
        let is_there = is_padding
            && begin_bit >= self.bits.position()
            && (begin_bit..end_bit).fold(0, |read, at| read << 1 | bit(at)) == code;
        is_there.then_some(end_bit)
    }
}

impl Walker {
    /// The codes of RFC 1951 §3.2.6.
    fn fixed(&mut self) -> Option<()> {
        if !self.is_fixed {
            let mut lengths = [8; 288];
            lengths[144..256].fill(9);
            lengths[256..280].fill(7);
            self.table.assign(&lengths, &[5; 32])?;
            self.table.fill();
            self.is_fixed = true;
        }
        Some(())
    }

    /// The codes that a block brings along, assigned: RFC 1951 §3.2.7.
    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.is_fixed = false;
        bits.refill();
        let lengths = bits.take(5) as usize + 257;
        let distances = bits.take(5) as usize + 1;
        let codes = bits.take(4) as usize + 4;
        let mut code_bits = [0_u8; 19];
        for &symbol in &CODE_LENGTH_ORDER[..codes] {
            bits.refill();
            code_bits[symbol] = bits.take(3) as u8;
        }
        let entries = code_length_entries(&code_bits)?;
        let mut all = [0_u8; 288 + 32];
        let mut count = 0;
        while count < lengths + distances {
            bits.refill();
            let (symbol, symbol_bits) = entries[bits.buffer as usize & 127];
            bits.pass(u32::from(symbol_bits));
            let (value, times) = match symbol {
                0..16 => (symbol, 1),
                16 => (all[count.checked_sub(1)?], bits.take(2) as usize + 3),
                17 => (0, bits.take(3) as usize + 3),
                18 => (0, bits.take(7) as usize + 11),
                _ => return None,
            };
            all.get_mut(count..count + times)?.fill(value);
            count += times;
        }
        if count > lengths + distances || bits.is_beyond() {
            return None;
        }
        self.table.assign(&all[..lengths], &all[lengths..count])
    }

    /// Passes the codes of a block, with its end.
    fn pass_coded(&self, reader: &mut Bits<'_>) -> Option<()> {
        // A copy, which no other code can see, stays in registers.
        let mut bits = *reader;
        let mut last = 0;
        loop {
            bits = bits.refilled();
            if bits.byte > bits.stream.len() + 16 {
                return None;
            }
            let mut entry = self.table.look_up(last, bits.buffer);
            if entry & SPECIAL == 0 {
                bits.pass(u32::from(entry));
                last = entry;
                entry = self.table.look_up(last, bits.buffer);
                if entry & SPECIAL == 0 {
                    bits.pass(u32::from(entry));
                    last = entry;
                    continue;
                }
            }
            bits = bits.refilled();
            match self.table.special(entry, last, bits.buffer) {
                Special::Pass(count, next) => {
                    bits.pass(count);
                    last = next;
                }
                Special::End(count) => {
                    bits.pass(count);
                    *reader = bits;
                    return Some(());
                }
                Special::Invalid => return None,
            }
        }
    }
}

// Two look-ups, each of codes within the index and the extra bits of the last, do with what one refill brings.
const _: () = assert!(2 * (INDEX_BITS + 13) <= 56);

/// Which code length symbol the next seven bits begin with, and the length of its code; symbol 19 for none.
fn code_length_entries(code_bits: &[u8; 19]) -> Option<[(u8, u8); 128]> {
    let mut entries = [(19, 0); 128];
    let mut code = 0_usize;
    for length in 1..=7_u8 {
        for (symbol, _) in (0_u8..).zip(code_bits).filter(|&(_, &bits)| bits == length) {
            if code >= 1 << length {
                return None;
            }
            let reversed = code.reverse_bits() >> (usize::BITS - u32::from(length));
            entries[reversed..].iter_mut().step_by(1 << length).for_each(|entry| *entry = (symbol, length));
            code += 1;
        }
        code <<= 1;
    }
    Some(entries)
}

/// Reads bits from the low end of each byte up. Behind the stream's end it finds zeros.
#[derive(Debug, Clone, Copy)]
struct Bits<'a> {
    stream: &'a [u8],
    /// The next byte to take into the buffer; goes on behind the end.
    byte: usize,
    buffer: u64,
    /// Valid bits in the buffer, in the low byte; what lies above does not matter. Above the valid bits there are zeros, or
    /// what will be there.
    count: u32,
}

impl Bits<'_> {
    fn refill(&mut self) {
        *self = self.refilled();
    }

    /// With 56 bits at least.
    #[inline(always)]
    fn refilled(mut self) -> Self {
        match self.stream.get(self.byte..self.byte + 8).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => {
                self.buffer |= u64::from_le_bytes(bytes) << (self.count & 63);
                self.byte += (63 - (self.count & 63) as usize) >> 3;
                self.count |= 56;
                self
            }
            None => self.refilled_at_end(),
        }
    }

    #[cold]
    fn refilled_at_end(mut self) -> Self {
        self.count = self.count();
        while self.count < 56 {
            let byte = self.stream.get(self.byte).copied().unwrap_or(0);
            self.buffer |= u64::from(byte) << self.count;
            self.byte += 1;
            self.count += 8;
        }
        self
    }

    /// Passes as many bits as the low six bits of `count` say; the next two bits are 0, and those above do not matter.
    #[inline(always)]
    fn pass(&mut self, count: u32) {
        self.buffer >>= count & 63;
        self.count = self.count.wrapping_sub(count);
    }

    fn count(&self) -> u32 {
        self.count & 0xff
    }

    fn take(&mut self, count: u32) -> u64 {
        let value = self.buffer & ((1 << count) - 1);
        self.pass(count);
        value
    }

    /// How many bits were passed.
    fn position(&self) -> usize {
        self.byte * 8 - self.count() as usize
    }

    fn is_beyond(&self) -> bool {
        self.position() > self.stream.len() * 8
    }

    /// Passes the rest of a stored block behind the header's bits; returns how many bytes it holds.
    fn pass_stored(&mut self) -> Option<usize> {
        let begin = self.position().div_ceil(8);
        let header = self.stream.get(begin..begin + 4)?;
        let length = u16::from_le_bytes([header[0], header[1]]);
        if length != !u16::from_le_bytes([header[2], header[3]]) {
            return None;
        }
        (self.byte, self.buffer, self.count) = (begin + 4 + usize::from(length), 0, 0);
        Some(usize::from(length))
    }
}
