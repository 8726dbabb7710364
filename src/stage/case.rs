//! Case mapping of a stream of bytes that is mostly UTF-8: what `upper` and `lower` share.
//! Pure: knows nothing of links; the result is the same however the stream is cut.
//!
//! The mapping is that of the standard library's `str::to_uppercase` and `str::to_lowercase` on each stretch of valid UTF-8.
//! Only one rule of it looks beyond a character: `Σ` at the end of a word becomes `ς`, not `σ` (The Unicode Standard,
//! §3.13, `Final_Sigma`).

use super::contract::Body;
use crate::flow::Outlet;
use std::io::{self, Write};

/// How far behind a `Σ` the next letter of its word may be, in bytes of marks, apostrophes, dots and the like: so much is
/// held back at the most. Beyond it the `Σ` counts as the last letter of its word.
const LOOKAHEAD_BYTES: usize = 1024;

const SIGMA: char = 'Σ';

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    Upper,
    Lower,
}

impl Mapping {
    /// The filter that maps a–z and A–Z and leaves every other byte as it is.
    pub(super) fn ascii_body(self) -> Body {
        Body::filter(move |inlet, outlet, _context| {
            while let Some(mut chunk) = inlet.next_chunk()? {
                self.map_ascii(chunk.bytes_mut());
                outlet.send(chunk)?;
            }
            Ok(())
        })
    }

    /// The filter that maps every letter.
    pub(super) fn unicode_body(self) -> Body {
        Body::filter(move |inlet, outlet, _context| {
            let mut mapper = Mapper::new(self);
            let mut mapped = Vec::new();
            while let Some(mut chunk) = inlet.next_chunk()? {
                if mapper.held.is_empty() && chunk.is_ascii() {
                    mapper.pass_ascii(chunk.bytes_mut());
                    outlet.send(chunk)?;
                    continue;
                }
                mapper.push(&chunk, &mut mapped);
                send(&mut mapped, outlet)?;
            }
            mapper.finish(&mut mapped);
            Ok(send(&mut mapped, outlet)?)
        })
    }

    fn map_ascii(self, bytes: &mut [u8]) {
        match self {
            Mapping::Upper => bytes.make_ascii_uppercase(),
            Mapping::Lower => bytes.make_ascii_lowercase(),
        }
    }

    fn map_letter(self, letter: char, mapped: &mut Vec<u8>) {
        let mut buffer = [0; 4];
        let mut put = |letter: char| mapped.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
        match self {
            Mapping::Upper => letter.to_uppercase().for_each(&mut put),
            Mapping::Lower => letter.to_lowercase().for_each(&mut put),
        }
    }
}

/// Sends what was mapped, at once: nobody waits for a chunk to fill.
fn send(mapped: &mut Vec<u8>, outlet: &mut Outlet) -> io::Result<()> {
    outlet.write_all(mapped)?;
    mapped.clear();
    outlet.flush()
}

/// What a mapping remembers between two pieces of the stream.
#[derive(Debug)]
struct Mapper {
    mapping: Mapping,
    /// Taken and not mapped yet: the beginning of a character, or a `Σ` and the case-ignorable characters behind it.
    held: Vec<u8>,
    /// Whether the last character that is not case-ignorable was a cased letter.
    is_in_word: bool,
}

impl Mapper {
    fn new(mapping: Mapping) -> Self {
        Mapper { mapping, held: Vec::new(), is_in_word: false }
    }

    /// Maps in place what is all ASCII; nothing may be held.
    fn pass_ascii(&mut self, bytes: &mut [u8]) {
        self.mapping.map_ascii(bytes);
        self.note_ascii(bytes);
    }

    /// Maps `bytes`, as far as they can be decided on, to the end of `mapped`.
    fn push(&mut self, bytes: &[u8], mapped: &mut Vec<u8>) {
        if self.held.is_empty() {
            self.map(bytes, Edge::Cut, mapped);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            self.map(&joined, Edge::Cut, mapped);
        }
    }

    /// Maps what is still held: the stream has ended.
    fn finish(&mut self, mapped: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.map(&held, Edge::End, mapped);
    }

    fn map(&mut self, bytes: &[u8], edge: Edge, mapped: &mut Vec<u8>) {
        let mut pieces = bytes.utf8_chunks().peekable();
        while let Some(piece) = pieces.next() {
            let invalid = piece.invalid();
            let is_last = edge == Edge::Cut && pieces.peek().is_none();
            // What is cut off at the edge may become a character yet, and stands for none until then.
            let is_cut_off = is_last && may_go_on(invalid);
            let text_edge = if is_cut_off || (is_last && invalid.is_empty()) { Edge::Cut } else { Edge::End };
            let held_text = self.map_text(piece.valid(), text_edge, mapped);
            if is_cut_off || !held_text.is_empty() {
                self.held.extend_from_slice(held_text.as_bytes());
                self.held.extend_from_slice(invalid);
            } else if !invalid.is_empty() {
                mapped.extend_from_slice(invalid);
                self.is_in_word = false;
            }
        }
    }

    /// Maps `text` and returns the end of it that cannot be decided on before more has come.
    fn map_text<'t>(&mut self, text: &'t str, edge: Edge, mapped: &mut Vec<u8>) -> &'t str {
        let (mut rest, mut unnoted) = (text, text);
        while let Some(letter) = rest.chars().next() {
            if letter.is_ascii() {
                let (ascii, behind) = rest.split_at(ascii_prefix(rest.as_bytes()));
                let start = mapped.len();
                mapped.extend_from_slice(ascii.as_bytes());
                self.mapping.map_ascii(&mut mapped[start..]);
                rest = behind;
                continue;
            }
            let behind = &rest[letter.len_utf8()..];
            if self.mapping == Mapping::Lower && letter == SIGMA {
                self.note(&unnoted[..unnoted.len() - rest.len()]);
                unnoted = rest;
                let Some(goes_on) = word_goes_on(behind, edge) else { return rest };
                let is_final = self.is_in_word && !goes_on;
                mapped.extend_from_slice(if is_final { "ς" } else { "σ" }.as_bytes());
            } else {
                self.mapping.map_letter(letter, mapped);
            }
            rest = behind;
        }
        self.note(unnoted);
        rest
    }

    /// Looks back from the end of `text`: is that within a word? Only a `Σ` to be made small ever asks.
    fn note(&mut self, text: &str) {
        if self.mapping == Mapping::Lower {
            let telling = text.chars().rev().map(Kind::of).find(|&kind| kind != Kind::Ignorable);
            self.is_in_word = telling.map_or(self.is_in_word, |kind| kind == Kind::Cased);
        }
    }

    fn note_ascii(&mut self, bytes: &[u8]) {
        let telling =
            bytes.iter().rev().map(|&byte| Kind::of_ascii(byte)).find(|&kind| kind != Kind::Ignorable);
        self.is_in_word = telling.map_or(self.is_in_word, |kind| kind == Kind::Cased);
    }
}

/// Where a text stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// At a cut: more may follow.
    Cut,
    /// At the end, or at bytes that are no text.
    End,
}

/// How many bytes of ASCII `bytes` begins with.
fn ascii_prefix(bytes: &[u8]) -> usize {
    /// Looked at together: so many bytes are checked in a few instructions.
    const BLOCK_BYTES: usize = 32;
    let blocks = bytes.chunks_exact(BLOCK_BYTES).take_while(|block| block.is_ascii()).count();
    let start = blocks * BLOCK_BYTES;
    let rest = &bytes[start..];
    start + rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len())
}

/// Whether `bytes`, which are no UTF-8, are the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Whether a cased letter follows, across case-ignorable characters; `None` when that depends on what is to come.
fn word_goes_on(behind: &str, edge: Edge) -> Option<bool> {
    for (offset, letter) in behind.char_indices() {
        if offset >= LOOKAHEAD_BYTES {
            return Some(false);
        }
        match Kind::of(letter) {
            Kind::Ignorable => {}
            kind => return Some(kind == Kind::Cased),
        }
    }
    (edge == Edge::End || behind.len() >= LOOKAHEAD_BYTES).then_some(false)
}

/// What a character is to a `Σ` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cased,
    /// Neither a part of the word nor the end of it.
    Ignorable,
    Other,
}

impl Kind {
    fn of(letter: char) -> Kind {
        Kind::known(letter).unwrap_or_else(|| Kind::found_out(letter))
    }

    /// The quick answer for what is frequent.
    fn known(letter: char) -> Option<Kind> {
        match letter {
            '\0'..='\x7f' => u8::try_from(letter).ok().map(Kind::of_ascii),
            'ά'..='ώ' | 'а'..='я' => Some(Kind::Cased),
            // Ideographs and syllables of scripts that have no case.
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => Some(Kind::Other),
            _ => letter.is_uppercase().then_some(Kind::Cased),
        }
    }

    /// The standard library keeps the two properties to itself, but shows them in what it makes of a `Σ`.
    fn found_out(letter: char) -> Kind {
        // With a cased letter behind it, an ignorable character ends no word, and so does a cased one.
        if is_final_before(&[letter, 'a']) {
            Kind::Other
        } else if is_final_before(&[letter]) {
            Kind::Ignorable
        } else {
            Kind::Cased
        }
    }

    fn of_ascii(byte: u8) -> Kind {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Cased,
            b'\'' | b'.' | b':' | b'^' | b'`' => Kind::Ignorable,
            _ => Kind::Other,
        }
    }
}

/// Whether the `Σ` of `aΣ`, followed by `letters`, ends a word.
fn is_final_before(letters: &[char]) -> bool {
    let word: String = ['a', SIGMA].iter().chain(letters).collect();
    word.to_lowercase().starts_with("aς")
}

#[cfg(test)]
mod tests {
    use super::{Kind, LOOKAHEAD_BYTES, Mapper, Mapping};
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    /// What the standard library makes of it, stretch by stretch.
    fn expected(mapping: Mapping, bytes: &[u8]) -> Vec<u8> {
        let mut mapped = Vec::new();
        for piece in bytes.utf8_chunks() {
            let text = match mapping {
                Mapping::Upper => piece.valid().to_uppercase(),
                Mapping::Lower => piece.valid().to_lowercase(),
            };
            mapped.extend_from_slice(text.as_bytes());
            mapped.extend_from_slice(piece.invalid());
        }
        mapped
    }

    fn in_pieces<'a>(mapping: Mapping, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut mapper, mut mapped) = (Mapper::new(mapping), Vec::new());
        for piece in pieces {
            if mapper.held.is_empty() && piece.is_ascii() {
                let mut piece = piece.to_vec();
                mapper.pass_ascii(&mut piece);
                mapped.extend_from_slice(&piece);
            } else {
                mapper.push(piece, &mut mapped);
            }
            assert!(mapper.held.len() <= LOOKAHEAD_BYTES + 8, "{} bytes are held", mapper.held.len());
        }
        mapper.finish(&mut mapped);
        mapped
    }

    /// Bytes in which what matters is frequent.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just("Σ".as_bytes().to_vec()),
            4 => prop_oneof![Just("a"), Just("A"), Just("'"), Just("."), Just(" "), Just("\u{301}"), Just("ß")]
                .prop_map(|text| text.as_bytes().to_vec()),
            2 => any::<char>().prop_map(|letter| letter.to_string().into_bytes()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
            1 => Just(b"abcdefghijklmnopqrstuvwxyz and some more of it".to_vec()),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_standard_library_is_followed_however_the_stream_is_cut(
            bytes in stream(),
            cut in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cut.iter().map(|index| index.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([bytes.len()]);
            let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect();
            for mapping in [Mapping::Upper, Mapping::Lower] {
                assert_eq!(in_pieces(mapping, pieces.iter().copied()), expected(mapping, &bytes));
                assert_eq!(in_pieces(mapping, bytes.chunks(1)), expected(mapping, &bytes));
            }
        }
    }

    #[test]
    fn every_character_is_mapped_as_in_the_standard_library() {
        for letter in '\0'..=char::MAX {
            let text = letter.to_string();
            for mapping in [Mapping::Upper, Mapping::Lower] {
                let mapped = in_pieces(mapping, [text.as_bytes()]);
                assert_eq!(mapped, expected(mapping, text.as_bytes()), "{letter:?}");
            }
        }
    }

    #[test]
    fn the_quick_answers_are_those_of_the_standard_library() {
        for letter in '\0'..=char::MAX {
            if let Some(kind) = Kind::known(letter) {
                assert_eq!(kind, Kind::found_out(letter), "{letter:?}");
            }
        }
    }

    #[test]
    fn a_word_that_goes_on_beyond_the_bound_has_ended_however_it_is_cut() {
        for dots in [LOOKAHEAD_BYTES - 1, LOOKAHEAD_BYTES, LOOKAHEAD_BYTES + 1, 3 * LOOKAHEAD_BYTES] {
            let text = format!("AΣ{}A", ".".repeat(dots));
            let whole = in_pieces(Mapping::Lower, [text.as_bytes()]);
            assert_eq!(whole, in_pieces(Mapping::Lower, text.as_bytes().chunks(1)), "{dots} dots");
            let sigma = if dots < LOOKAHEAD_BYTES { "aσ" } else { "aς" };
            assert!(whole.starts_with(sigma.as_bytes()), "{dots} dots");
        }
    }

    #[test]
    fn bytes_that_are_no_text_end_a_word_and_pass() {
        let bytes = b"A\xce\xa3\xffA \xceA\xe2\x82A\xce";
        for size in 1..=bytes.len() {
            assert_eq!(in_pieces(Mapping::Lower, bytes.chunks(size)), expected(Mapping::Lower, bytes));
        }
    }
}
