//! The header: the file's key, wrapped for each who may read, and the proof that nobody changed it (c2sp.org/age, "Header").
//! Knows nothing of where keys come from, and of the payload only its key.

use super::payload::{NONCE_BYTES, PayloadKey};
use super::source::Source;
use super::{WORK_FACTOR_MAX, corrupt, truncated};
use crate::diagnostic::printable;
use crate::stage::fault::Fault;
use age::DecryptError;
use age::secrecy::ExposeSecret;
use age_core::format::{FileKey, Stanza};
use age_core::primitives::hkdf;
use data_encoding::BASE64_NOPAD;
use hmac::{Hmac, Mac};
use ring::rand::{SecureRandom, SystemRandom};
use sha2_of_age::Sha256;
use std::collections::BTreeMap;

/// What the first line begins with, whatever the version.
const MAGIC: &[u8] = b"age-encryption.org/";
const VERSION: &[u8] = b"v1";
const STANZA_MARK: &[u8] = b"-> ";
const MAC_MARK: &[u8] = b"---";
/// Base64 characters in a full line of a stanza's body.
const COLUMNS: usize = 64;
/// A header of ten thousand recipients; more is none.
const HEADER_BYTES_MAX: usize = 1024 * 1024;
/// The type of a stanza that a passphrase opens; it stands alone.
const SCRYPT: &str = "scrypt";

/// What may open a file.
pub(in crate::stage) enum Key {
    /// A passphrase.
    Passphrase(age::scrypt::Identity),
    /// Identities.
    Identities(Vec<age::x25519::Identity>),
}

/// A new file's header, nonce included, and the key of its payload.
///
/// # Errors
/// That the recipients may not be mixed.
pub(super) fn compose(
    recipients: &[Box<dyn age::Recipient + Send>],
) -> anyhow::Result<(Vec<u8>, PayloadKey)> {
    let random = SystemRandom::new();
    let unfilled = |_| Fault::failed("the system gives no random bytes");
    let file_key = FileKey::try_init_with_mut(|key| random.fill(key)).map_err(unfilled)?;
    let mut bytes = [MAGIC, VERSION, b"\n"].concat();
    let mut labels = None;
    for recipient in recipients {
        let wrapped = recipient.wrap_file_key(&file_key);
        let (stanzas, own_labels) = wrapped.map_err(|error| Fault::failed(error.to_string()))?;
        if *labels.get_or_insert_with(|| own_labels.clone()) != own_labels {
            return Err(Fault::failed("the recipients may not be mixed in one file").into());
        }
        stanzas.iter().for_each(|stanza| append(stanza, &mut bytes));
    }
    bytes.extend_from_slice(MAC_MARK);
    let mac = mac_of(&file_key, &bytes)?.finalize().into_bytes();
    bytes.push(b' ');
    bytes.extend_from_slice(BASE64_NOPAD.encode(&mac).as_bytes());
    bytes.push(b'\n');
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce).map_err(unfilled)?;
    bytes.extend_from_slice(&nonce);
    Ok((bytes, PayloadKey::derive(&file_key, &nonce)?))
}

fn append(stanza: &Stanza, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(STANZA_MARK);
    bytes.extend_from_slice(stanza.tag.as_bytes());
    for argument in &stanza.args {
        bytes.push(b' ');
        bytes.extend_from_slice(argument.as_bytes());
    }
    let body = BASE64_NOPAD.encode(&stanza.body);
    let lines = body.as_bytes().chunks(COLUMNS);
    for line in lines {
        bytes.push(b'\n');
        bytes.extend_from_slice(line);
    }
    // The last line is a short one, and be it empty.
    bytes.extend_from_slice(if body.len().is_multiple_of(COLUMNS) { b"\n\n" } else { b"\n" });
}

fn mac_of(file_key: &FileKey, bytes: &[u8]) -> anyhow::Result<Hmac<Sha256>> {
    let key = hkdf(&[], b"header", file_key.expose_secret());
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key)?;
    mac.update(bytes);
    Ok(mac)
}

/// A header that was read, and not believed yet.
#[derive(Debug)]
pub(super) struct Header {
    stanzas: Vec<Stanza>,
    /// Everything that the proof is about.
    proven: Vec<u8>,
    mac: Vec<u8>,
}

impl Header {
    /// Reads it, up to the nonce.
    ///
    /// # Errors
    /// A [`Fault`] for what is no header of this version, or none at all; those of the links.
    pub(super) fn read(source: &mut Source<'_>) -> anyhow::Result<Header> {
        let mut lines = Lines { source, bytes: Vec::new() };
        lines.version()?;
        let mut stanzas = Vec::new();
        loop {
            let (begin, line) = lines.next()?;
            if let Some(arguments) = line.strip_prefix(STANZA_MARK) {
                let words = words(arguments).ok_or_else(|| lines.corrupt("a malformed recipient"))?;
                stanzas.push(lines.stanza(words)?);
                continue;
            }
            let mac = line.strip_prefix(MAC_MARK).and_then(|rest| rest.strip_prefix(b" "));
            let mac = mac.and_then(|mac| BASE64_NOPAD.decode(mac).ok()).filter(|mac| mac.len() == 32);
            let Some(mac) = mac else { return Err(lines.corrupt("a malformed line in the header").into()) };
            if stanzas.is_empty() {
                return Err(lines.corrupt("a header without a recipient").into());
            }
            let mut proven = lines.bytes;
            proven.truncate(begin + MAC_MARK.len());
            return Ok(Header { stanzas, proven, mac });
        }
    }

    /// Finds the payload's key, from the nonce that follows.
    ///
    /// # Errors
    /// A [`Fault`] if no key fits, the header was changed, or the input ends; those of the links.
    pub(super) fn unlock(
        &self,
        key: &Key,
        tried: &str,
        source: &mut Source<'_>,
    ) -> anyhow::Result<PayloadKey> {
        let file_key = self.file_key(key, tried, source.offset())?;
        if mac_of(&file_key, &self.proven)?.verify_slice(&self.mac).is_err() {
            let end = source.offset();
            return Err(Fault::refused(format!(
                "tampered with: the header, before input byte {end}, is not authentic"
            ))
            .help("somebody changed it, or it was damaged on its way: fetch or copy it again")
            .into());
        }
        let mut nonce = [0; NONCE_BYTES];
        let mut count = 0;
        while count < NONCE_BYTES {
            let bytes = source.fill()?;
            let part = bytes.len().min(NONCE_BYTES - count);
            if part == 0 {
                return Err(truncated(source.offset(), "behind the header").into());
            }
            nonce[count..count + part].copy_from_slice(&bytes[..part]);
            source.consume(part);
            count += part;
        }
        PayloadKey::derive(&file_key, &nonce)
    }

    fn file_key(&self, key: &Key, tried: &str, end: u64) -> Result<FileKey, Fault> {
        let is_for_a_passphrase = self.stanzas.iter().any(|stanza| stanza.tag == SCRYPT);
        if is_for_a_passphrase && self.stanzas.len() > 1 {
            return Err(corrupt(end, "a passphrase together with other recipients"));
        }
        let identities: Vec<&dyn age::Identity> = match key {
            Key::Passphrase(_) if !is_for_a_passphrase => {
                return Err(Fault::refused(format!("not for a passphrase, but for {}", self.recipients()))
                    .help("name a file with the identity: `decrypt -i FILE`"));
            }
            Key::Identities(_) if is_for_a_passphrase => {
                return Err(
                    Fault::refused("for a passphrase, not for an identity").help("ask for it: `decrypt -p`")
                );
            }
            Key::Passphrase(passphrase) => vec![passphrase],
            Key::Identities(identities) => identities.iter().map(|identity| identity as _).collect(),
        };
        match identities.iter().find_map(|identity| identity.unwrap_stanzas(&self.stanzas)) {
            Some(Ok(file_key)) => Ok(file_key),
            Some(Err(DecryptError::ExcessiveWork { required, .. })) => {
                let message =
                    format!("asks for scrypt work of 2^{required}, and at most 2^{WORK_FACTOR_MAX} is done");
                Err(Fault::refused(message).help("a passphrase that a person types is made with 2^18 or so"))
            }
            Some(Err(DecryptError::DecryptionFailed)) => Err(Fault::refused("wrong passphrase")),
            Some(Err(_)) => Err(corrupt(end, "a malformed recipient")),
            None => Err(Fault::refused(format!(
                "no identity matches: tried {tried}; it is for {}",
                self.recipients()
            ))),
        }
    }

    /// For whom it is, as far as that can be seen: `2 recipients of type X25519, 1 of type ssh-ed25519`.
    fn recipients(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for stanza in &self.stanzas {
            *counts.entry(&stanza.tag).or_default() += 1;
        }
        // What programs put in to keep readers from relying on what they know.
        counts.retain(|tag, _| !tag.ends_with("-grease"));
        let parts = counts.iter().enumerate().map(|(at, (tag, count))| {
            let noun = match (at, count) {
                (0, 1) => " recipient",
                (0, _) => " recipients",
                _ => "",
            };
            format!("{count}{noun} of type {}", printable(tag.as_bytes()))
        });
        // Foreign bytes, as many as they like: enough is told by some.
        parts.take(4).collect::<Vec<_>>().join(", ")
    }
}

/// The words behind a stanza's mark; `None` if they are malformed.
fn words(line: &[u8]) -> Option<Vec<String>> {
    let word = |bytes: &[u8]| {
        let is_sound = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
        is_sound.then(|| String::from_utf8_lossy(bytes).into_owned())
    };
    line.split(|&byte| byte == b' ').map(word).collect()
}

/// A header, line by line.
struct Lines<'s, 'i> {
    source: &'s mut Source<'i>,
    bytes: Vec<u8>,
}

impl Lines<'_, '_> {
    /// The first line.
    fn version(&mut self) -> anyhow::Result<()> {
        // Byte by byte: what is no age file may have no line at all.
        while self.bytes.len() < MAGIC.len() {
            match self.source.fill()?.first().copied() {
                Some(byte) => {
                    self.bytes.push(byte);
                    self.source.consume(1);
                }
                None => return Err(truncated(self.source.offset(), "in the header").into()),
            }
            if !MAGIC.starts_with(&self.bytes) {
                return Err(self.source.foreign(&self.bytes).into());
            }
        }
        let (_, version) = self.next()?;
        if version == VERSION {
            return Ok(());
        }
        if version == [VERSION, b"\r"].concat() {
            return Err(self.corrupt("its line ends were changed on its way").into());
        }
        let version = version[..version.len().min(16)].escape_ascii();
        Err(Fault::refused(format!("an age file of version `{version}`, and only `v1` is known")).into())
    }

    /// The next line, without its end, and where it begins in what was read.
    fn next(&mut self) -> anyhow::Result<(usize, Vec<u8>)> {
        let begin = self.bytes.len();
        loop {
            let bytes = self.source.fill()?;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(bytes.len(), |end| end + 1);
            if count == 0 {
                return Err(truncated(self.source.offset(), "in the header").into());
            }
            if self.bytes.len() + count > HEADER_BYTES_MAX {
                return Err(self.corrupt("the header does not end within 1 MiB").into());
            }
            self.bytes.extend_from_slice(&bytes[..count]);
            self.source.consume(count);
            if end.is_some() {
                return Ok((begin, self.bytes[begin..self.bytes.len() - 1].to_vec()));
            }
        }
    }

    /// The body behind a stanza's first line.
    fn stanza(&mut self, mut words: Vec<String>) -> anyhow::Result<Stanza> {
        let tag = words.remove(0);
        let mut body = Vec::new();
        loop {
            let (_, line) = self.next()?;
            if line.len() > COLUMNS {
                return Err(self.corrupt("a line of a recipient is too long").into());
            }
            body.extend_from_slice(&line);
            if line.len() < COLUMNS {
                break;
            }
        }
        let body = BASE64_NOPAD.decode(&body).map_err(|_| self.corrupt("a recipient is not base64"))?;
        Ok(Stanza { tag, args: words, body })
    }

    fn corrupt(&self, what: &str) -> Fault {
        corrupt(self.source.offset(), what)
    }
}
