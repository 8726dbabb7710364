//! Bytes to one DEFLATE stream in a framing, packed as they come and flushed whenever the input pauses.
//! Knows nothing of blocks and workers. What comes out depends on the pauses.

use super::checksum::Checksum;
use super::framing::Framing;
use super::preset::Preset;
use crate::flow::{Inlet, Outlet};
use anyhow::Context as _;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::io::{self, Write};

/// What the coder is given at once, and room for what comes of it at the worst, with all it holds back: with less, the
/// coder of level 1 can panic (zlib-rs 0.6.8).
const PART_BYTES: usize = 64 * 1024;
const PACKED_BYTES: usize = 4 * PART_BYTES;

/// Packs what comes as it comes, and flushes when there is nothing more.
///
/// # Errors
/// Those of the links.
pub(in crate::stage) fn compress_flushed<F: Framing>(
    level: u8,
    inlet: &mut Inlet,
    outlet: &mut Outlet,
) -> anyhow::Result<()> {
    let mut stream = Stream::<F>::begin(outlet, level)?;
    while let Some(chunk) = inlet.next_chunk()? {
        for part in chunk.chunks(PART_BYTES) {
            stream.pack(part, FlushCompress::None)?;
        }
        if inlet.would_wait() {
            stream.pack(&[], FlushCompress::Sync)?;
            stream.outlet.flush()?;
        }
    }
    stream.end()
}

/// A stream in the making.
struct Stream<'o, F: Framing> {
    compress: Compress,
    check: F::Check,
    packed: Vec<u8>,
    outlet: &'o mut Outlet,
}

impl<'o, F: Framing> Stream<'o, F> {
    fn begin(outlet: &'o mut Outlet, level: u8) -> io::Result<Self> {
        outlet.write_all(&F::header(Preset::new(level), None))?;
        let compress = Compress::new(Compression::new(u32::from(level)), false);
        Ok(Stream { compress, check: F::Check::default(), packed: Vec::with_capacity(PACKED_BYTES), outlet })
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.pack(&[], FlushCompress::Finish)?;
        Ok(self.outlet.write_all(&F::trailer(&self.check))?)
    }

    /// Takes all of `bytes`; with a flush, everything taken so far is then in the output.
    fn pack(&mut self, mut bytes: &[u8], flush: FlushCompress) -> anyhow::Result<()> {
        self.check.update(bytes);
        loop {
            let taken_before = self.compress.total_in();
            let status = self.compress.compress_vec(bytes, &mut self.packed, flush);
            let status = status.context("the deflate coder failed")?;
            bytes = &bytes[usize::try_from(self.compress.total_in() - taken_before)?..];
            let is_full = self.packed.len() == self.packed.capacity();
            self.outlet.write_all(&self.packed)?;
            self.packed.clear();
            // Room left over means that nothing is held back.
            if status == Status::StreamEnd || (bytes.is_empty() && !is_full) {
                return Ok(());
            }
        }
    }
}
