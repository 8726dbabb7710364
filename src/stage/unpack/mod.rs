//! What decompressors share: one loop from packed bytes to chunks, and what it refuses; then one file for each format.
//! Knows nothing of arguments: the stages (`gunzip` and its like, and `decompress`) are made of these parts.
//!
//! A format is a [`Coder`], which decodes in steps, and a function `unpack` that knows what stands between the streams of one
//! input: further members, padding, nothing. [`Unpacker`] holds both ends and does the rest: what was decoded goes out
//! before the stage waits and before an error is told, a limit holds whatever the input claims, and what is wrong is told
//! with its place.

#[cfg(feature = "brotli")]
pub(in crate::stage) mod brotli;
#[cfg(feature = "bzip2")]
pub(in crate::stage) mod bzip2;
// Some of what the formats share has no user where some of them are left out.
#[cfg_attr(
    not(all(feature = "brotli", feature = "bzip2", feature = "lz4", feature = "xz", feature = "zstd")),
    allow(dead_code)
)]
mod coder;
mod deflate;
mod formats;
pub(in crate::stage) mod gzip;
#[cfg(feature = "lz4")]
pub(in crate::stage) mod lz4;
#[cfg_attr(
    not(all(feature = "brotli", feature = "bzip2", feature = "lz4", feature = "xz", feature = "zstd")),
    allow(dead_code)
)]
mod unpacker;
#[cfg(feature = "xz")]
pub(in crate::stage) mod xz;
pub(in crate::stage) mod zlib;
#[cfg(feature = "zstd")]
pub(in crate::stage) mod zstd;

pub(in crate::stage) use coder::{Coder, Outcome, Step, Wrong};
pub(in crate::stage) use formats::{Format, Means};
pub(in crate::stage) use unpacker::Unpacker;
