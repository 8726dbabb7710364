//! Digests: the algorithms by name, one pass over bytes for each, and lists of digests as tools write them.
//! Knows nothing of stages: bytes in, digits out.

mod list;

pub(super) use list::{Expected, Missing, Untagged, digest_list, line};

use flate2::Crc;
use sha2::Digest as _;
use std::fmt::Write as _;
use xxhash_rust::xxh3::Xxh3Default;

/// An algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Algorithm {
    /// As b3sum: cryptographic, and several times as fast as sha512 and md5
    Blake3,
    /// As gzip and zip use it: finds damage, proves nothing
    Crc32,
    /// As md5sum: broken, for old lists only
    Md5,
    /// As sha1sum: broken, for old lists only
    Sha1,
    /// As sha256sum: the usual one
    Sha256,
    /// As sha512sum
    Sha512,
    /// As xxhsum -H3, of 64 bits: the fastest, finds damage, proves nothing
    Xxh3,
}

impl Algorithm {
    /// As typed in a chain.
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Blake3 => "blake3",
            Algorithm::Crc32 => "crc32",
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
            Algorithm::Xxh3 => "xxh3",
        }
    }

    /// How many hexadecimal digits a digest has.
    pub(super) fn digits(self) -> usize {
        match self {
            Algorithm::Crc32 => 8,
            Algorithm::Xxh3 => 16,
            Algorithm::Md5 => 32,
            Algorithm::Sha1 => 40,
            Algorithm::Blake3 | Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }

    /// Begins a pass.
    pub(super) fn begin(self) -> Pass {
        let hasher: Box<dyn Hasher> = match self {
            Algorithm::Blake3 => Box::new(blake3::Hasher::new()),
            Algorithm::Crc32 => Box::new(Crc::new()),
            Algorithm::Md5 => Box::new(Common(md5::Md5::new())),
            Algorithm::Sha1 => Box::new(Common(sha1::Sha1::new())),
            Algorithm::Sha256 => Box::new(Common(sha2::Sha256::new())),
            Algorithm::Sha512 => Box::new(Common(sha2::Sha512::new())),
            Algorithm::Xxh3 => Box::new(Xxh3Default::new()),
        };
        Pass { algorithm: self, hasher }
    }
}

/// One pass of an algorithm over bytes that come in pieces.
pub(super) struct Pass {
    algorithm: Algorithm,
    hasher: Box<dyn Hasher>,
}

impl Pass {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The digest of all of them.
    pub(super) fn finish(mut self) -> Digest {
        let bytes = self.hasher.finish();
        let digits = bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        Digest { algorithm: self.algorithm, digits }
    }
}

/// A digest: so many small hexadecimal digits as its algorithm has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest {
    /// What made it.
    pub(super) algorithm: Algorithm,
    /// The highest first.
    pub(super) digits: String,
}

trait Hasher: Send {
    fn update(&mut self, bytes: &[u8]);
    /// Called once, at the end.
    fn finish(&mut self) -> Vec<u8>;
}

/// What the crates of one family have in common.
struct Common<D>(D);

impl<D: sha2::Digest + sha2::digest::FixedOutputReset + Send> Hasher for Common<D> {
    fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.0.finalize_reset().to_vec()
    }
}

impl Hasher for blake3::Hasher {
    fn update(&mut self, bytes: &[u8]) {
        blake3::Hasher::update(self, bytes);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.finalize().as_bytes().to_vec()
    }
}

impl Hasher for Crc {
    fn update(&mut self, bytes: &[u8]) {
        Crc::update(self, bytes);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.sum().to_be_bytes().to_vec()
    }
}

impl Hasher for Xxh3Default {
    fn update(&mut self, bytes: &[u8]) {
        Xxh3Default::update(self, bytes);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.digest().to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;
    use clap::ValueEnum;

    fn digest(algorithm: Algorithm, pieces: &[&[u8]]) -> String {
        let mut pass = algorithm.begin();
        pieces.iter().for_each(|piece| pass.update(piece));
        pass.finish().digits
    }

    #[test]
    fn the_published_values_come_out() {
        // FIPS 180 examples, RFC 1321 and the check value of CRC-32; the others as their own tools print them.
        for (algorithm, bytes, digits) in [
            (Algorithm::Crc32, &b"123456789"[..], "cbf43926"),
            (Algorithm::Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Algorithm::Blake3, b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (Algorithm::Xxh3, b"", "2d06800538d394c2"),
            (Algorithm::Xxh3, b"foo", "ab6e5f64077e7d8a"),
        ] {
            assert_eq!(digest(algorithm, &[bytes]), digits, "{algorithm:?}");
        }
        assert!(digest(Algorithm::Sha512, &[b"abc"]).starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn a_digest_has_as_many_digits_as_is_said_however_its_bytes_came() {
        for &algorithm in Algorithm::value_variants() {
            let whole = digest(algorithm, &[&[7; 1000]]);
            assert_eq!(whole.len(), algorithm.digits(), "{algorithm:?}");
            assert_eq!(whole, digest(algorithm, &[&[7; 1], &[], &[7; 500], &[7; 499]]), "{algorithm:?}");
            let name = algorithm.to_possible_value().expect("none is hidden");
            assert_eq!(name.get_name(), algorithm.name());
        }
    }
}
