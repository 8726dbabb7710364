//! Made-up English, a line to a sentence, at the speed of memory, the same for a seed on every machine.
//! Knows nothing of stages. The words are put together by chance and mean nothing.

use super::randomness::Randomness;

/// Every phrase is copied as a whole block of this size; what is too much is written over by the next one.
const PHRASE_BYTES_MAX: usize = 40;
/// The longest line there can be.
const LINE_BYTES_MAX: usize = 4 * PHRASE_BYTES_MAX;

const QUALITIES: &str = "\
    quiet old narrow bright cold patient heavy little distant green careful hollow early wooden gentle \
    broken hungry modest silver crooked famous thirsty plain eager dusty sudden loyal muddy ripe blue \
    faint solemn";
const THINGS: &str = "\
    river harbour miller garden letter bridge teacher window valley sailor orchard engine market lantern \
    captain village mirror weaver stone ladder forest keeper kettle meadow painter tower wagon stranger \
    cellar island blanket neighbour fox baker cloud road apple judge hammer violin shadow barrel doctor \
    gate winter anchor pocket singer chimney puzzle horse ribbon mountain clerk bell cousin feather \
    quarry tailor umbrella jar desert owl newspaper";
const DEEDS: &str = "\
    carried found watched followed forgot painted remembered opened crossed mended covered reached left \
    heard measured counted answered guarded moved passed held turned lifted promised returned noticed \
    hid filled traded raised missed kept bought chased drew explained feared greeted imagined joined \
    knew loved named offered pulled questioned repaired sold took understood visited washed admired \
    built copied doubted emptied fetched ignored judged lost praised saved thanked";
const MANNERS: [&str; 16] = [
    "", "slowly ", "", "once ", "", "never ", "", "almost ", "", "always ", "", "gladly ", "", "soon ", "",
    "again ",
];
const PLACES: &str = "\
    behind near above under beside across before beyond inside without along after around against \
    between toward";

/// A piece of a sentence, at the front of a block of a fixed size.
#[derive(Debug, Clone, Copy)]
struct Phrase {
    block: [u8; PHRASE_BYTES_MAX],
    length: usize,
}

impl Phrase {
    fn of(text: &str) -> Self {
        let length = text.len().min(PHRASE_BYTES_MAX);
        let mut block = [b' '; PHRASE_BYTES_MAX];
        block[..length].copy_from_slice(&text.as_bytes()[..length]);
        Phrase { block, length }
    }
}

/// Every first word with every second one: powers of two, so that some bits of a random number choose a phrase.
fn phrases(first: &[&str], second: &[&str], join: fn(&str, &str) -> String) -> Vec<Phrase> {
    first.iter().flat_map(|one| second.iter().map(move |other| Phrase::of(&join(one, other)))).collect()
}

/// A stream of lines.
#[derive(Debug)]
pub(super) struct Prose {
    randomness: Randomness,
    /// Who, does what, to whom, where: one of each makes a line.
    parts: [Vec<Phrase>; 4],
    /// The line that did not fit, and how much of it has been given.
    line: [u8; LINE_BYTES_MAX],
    line_length: usize,
    given: usize,
}

impl Prose {
    /// A stream that is another one for every seed.
    pub(super) fn new(seed: u64) -> Self {
        let words = |list: &'static str| list.split_ascii_whitespace().collect::<Vec<_>>();
        let (qualities, things) = (words(QUALITIES), words(THINGS));
        let parts = [
            phrases(&qualities, &things, |quality, thing| format!("The {quality} {thing} ")),
            phrases(&MANNERS, &words(DEEDS), |manner, deed| format!("{manner}{deed} ")),
            phrases(&qualities, &things, |quality, thing| format!("the {quality} {thing} ")),
            phrases(&words(PLACES), &things, |place, thing| format!("{place} the {thing}.\n")),
        ];
        Prose {
            randomness: Randomness::new(seed),
            parts,
            line: [0; LINE_BYTES_MAX],
            line_length: 0,
            given: 0,
        }
    }

    /// Fills `bytes` with the next ones of the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let mut filled = self.give(bytes);
        while bytes.len() - filled >= LINE_BYTES_MAX {
            let numbers = self.randomness.number();
            filled += write_line(&self.parts, numbers, &mut bytes[filled..]);
        }
        while filled < bytes.len() {
            self.line_length = write_line(&self.parts, self.randomness.number(), &mut self.line);
            self.given = 0;
            filled += self.give(&mut bytes[filled..]);
        }
    }

    /// Gives of the line that did not fit what fits now.
    fn give(&mut self, bytes: &mut [u8]) -> usize {
        let left = &self.line[self.given..self.line_length];
        let count = left.len().min(bytes.len());
        bytes[..count].copy_from_slice(&left[..count]);
        self.given += count;
        count
    }
}

/// Writes the line that `number` stands for to the front of `bytes`, and returns its length. What is behind it in the
/// first [`LINE_BYTES_MAX`] bytes is changed, too.
#[inline]
fn write_line(parts: &[Vec<Phrase>; 4], mut number: u64, bytes: &mut [u8]) -> usize {
    let mut length = 0;
    for phrases in parts {
        let phrase = &phrases[number as usize % phrases.len()];
        number >>= 16;
        bytes[length..length + PHRASE_BYTES_MAX].copy_from_slice(&phrase.block);
        length += phrase.length;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::{PHRASE_BYTES_MAX, Prose};

    #[test]
    fn every_phrase_fits_its_block() {
        for phrases in &Prose::new(0).parts {
            assert!(phrases.len().is_power_of_two() && phrases.len() <= 1 << 16);
            assert!(phrases.iter().all(|phrase| phrase.length < PHRASE_BYTES_MAX));
        }
    }

    #[test]
    fn the_stream_is_the_same_however_it_is_cut() {
        let mut whole = vec![0; 1000];
        Prose::new(7).fill(&mut whole);
        for size in [1, 7, 159, 160, 161, 999] {
            let (mut pieces, mut prose) = (vec![0; 1000], Prose::new(7));
            pieces.chunks_mut(size).for_each(|piece| prose.fill(piece));
            assert!(pieces == whole, "pieces of {size}");
        }
    }

    #[test]
    fn it_is_lines_of_sentences() {
        let mut bytes = vec![0; 100_000];
        Prose::new(0).fill(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.pop();
        for line in lines {
            assert!(line.starts_with("The ") && line.ends_with('.') && !line.contains("  "), "{line}");
        }
    }
}
