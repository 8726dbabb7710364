//! Recipients: the public keys that a file is sealed for, as words and as files of them.
//! Knows nothing of what is sealed.

use super::{contents, lines, malformed, name_of};
use crate::stage::arguments::PathArgument;
use crate::stage::contract::Opening;
use crate::stage::fault::Fault;
use age::{tag, tagpq, x25519};
use std::collections::HashSet;
use std::fmt;

/// A public key of one of the kinds that are known.
#[derive(Clone)]
pub(in crate::stage) struct RecipientKey {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    X25519(x25519::Recipient),
    Tag(tag::Recipient),
    TagPostQuantum(Box<tagpq::Recipient>),
}

impl RecipientKey {
    /// From a word, for clap.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::stage) fn parse(text: &str) -> Result<RecipientKey, String> {
        let kind = match (text.parse(), text.parse(), text.parse()) {
            (Ok(key), _, _) => Kind::X25519(key),
            (_, Ok(key), _) => Kind::Tag(key),
            (_, _, Ok(key)) => Kind::TagPostQuantum(Box::new(key)),
            _ => return Err(what_else(text).to_owned()),
        };
        let key = RecipientKey { text: text.to_owned(), kind };
        if key.is_weak() { Err("a weak key: anybody could read the file".to_owned()) } else { Ok(key) }
    }

    /// For the age crate.
    pub(in crate::stage) fn boxed(self) -> Box<dyn age::Recipient + Send> {
        match self.kind {
            Kind::X25519(key) => Box::new(key),
            Kind::Tag(key) => Box::new(key),
            Kind::TagPostQuantum(key) => key,
        }
    }

    /// Whether what it shares is no secret (RFC 7748 §6.1): its point is of small order.
    fn is_weak(&self) -> bool {
        let Kind::X25519(key) = &self.kind else { return false };
        bytes_of(&key.to_string()).is_some_and(|mut point| {
            point[31] &= 0x7f;
            SMALL_ORDER.contains(&point)
        })
    }
}

/// The points of small order on Curve25519, as they are written: those that are 0, 1 and -1, two of order 8, and the ways to
/// write 0 and 1 with the prime added.
const SMALL_ORDER: [[u8; 32]; 7] = {
    const fn small(first: u8) -> [u8; 32] {
        let mut point = [0; 32];
        point[0] = first;
        point
    }
    const fn beside_the_prime(first: u8) -> [u8; 32] {
        let mut point = [0xff; 32];
        point[0] = first;
        point[31] = 0x7f;
        point
    }
    [
        small(0),
        small(1),
        beside_the_prime(0xec),
        beside_the_prime(0xed),
        beside_the_prime(0xee),
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ],
    ]
};

/// The bytes behind `age1` (BIP 173), without the checksum, which was looked at before.
fn bytes_of(text: &str) -> Option<[u8; 32]> {
    const LETTERS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const CHECKSUM_LETTERS: usize = 6;
    let letters = text.strip_prefix("age1")?;
    let letters = letters.get(..letters.len().checked_sub(CHECKSUM_LETTERS)?)?;
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for letter in letters.chars() {
        bits = (bits << 5 | u32::try_from(LETTERS.find(letter)?).ok()?) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    bytes.try_into().ok()
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a word is that is no recipient.
fn what_else(text: &str) -> &'static str {
    let begins = |mark: &str| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    match () {
        () if begins("AGE-SECRET-KEY-") => {
            "a secret key, which belongs to its owner alone; `age-keygen -y` tells its recipient"
        }
        () if begins("ssh-") => "ssh keys are not taken; `age-keygen` makes one that is",
        () if begins("age1pq1") => "a post-quantum recipient of a kind that is not known here",
        () if begins("age1") && text.rfind('1').is_some_and(|at| at > 4) => {
            "a recipient of a plugin, and plugins are not run; or a letter is wrong"
        }
        () if begins("age1") => "a letter is missing or wrong: the checksum does not fit",
        () => "a recipient begins with `age1`",
    }
}

/// The recipients in `files`.
///
/// # Errors
/// A [`Fault`] with the file, and the line: what cannot be read, what is no recipient.
pub(in crate::stage) fn recipients(
    files: &[PathArgument],
    opening: &Opening<'_>,
) -> Result<Vec<RecipientKey>, Fault> {
    let mut keys = Vec::new();
    for file in files {
        let text = contents(file, opening)?;
        let before = keys.len();
        for (number, line) in lines(&text) {
            let key = RecipientKey::parse(line);
            keys.push(key.map_err(|what| malformed(file, number, &format!("is no recipient: {what}")))?);
        }
        if keys.len() == before {
            return Err(Fault::refused("holds no recipient").of(name_of(file)));
        }
    }
    Ok(keys)
}

/// Whether one file can be for all of `keys`.
///
/// # Errors
/// Why not.
pub(in crate::stage) fn agree(keys: &[RecipientKey]) -> Result<(), String> {
    let is_post_quantum = |key: &RecipientKey| matches!(key.kind, Kind::TagPostQuantum(_));
    let count = keys.iter().filter(|key| is_post_quantum(key)).count();
    if count != 0 && count != keys.len() {
        return Err(
            "post-quantum recipients cannot be mixed with others: those would undo what they are for"
                .to_owned(),
        );
    }
    Ok(())
}

/// The first of `keys` that is there twice.
pub(in crate::stage) fn doubled(keys: &[RecipientKey]) -> Option<&RecipientKey> {
    let mut seen = HashSet::new();
    keys.iter().find(|key| !seen.insert(&key.text))
}

#[cfg(test)]
mod tests {
    use super::{RecipientKey, SMALL_ORDER, agree, bytes_of, doubled};
    use age::Recipient;
    use age_core::format::FileKey;

    const KEY: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    /// Each of the points of small order, and the first of them with the bit set that does not count.
    const WEAK: [&str; 8] = [
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
        "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
        "age1anlllllllllllllllllllllllllllllllllllllllllllllllals4n2t7m",
        "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
        "age1amlllllllllllllllllllllllllllllllllllllllllllllllalselrwrv",
        "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
        "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz9ts6wm9s8",
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqsuwj9m",
    ];

    #[test]
    fn a_weak_key_is_refused() {
        for (at, weak) in WEAK.into_iter().enumerate() {
            let point = bytes_of(weak).unwrap();
            assert!(at == 7 || point == SMALL_ORDER[at], "{weak}");
            let refused = RecipientKey::parse(weak).unwrap_err();
            assert_eq!(refused, "a weak key: anybody could read the file");
            // The crate knows them, too, and panics.
            let key: age::x25519::Recipient = weak.parse().unwrap();
            let wrap = || key.wrap_file_key(&FileKey::new(Box::new([7; 16]))).is_ok();
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wrap)).is_err(), "{weak}");
        }
    }

    #[test]
    fn what_is_no_recipient_is_told_for_what_it_is() {
        let told = |text: &str| RecipientKey::parse(text).unwrap_err();
        assert!(RecipientKey::parse(KEY).is_ok());
        assert_eq!(told(""), "a recipient begins with `age1`");
        assert_eq!(told(&KEY[..40]), "a letter is missing or wrong: the checksum does not fit");
        assert_eq!(told(&KEY.replace('z', "y")), "a letter is missing or wrong: the checksum does not fit");
        assert!(told("AGE-SECRET-KEY-1XYZ").starts_with("a secret key"));
        assert!(told("ssh-ed25519 AAAA").starts_with("ssh keys"));
        assert!(told("age1yubikey1qqqq").starts_with("a recipient of a plugin"));
        assert!(told("age1pq1qqqq").starts_with("a post-quantum recipient"));
    }

    #[test]
    fn a_tagged_recipient_of_a_hardware_key_is_taken() {
        let tagged = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e";
        let key = RecipientKey::parse(tagged).unwrap();
        assert!(agree(&[key.clone(), RecipientKey::parse(KEY).unwrap()]).is_ok());
        let (stanzas, _) = key.boxed().wrap_file_key(&FileKey::new(Box::new([7; 16]))).unwrap();
        assert_eq!(stanzas[0].tag, "p256tag");
    }

    #[test]
    fn a_key_that_is_there_twice_is_found() {
        let key = || RecipientKey::parse(KEY).unwrap();
        assert!(doubled(&[key()]).is_none() && agree(&[key()]).is_ok());
        assert_eq!(doubled(&[key(), key()]).map(ToString::to_string).as_deref(), Some(KEY));
    }
}
