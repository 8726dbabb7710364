//! A DEFLATE stream (RFC 1951), and the checksum of what comes out of it: what the formats around it share.
//! Knows nothing of headers and trailers. The coder is flate2's.

use super::{Coder, Outcome, Step, Wrong};
use crate::stage::deflate_engine::Checksum;
use flate2::{Decompress, FlushDecompress, Status};

/// The coder, and the checksum so far.
pub(super) struct Inflate<Check> {
    pub(super) coder: Decompress,
    pub(super) check: Check,
}

impl<Check: Checksum> Inflate<Check> {
    pub(super) fn new() -> Self {
        Inflate { coder: Decompress::new(false), check: Check::default() }
    }
}

impl<Check: Checksum> Coder for Inflate<Check> {
    fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Step {
        let before = (self.coder.total_in(), self.coder.total_out());
        let status = self.coder.decompress(packed, room, FlushDecompress::None);
        // Neither is more than the buffers hold.
        let taken = usize::try_from(self.coder.total_in() - before.0).unwrap_or(0);
        let given = usize::try_from(self.coder.total_out() - before.1).unwrap_or(0);
        self.check.update(&room[..given]);
        let outcome = match status {
            Ok(Status::StreamEnd) => Outcome::End,
            Ok(_) => Outcome::More,
            // What the coder says of it depends on how the data was cut.
            Err(_) => Outcome::Wrong(Wrong::corrupt("invalid deflate data")),
        };
        Step { taken, given, outcome }
    }
}
