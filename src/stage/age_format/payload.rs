//! The payload's key, and what is done with it: one block sealed, or opened (c2sp.org/age, "Payload").
//! Knows nothing of streams.

use age::secrecy::ExposeSecret;
use age::secrecy::zeroize::Zeroize;
use age_core::format::FileKey;
use age_core::primitives::hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// What is sealed at once; only the last block of a payload is shorter.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// What stands behind each block and proves it.
pub(super) const TAG_BYTES: usize = 16;
/// What the key of a payload depends on, beside the file's.
pub(super) const NONCE_BYTES: usize = 16;
/// Blocks that are worked on as one: with fewer, handing over costs too much beside the work.
pub(super) const BATCH_BLOCKS: usize = 4;

/// The proof of a block.
pub(super) type Tag = [u8; TAG_BYTES];

/// Where a block stands: sealed for one place, it opens at no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Inner,
    Last,
}

/// The key of one payload.
pub(super) struct PayloadKey(LessSafeKey);

impl PayloadKey {
    /// From the file's key.
    ///
    /// # Errors
    /// That the cipher does not take a key of this length; it takes all that come from here.
    pub(super) fn derive(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> anyhow::Result<Self> {
        let mut key = hkdf(nonce, b"payload", file_key.expose_secret());
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key);
        key.zeroize();
        Ok(PayloadKey(LessSafeKey::new(unbound.map_err(|_| anyhow::anyhow!("a key of the wrong length"))?)))
    }

    /// Seals block number `number` in place. A number is used once.
    pub(super) fn seal(&self, number: u64, place: Place, block: &mut [u8]) -> anyhow::Result<Tag> {
        let nonce = Nonce::assume_unique_for_key(nonce(number, place));
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::empty(), block);
        let tag = sealed.map_err(|_| anyhow::anyhow!("a block of {} bytes cannot be sealed", block.len()))?;
        Ok(tag.as_ref().try_into()?)
    }

    /// Opens block number `number` in place; left as it is, and `false`, if it is not authentic there.
    pub(super) fn open(&self, number: u64, place: Place, block: &mut [u8], tag: &Tag) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce(number, place));
        // A copy, since what turns out not to be authentic is wiped, and may be so at another place.
        let mut sealed = [&block[..], tag].concat();
        match self.0.open_in_place(nonce, Aad::empty(), &mut sealed) {
            Ok(opened) => {
                block.copy_from_slice(opened);
                true
            }
            Err(_) => false,
        }
    }
}

/// Eleven bytes of counter, big-endian, and one that tells the last block.
fn nonce(number: u64, place: Place) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(place == Place::Last);
    nonce
}

#[cfg(test)]
mod tests {
    use super::{PayloadKey, Place, nonce};
    use age_core::format::FileKey;

    #[test]
    fn a_block_opens_at_its_own_place_only_and_is_else_left_as_it_is() {
        let key = PayloadKey::derive(&FileKey::new(Box::new([7; 16])), &[9; 16]).unwrap();
        let mut block = b"some bytes".to_vec();
        let tag = key.seal(3, Place::Inner, &mut block).unwrap();
        let sealed = block.clone();
        assert_ne!(sealed, b"some bytes");
        for (number, place) in [(2, Place::Inner), (4, Place::Inner), (3, Place::Last)] {
            assert!(!key.open(number, place, &mut block, &tag));
            assert_eq!(block, sealed);
        }
        assert!(key.open(3, Place::Inner, &mut block, &tag));
        assert_eq!(block, b"some bytes");
    }

    #[test]
    fn a_nonce_is_the_number_and_the_place() {
        assert_eq!(nonce(0x0102, Place::Last), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1]);
        assert_eq!(nonce(u64::MAX, Place::Inner)[2..], [0, 255, 255, 255, 255, 255, 255, 255, 255, 0]);
    }
}
