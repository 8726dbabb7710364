//! The writing end of a link as a stage sees it: chunks, or a `Write`r of bytes.
//! Knows nothing of who reads.

use super::chunk::{Chunk, Extent, Parcel, Pool};
use super::closed::Closed;
use super::link::LinkWriter;
use std::io::{self, Write};

/// A stage's output. What is written is sent on when a chunk is full, at a flush, and at the end.
#[derive(Debug)]
pub struct Outlet {
    link: LinkWriter,
    pool: Pool,
    partial: Option<Chunk>,
}

impl Outlet {
    /// The outlet onto `link`, with chunks from `pool`.
    pub fn new(link: LinkWriter, pool: Pool) -> Self {
        Outlet { link, pool, partial: None }
    }

    /// An empty chunk to fill and send.
    pub fn chunk(&self) -> Chunk {
        self.pool.chunk()
    }

    /// Sends a chunk, after what was written before it.
    ///
    /// # Errors
    /// A [`Closed`](super::Closed) in an `io::Error`, when nobody will read it.
    pub fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        self.flush()?;
        Ok(self.link.send(chunk)?)
    }

    /// Whether the reader takes stretches of files, to have them moved by the system.
    pub fn takes_extents(&self) -> bool {
        self.link.takes_extents()
    }

    /// Sends a stretch of a file; only for a reader who takes it.
    ///
    /// # Errors
    /// As [`Outlet::send`].
    pub fn send_extent(&mut self, extent: Extent) -> io::Result<()> {
        self.flush()?;
        Ok(self.link.send_parcel(Parcel::Extent(extent))?)
    }

    /// Whether the reader takes no more.
    pub fn is_hung_up(&self) -> bool {
        self.refusal().is_some()
    }

    /// Why a send now would be refused, if it would.
    pub fn refusal(&self) -> Option<Closed> {
        self.link.refusal()
    }

    /// All was written: the reader finds the end behind it. A reader that has hung up does not mind.
    pub fn finish(mut self) {
        // What the reader no longer wants is lost to nobody; a cancelled run has its own end.
        let _ = self.flush();
        self.link.finish();
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pool = &self.pool;
        let partial = self.partial.get_or_insert_with(|| pool.chunk());
        let count = partial.append(bytes);
        if partial.spare().is_empty() {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.partial.take() {
            Some(chunk) => Ok(self.link.send(chunk)?),
            None => Ok(()),
        }
    }
}
