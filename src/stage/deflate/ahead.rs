//! Decodes the pieces of a hinted member side by side, with libdeflate, for as long as they turn out as the hint says.
//! Knows nothing of what else a file holds: it leaves the source where the first piece begins that does not fit.

use super::inflate::{Progress, Sink};
use super::scan::{Found, scan};
use super::source::Source;
use super::walk::Walker;
use crate::flow::{Chunk, Ordered, Pool};
use crate::stage::contract::Context;
use flate2::Crc;
use libdeflater::Decompressor;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

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

thread_local! {
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

impl Piece {
    fn decode(&mut self, block_bytes: usize, seal: Seal) {
        let length = self.compressed.len();
        self.compressed.extend_from_slice(&seal.0);
        let room = self.data.spare();
        let is_whole = DECOMPRESSOR
            .with_borrow_mut(|decompressor| decompressor.deflate_decompress(&self.compressed, room))
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

/// Decodes whole pieces, as many as fit.
///
/// # Errors
/// Those of the links, and data over the limit. Wrong data is no error here.
pub(super) fn ahead(
    block_bytes: usize,
    source: &mut Source<'_>,
    sink: &mut Sink<'_>,
    progress: &mut Progress,
    context: &Context,
) -> anyhow::Result<()> {
    let ordered = Ordered::new(context.workers(), context.gauge());
    let mut ahead = Ahead {
        block_bytes,
        piece_bytes_max: block_bytes + block_bytes / 256 + 64,
        seal: Seal::new(),
        pool: Pool::new(block_bytes + SEAL_BYTES),
        spare: Vec::new(),
        ordered,
        sink,
        progress,
    };
    ahead.run(source)
}

struct Ahead<'a, 'b> {
    block_bytes: usize,
    /// The most that a block can be compressed to, and a little more.
    piece_bytes_max: usize,
    seal: Seal,
    pool: Pool,
    spare: Vec<Vec<u8>>,
    ordered: Ordered<'a, Piece>,
    sink: &'a mut Sink<'b>,
    progress: &'a mut Progress,
}

impl Ahead<'_, '_> {
    fn run(&mut self, source: &mut Source<'_>) -> anyhow::Result<()> {
        // Each false cut throws away what is under way: worth it if it is rare.
        let mut false_cuts_left = 16_u64;
        let mut rest = self.submit(source)?;
        while let Some(piece) = self.ordered.take() {
            if piece.crc.is_some() {
                false_cuts_left = false_cuts_left.saturating_add(1);
                self.emit(piece)?;
                if rest.is_none() {
                    rest = self.submit(source)?;
                }
                continue;
            }
            let mut undecoded = piece.compressed;
            while let Some(piece) = self.ordered.take() {
                undecoded.extend_from_slice(&piece.compressed);
            }
            undecoded.extend(rest.take().unwrap_or_default());
            if false_cuts_left < 2 {
                source.give_back(undecoded);
                return Ok(());
            }
            false_cuts_left -= 2;
            if !self.mend(source, undecoded)? {
                return Ok(());
            }
            rest = self.submit(source)?;
        }
        source.give_back(rest.unwrap_or_default());
        Ok(())
    }

    /// Has pieces decoded until enough are under way; what is left of the source's bytes if there are no more.
    fn submit(&mut self, source: &mut Source<'_>) -> anyhow::Result<Option<Vec<u8>>> {
        while !self.ordered.is_full() {
            let mut compressed = self.spare.pop().unwrap_or_default();
            compressed.clear();
            match scan(source, &mut compressed, self.piece_bytes_max)? {
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

    fn emit(&mut self, piece: Piece) -> anyhow::Result<()> {
        if let Some(crc) = &piece.crc {
            self.progress.has_given(&piece.data, crc);
        }
        self.spare.push(piece.compressed);
        self.sink.send(piece.data)
    }

    /// After a false cut: finds the true one, and decodes up to it. Whether it could; the source stands where to go on.
    fn mend(&mut self, source: &mut Source<'_>, mut undecoded: Vec<u8>) -> anyhow::Result<bool> {
        while undecoded.len() < self.piece_bytes_max {
            let available = source.fill()?;
            let count = available.len().min(self.piece_bytes_max - undecoded.len());
            if count == 0 {
                break;
            }
            undecoded.extend_from_slice(&available[..count]);
            source.consume(count);
        }
        let edge = Walker::new().over(&undecoded).find(|block| block.is_flush).map(|block| block.end_bit / 8);
        if let Some(edge) = edge {
            let mut piece =
                Piece { compressed: undecoded[..edge].to_vec(), data: self.pool.chunk(), crc: None };
            piece.decode(self.block_bytes, self.seal);
            if piece.crc.is_some() {
                undecoded.drain(..edge);
                source.give_back(undecoded);
                self.emit(piece)?;
                return Ok(true);
            }
        }
        source.give_back(undecoded);
        Ok(false)
    }
}
