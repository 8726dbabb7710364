//! The reading end of a link as a stage sees it: chunks, or any `Read`er's bytes.
//! Knows nothing of who writes.

use super::chunk::{Chunk, Extent, Parcel, Pool};
use super::link::LinkReader;
use std::io::{self, BufRead, Read};

/// A stage's input.
#[derive(Debug)]
pub struct Inlet {
    link: Option<LinkReader>,
    current: Option<Chunk>,
    /// What is left of a stretch of a file that is being read.
    extent: Option<Extent>,
    taken_bytes: u64,
    ended: bool,
}

impl Inlet {
    /// The inlet at the end of `link`.
    pub fn new(link: LinkReader) -> Self {
        Inlet { link: Some(link), current: None, extent: None, taken_bytes: 0, ended: false }
    }

    /// The next bytes, as they came; `None` at the end.
    ///
    /// # Errors
    /// A [`Closed`](super::Closed) in an `io::Error`, when the end is not a finished one.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let chunk = match self.current.take() {
            Some(chunk) => Some(chunk),
            None => self.receive()?,
        };
        self.taken_bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    /// As [`Inlet::next_chunk`], with stretches of files as they are.
    ///
    /// # Errors
    /// As [`Inlet::next_chunk`].
    pub fn next_parcel(&mut self) -> io::Result<Option<Parcel>> {
        let parcel = match (self.current.take(), self.extent.take()) {
            (Some(chunk), extent) => {
                self.extent = extent;
                Some(Parcel::Chunk(chunk))
            }
            (None, Some(extent)) => Some(Parcel::Extent(extent)),
            (None, None) => self.receive_parcel()?,
        };
        self.taken_bytes += parcel.as_ref().map_or(0, Parcel::len);
        Ok(parcel)
    }

    /// How many bytes the stage has taken so far: the offset of the next one in its input.
    pub fn offset(&self) -> u64 {
        self.taken_bytes
    }

    /// Whether the next read would have to wait: nothing is left here, nothing stands on the link, no end is known.
    pub fn would_wait(&self) -> bool {
        let is_left = self.current.as_ref().is_some_and(|chunk| !chunk.is_empty());
        !is_left && !self.ended && self.link.as_ref().is_some_and(LinkReader::would_wait)
    }

    /// Has `bytes`, the last ones that were taken, read again.
    pub fn give_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let left = self.current.as_deref().unwrap_or_default();
            let mut chunk = Pool::new(bytes.len() + left.len()).chunk();
            chunk.append(bytes);
            chunk.append(left);
            self.current = Some(chunk);
            self.taken_bytes = self.taken_bytes.saturating_sub(bytes.len() as u64);
        }
    }

    /// Reads to the end and forgets it.
    ///
    /// # Errors
    /// As [`Inlet::next_chunk`].
    pub fn drain(&mut self) -> io::Result<()> {
        while self.next_chunk()?.is_some() {}
        Ok(())
    }

    /// Takes no more: the writer hears a hang-up. Reads find the end from now on.
    pub fn hang_up(&mut self) {
        self.link = None;
        self.current = None;
        self.extent = None;
        self.ended = true;
    }

    /// The next bytes at hand: of a stretch of a file, the next piece is read.
    fn receive(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if let Some(mut extent) = self.extent.take() {
                let chunk = extent.read()?;
                // A file that has become shorter ends its stretch.
                if !chunk.is_empty() {
                    extent.advance(chunk.len() as u64);
                    self.extent = (extent.length_bytes > 0).then_some(extent);
                    return Ok(Some(chunk));
                }
            }
            match self.receive_parcel()? {
                None => return Ok(None),
                Some(Parcel::Chunk(chunk)) => return Ok(Some(chunk)),
                Some(Parcel::Extent(extent)) => self.extent = Some(extent),
            }
        }
    }

    fn receive_parcel(&mut self) -> io::Result<Option<Parcel>> {
        match &mut self.link {
            Some(link) if !self.ended => {
                let parcel = link.receive()?;
                self.ended = parcel.is_none();
                Ok(parcel)
            }
            _ => Ok(None),
        }
    }
}

impl BufRead for Inlet {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|chunk| chunk.is_empty()) {
            self.current = self.receive()?;
        }
        Ok(self.current.as_deref().unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        if let Some(chunk) = &mut self.current {
            let count = count.min(chunk.len());
            self.taken_bytes += count as u64;
            chunk.advance(count);
            if chunk.is_empty() {
                self.current = None;
            }
        }
    }
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
