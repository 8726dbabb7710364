//! The body of a member, decoded with zlib-rs on the stage's own thread, from its beginning or from any edge within it.
//! Knows nothing of headers and trailers.

use super::source::Source;
use crate::flow::{Chunk, Outlet};
use crate::stage::contract::Fault;
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// How far references reach back: RFC 1951 §2.
const WINDOW_BYTES: usize = 32 * 1024;

/// Where decompressed bytes go, and how many may.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    pub(super) outlet: &'a mut Outlet,
    /// How many more are allowed.
    pub(super) allowed_bytes: u64,
    pub(super) limit_bytes: u64,
}

impl Sink<'_> {
    /// # Errors
    /// More than allowed: what is allowed is sent first. Those of the link.
    pub(super) fn send(&mut self, mut chunk: Chunk) -> anyhow::Result<()> {
        let length = chunk.len() as u64;
        if length > self.allowed_bytes {
            chunk.truncate(usize::try_from(self.allowed_bytes).unwrap_or(usize::MAX));
            self.allowed_bytes = 0;
            self.outlet.send(chunk)?;
            let limit = self.limit_bytes;
            return Err(Fault::refused(format!("the data is larger than {limit} bytes when decompressed"))
                .help("`--max-output` sets the limit")
                .into());
        }
        self.allowed_bytes -= length;
        Ok(self.outlet.send(chunk)?)
    }
}

/// What a member has given so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) crc: Crc,
    /// The last bytes that came of it.
    window: Vec<u8>,
}

impl Progress {
    /// Takes a decoded piece into account.
    #[cfg(feature = "libdeflate")]
    pub(super) fn has_given(&mut self, piece: &[u8], crc: &Crc) {
        self.crc.combine(crc);
        let kept = WINDOW_BYTES.saturating_sub(piece.len()).min(self.window.len());
        self.window.drain(..self.window.len() - kept);
        self.window.extend_from_slice(&piece[piece.len().saturating_sub(WINDOW_BYTES)..]);
    }
}

/// Decodes from where `source` stands to the end of the DEFLATE stream.
///
/// # Errors
/// Data that is corrupt or truncated, with its offset. Those of the links.
pub(super) fn inflate(
    source: &mut Source<'_>,
    sink: &mut Sink<'_>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut decompress = Decompress::new(false);
    if !progress.window.is_empty() {
        decompress.set_dictionary(&progress.window)?;
    }
    let mut chunk = sink.outlet.chunk();
    loop {
        let input = source.fill()?;
        let (in_before, out_before) = (decompress.total_in(), decompress.total_out());
        let available = input.len();
        let result = decompress.decompress(input, chunk.spare(), FlushDecompress::None);
        // Both are within the buffers given.
        let consumed = (decompress.total_in() - in_before) as usize;
        let produced = (decompress.total_out() - out_before) as usize;
        source.consume(consumed);
        chunk.fill(produced);
        progress.crc.update(&chunk[chunk.len() - produced..]);
        let status = result.map(|status| status == Status::StreamEnd);
        let is_over = !matches!(status, Ok(false));
        if !chunk.is_empty() && (is_over || consumed == available || chunk.spare().is_empty()) {
            let full = std::mem::replace(&mut chunk, sink.outlet.chunk());
            sink.send(full)?;
        }
        match status {
            Ok(true) => return Ok(()),
            Ok(false) if available == 0 && produced == 0 => return Err(truncated(source.offset())),
            Ok(false) => {}
            // What exactly is wrong depends on how the input was cut.
            Err(_) => return Err(corrupt(source.offset(), "invalid compressed data")),
        }
    }
}

/// The data is wrong at `offset`, in bytes from the beginning of the input.
pub(super) fn corrupt(offset: u64, what: &str) -> anyhow::Error {
    Fault::refused(format!("corrupt data at input byte {offset}: {what}")).into()
}

/// The data ends too early.
pub(super) fn truncated(offset: u64) -> anyhow::Error {
    Fault::refused(format!("truncated: the data ends at input byte {offset}, in the middle"))
        .help("its end is missing: fetch or copy it again")
        .into()
}
