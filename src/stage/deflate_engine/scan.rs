//! Cuts a DEFLATE stream where empty stored blocks seem to end on a byte.
//! Knows nothing of what the pieces hold: a cut is a guess.

use crate::flow::Inlet;
use std::io::{self, BufRead};

/// What an empty stored block ends with: RFC 1951 §3.2.4.
const EDGE: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How much is taken at a time: what lies behind a cut is taken once more.
const STEP_BYTES: usize = 32 * 1024;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A piece that may be complete.
    Piece,
    /// No cut before the end, or before the limit.
    Rest,
}

/// Takes the bytes up to the next cut from `inlet` into `piece`, which is empty; a little more than `bytes_max` at most.
///
/// # Errors
/// Those of the link.
pub(super) fn scan(inlet: &mut Inlet, piece: &mut Vec<u8>, bytes_max: usize) -> io::Result<Found> {
    let mut search = Search { stored_at: Some(0), searched: 0 };
    while piece.len() <= bytes_max {
        let available = inlet.fill_buf()?;
        let before = piece.len();
        let count = available.len().min(STEP_BYTES);
        if count == 0 {
            return Ok(Found::Rest);
        }
        piece.extend_from_slice(&available[..count]);
        match search.cut(piece) {
            Some(cut) => {
                // It is not among the bytes of the rounds before, or they would have ended there.
                inlet.consume(cut.saturating_sub(before));
                piece.truncate(cut);
                return Ok(Found::Piece);
            }
            None => inlet.consume(count),
        }
    }
    Ok(Found::Rest)
}

struct Search {
    /// Where the header of a block stands, as long as only stored ones came before: what they hold is passed over.
    stored_at: Option<usize>,
    /// Up to here there is no edge.
    searched: usize,
}

impl Search {
    fn cut(&mut self, piece: &[u8]) -> Option<usize> {
        while let Some(at) = self.stored_at {
            let header = piece.get(at..at + 5)?;
            let length = u16::from_le_bytes([header[1], header[2]]);
            if header[0] != 0 || length != !u16::from_le_bytes([header[3], header[4]]) {
                self.stored_at = None;
                self.searched = at;
            } else if length == 0 {
                return Some(at + 5);
            } else {
                self.stored_at = Some(at + 5 + usize::from(length));
            }
        }
        let found = find_edge(&piece[self.searched..]);
        let cut = found.map(|at| self.searched + at + EDGE.len());
        self.searched = piece.len().saturating_sub(EDGE.len() - 1).max(self.searched);
        cut
    }
}

/// Where the first edge begins. Three bytes of four are not looked at, where none of an edge stands at the fourth.
fn find_edge(bytes: &[u8]) -> Option<usize> {
    let mut at = 3;
    while let Some(&last) = bytes.get(at) {
        at += match last {
            0xff if bytes[at - 3..=at] == EDGE => return Some(at - 3),
            0xff => 1,
            0x00 => 2,
            _ => 4,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{EDGE, find_edge};
    use proptest::prelude::{Strategy, proptest};

    proptest! {
        #[test]
        fn edges_are_found_where_they_are(
            bytes in proptest::collection::vec((0_u8..4).prop_map(|byte| [0x00, 0xff, 0x00, 0x7f][usize::from(byte)]), 0..60)
        ) {
            assert_eq!(find_edge(&bytes), bytes.windows(4).position(|window| window == EDGE));
        }
    }
}
