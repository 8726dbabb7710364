//! Decodes the pieces of a hinted member side by side, with libdeflate, for as long as they turn out as the hint says.
//! Knows nothing of what else a file holds: it leaves the inlet where the first piece begins that does not fit.

use super::begun::Begun;
use super::scan::{Found, scan};
use super::walk::Walker;
use crate::flow::{Chunk, Inlet, Ordered, Outlet, Pool};
use crate::stage::contract::Context;
use crate::stage::kits::Kits;
use flate2::Crc;
use libdeflater::Decompressor;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};

const SEAL_BYTES: usize = 64;

/// A last block, put behind each piece to make a stream of it. It stores bytes that no file can foresee: only if they come
/// out behind the piece's own was the piece complete, and not a block cut in two, or a stream with an end before the cut.
#[derive(Debug, Clone, Copy)]
struct Seal([u8; 5 + SEAL_BYTES]);

impl Seal {
    fn new() -> Self {
        let mut bytes = [0; 5 + SEAL_BYTES];
        bytes[..5].copy_from_slice(&[1, SEAL_BYTES as u8, 0, !(SEAL_BYTES as u8), 0xff]);
        let state = RandomState::new();
        for (number, part) in bytes[5..].chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&state.hash_one(number).to_le_bytes());
        }
        Seal(bytes)
    }
}

/// A piece on its way.
struct Piece {
    compressed: Vec<u8>,
    data: Chunk,
    /// Of the data, if the piece fits.
    crc: Option<Crc>,
}

static DECOMPRESSORS: Kits<Decompressor> = Kits::new();

impl Piece {
    fn decode(&mut self, block_bytes: usize, seal: Seal) {
        let length = self.compressed.len();
        self.compressed.extend_from_slice(&seal.0);
        let room = self.data.spare();
        let decode =
            |decompressor: &mut Decompressor| decompressor.deflate_decompress(&self.compressed, room);
        let is_whole = DECOMPRESSORS
            .with(|_| true, Decompressor::new, decode)
            .is_ok_and(|count| count == block_bytes + SEAL_BYTES)
            && room.get(block_bytes..block_bytes + SEAL_BYTES) == Some(&seal.0[5..]);
        self.compressed.truncate(length);
        if is_whole {
            self.data.fill(block_bytes);
            let mut crc = Crc::new();
            crc.update(&self.data);
            self.crc = Some(crc);
        }
    }
}

/// Decodes whole pieces, as many as fit, and gives no more than `allowed_bytes`.
///
/// # Errors
/// Those of the links. Wrong data is no error here.
pub(in crate::stage) fn ahead(
    block_bytes: usize,
    allowed_bytes: u64,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
    context: &Context,
) -> io::Result<Begun> {
    let mut ahead = Ahead {
        block_bytes,
        piece_bytes_max: block_bytes + block_bytes / 256 + 64,
        allowed_pieces: allowed_bytes / block_bytes as u64,
        seal: Seal::new(),
        pool: Pool::new(block_bytes + SEAL_BYTES),
        spare: Vec::new(),
        ordered: Ordered::new(context.workers(), context.gauge()),
        inlet,
        outlet,
        begun: Begun::default(),
    };
    ahead.run()?;
    Ok(ahead.begun)
}

struct Ahead<'a> {
    block_bytes: usize,
    /// The most that a block can be compressed to, and a little more.
    piece_bytes_max: usize,
    allowed_pieces: u64,
    seal: Seal,
    pool: Pool,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    ordered: Ordered<'a, Piece>,
    inlet: &'a mut Inlet,
    outlet: &'a mut Outlet,
    begun: Begun,
}

impl Ahead<'_> {
    fn run(&mut self) -> io::Result<()> {
        // Each false cut throws away what is under way: worth it if it is rare.
        let mut false_cuts_left = 8_u64;
        let mut rest = self.submit()?;
        while let Some(piece) = self.ordered.take() {
            let is_allowed = self.allowed_pieces > 0;
            if piece.crc.is_some() && is_allowed {
                false_cuts_left = (false_cuts_left + 1).min(1000);
                self.emit(piece)?;
                if rest.is_none() {
                    rest = self.submit()?;
                }
                continue;
            }
            let mut undecoded = piece.compressed;
            while let Some(piece) = self.ordered.take() {
                undecoded.extend_from_slice(&piece.compressed);
            }
            undecoded.extend(rest.take().unwrap_or_default());
            if !is_allowed || false_cuts_left == 0 || !self.mend(&mut undecoded)? {
                rest = Some(undecoded);
                break;
            }
            self.inlet.give_back(&undecoded);
            false_cuts_left -= 1;
            rest = self.submit()?;
        }
        self.inlet.give_back(&rest.unwrap_or_default());
        Ok(())
    }

    /// Has pieces decoded until enough are under way; the bytes behind the last one if there are no more.
    fn submit(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.ordered.is_full() {
            let mut compressed = self.spare.pop().unwrap_or_default();
            compressed.clear();
            match scan(self.inlet, &mut compressed, self.piece_bytes_max)? {
                Found::Rest => return Ok(Some(compressed)),
                Found::Piece => {
                    let (block_bytes, seal) = (self.block_bytes, self.seal);
                    let mut piece = Piece { compressed, data: self.pool.chunk(), crc: None };
                    self.ordered.submit(move || {
                        piece.decode(block_bytes, seal);
                        piece
                    });
                }
            }
        }
        Ok(None)
    }

    fn emit(&mut self, piece: Piece) -> io::Result<()> {
        if let Some(crc) = &piece.crc {
            self.begun.has_given(&piece.data, crc);
        }
        self.allowed_pieces -= 1;
        self.spare.push(piece.compressed);
        self.outlet.send(piece.data)
    }

    /// After a false cut: finds the true one, decodes up to it, and leaves what is behind it. Whether it could.
    fn mend(&mut self, undecoded: &mut Vec<u8>) -> io::Result<bool> {
        while undecoded.len() < self.piece_bytes_max {
            let available = self.inlet.fill_buf()?;
            let count = available.len().min(self.piece_bytes_max - undecoded.len());
            if count == 0 {
                break;
            }
            undecoded.extend_from_slice(&available[..count]);
            self.inlet.consume(count);
        }
        let flush = Walker::new().over(undecoded).find(|block| block.is_flush);
        let Some(edge) = flush.map(|block| block.end_bit / 8) else { return Ok(false) };
        let mut piece = Piece { compressed: undecoded[..edge].to_vec(), data: self.pool.chunk(), crc: None };
        piece.decode(self.block_bytes, self.seal);
        let fits = piece.crc.is_some();
        if fits {
            undecoded.drain(..edge);
            self.emit(piece)?;
        }
        Ok(fits)
    }
}
