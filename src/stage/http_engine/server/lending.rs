//! Files that the system sends from where they are: HTTP is done over bytes that stand in for those of the file, as many of them, and
//! when they are to be written the connection has the file sent in their place.
//! Knows nothing of requests. Whoever writes them out as they are, or copies them, breaks an answer: the tests would see zeros.

use crate::stage::http_engine::files::answer::Stretch;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::LazyLock;

/// So much of a file is lent at once.
pub(super) const LENT_BYTES: usize = 1024 * 1024;

/// Never written to, so never there: the system gives no memory for zeros that nobody has touched.
static STAND_IN: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; LENT_BYTES]);

/// Bytes that stand in for as many of a file, [`LENT_BYTES`] at most.
pub(super) fn stand_in(length: usize) -> &'static [u8] {
    &STAND_IN[..length.min(LENT_BYTES)]
}

/// What the stand-ins on their way through a connection stand for, in their order.
#[derive(Debug, Default)]
pub(super) struct Lending(RefCell<VecDeque<Stretch>>);

/// What is to be written first.
#[derive(Debug)]
pub(super) enum Next {
    /// So many of the pieces, which are what they are.
    Pieces(usize),
    /// A part of a file, as far as it goes.
    File(Stretch),
}

impl Lending {
    /// The next stand-ins, as many, stand for this.
    pub(super) fn lend(&self, stretch: Stretch) {
        self.0.borrow_mut().push_back(stretch);
    }

    /// What is to be written first of `pieces`.
    pub(super) fn next(&self, pieces: &[IoSlice<'_>]) -> Next {
        let is_stand_in = |piece: &IoSlice<'_>| STAND_IN.as_ptr_range().contains(&piece.as_ptr());
        let plain = pieces.iter().take_while(|piece| piece.is_empty() || !is_stand_in(piece)).count();
        let lent = self.0.borrow();
        match (pieces.get(plain), lent.front()) {
            (Some(piece), Some(stretch)) if pieces[..plain].iter().all(|piece| piece.is_empty()) => {
                let length_bytes = stretch.length_bytes.min(piece.len() as u64);
                Next::File(Stretch { length_bytes, ..stretch.clone() })
            }
            _ => Next::Pieces(plain),
        }
    }

    /// So many bytes of the file that is first have been sent.
    pub(super) fn sent(&self, count: usize) {
        let mut lent = self.0.borrow_mut();
        let Some(stretch) = lent.front_mut() else { return };
        stretch.offset_bytes += count as u64;
        stretch.length_bytes = stretch.length_bytes.saturating_sub(count as u64);
        if stretch.length_bytes == 0 {
            lent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LENT_BYTES, Lending, Next, stand_in};
    use crate::stage::http_engine::files::answer::Stretch;
    use std::io::IoSlice;
    use std::sync::Arc;

    #[test]
    fn what_stands_in_is_told_from_what_is_meant() {
        let lending = Lending::default();
        let file = Arc::new(tempfile::tempfile().unwrap());
        lending.lend(Stretch { file, offset_bytes: 5, length_bytes: 100 });
        let zeros = [0; 10];
        let pieces =
            [IoSlice::new(&[]), IoSlice::new(&zeros), IoSlice::new(stand_in(100)), IoSlice::new(&zeros)];
        assert!(matches!(lending.next(&pieces), Next::Pieces(2)));
        let Next::File(stretch) = lending.next(&pieces[2..]) else { panic!("no file") };
        assert_eq!((stretch.offset_bytes, stretch.length_bytes), (5, 100));
        lending.sent(60);
        let rest = [IoSlice::new(&stand_in(LENT_BYTES)[60..70]), IoSlice::new(&zeros)];
        let Next::File(stretch) = lending.next(&rest) else { panic!("no file") };
        assert_eq!((stretch.offset_bytes, stretch.length_bytes), (65, 10));
        lending.sent(40);
        assert!(matches!(lending.next(&[IoSlice::new(&zeros)]), Next::Pieces(1)));
    }
}
