//! Bytes as text and back (RFC 4648): what `base64`, `hex`, `unbase64` and `unhex` share.
//! Knows nothing of arguments but how wide a line is.

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub(super) use decoder::Format;
pub(super) use encoder::{Encoder, Wrap};
