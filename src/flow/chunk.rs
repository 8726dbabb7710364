//! What travels on a link: pooled, page-aligned buffers of bytes, and stretches of files.
//! Knows nothing of links; a chunk finds its way back to its pool by itself.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes in a chunk unless `-B` asks for smaller links: large enough that a hand-off costs nothing beside
/// the work on it, small enough for the second-level cache.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks begin on such a boundary: copies to and from the page cache are up to a third slower when they do not.
pub const PAGE_BYTES: usize = 4096;

/// Where the chunks of a run come from and go back to.
///
/// It never refuses: what bounds the memory of a run is what the links accept. It keeps whatever came back,
/// so a run allocates only while its links fill for the first time.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    chunk_bytes: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Shared {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// A pool of chunks of `chunk_bytes` each (at least one).
    pub fn new(chunk_bytes: usize) -> Self {
        Pool { shared: Arc::new(Shared { chunk_bytes: chunk_bytes.max(1), free: Mutex::default() }) }
    }

    /// The capacity of each of its chunks, in bytes.
    pub fn chunk_bytes(&self) -> usize {
        self.shared.chunk_bytes
    }

    /// An empty chunk: fill its [`Chunk::spare`].
    pub fn chunk(&self) -> Chunk {
        let recycled = self.shared.free().pop();
        // One page more than asked for, so that there is an aligned place to begin at.
        let bytes = recycled.unwrap_or_else(|| vec![0; self.shared.chunk_bytes + PAGE_BYTES]);
        let origin = bytes.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let storage = Storage { bytes, origin, pool: Arc::downgrade(&self.shared) };
        Chunk { storage: Arc::new(storage), start: 0, end: 0 }
    }
}

/// The bytes behind one or several chunks.
struct Storage {
    bytes: Vec<u8>,
    /// Where the aligned part begins.
    origin: usize,
    pool: Weak<Shared>,
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.free().push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A run of bytes in a pooled buffer.
///
/// Cloning shares the buffer; a holder that is alone may change it in place, and [`Chunk::bytes_mut`] copies
/// for one that is not. `start <= end <= capacity` always.
#[derive(Clone)]
pub struct Chunk {
    storage: Arc<Storage>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// How many bytes its buffer holds when full.
    pub fn capacity(&self) -> usize {
        self.storage.bytes.len() - PAGE_BYTES
    }

    /// The unused part of the buffer behind the bytes; empty when the buffer is shared.
    pub fn spare(&mut self) -> &mut [u8] {
        let (end, capacity) = (self.end, self.capacity());
        match Arc::get_mut(&mut self.storage) {
            Some(Storage { bytes, origin, .. }) => &mut bytes[*origin + end..*origin + capacity],
            None => &mut [],
        }
    }

    /// Takes the first `count` bytes of the spare part into the chunk, at most as many as there are.
    pub fn fill(&mut self, count: usize) {
        self.end = (self.end + count).min(self.capacity());
    }

    /// Copies as much of `bytes` as fits behind the chunk's own; returns how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare();
        let count = bytes.len().min(spare.len());
        spare[..count].copy_from_slice(&bytes[..count]);
        self.end += count;
        count
    }

    /// Drops the first `count` bytes, at most all.
    pub fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Keeps only the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start.saturating_add(count));
    }

    /// The bytes, to change in place. A shared chunk is copied first, into a buffer of its pool.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        if Arc::get_mut(&mut self.storage).is_none() {
            *self = self.copy();
        }
        let (start, end) = (self.start, self.end);
        match Arc::get_mut(&mut self.storage) {
            Some(Storage { bytes, origin, .. }) => &mut bytes[*origin + start..*origin + end],
            // A copy has one holder: unreachable, and an empty slice harms nobody.
            None => &mut [],
        }
    }

    fn copy(&self) -> Chunk {
        let pool = match self.storage.pool.upgrade() {
            Some(shared) => Pool { shared },
            None => Pool::new(self.capacity()),
        };
        let mut copy = pool.chunk();
        copy.append(self);
        copy
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage.bytes[self.storage.origin + self.start..self.storage.origin + self.end]
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Chunk({} of {} bytes)", self.len(), self.capacity())
    }
}

/// A stretch of a file that its reader may have moved by the system, without a copy through the process.
#[derive(Debug, Clone)]
pub struct Extent {
    /// The file.
    pub file: Arc<OwnedFd>,
    /// Where the stretch begins in it, in bytes.
    pub offset_bytes: u64,
    /// How long it is, in bytes; the file may have become shorter meanwhile.
    pub length_bytes: u64,
}

impl Extent {
    /// Its first bytes, at most a chunk; none at all when the file has become too short.
    ///
    /// # Errors
    /// Those of `pread`.
    pub fn read(&self) -> io::Result<Chunk> {
        let mut chunk = Pool::new(CHUNK_BYTES).chunk();
        let length = CHUNK_BYTES.min(usize::try_from(self.length_bytes).unwrap_or(usize::MAX));
        let file = File::from(self.file.try_clone()?);
        let count = file.read_at(&mut chunk.spare()[..length], self.offset_bytes)?;
        chunk.fill(count);
        Ok(chunk)
    }

    /// Leaves out its first `count` bytes, at most all.
    pub fn advance(&mut self, count: u64) {
        let count = count.min(self.length_bytes);
        self.offset_bytes += count;
        self.length_bytes -= count;
    }
}

/// What travels on a link: bytes at hand, or where they are to be had.
#[derive(Debug)]
pub enum Parcel {
    /// Bytes.
    Chunk(Chunk),
    /// A stretch of a file, for readers who have said that they take it.
    Extent(Extent),
}

impl Parcel {
    /// How many bytes it stands for.
    pub fn len(&self) -> u64 {
        match self {
            Parcel::Chunk(chunk) => chunk.len() as u64,
            Parcel::Extent(extent) => extent.length_bytes,
        }
    }

    /// Whether it stands for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, PAGE_BYTES, Pool};

    #[test]
    fn chunks_begin_on_a_page() {
        let pool = Pool::new(CHUNK_BYTES);
        for _ in 0..8 {
            let mut chunk = pool.chunk();
            assert_eq!(chunk.spare().as_ptr() as usize % PAGE_BYTES, 0);
            assert_eq!(chunk.spare().len(), CHUNK_BYTES);
        }
    }

    #[test]
    fn a_dropped_chunk_is_used_again() {
        let pool = Pool::new(8);
        let mut first = pool.chunk();
        let address = first.spare().as_ptr() as usize;
        drop(first);
        assert_eq!(pool.chunk().spare().as_ptr() as usize, address);
    }

    #[test]
    fn a_change_to_a_shared_chunk_is_not_seen_by_the_other_holder() {
        let pool = Pool::new(8);
        let mut chunk = pool.chunk();
        assert_eq!(chunk.append(b"abcdefghij"), 8);
        let other = chunk.clone();
        assert!(chunk.spare().is_empty());
        chunk.bytes_mut()[0] = b'X';
        assert_eq!((&chunk[..], &other[..]), (&b"Xbcdefgh"[..], &b"abcdefgh"[..]));
    }

    #[test]
    fn advance_and_truncate_stay_within_the_bytes() {
        let pool = Pool::new(8);
        let mut chunk = pool.chunk();
        chunk.append(b"abcdef");
        chunk.truncate(5);
        chunk.advance(2);
        assert_eq!(&chunk[..], b"cde");
        assert_eq!(chunk.append(b"xyz!"), 3);
        assert_eq!(&chunk[..], b"cdexyz");
        chunk.advance(99);
        chunk.truncate(99);
        assert!(chunk.is_empty());
    }
}
