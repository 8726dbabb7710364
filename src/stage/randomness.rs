//! Pseudo-random bytes, several gigabytes a second, the same for a seed on every machine.
//! Not for secrets. Knows nothing of stages.

/// Independent generators side by side, so that the compiler can put them into vector registers.
const LANES: usize = 8;
const BLOCK_BYTES: usize = LANES * size_of::<u64>();

/// A stream of bytes from xoshiro256++ (D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", 2021),
/// eight of them in turn, each number with its lowest byte first.
#[derive(Debug)]
pub(super) struct Randomness {
    /// Word by word, the state of each lane.
    state: [[u64; LANES]; 4],
    /// The last block made, and how much of it has been given.
    block: [u8; BLOCK_BYTES],
    given: usize,
}

impl Randomness {
    /// A stream that is another one for every seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut splitter = Splitter(seed);
        let mut state = [[0; LANES]; 4];
        for lane in 0..LANES {
            for words in &mut state {
                words[lane] = splitter.next();
            }
        }
        Randomness { state, block: [0; BLOCK_BYTES], given: BLOCK_BYTES }
    }

    /// Fills `bytes` with the next ones of the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let left = &self.block[self.given..];
        let count = left.len().min(bytes.len());
        bytes[..count].copy_from_slice(&left[..count]);
        self.given += count;

        let (blocks, rest) = bytes[count..].as_chunks_mut::<BLOCK_BYTES>();
        // A copy, so that the state can stay in registers.
        let mut state = self.state;
        for block in blocks {
            step(&mut state, block);
        }
        self.state = state;
        if !rest.is_empty() {
            step(&mut self.state, &mut self.block);
            rest.copy_from_slice(&self.block[..rest.len()]);
            self.given = rest.len();
        }
    }

    /// The next number of the first lane's kind, for choices.
    pub(super) fn number(&mut self) -> u64 {
        let mut bytes = [0; size_of::<u64>()];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

#[inline]
fn step(state: &mut [[u64; LANES]; 4], block: &mut [u8; BLOCK_BYTES]) {
    let [a, b, c, d] = state;
    let (numbers, _) = block.as_chunks_mut::<{ size_of::<u64>() }>();
    for lane in 0..LANES {
        let sum = a[lane].wrapping_add(d[lane]);
        numbers[lane] = sum.rotate_left(23).wrapping_add(a[lane]).to_le_bytes();
        let shifted = b[lane] << 17;
        c[lane] ^= a[lane];
        d[lane] ^= b[lane];
        b[lane] ^= c[lane];
        a[lane] ^= d[lane];
        c[lane] ^= shifted;
        d[lane] = d[lane].rotate_left(45);
    }
}

/// Spreads a seed over a large state: splitmix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Debug)]
struct Splitter(u64);

impl Splitter {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{Randomness, Splitter};

    #[test]
    fn the_seed_is_spread_as_published() {
        // The first numbers for the seed 1234567, from the published code.
        let mut splitter = Splitter(1_234_567);
        let numbers = [splitter.next(), splitter.next(), splitter.next()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn the_numbers_are_as_published() {
        // The first numbers for the state 1, 2, 3, 4, from the published code.
        let mut randomness = Randomness::new(0);
        for (word, value) in (1..=4).enumerate() {
            randomness.state[word][0] = value;
        }
        let mut first_lane = || {
            let numbers: [u64; 8] = std::array::from_fn(|_| randomness.number());
            numbers[0]
        };
        let numbers = [first_lane(), first_lane(), first_lane()];
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn the_stream_is_the_same_however_it_is_cut() {
        let mut whole = vec![0; 1000];
        Randomness::new(7).fill(&mut whole);
        for size in [1, 7, 63, 64, 65, 999] {
            let (mut pieces, mut randomness) = (vec![0; 1000], Randomness::new(7));
            pieces.chunks_mut(size).for_each(|piece| randomness.fill(piece));
            assert!(pieces == whole, "pieces of {size}");
        }
    }
}
