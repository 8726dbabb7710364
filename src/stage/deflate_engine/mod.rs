//! The engines of `gzip`, `deflate` and `gunzip`: blocks on the worker pool, stitched into one stream, and back.
//! Knows nothing of arguments.
//!
//! Compression cuts the input into blocks of one size ([`Preset`] says which) and compresses each on a worker. What comes out
//! of a worker is not the end of a stream: the mark of its last DEFLATE block is taken away ([`walk`] finds it, [`block`]
//! does it), and an empty stored block brings it to a byte edge. So the pieces one after the other are a single DEFLATE
//! stream, a [`framing`] is put around it, and every reader of the format reads it.
//!
//! Since no block refers to the one before it, the pieces can also be unpacked side by side. The header of a gzip member names the block size
//! ([`member`]), [`scan`] cuts where an empty stored block seems to end, and [`ahead`] has a worker decode each piece. All
//! of this is a guess from untrusted bytes: a piece counts only if it gives exactly the block size and ends where it
//! seemed to, the checksum is verified as ever, and wherever something does not fit, the stage goes on
//! from there as with any other file, and has the bytes or the error that it would have had without.

#[cfg(feature = "libdeflate")]
mod ahead;
mod begun;
#[cfg(feature = "libdeflate")]
mod block;
#[cfg(not(feature = "libdeflate"))]
#[path = "primed.rs"]
mod block;
mod checksum;
mod compress;
mod flushed;
mod framing;
mod member;
mod preset;
#[cfg(feature = "libdeflate")]
mod scan;
#[cfg(feature = "libdeflate")]
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "libdeflate")]
mod walk;

#[cfg(feature = "libdeflate")]
pub(super) use ahead::ahead;
#[cfg(not(feature = "libdeflate"))]
pub(super) use begun::ahead;
pub(super) use checksum::{Adler, Checksum, Unchecked};
pub(super) use compress::compress;
pub(super) use flushed::compress_flushed;
pub(super) use framing::{Framing, Gzip, Raw, Zlib};
pub(super) use member::hint;
pub(super) use preset::Preset;
