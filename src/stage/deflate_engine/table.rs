//! Prefix codes as look-up tables for a reader that wants to know where codes end, and not what they say.
//! Knows nothing of blocks.
//!
//! An entry says what the next [`INDEX_BITS`] bits of a stream amount to: as many whole codes as they hold, each with its
//! extra bits (RFC 1951 §3.2.5), literals, lengths and distances alike. Most look-ups so pass several codes, and the reader
//! takes no branch that depends on the data.

/// Bits of the stream that index a table.
pub(super) const INDEX_BITS: u32 = 11;
const SIZE: usize = 1 << INDEX_BITS;

/// Entries for literals and lengths, and entries for distances.
type Halves = [[u16; SIZE]; 2];

/// The longest code (RFC 1951 §3.2.7).
const CODE_BITS_MAX: usize = 15;

/// What an entry tells, in its bits: how many bits of the stream to pass, how many of these must be known to pass them,
/// in which half of the table the next look-up takes place, and whether there is something that a look-up cannot do.
const PASS_MASK: u16 = 0x3f;
const KNOWN_SHIFT: u16 = 6;
const KNOWN_MASK: u16 = 0xf;
/// The half for distances.
const DISTANCES: u16 = 1 << DISTANCES_SHIFT;
const DISTANCES_SHIFT: u16 = 12;
/// End of block, a code longer than the index, or none at all.
pub(super) const SPECIAL: u16 = 1 << 15;
// More bits must be known than an index has: no other code is combined with these.
const LONG: u16 = SPECIAL | KNOWN_MASK << KNOWN_SHIFT;
const END: u16 = LONG | 1 << 14;
const INVALID: u16 = LONG | 1 << 13;

/// The symbol that ends a block.
const END_OF_BLOCK: usize = 256;

/// What lies behind an entry that is [`SPECIAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// The block ends that many bits on.
    End(u32),
    /// A code longer than the index: that many bits with its extra bits, and where the next look-up takes place.
    Pass(u32, u16),
    /// No code.
    Invalid,
}

/// The codes of one block: the literal and length codes in the lower half, those of distances in the upper.
#[derive(Debug)]
pub(super) struct Table {
    /// One code an entry.
    single: Box<Halves>,
    /// Several.
    several: Box<Halves>,
    lengths: Canon,
    distances: Canon,
}

/// A prefix code in its canonical form, for the codes that are too long for a table.
#[derive(Debug)]
struct Canon {
    /// How many codes there are of each length.
    counts: [u16; CODE_BITS_MAX + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; 288],
}

impl Table {
    pub(super) fn new() -> Self {
        let canon = || Canon { counts: [0; CODE_BITS_MAX + 1], symbols: [0; 288] };
        Table {
            single: Box::new([[INVALID; SIZE]; 2]),
            several: Box::new([[INVALID; SIZE]; 2]),
            lengths: canon(),
            distances: canon(),
        }
    }

    /// Takes the codes of a block whose literal and length codes, and distance codes, have these lengths in bits (0: unused).
    /// `None` when no such code can be: more codes than there is room for. Before a look-up comes [`Table::fill`].
    pub(super) fn assign(&mut self, length_code_bits: &[u8], distance_code_bits: &[u8]) -> Option<()> {
        self.lengths.assign(length_code_bits)?;
        self.distances.assign(distance_code_bits)
    }

    /// Makes the entries for the codes assigned.
    pub(super) fn fill(&mut self) {
        self.lengths.spread(&mut self.single[0], length_entry);
        self.distances.spread(&mut self.single[1], distance_entry);
        combine(&self.single, &mut self.several);
    }

    /// The code that ends the block, its first bit the highest, and its length in bits. `None` if it is all zeros: such a code
    /// cannot be told from the zeros behind it.
    pub(super) fn end_code(&self) -> Option<(u32, usize)> {
        self.lengths.code_of(END_OF_BLOCK).filter(|&(code, _)| code != 0)
    }

    /// What the stream's next bits amount to, in the half where the look-up before it ended: that is `last`, or 0 for
    /// the first of a block.
    #[inline(always)]
    pub(super) fn look_up(&self, last: u16, bits: u64) -> u16 {
        // Masked to the size of the table, so that no check is left.
        self.several[usize::from(last >> DISTANCES_SHIFT & 1)][bits as usize & (SIZE - 1)]
    }

    /// What a [`SPECIAL`] entry behind the look-up `last` stands for, given the next bits (at least [`CODE_BITS_MAX`]).
    pub(super) fn special(&self, entry: u16, last: u16, bits: u64) -> Special {
        if entry & INVALID == INVALID {
            return Special::Invalid;
        }
        if entry & END == END {
            return Special::End(u32::from(entry & PASS_MASK));
        }
        let (canon, to_entry): (_, fn(usize, u16) -> u16) = if last & DISTANCES != 0 {
            (&self.distances, distance_entry)
        } else {
            (&self.lengths, length_entry)
        };
        let Some((symbol, code_bits)) = canon.decode(bits) else { return Special::Invalid };
        let entry = to_entry(symbol, code_bits);
        match entry & SPECIAL {
            0 => Special::Pass(u32::from(entry & PASS_MASK), entry & DISTANCES),
            _ if entry & END == END => Special::End(u32::from(code_bits)),
            _ => Special::Invalid,
        }
    }
}

impl Canon {
    /// Takes code lengths in: RFC 1951 §3.2.2.
    fn assign(&mut self, code_bits: &[u8]) -> Option<()> {
        self.counts = [0; CODE_BITS_MAX + 1];
        for &bits in code_bits {
            self.counts[usize::from(bits & 15)] += 1;
        }
        self.counts[0] = 0;
        let mut left = 1_i32;
        let mut offsets = [0_u16; CODE_BITS_MAX + 2];
        for bits in 1..=CODE_BITS_MAX {
            left = 2 * left - i32::from(self.counts[bits]);
            if left < 0 {
                return None;
            }
            offsets[bits + 1] = offsets[bits] + self.counts[bits];
        }
        for (symbol, &bits) in (0_u16..).zip(code_bits).filter(|&(_, &bits)| bits != 0) {
            let offset = &mut offsets[usize::from(bits & 15)];
            *self.symbols.get_mut(usize::from(*offset))? = symbol;
            *offset += 1;
        }
        Some(())
    }

    /// Writes the entry of every code into `entries`, under each index that begins with it. Streams are read from their
    /// low bits up and codes are written from the high bit down, so codes are counted in reverse.
    fn spread(&self, entries: &mut [u16], to_entry: fn(usize, u16) -> u16) {
        entries[0] = INVALID;
        let mut code = 0_usize;
        let mut symbols = self.symbols.iter();
        let mut filled = 1;
        for bits in 1..=INDEX_BITS as u16 {
            entries.copy_within(0..filled, filled);
            filled *= 2;
            for &symbol in symbols.by_ref().take(usize::from(self.counts[usize::from(bits)])) {
                entries[code] = to_entry(usize::from(symbol), bits);
                code = next_reversed(code, filled);
            }
        }
        // Every index that no short code begins is the beginning of longer ones, or of none.
        if self.counts[INDEX_BITS as usize + 1..].iter().any(|&count| count > 0) {
            for _ in self.used_at_index()..filled {
                entries[code] = LONG;
                code = next_reversed(code, filled);
            }
        }
    }

    /// How many indices of a table begin with a code that is no longer.
    fn used_at_index(&self) -> usize {
        let bits_max = INDEX_BITS as usize;
        (1..=bits_max).map(|bits| usize::from(self.counts[bits]) << (bits_max - bits)).sum()
    }

    /// The code of `symbol`, its first bit the highest, and its length in bits: RFC 1951 §3.2.2.
    fn code_of(&self, symbol: usize) -> Option<(u32, usize)> {
        let (mut first, mut offset) = (0_u32, 0);
        for length in 1..=CODE_BITS_MAX {
            let count = usize::from(self.counts[length]);
            let symbols = self.symbols.get(offset..offset + count)?;
            if let Some(at) = symbols.iter().position(|&other| usize::from(other) == symbol) {
                return Some((first + u32::try_from(at).ok()?, length));
            }
            offset += count;
            first = (first + u32::from(self.counts[length])) << 1;
        }
        None
    }

    /// The symbol whose code the stream goes on with, and how long the code is.
    fn decode(&self, bits: u64) -> Option<(usize, u16)> {
        let (mut code, mut first, mut offset) = (0_usize, 0_usize, 0_usize);
        for length in 1..=CODE_BITS_MAX {
            code |= (bits >> (length - 1)) as usize & 1;
            let count = usize::from(self.counts[length]);
            if code < first + count {
                let symbol = *self.symbols.get(offset + (code - first))?;
                return Some((usize::from(symbol), length as u16));
            }
            offset += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// The code behind `code`, both with their bits reversed, in a space of `size` (a power of two). 0 behind the last.
fn next_reversed(code: usize, size: usize) -> usize {
    let mut bit = size >> 1;
    while code & bit != 0 {
        bit >>= 1;
    }
    if bit == 0 { 0 } else { (code & (bit - 1)) | bit }
}

fn entry(pass_bits: u16, code_bits: u16, half: u16) -> u16 {
    pass_bits | code_bits << KNOWN_SHIFT | half
}

/// The entry of a literal, of the end, or of a length with its extra bits (RFC 1951 §3.2.5).
fn length_entry(symbol: usize, code_bits: u16) -> u16 {
    match symbol {
        0..END_OF_BLOCK => entry(code_bits, code_bits, 0),
        END_OF_BLOCK => END | code_bits,
        257..=264 | 285 => entry(code_bits, code_bits, DISTANCES),
        265..=284 => entry(code_bits + ((symbol - 261) / 4) as u16, code_bits, DISTANCES),
        _ => INVALID,
    }
}

/// The entry of a distance with its extra bits.
fn distance_entry(symbol: usize, code_bits: u16) -> u16 {
    match symbol {
        0..=1 => entry(code_bits, code_bits, 0),
        2..=29 => entry(code_bits + (symbol / 2 - 1) as u16, code_bits, 0),
        _ => INVALID,
    }
}

/// Entries of several codes out of entries of one: what follows a code is looked up under the bits that are left, and counts
/// if those are enough to know it.
fn combine(single: &Halves, several: &mut Halves) {
    for (singles, combined) in single.iter().zip(several) {
        for (index, (first, combined)) in singles.iter().zip(combined).enumerate() {
            *combined = if first & SPECIAL == 0 { gather(single, index, *first) } else { *first };
        }
    }
}

fn gather(single: &Halves, index: usize, first: u16) -> u16 {
    let (mut passed, mut last) = (first & PASS_MASK, first);
    while passed < INDEX_BITS as u16 {
        let next = single[usize::from(last >> DISTANCES_SHIFT & 1)][index >> passed];
        if passed + (next >> KNOWN_SHIFT & KNOWN_MASK) > INDEX_BITS as u16 {
            break;
        }
        (passed, last) = (passed + (next & PASS_MASK), next);
    }
    passed | last & DISTANCES
}
