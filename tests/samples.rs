//! Input for tests that compare with other tools: the same bytes every time.

/// Words, then a machine's code or what looks like it, then noise, in turn.
pub fn sample(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words =
        ["stream ", "buffer ", "stall ", "    ", "of ", "and ", "gauge\n", "reader ", "wwwwwwwwwwww "];
    let mut sample = Vec::with_capacity(bytes + 100_000);
    for turn in 0.. {
        match turn % 3 {
            _ if sample.len() >= bytes => break,
            0 => (0..9000).for_each(|_| sample.extend_from_slice(words[(next() % 9) as usize].as_bytes())),
            1 => (0..9000)
                .for_each(|index| sample.extend_from_slice(&[index as u8, 0, (next() % 3) as u8, 0x8b])),
            _ => (0..40_000).for_each(|_| sample.push(next() as u8)),
        }
    }
    sample.truncate(bytes);
    sample
}
