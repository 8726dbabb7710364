//! Lists of digests as tools write and read them: `HEX  NAME`, or the tagged `SHA256 (NAME) = HEX`.
//! Looks into no file; which algorithm and which name are asked for is the caller's.
//!
//! The forms are those of coreutils (`sha256sum`, `cksum`), b3sum, xxhsum, `md5 -r` of BSD and `openssl dgst`. A line that
//! begins with a backslash has a name in which a backslash, a line feed and a carriage return stand escaped.

use super::{Algorithm, Digest};
use crate::diagnostic::printable;

/// Before the digits of XXH3, where xxhsum writes no tag: XXH64 has as many.
const XXH3_MARK: &[u8] = b"XXH3_";
/// So many names are told when the right one is not there.
const NAMES_TOLD_MAX: usize = 5;

/// The lines for the digests of one file, each with a line feed.
///
/// One digest stands as the tool of its algorithm writes it; several, and those of tools that read nothing else, tagged.
pub(in crate::stage) fn digest_list(digests: &[Digest], name: &[u8]) -> Vec<u8> {
    let tagless = [Algorithm::Blake3, Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let is_tagged = digests.len() != 1 || digests.iter().any(|digest| !tagless.contains(&digest.algorithm));
    let (name, is_escaped) = escaped(name);
    let mut list = Vec::new();
    for Digest { algorithm, digits } in digests {
        if is_escaped {
            list.push(b'\\');
        }
        if is_tagged {
            let tag = algorithm.name().to_uppercase();
            list.extend_from_slice(&[tag.as_bytes(), b" (", &name, b") = ", digits.as_bytes()].concat());
        } else {
            list.extend_from_slice(&[digits.as_bytes(), b"  ", &name].concat());
        }
        list.push(b'\n');
    }
    list
}

/// A digest for people: `sha256 2c26…  data`.
pub(in crate::stage) fn line(digest: &Digest, name: &[u8]) -> String {
    format!("{} {}  {}", digest.algorithm.name(), digest.digits, printable(name))
}

fn escaped(name: &[u8]) -> (Vec<u8>, bool) {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(br"\\"),
            b'\n' => escaped.extend_from_slice(br"\n"),
            b'\r' => escaped.extend_from_slice(br"\r"),
            other => escaped.push(other),
        }
    }
    let is_escaped = escaped.len() != name.len();
    (escaped, is_escaped)
}

/// The name that was escaped; `None` for what never was one.
fn unescaped(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        name.push(match (byte, byte == b'\\') {
            (other, false) => other,
            (_, true) => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
        });
    }
    Some(name)
}

/// Why a list does not say which digest is the right one.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stage) enum Missing {
    /// It holds none of that algorithm.
    All,
    /// It holds some, for other names: these, as far as they are few.
    Name(String),
    /// It holds several for that name, and they differ.
    Doubtful,
}

/// What a list says of one algorithm.
#[derive(Debug)]
pub(in crate::stage) struct Expected {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` for a digest that stands alone.
    name: Option<Vec<u8>>,
    digits: String,
}

impl Expected {
    /// The lines of `list` that hold a digest of `algorithm`; what is no such line is left out.
    pub(in crate::stage) fn of(list: &[u8], algorithm: Algorithm, untagged: Untagged) -> Expected {
        let entries = list.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            let (line, is_escaped) = match line {
                [b'\\', rest @ ..] => (rest, true),
                line => (line, false),
            };
            let (name, digits) = tagged(line, algorithm)
                .or_else(|| (untagged == Untagged::Count).then(|| plain(line, algorithm)).flatten())?;
            let name = match name {
                Some(name) if is_escaped => Some(unescaped(name)?),
                name => name.map(<[u8]>::to_vec),
            };
            Some(Entry { name, digits })
        });
        Expected { entries: entries.collect() }
    }

    /// The digits for the file called `name`: of the line with that very name, else with that base name. A line that is
    /// the only one counts whatever its name.
    pub(in crate::stage) fn digits_of(&self, name: Option<&[u8]>) -> Result<&str, Missing> {
        if let [only] = &self.entries[..] {
            return Ok(&only.digits);
        }
        let Some(first) = self.entries.first() else { return Err(Missing::All) };
        let Some(name) = name else {
            // Lines that agree need no name.
            let agree = self.entries.iter().all(|entry| entry.digits == first.digits);
            return if agree { Ok(&first.digits) } else { Err(Missing::Name(self.names())) };
        };
        let of_name = |is_meant: &dyn Fn(&[u8]) -> bool| {
            let has_name = |entry: &&Entry| entry.name.as_deref().is_some_and(is_meant);
            self.entries.iter().filter(has_name).collect::<Vec<_>>()
        };
        let mut meant = of_name(&|own| own == name);
        if meant.is_empty() {
            meant = of_name(&|own| base(own) == base(name));
        }
        match meant.split_first() {
            None => Err(Missing::Name(self.names())),
            Some((first, more)) if more.iter().all(|entry| entry.digits == first.digits) => Ok(&first.digits),
            Some(_) => Err(Missing::Doubtful),
        }
    }

    /// Its names for a message, the first few.
    fn names(&self) -> String {
        let names: Vec<String> =
            self.entries.iter().filter_map(|entry| entry.name.as_ref()).map(printable).collect();
        let told = names[..names.len().min(NAMES_TOLD_MAX)].join(", ");
        match names.len().saturating_sub(NAMES_TOLD_MAX) {
            0 => told,
            more => format!("{told} and {more} more"),
        }
    }
}

/// What a line without a tag is worth: its digits may be those of any algorithm with as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stage) enum Untagged {
    /// Only one algorithm is asked for, so it is that one.
    Count,
    /// It could be taken for the wrong one.
    AreLeftOut,
}

fn base(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}

type Parts<'a> = (Option<&'a [u8]>, String);

/// `SHA256 (NAME) = HEX`, or `SHA2-256(NAME)= HEX` as openssl has it.
fn tagged(line: &[u8], algorithm: Algorithm) -> Option<Parts<'_>> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')').filter(|&close| close > open)?;
    let tag = line[..open].trim_ascii();
    let is_tag = tag.eq_ignore_ascii_case(algorithm.name().as_bytes())
        || match algorithm {
            Algorithm::Sha256 => tag.eq_ignore_ascii_case(b"SHA2-256"),
            Algorithm::Sha512 => tag.eq_ignore_ascii_case(b"SHA2-512"),
            _ => false,
        };
    let rest = line[close + 1..].trim_ascii().strip_prefix(b"=")?;
    let digits = digits(rest.trim_ascii(), algorithm).filter(|_| is_tag)?;
    Some((Some(&line[open + 1..close]), digits))
}

/// `HEX  NAME`, `HEX *NAME`, `HEX NAME`, or `HEX` alone.
fn plain(line: &[u8], algorithm: Algorithm) -> Option<Parts<'_>> {
    let line = match algorithm {
        Algorithm::Xxh3 => line.strip_prefix(XXH3_MARK).unwrap_or(line),
        _ => line,
    };
    let end = line.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(line.len());
    let digits = digits(&line[..end], algorithm)?;
    let name = match &line[end..] {
        [b' ', b' ' | b'*', name @ ..] | [b' ', name @ ..] if !name.is_empty() => Some(name),
        _ => None,
    };
    Some((name, digits))
}

fn digits(text: &[u8], algorithm: Algorithm) -> Option<String> {
    let is_digest = text.len() == algorithm.digits() && text.iter().all(u8::is_ascii_hexdigit);
    is_digest.then(|| String::from_utf8_lossy(text).to_ascii_lowercase())
}
