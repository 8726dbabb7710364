//! What of a member's body was decoded ahead, as far as the rest of it depends on that.
//! Knows nothing of how.

use flate2::Crc;

/// How far back a body refers: RFC 1951 §2.
#[cfg(feature = "libdeflate")]
const WINDOW_BYTES: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::stage) struct Begun {
    /// How many bytes came out.
    pub(in crate::stage) bytes: u64,
    /// Of these bytes.
    pub(in crate::stage) crc: Crc,
    /// The last bytes that came out: what follows may refer to them.
    pub(in crate::stage) window: Vec<u8>,
}

#[cfg(feature = "libdeflate")]
impl Begun {
    /// Takes a decoded piece into account.
    pub(super) fn has_given(&mut self, piece: &[u8], crc: &Crc) {
        self.bytes += piece.len() as u64;
        self.crc.combine(crc);
        let kept = WINDOW_BYTES.saturating_sub(piece.len()).min(self.window.len());
        self.window.drain(..self.window.len() - kept);
        self.window.extend_from_slice(&piece[piece.len().saturating_sub(WINDOW_BYTES)..]);
    }
}

/// Decodes nothing ahead: for that it takes libdeflate.
///
/// # Errors
/// None.
#[cfg(not(feature = "libdeflate"))]
pub(in crate::stage) fn ahead(
    _block_bytes: usize,
    _allowed_bytes: u64,
    _inlet: &mut crate::flow::Inlet,
    _outlet: &mut crate::flow::Outlet,
    _context: &crate::stage::contract::Context,
) -> std::io::Result<Begun> {
    Ok(Begun::default())
}
